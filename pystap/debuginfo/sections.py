"""The DWARF sections of a file, ready to read: uncompressed, and relocated where the file is an object (a module).

A linked file is never relocated: its sections are final, though a kernel keeps ten million relocations beside them.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pystap.debuginfo.damage import damaged, reading, text_of
from pystap.debuginfo.elf import EM_AARCH64, EM_X86_64, ET_REL, SHF_ALLOC, SHF_COMPRESSED, SHT_RELA, SHT_SYMTAB, Elf
from pystap.debuginfo.locate import build_id_paths
from pystap.diagnostics import StapError

if TYPE_CHECKING:
    from pystap.debuginfo.die import Abbrev, Die, Unit

Data = Any  # bytes, bytearray or memoryview: what struct.unpack_from and indexing take

_UNIT_TYPE, _UNIT_SPLIT_TYPE = 2, 6  # DW_UT_type, DW_UT_split_type
# relocation type -> bytes written, for those that debug sections have
_WIDTHS = {EM_X86_64: {1: 8, 10: 4, 11: 4, 24: -8, 2: -4}, EM_AARCH64: {257: 8, 258: 4, 260: -8, 261: -4}}
_MOST_BITS = 128  # of a LEB128 number: they hold 64, and may be padded
_MODULE_BASE = 0x1000  # module sections are laid out from here, so that 0 is no address


class Sections:
    """One file's DWARF."""

    def __init__(self, elf: Elf, whole_paths: bool = False) -> None:
        self.elf = elf
        self.whole_paths = whole_paths  # source files are named as the line table has them, see lines.py
        self.name = elf.name
        self.abbrevs: dict[int, dict[int, Abbrev]] = {}
        self._cache: dict[str, Data] = {}
        self._units: dict[int, Unit] = {}
        self._texts: dict[int, str] = {}
        self.bases = _lay_out(elf)  # section index -> address given to it (objects only)

    @classmethod
    def open(cls, path: Path, whole_paths: bool = False) -> Sections:
        """The DWARF of the file at `path`; raises StapError where it has none."""
        sections = cls(Elf.open(path), whole_paths)
        if not sections.section(".debug_info"):
            raise StapError(f"{path} has no DWARF debug-info")
        return sections

    @cached_property
    def info(self) -> Data:
        """.debug_info"""
        return self.section(".debug_info")

    def section(self, name: str) -> Data:
        """A section's final contents; empty where it is not there."""
        found = self._cache.get(name)
        if found is None:
            with reading(self.name, f"its section {name}"):
                found = self._cache[name] = self._load(name)
        return found

    def text(self, offset: int) -> str:
        """A string of .debug_str."""
        known = self._texts.get(offset)
        if known is None:
            known = self._texts[offset] = text_at(self.section(".debug_str"), offset)
        return known

    def line_text(self, offset: int) -> str:
        """A string of .debug_line_str."""
        return text_at(self.section(".debug_line_str"), offset)

    @cached_property
    def unit_offsets(self) -> list[int]:
        """Where units begin in .debug_info."""
        offsets, at, data = [], 0, self.info
        while at + 4 <= len(data):
            offsets.append(at)
            at += 4 + int(struct.unpack_from("<I", data, at)[0])
        return offsets

    def unit(self, offset: int) -> Unit:
        """The unit that begins at an offset."""
        from pystap.debuginfo.die import Unit

        found = self._units.get(offset)
        if found is None:
            found = self._units[offset] = Unit(self, offset)
        return found

    def unit_of(self, offset: int) -> Unit:
        """The unit that holds an offset."""
        index = bisect_right(self.unit_offsets, offset) - 1
        if index < 0:
            raise damaged(self.name, f"debug-info at {offset:#x}")
        return self.unit(self.unit_offsets[index])

    def die(self, offset: int) -> Die:
        """The DIE at an offset of .debug_info."""
        return self.unit_of(offset).die(offset)

    def type_at(self, signature: int) -> Die | None:
        """The type that lies in a unit of its own (-fdebug-types-section), by its signature."""
        place = self._signatures.get(signature)
        return self.die(place) if place is not None else None

    @cached_property
    def _signatures(self) -> dict[int, int]:
        found = {}
        with reading(self.name, "its type units"):
            for offset in self.unit_offsets:
                version, kind = struct.unpack_from("<HB", self.info, offset + 4)
                if version >= 5 and kind in (_UNIT_TYPE, _UNIT_SPLIT_TYPE):
                    signature, place = struct.unpack_from("<QI", self.info, offset + 12)
                    found[signature] = offset + place
        return found

    @cached_property
    def shared(self) -> Sections:
        """The file that dwz put into what this and other files have in common."""
        link = bytes(self.section(".gnu_debugaltlink"))
        name, _, build_id = link.partition(b"\0")
        path = Path(self.name).parent / os.fsdecode(name)
        for candidate in (path, *build_id_paths(build_id.hex(), (Path("/usr/lib/debug"),))):
            if name and candidate.is_file():
                found = Sections(Elf.open(candidate), whole_paths=self.whole_paths)
                if found.elf.build_id() == build_id.hex():
                    return found
        raise StapError(f"{self.name}: the debug-info that it shares with other files (dwz) is not there: {path}")

    def _load(self, name: str) -> Data:
        section = self.elf.section(name)
        if section is None:
            return b""
        view = memoryview(self.elf.data)[section.offset : section.offset + section.size]
        data: Data = _inflate(view) if section.flags & SHF_COMPRESSED else view
        if self.elf.type == ET_REL:
            data = bytearray(data)
            self._relocate(data, section.index)
        return data

    def _relocate(self, data: bytearray, index: int) -> None:
        widths = _WIDTHS.get(self.elf.machine, {})
        for section in self.elf.sections:
            if section.kind != SHT_RELA or self.elf.section_info(section.index) != index:
                continue
            values = self._symbol_values
            for at, what, addend in struct.iter_unpack("<QQq", self.elf.bytes_of(section)):
                width = widths.get(what & 0xFFFFFFFF)
                if width is None:
                    continue
                value = values[what >> 32] + addend
                if width == 4:
                    struct.pack_into("<I", data, at, value & 0xFFFFFFFF)
                elif width == 8:
                    struct.pack_into("<Q", data, at, value & 0xFFFFFFFFFFFFFFFF)
                else:
                    _pack_relative(data, at, value - self.bases.get(index, 0), -width)

    @cached_property
    def _symbol_values(self) -> list[int]:
        table = next((s for s in self.elf.sections if s.kind == SHT_SYMTAB), None)
        if table is None:
            raise StapError(f"{self.name} has no symbol table: its debug-info cannot be placed")
        rows = struct.iter_unpack("<IBBHQQ", self.elf.bytes_of(table))
        return [value + self.bases.get(shndx, 0) for _, _, _, shndx, value, _ in rows]


