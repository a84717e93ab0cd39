"""Facts about CPUs, as data."""

from __future__ import annotations

from pystap.arch.aarch64 import AARCH64
from pystap.arch.base import Arch, Register
from pystap.arch.x86_64 import X86_64

ARCHES = (X86_64, AARCH64)


def by_machine(elf_machine: int) -> Arch | None:
    """The architecture of an ELF file."""
    return next((a for a in ARCHES if a.elf_machine == elf_machine), None)


def by_uname(machine: str) -> Arch | None:
    """The architecture that `uname -m` names."""
    return {"x86_64": X86_64, "aarch64": AARCH64}.get(machine)


__all__ = ["AARCH64", "ARCHES", "X86_64", "Arch", "Register", "by_machine", "by_uname"]
