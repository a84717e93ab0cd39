"""A link-time address -> the function that it is in and the calls inlined there, each with its file and line."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pystap.debuginfo import dw
from pystap.debuginfo.ranges import ranges_of

if TYPE_CHECKING:
    from pystap.debuginfo.die import Die
    from pystap.debuginfo.dwarf import Dwarf


@dataclass(frozen=True, slots=True)
class CodeFrame:
    """One level of inlining: a function, and where in it."""

    function: str
    file: str
    line: int


class CodeMap:
    """Answers for one file's DWARF."""

    def __init__(self, dwarf: Dwarf) -> None:
        self._dwarf = dwarf

    @cached_property
    def _units(self) -> list[tuple[int, int, int]]:
        sections = self._dwarf.sections
        return sorted(
            (low, high, offset)
            for offset in sections.unit_offsets
            for low, high in ranges_of(sections.unit(offset).root)
        )

    def frames(self, pc: int, symbol: str = "") -> list[CodeFrame]:
        """The frames of an address, the innermost first; empty where no unit knows it. With its symbol it is faster."""
        chain = self._chain_by_name(pc, symbol)
        unit = None if chain else self._unit(pc)
        if unit is not None:
            chain = _chain(unit, pc) or [unit]  # assembly has lines and no functions
        if not chain:
            return []
        table = self._dwarf.types.lines(chain[0])
        row = table.at(pc)
        file, line = (table.file(row.file), row.line) if row else ("", 0)
        frames: list[CodeFrame] = []
        for die in reversed(chain):
            frames.append(CodeFrame(symbol if die is unit else die.name, file, line))
            file, line = table.file(die.number(dw.CALL_FILE)), die.number(dw.CALL_LINE) or 0
        return frames

    def _chain_by_name(self, pc: int, symbol: str) -> list[Die]:
        for entry in self._dwarf.index.functions(symbol) if symbol else ():
            die = self._dwarf.sections.die(entry.die)
            if die.tag == dw.SUBPROGRAM and _covers(die, pc):
                return [die, *_inlined(die, pc)]
        return []

    def _unit(self, pc: int) -> Die | None:
        index = bisect_right(self._units, pc, key=lambda u: u[0]) - 1
        if index < 0 or pc >= self._units[index][1]:
            return None
        return self._dwarf.sections.unit(self._units[index][2]).root


def _chain(unit: Die, pc: int) -> list[Die]:
    """The function that holds the address, and the inlined calls in it that do, outer ones first."""
    for die in unit.children():
        if die.tag == dw.NAMESPACE and (inner := _chain(die, pc)):
            return inner
        if die.tag == dw.SUBPROGRAM and _covers(die, pc):
            return [die, *_inlined(die, pc)]
    return []


def _inlined(die: Die, pc: int) -> Iterator[Die]:
    for child in die.children():
        if child.tag == dw.INLINED_SUBROUTINE:
            if _covers(child, pc):
                yield child
                yield from _inlined(child, pc)
        elif child.tag == dw.LEXICAL_BLOCK:
            yield from _inlined(child, pc)


def _covers(die: Die, pc: int) -> bool:
    return any(low <= pc < high for low, high in ranges_of(die))
