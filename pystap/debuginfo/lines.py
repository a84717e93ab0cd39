"""Line tables (.debug_line, versions 2 to 5): file numbers -> paths, and addresses <-> file:line."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from pystap.debuginfo import dw
from pystap.debuginfo.damage import reading
from pystap.debuginfo.die import Unit, read_form
from pystap.debuginfo.sections import text_at, uleb

_LNCT_PATH, _LNCT_DIRECTORY = 1, 2


class Row(NamedTuple):
    """One row of a line table."""

    address: int
    file: int
    line: int
    is_stmt: bool
    end: bool  # of a sequence: the first address past it
    prologue_end: bool = False


@dataclass(slots=True)
class _Header:
    program: int
    end: int
    minimum: int
    default_is_stmt: bool
    base: int
    range: int
    lengths: bytes
    files: list[str]
    address_size: int = 8


class LineTable:
    """The line table of one unit."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._data = unit.dwarf.section(".debug_line")
        at = unit.root.number(dw.STMT_LIST)
        directory = unit.root.attributes.get(dw.COMP_DIR)
        self._base = unit.string(*directory) if directory else ""
        with self._reading():
            self._header = None if at is None or not self._data else _read_header(self, at)

    def _reading(self) -> reading:
        return reading(self._unit.dwarf.name, "its line table")

    def file(self, number: int | None) -> str:
        """A file's path, relative to the directory of compilation where it lies in it; "" where it is not known."""
        files = self._header.files if self._header else []
        return files[number] if number is not None and 0 <= number < len(files) else ""

    @cached_property
    def rows(self) -> list[Row]:
        """All rows in the table's order: ascending within each sequence."""
        with self._reading():
            return _run(self._data, self._header) if self._header else []

    @cached_property
    def sorted_rows(self) -> list[Row]:
        """All rows by address."""
        return sorted(self.rows, key=lambda r: (r.address, not r.end))

    def at(self, address: int) -> Row | None:
        """The row that covers an address."""
        rows = self.sorted_rows
        index = bisect_right(rows, address, key=lambda r: r.address) - 1
        return rows[index] if index >= 0 and not rows[index].end else None

    def path(self, directory: str, name: str) -> str:
        """dir/name, without the directory of compilation; or (whole paths) with it where there is no other."""
        joined = name if name.startswith("/") or not directory else f"{directory}/{name}"
        if self._unit.dwarf.whole_paths:
            return joined if "/" in joined or not self._base else f"{self._base}/{joined}"
        base = self._base.rstrip("/") + "/"
        return joined[len(base) :] if len(base) > 1 and joined.startswith(base) else joined

    def text(self, form: int, value: Any) -> str:
        """A path in a header of version 5."""
        return self._unit.string(form, value)


def _read_header(table: LineTable, offset: int) -> _Header:
    data = table._data
    length, version = struct.unpack_from("<IH", data, offset)
    at = offset + 6 + (2 if version >= 5 else 0)
    (header_length,) = struct.unpack_from("<I", data, at)
    at += 4
    program = at + header_length
    minimum, at = data[at], at + (2 if version >= 4 else 1)
    is_stmt, base, span, opcodes = struct.unpack_from("<BbBB", data, at)
    lengths = bytes(data[at + 4 : at + 3 + opcodes])
    at += 3 + opcodes
    files = _files_5(table, data, at) if version >= 5 else _files_4(table, data, at)
    return _Header(program, offset + 4 + length, minimum, bool(is_stmt), base, span, lengths, files)


def _files_5(table: LineTable, data: Any, at: int) -> list[str]:
    directories, at = _entries(table, data, at)
    files, at = _entries(table, data, at)
    names = [str(d.get(_LNCT_PATH, "")) for d in directories]
    out = []
    for f in files:
        index = int(f.get(_LNCT_DIRECTORY, 0))
        out.append(table.path(names[index] if 0 <= index < len(names) else "", str(f.get(_LNCT_PATH, ""))))
    return out


def _entries(table: LineTable, data: Any, at: int) -> tuple[list[dict[int, Any]], int]:
    formats, count = [], data[at]
    at += 1
    for _ in range(count):
        content, at = uleb(data, at)
        form, at = uleb(data, at)
        formats.append((content, form))
    count, at = uleb(data, at)
    if count > len(data):
        raise ValueError("more names than bytes")
    out = []
    for _ in range(count):
        entry: dict[int, Any] = {}
        for content, form in formats:
            value, at, real = read_form(data, at, form)
            entry[content] = table.text(real, value) if content == _LNCT_PATH else value
        out.append(entry)
    return out, at


def _files_4(table: LineTable, data: Any, at: int) -> list[str]:
    """Versions 2 to 4 count files from 1; number 0 is the unit itself."""
    directories = [""]
    while data[at]:
        directories.append(text_at(data, at))
        at += len(directories[-1].encode()) + 1
    at += 1
    files = [""]
    while data[at]:
        name = text_at(data, at)
        at += len(name.encode()) + 1
        directory, at = uleb(data, at)
        _, at = uleb(data, at)
        _, at = uleb(data, at)
        files.append(table.path(directories[directory] if directory < len(directories) else "", name))
    return files


def _run(data: Any, header: _Header) -> list[Row]:  # noqa: C901 - one state machine, fast because it is one loop
    rows: list[Row] = []
    append = rows.append
    at, end = header.program, header.end
    first_special = len(header.lengths) + 1
    base, span, minimum = header.base, header.range, header.minimum
    address, file, line, is_stmt, prologue = 0, 1, 1, header.default_is_stmt, False
    while at < end:
        code = data[at]
        at += 1
        if code >= first_special:
            code -= first_special
            address += code // span * minimum
            line += base + code % span
            append(Row(address, file, line, is_stmt, False, prologue))
            prologue = False
        elif code == 1:
            append(Row(address, file, line, is_stmt, False, prologue))
            prologue = False
        elif code == 2:
            delta, at = uleb(data, at)
            address += delta * minimum
        elif code == 3:
            delta, at = _sleb(data, at)
            line += delta
        elif code == 4:
            file, at = uleb(data, at)
        elif code == 6:
            is_stmt = not is_stmt
        elif code == 8:
            address += (255 - first_special) // span * minimum
        elif code == 9:
            address += int.from_bytes(data[at : at + 2], "little")
            at += 2
        elif code == 10:
            prologue = True
        elif code == 0:
            length, at = uleb(data, at)
            extended = data[at]
            if extended == 1:
                append(Row(address, file, line, is_stmt, True))
                address, file, line, is_stmt = 0, 1, 1, header.default_is_stmt
            elif extended == 2:
                address = int.from_bytes(data[at + 1 : at + length], "little")
            at += length
        else:  # an opcode without meaning for us: its operands are all LEB128
            for _ in range(header.lengths[code - 1]):
                _, at = uleb(data, at)
    return rows


def _sleb(data: Any, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x40:
        return byte, at + 1
    if byte < 0x80:
        return byte - 0x80, at + 1
    from pystap.debuginfo.sections import sleb

    return sleb(data, at)
