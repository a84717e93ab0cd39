"""The line tables of the kernel and of modules as compact files, made once per build-id: what symfileline() asks.

One file for the kernel (addresses count from _stext), one for each section of a module that has code.
Words of 32 bits: the numbers of blocks and files, where rows and names begin; then for each block its address,
where its rows are, and its unit's first file; then for each file where its name is.
A row is LEB128 numbers: bytes since the last row; line minus the last one's, zigzag, with bit 0 set where the file
changes; the file. Line 0 is none. A block begins at line 0, file 0, its own address. Read by runtime/lines.h.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pystap import paths
from pystap.debuginfo.damage import reading
from pystap.debuginfo.elf import SHF_EXECINSTR, STT_FUNC, Elf, Section, Symbol
from pystap.debuginfo.lines import LineTable, Row

if TYPE_CHECKING:
    from pystap.debuginfo.sections import Sections
    from pystap.target import Target

_FORMAT = "lines-1"
_BLOCK_ROWS = 64  # also in runtime/lines.h
_REACH = 1 << 32


class _Block(NamedTuple):
    address: int
    goes_on: bool  # False: only says that code ends there, where other code may begin
    rows: bytes


class _UnitLines(NamedTuple):
    blocks: list[_Block]
    files: list[str]


class LineMap(NamedTuple):
    """A file, and what says where at run time its addresses are."""

    path: Path
    module: str | None  # None: the kernel
    symbol: str  # lies at
    offset: int  # in the file's addresses
    size: int


def kernel_line_map(target: Target) -> LineMap | None:
    """The file for a kernel; None where there is no debug-info."""
    dwarf = target.dwarf()
    start, end = (target.symbols().lookup(name) for name in ("_stext", "_end"))
    build_id = target.build_id
    if dwarf is None or start is None or not start.address or build_id is None:
        return None
    size = min(end.address - start.address, _REACH - 1) if end is not None and end.address else _REACH - 1
    path = paths.cache(_FORMAT) / build_id
    _make(path, dwarf.sections, start.address, size)
    return LineMap(path, None, "_stext", 0, size)


def module_line_maps(target: Target, module: str) -> Iterator[LineMap]:
    """The files for a module's sections, by the module's name or path; none where there is no debug-info."""
    dwarf = target.dwarf(module)
    if dwarf is None or dwarf.module is None:
        return
    elf = dwarf.sections.elf
    name = elf.build_id() or hashlib.sha1(elf.data).hexdigest()
    for section, symbol in _anchors(elf).items():
        path = paths.cache(_FORMAT) / f"{name}.{section.index}"
        _make(path, dwarf.sections, dwarf.sections.bases[section.index], section.size)
        yield LineMap(path, dwarf.module, symbol.name, symbol.value, section.size)


def _anchors(elf: Elf) -> dict[Section, Symbol]:
    """For each section with code a function that the kernel can tell by its name."""
    symbols = [s for s in elf.symbols() if 0 < s.section < len(elf.sections)]
    known = Counter(s.name for s in symbols)
    found: dict[Section, Symbol] = {}
    for symbol in symbols:
        section = elf.sections[symbol.section]
        if symbol.kind == STT_FUNC and known[symbol.name] == 1 and section.flags & SHF_EXECINSTR:
            found.setdefault(section, symbol)
    return found


def _make(path: Path, sections: Sections, start: int, size: int) -> None:
    if not path.exists():
        from pystap.debuginfo.index import write_whole

        write_whole(path, _pack(_all_lines(sections), start, size))


def _all_lines(sections: Sections) -> Iterator[_UnitLines]:
    from pystap.debuginfo.index import walk

    for units in walk(sections, _of_units):
        yield from units


def _of_units(sections: Sections, offsets: list[int]) -> list[_UnitLines]:
    from pystap.debuginfo.die import Unit

    with reading(sections.name, "its line tables"):  # rows of a sequence that go back, among others
        return [_of_table(LineTable(Unit(sections, offset))) for offset in offsets]


def _of_table(table: LineTable) -> _UnitLines:
    files: dict[str, int] = {}
    numbers: dict[int, int] = {}
    blocks: list[_Block] = []
    for sequence in _sequences(table.rows):
        known = []
        for row in sequence:
            if row.file not in numbers:
                numbers[row.file] = files.setdefault(table.file(row.file), len(files))
            known.append((row.address, numbers[row.file], 0 if row.end else row.line))
        known = _changes(known)
        blocks += [_block(known[k : k + _BLOCK_ROWS]) for k in range(0, len(known), _BLOCK_ROWS)]
    return _UnitLines(blocks, list(files))


def _sequences(rows: list[Row]) -> Iterator[list[Row]]:
    begin = 0
    for at, row in enumerate(rows):
        if row.end:
            yield rows[begin : at + 1]
            begin = at + 1


def _changes(rows: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Of rows at one address the last, and none that say what the one before said."""
    kept: list[tuple[int, int, int]] = []
    for row in rows:
        if kept and kept[-1][0] == row[0]:
            kept.pop()
        if not kept or kept[-1][1:] != row[1:]:
            kept.append(row)
    return kept


def _block(rows: list[tuple[int, int, int]]) -> _Block:
    data = bytearray()
    (last, _, _), file, line = rows[0], 0, 0
    for address, new_file, new_line in rows:
        step = new_line - line
        zigzag = step << 1 if step >= 0 else (-step << 1) - 1
        _put(data, address - last)
        _put(data, zigzag << 1 | (new_file != file))
        if new_file != file:
            _put(data, new_file)
        last, file, line = address, new_file, new_line
    return _Block(rows[0][0], rows[0][2] != 0, bytes(data))


def _put(data: bytearray, value: int) -> None:
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)


def _pack(units: Iterable[_UnitLines], start: int, size: int) -> bytes:
    names: dict[str, int] = {}
    texts = bytearray()
    file_names: array[int] = array("I")
    blocks: list[tuple[_Block, int]] = []
    for unit in units:
        blocks += [(b, len(file_names)) for b in unit.blocks if 0 <= b.address - start <= size]
        for file in unit.files:
            if file not in names:
                names[file] = len(texts)
                texts += file.encode("utf-8", "replace") + b"\0"
            file_names.append(names[file])
    blocks.sort()
    table: array[int] = array("I")
    rows = bytearray()
    for block, first_file in blocks:
        table.extend((block.address - start, len(rows), first_file))
        rows += block.rows
    at = 4 * (4 + len(table) + len(file_names))
    head = array("I", (len(blocks), len(file_names), at, at + len(rows)))
    return b"".join((head.tobytes(), table.tobytes(), file_names.tobytes(), rows, texts))
