"""x86-64, System V ABI: DWARF numbers after the psABI, figure 3.36."""

from __future__ import annotations

from pystap.arch.base import Arch, Register

X86_64 = Arch(
    name="x86_64",
    kernel_name="x86",
    elf_machine=62,
    word=8,
    registers={
        0: Register("rax", "ax", ("eax", "ax")),
        1: Register("rdx", "dx", ("edx", "dx")),
        2: Register("rcx", "cx", ("ecx", "cx")),
        3: Register("rbx", "bx", ("ebx", "bx")),
        4: Register("rsi", "si", ("esi", "si")),
        5: Register("rdi", "di", ("edi", "di")),
        6: Register("rbp", "bp", ("ebp", "bp")),
        7: Register("rsp", "sp", ("esp", "sp")),
        8: Register("r8", "r8"),
        9: Register("r9", "r9"),
        10: Register("r10", "r10"),
        11: Register("r11", "r11"),
        12: Register("r12", "r12"),
        13: Register("r13", "r13"),
        14: Register("r14", "r14"),
        15: Register("r15", "r15"),
        16: Register("rip", "ip", ("eip", "ip")),
    },
    arguments=(5, 4, 1, 2, 8, 9),
    results=(0, 1),
    stack_pointer=7,
    program_counter=16,
    return_address=None,
    stack_arguments=8,
    frame_pointer=6,
    vectors=range(17, 33),
    large_struct_by_reference=False,
)
