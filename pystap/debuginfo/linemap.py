"""The kernel's whole line table as one compact file, made once per build-id: what symfileline() looks addresses up in.

Words of 32 bits: the numbers of blocks and files, where rows and names begin; then for each block its address
(counted from _stext), where its rows are, and its unit's first file; then for each file where its name is.
A row is LEB128 numbers: bytes since the last row; line minus the last one's, zigzag, with bit 0 set where the file
changes; the file. Line 0 is none. A block begins at line 0, file 0, its own address. Read by runtime/lines.h.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pystap import paths
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


def kernel_line_map(target: Target) -> Path | None:
    """The file for a kernel; None where there is no debug-info."""
    dwarf = target.dwarf()
    start = target.symbols().lookup("_stext")
    build_id = target.build_id
    if dwarf is None or start is None or not start.address or build_id is None:
        return None
    path = paths.cache(_FORMAT) / build_id
    if not path.exists():
        from pystap.debuginfo.index import write_whole

        write_whole(path, _pack(_all_lines(dwarf.sections), start.address))
    return path


def _all_lines(sections: Sections) -> Iterator[_UnitLines]:
    from pystap.debuginfo.index import walk

    for units in walk(sections, _of_units):
        yield from units


def _of_units(sections: Sections, offsets: list[int]) -> list[_UnitLines]:
    from pystap.debuginfo.die import Unit

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


def _pack(units: Iterable[_UnitLines], start: int) -> bytes:
    names: dict[str, int] = {}
    texts = bytearray()
    file_names: array[int] = array("I")
    blocks: list[tuple[_Block, int]] = []
    for unit in units:
        blocks += [(b, len(file_names)) for b in unit.blocks if 0 <= b.address - start < _REACH]
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