def _pack_relative(data: bytearray, at: int, value: int, width: int) -> None:
    """PC-relative values count from the place itself."""
    struct.pack_into("<I" if width == 4 else "<Q", data, at, (value - at) & (1 << 8 * width) - 1)


def _lay_out(elf: Elf) -> dict[int, int]:
    """Sections of an object all begin at 0: gives each its own stretch, so that addresses are unambiguous."""
    if elf.type != ET_REL:
        return {}
    bases, at = {}, _MODULE_BASE
    for section in elf.sections:
        if section.flags & SHF_ALLOC:
            bases[section.index] = at
            at = (at + section.size + 0x3F) & ~0x3F
    return bases


def _inflate(view: memoryview) -> bytes:
    kind, _, size, _ = struct.unpack_from("<IIQQ", view)
    if kind == 2:
        from pystap.debuginfo.compressed import decompress

        return decompress(bytes(view[24:]))
    if kind != 1:
        raise StapError("a debug section is compressed in a way that pystap does not know (only zlib and zstd)")
    data = zlib.decompressobj().decompress(view[24:], size + 1)
    if len(data) != size:
        raise ValueError("a section of another size than its header says")
    return data


def text_at(data: Data, offset: int) -> str:
    """A NUL-terminated string."""
    size = 64
    while True:
        chunk = bytes(data[offset : offset + size])
        end = chunk.find(b"\0")
        if end >= 0 or offset + size >= len(data):
            return text_of(chunk[: end if end >= 0 else None])
        size *= 4


def uleb(data: Data, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number: (value, past it)."""
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
        if shift > _MOST_BITS:
            raise ValueError("a number without end")


def sleb(data: Data, at: int) -> tuple[int, int]:
    """A signed LEB128 number: (value, past it)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value - (1 << shift) if byte & 0x40 else value, at
        if shift > _MOST_BITS:
            raise ValueError("a number without end")
