"""The procedure linkage table: stubs of calls into other objects -> the functions that they call."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from pystap.debuginfo.damage import reading, text_of
from pystap.debuginfo.elf import EM_AARCH64, EM_X86_64, SHT_RELA, Elf, Section

_CALLED = {EM_X86_64: (6, 7), EM_AARCH64: (1025, 1026)}  # GLOB_DAT, JUMP_SLOT
_INDIRECT_JUMP = b"\xff\x25"


def stubs(elf: Elf) -> Iterator[tuple[str, int]]:
    """(function, link-time address of its stub); x86-64 alone, where a stub is a jump through its slot."""
    if elf.machine != EM_X86_64:
        return
    with reading(elf.name, "its relocations"):
        slots = _slots(elf)
    names = (".plt.sec", ".plt.got") if elf.section(".plt.sec") else (".plt", ".plt.got")
    for name in names:
        section = elf.section(name)
        if section is not None:
            yield from _jumps(elf, section, slots)


def _jumps(elf: Elf, section: Section, slots: dict[int, str]) -> Iterator[tuple[str, int]]:
    code = elf.bytes_of(section)
    step = 8 if section.name == ".plt.got" and b"\xf3\x0f\x1e\xfa" not in code[:4] else 16
    for at in range(0, len(code) - 5, step):
        jump = code.find(_INDIRECT_JUMP, at, at + step)
        if jump < 0 or jump + 6 > len(code):
            continue
        (distance,) = struct.unpack_from("<i", code, jump + 2)
        name = slots.get(section.address + jump + 6 + distance)
        if name:
            yield name, section.address + at


def _slots(elf: Elf) -> dict[int, str]:
    """Address of a slot -> the function whose address the loader puts there."""
    wanted = _CALLED.get(elf.machine, ())
    found: dict[int, str] = {}
    for section in elf.sections:
        if section.kind != SHT_RELA or section.name not in (".rela.plt", ".rela.dyn"):
            continue
        names = _names(elf, elf.sections[section.link])
        for offset, info, _ in struct.iter_unpack("<QQq", elf.bytes_of(section)):
            if info & 0xFFFFFFFF in wanted and (name := names[info >> 32]):
                found[offset] = name
    return found


def _names(elf: Elf, table: Section) -> list[str]:
    strings = elf.bytes_of(elf.sections[table.link])
    rows = struct.iter_unpack("<IBBHQQ", elf.bytes_of(table))
    return [text_of(strings[row[0] : strings.index(b"\0", row[0])]) for row in rows]
