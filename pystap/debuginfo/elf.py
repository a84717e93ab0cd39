"""ELF files, as far as names, sections and notes go: a few structs over a memory map, no library."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from pystap.debuginfo.damage import reading, text_of
from pystap.diagnostics import StapError

Buffer = Union[bytes, mmap.mmap]

ET_REL = 1
ET_EXEC = 2
EM_X86_64 = 62
EM_AARCH64 = 183
SHT_SYMTAB = 2
SHT_RELA = 4
SHT_NOBITS = 8
SHF_ALLOC = 2
SHF_EXECINSTR = 4
SHF_COMPRESSED = 0x800
PT_LOAD = 1
PT_INTERP = 3
PT_TLS = 7
STT_OBJECT = 1
STT_FUNC = 2  # a function that is chosen at load time (STT_GNU_IFUNC, 10) is nowhere itself
NT_GNU_BUILD_ID = 3


@dataclass(frozen=True, slots=True)
class Section:
    index: int
    name: str
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True)
class Segment:
    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int = 1


@dataclass(frozen=True, slots=True)
class Symbol:
    name: str
    value: int
    size: int
    kind: int  # STT_*
    binding: int  # 0 local, 1 global, 2 weak
    section: int


class Elf:
    """A 64-bit little-endian ELF file in memory."""

    def __init__(self, data: Buffer, name: str = "") -> None:
        self.data = data
        self.name = name
        if len(data) < 64 or data[:4] != b"\x7fELF":
            raise StapError(f"{name or 'the file'} is not an ELF file")
        if data[4] == 1:
            raise StapError(f"{name or 'the ELF file'} is a 32-bit program: only 64-bit ones can be probed")
        if data[4] != 2 or data[5] != 1:
            raise StapError(f"{name or 'the ELF file'} is not a 64-bit little-endian one: pystap handles only such")
        header = struct.unpack_from("<HHIQQQIHHHHHH", data, 16)
        self.type: int = header[0]
        self.machine: int = header[1]
        self.entry: int = header[3]
        self._phoff, self._shoff = header[4], header[5]
        self._phnum, self._shnum, shstrndx = header[9], header[11], header[12]
        with reading(name, "its section headers"):
            self.sections = self._read_sections(shstrndx)
        self._by_name = {s.name: s for s in self.sections}

    @classmethod
    def open(cls, path: Path) -> Elf:
        """The file at `path`, mapped; compressed modules (.ko.xz, .ko.zst, .ko.gz) are unpacked in memory."""
        from pystap.debuginfo.compressed import MAGICS, decompress

        try:
            with path.open("rb") as stream:
                if stream.read(8).startswith(MAGICS):
                    stream.seek(0)
                    return cls(decompress(stream.read()), str(path))
                return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), str(path))
        except (OSError, ValueError) as error:
            raise StapError(f"cannot read {path}: {error}") from None

    def section(self, name: str) -> Section | None:
        """A section by name."""
        return self._by_name.get(name)

    def bytes_of(self, section: Section) -> bytes:
        """A section's contents as they are in the file."""
        if section.kind == SHT_NOBITS:
            return b""
        return bytes(self.data[section.offset : section.offset + section.size])

    def contents(self, name: str) -> bytes | None:
        """The contents of the section `name`; None where there is none."""
        section = self._by_name.get(name)
        return None if section is None else self.bytes_of(section)

    def section_header(self, index: int) -> int:
        """Where a section's header stands in the file."""
        return int(self._shoff) + 64 * index

    def section_info(self, index: int) -> int:
        """A section's sh_info: for relocations, the section that they are for."""
        with reading(self.name, "its section headers"):
            return int(struct.unpack_from("<I", self.data, self.section_header(index) + 44)[0])

    def segments(self) -> list[Segment]:
        """The program headers."""
        found = []
        with reading(self.name, "its program headers"):
            for k in range(self._phnum):
                kind, flags, offset, address, _, file_size, memory_size, align = struct.unpack_from(
                    "<IIQQQQQQ", self.data, self._phoff + 56 * k
                )
                found.append(Segment(kind, flags, offset, address, file_size, memory_size, max(1, align)))
        return found

    def read(self, address: int, size: int) -> bytes | None:
        """`size` bytes at a link-time address; None where the file holds none."""
        for s in self.sections:
            if s.flags & SHF_ALLOC and s.kind != SHT_NOBITS and s.address <= address < s.address + s.size and s.address:
                start = s.offset + address - s.address
                return bytes(self.data[start : min(start + size, s.offset + s.size)])
        return None

    def build_id(self) -> str | None:
        """The GNU build-id in hexadecimal."""
        for name in (".note.gnu.build-id", ".notes"):
            note = _find_note(self.contents(name) or b"", b"GNU\0", NT_GNU_BUILD_ID)
            if note is not None:
                return note.hex()
        return None

    def debuglink(self) -> str | None:
        """The file name in .gnu_debuglink."""
        contents = self.contents(".gnu_debuglink")
        return text_of(contents.split(b"\0", 1)[0]) if contents else None

    def symbols(self, table: str = ".symtab") -> Iterator[Symbol]:
        """The named symbols of a symbol table (nothing where there is none)."""
        section = self._by_name.get(table)
        if section is None:
            return
        with reading(self.name, "its symbol table"):
            strings = self.bytes_of(self.sections[section.link])
            for name, info, _, shndx, value, size in struct.iter_unpack("<IBBHQQ", self.bytes_of(section)):
                if name:
                    text = text_of(strings[name : strings.index(b"\0", name)])
                    yield Symbol(text, value, size, info & 15, info >> 4, shndx)

    def _read_sections(self, shstrndx: int) -> list[Section]:
        raw = [struct.unpack_from("<IIQQQQIIQQ", self.data, self._shoff + 64 * k) for k in range(self._shnum)]
        if not raw:
            return []
        names = bytes(self.data[raw[shstrndx][4] : raw[shstrndx][4] + raw[shstrndx][5]])
        return [
            Section(k, text_of(names[r[0] : names.index(b"\0", r[0])]), r[1], r[2], r[3], r[4], r[5], r[6])
            for k, r in enumerate(raw)
        ]


def notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The notes in a note section: (owner with its NUL, type, description)."""
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, at)
        at += 12
        owner = data[at : at + name_size]
        at += (name_size + 3) & ~3
        yield owner, kind, data[at : at + size]
        at += (size + 3) & ~3


def _find_note(data: bytes, owner: bytes, kind: int) -> bytes | None:
    return next((d for o, k, d in notes(data) if o == owner and k == kind), None)
