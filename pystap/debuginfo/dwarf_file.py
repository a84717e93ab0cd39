"""One file's DWARF: its sections, types, index and frames, and which unit, function and symbol hold an address."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import NamedTuple

from pystap.arch import X86_64, Arch, by_machine
from pystap.debuginfo import dw
from pystap.debuginfo.api import Address
from pystap.debuginfo.cfa import Frames
from pystap.debuginfo.die import Die, Unit
from pystap.debuginfo.dwarf_types import Complete, Types
from pystap.debuginfo.index import Index
from pystap.debuginfo.ranges import entry_pc, ranges_of
from pystap.debuginfo.sections import Sections
from pystap.ir.nodes import Space


class Covering(NamedTuple):
    """The symbol that holds an address."""

    symbol: str
    offset: int
    probeable: bool = True
    fentry: bool = False  # the symbol begins with an ftrace call
    place: int = 0  # the symbol's own address, as its module or kernel counts
    per_cpu: bool = False  # each CPU has a copy of it
    refused: bool = False  # there, but the kernel lets nobody probe it


Cover = Callable[[int], "Covering | None"]  # link-time address -> the symbol that holds it


class DwarfFile:
    """One file's DWARF; `module` None is the kernel itself."""

    def __init__(
        self,
        dwarf: Sections,
        index: Callable[[], Index],
        cover: Cover,
        module: str | None = None,
        space: Space = Space.KERNEL,
        complete: Complete = lambda kind, name: None,
        anchor: tuple[str, int] | None = None,
        is_symbol: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.sections = dwarf
        self.module = module
        self.space = space
        self.arch: Arch = by_machine(dwarf.elf.machine) or X86_64
        self.types = Types(dwarf, complete)
        self._make_index = index
        self._cover = cover
        self._anchor = anchor  # a symbol of the kernel and its link-time address: the kernel moves as a whole
        self._is_symbol = is_symbol  # whether the symbol table has a name
        self._frames = Frames(dwarf)
        self._covered: dict[int, Covering | None] = {}
        self._with_code: dict[tuple[int, str], list[int]] = {}
        self._bodies: dict[int, tuple[list[int], list[Die]]] = {}  # by unit: the functions with code, their offsets

    def covering(self, pc: int) -> Covering | None:
        """The symbol that holds a link-time address."""
        if pc not in self._covered:  # asked for again: to filter a place, then to probe it
            self._covered[pc] = self._cover(pc)
        return self._covered[pc]

    def shown_pc(self, address: Address) -> str:
        """An address as listings show it: from the start of the kernel's code, or from a module's symbol."""
        if self._anchor is not None:
            name, start = self._anchor
            return f"{name}+{address.address - start:#x}"
        return f"<{self.module}:{address.symbol}+{address.offset}>"

    def begins_with_fentry(self, function: Die, pc: int) -> bool:
        """Whether an address is that of a function of the kernel whose first instruction calls ftrace."""
        if self.space is not Space.KERNEL or entry_pc(function) != pc or function.tag != dw.SUBPROGRAM:
            return False
        where = self.covering(pc)
        return where is not None and where.fentry and where.offset == 0

    @cached_property
    def index(self) -> Index:
        """Names of functions and variables; made or read at the first question."""
        return self._make_index()

    # --- from addresses to entries ---

    def _body_of(self, die: Die) -> Die | None:
        """The function in whose code a DIE lies."""
        if die.tag == dw.SUBPROGRAM:
            return die
        if die.unit.dwarf is not self.sections:  # what files share is no code
            return None
        offsets, found = self._bodies_of(die.unit)
        index = bisect_right(offsets, die.offset)
        before = reversed(found[max(index - _NESTED, 0) : index])
        return next((body for body in before if die.offset < body.past()), None)

    def _bodies_of(self, unit: Unit) -> tuple[list[int], list[Die]]:
        """The functions of a unit that have code, by their offsets; looked for once."""
        known = self._bodies.get(unit.offset)
        if known is None:
            found = list(bodies(unit.root))
            known = self._bodies[unit.offset] = [die.offset for die in found], found
        return known

    def _unit_at(self, pc: int) -> int | None:
        starts, table = self._units_by_address
        index = bisect_right(starts, pc) - 1
        return table[index][2] if index >= 0 and pc < table[index][1] else None

    @cached_property
    def _units_by_address(self) -> tuple[list[int], list[tuple[int, int, int]]]:
        table = sorted(
            (low, high, offset)
            for offset in self.sections.unit_offsets
            for low, high in ranges_of(self.sections.unit(offset).root)
        )
        return [row[0] for row in table], table

    def _function_at(self, unit: int, pc: int) -> Die | None:
        """The innermost function, inlined or not, that covers an address."""
        for body in self._bodies_of(self.sections.unit(unit))[1]:
            if any(low <= pc < high for low, high in ranges_of(body)):
                inner = [d for d in inside(body) if d.tag == dw.INLINED_SUBROUTINE and _covers(d, pc)]
                return inner[-1] if inner else body
        return None


TYPE_TAGS = {
    dw.STRUCTURE_TYPE: "struct", dw.CLASS_TYPE: "class", dw.UNION_TYPE: "union", dw.ENUMERATION_TYPE: "enum",
    dw.TYPEDEF: "", dw.BASE_TYPE: "",
}  # fmt: skip


def bodies(root: Die) -> Iterator[Die]:
    """The functions of a unit that have code; in C, no function is in another one, or in a struct."""
    yield from _bodies(root, _ALL_TAGS if root.number(dw.LANGUAGE) not in _C else (dw.NAMESPACE,))


def _bodies(outer: Die, opened: tuple[int, ...]) -> Iterator[Die]:
    for die in outer.children():
        if die.tag == dw.SUBPROGRAM and (dw.LOW_PC in die.attributes or dw.RANGES in die.attributes):
            yield die
        if die.tag in opened and die.abbrev.children:
            yield from _bodies(die, opened)


_C = (0x01, 0x02, 0x0C, 0x1D, 0x2C, 0x8001)  # C and assembly
_ALL_TAGS = (
    dw.NAMESPACE, dw.STRUCTURE_TYPE, dw.CLASS_TYPE, dw.UNION_TYPE, dw.SUBPROGRAM, dw.LEXICAL_BLOCK,
)  # fmt: skip
_NESTED = 32  # functions in a function that are looked at, to find which one something is in


def inside(die: Die, *, inlined: bool = True) -> Iterator[Die]:
    """Everything below a DIE, outer things first; `inlined`: also what is below inlined functions."""
    for child in die.children():
        yield child
        deeper = inlined or child.tag != dw.INLINED_SUBROUTINE
        if deeper and child.abbrev.children and child.tag not in TYPE_TAGS:
            yield from inside(child, inlined=inlined)


def _covers(die: Die, pc: int) -> bool:
    return any(low <= pc < high for low, high in ranges_of(die))
