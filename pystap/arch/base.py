"""What pystap must know about a CPU: its registers by DWARF number, and where the C ABI puts arguments and results."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Register:
    """One register: its name in scripts, and its place in struct pt_regs."""

    name: str  # "rdi": what register("rdi") and messages say
    field: str  # a member of struct pt_regs; C text after `regs->`
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arch:
    """One architecture. Register numbers are DWARF's throughout."""

    name: str  # as stap's arch() says
    kernel_name: str  # arch/ directory and ARCH= of the kernel
    elf_machine: int
    word: int
    registers: dict[int, Register]
    arguments: tuple[int, ...]  # integer argument registers, in order
    results: tuple[int, ...]  # integer result registers, in order
    stack_pointer: int
    program_counter: int
    return_address: int | None  # the register that holds it at entry; None: on the stack
    stack_arguments: int  # distance from the stack pointer at entry to the first argument on the stack
    frame_pointer: int
    vectors: range  # the vector registers that floating-point numbers are passed in
    large_struct_by_reference: bool  # structs of more than two words are passed as a pointer, not on the stack

    def number(self, name: str) -> int | None:
        """A register's number by name or alias."""
        return next((n for n, r in self.registers.items() if name == r.name or name in r.aliases), None)

    def field(self, number: int) -> str | None:
        """The pt_regs member of a register."""
        register = self.registers.get(number)
        return register.field if register else None
