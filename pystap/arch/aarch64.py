"""AArch64, AAPCS64: DWARF numbers after "DWARF for the Arm 64-bit Architecture"."""

from __future__ import annotations

from pystap.arch.base import Arch, Register

AARCH64 = Arch(
    name="arm64",
    kernel_name="arm64",
    elf_machine=183,
    word=8,
    registers={
        **{k: Register(f"x{k}", f"regs[{k}]", ("fp",) if k == 29 else ("lr",) if k == 30 else ()) for k in range(31)},
        31: Register("sp", "sp"),
        32: Register("pc", "pc"),
    },
    arguments=(0, 1, 2, 3, 4, 5, 6, 7),
    results=(0, 1),
    stack_pointer=31,
    program_counter=32,
    return_address=30,
    stack_arguments=0,
    frame_pointer=29,
    vectors=range(64, 96),
    large_struct_by_reference=True,
)
