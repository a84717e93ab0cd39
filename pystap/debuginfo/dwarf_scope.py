"""What `$names` mean at one address of a function: parameters and locals of the blocks that cover it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pystap.debuginfo import dw
from pystap.debuginfo.api import Activation, Kind, Root
from pystap.debuginfo.ctype import CType
from pystap.debuginfo.die import Die
from pystap.debuginfo.location import location_at
from pystap.debuginfo.ranges import covers, entry_pc
from pystap.diagnostics import Unresolved

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf
    from pystap.debuginfo.location import Frame


FENTRY_SIZE = 5  # x86's call instruction


class DwarfScope:
    """The scope of one address."""

    def __init__(self, dwarf: Dwarf, function: Die, pc: int, frame: Frame) -> None:
        self.space = dwarf.space
        self._dwarf = dwarf
        self._function = function
        self._pc = pc
        self._frame = frame
        self._variables: list[Die] | None = None

    def lookup(self, name: str) -> Root:
        """The innermost variable of that name, else a global of the function's unit or of the whole file."""
        for die in self._visible():
            if die.name == name:
                return self._dwarf.root_of(die, self._frame_of(die))
        unit = self._function.unit
        found = self._dwarf.index.variables(name)
        for entry in sorted(found, key=lambda e: not unit.offset <= e.die < unit.end):
            if entry.external or unit.offset <= entry.die < unit.end:
                return self._dwarf.root_of(self._dwarf.sections.die(entry.die), self._frame)
        raise Unresolved(self._missing(name), self._names(), "")

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names of parameters or locals (or both), inner blocks first, each once."""
        wanted = {"parms": (dw.FORMAL_PARAMETER,), "locals": (dw.VARIABLE,)}.get(
            kind, (dw.FORMAL_PARAMETER, dw.VARIABLE)
        )
        return tuple(dict.fromkeys(d.name for d in self._visible() if d.tag in wanted and d.name))

    def listed(self) -> tuple[tuple[str, CType], ...]:
        """What a listing shows: the variables that have a place here, readable or not.

        As stap does, it leaves out, at the entry of a function or an inlined copy, what blocks within it declare.
        """
        outer = entry_pc(self._function) == self._pc
        shown: dict[str, CType] = {}
        for die in self._own(self._function) if outer else self._visible():
            name = die.name
            if name and name not in shown and self._has_place(die):
                shown[name] = self._dwarf.types.of(die)
        return tuple(shown.items())

    def _has_place(self, die: Die) -> bool:
        try:
            if dw.CONST_VALUE not in die.attributes:
                location_at(die, self._frame_of(die).pc)
        except Unresolved:
            return False
        return True

    def _frame_of(self, die: Die) -> Frame:
        """The frame; at a function's entry, for what is said to begin behind its ftrace call, the place behind that.

        The call changes nothing: what a register holds there it holds at the entry.
        """
        if dw.LOCATION not in die.attributes or not self._dwarf.begins_with_fentry(self._function, self._pc):
            return self._frame
        try:
            location_at(die, self._pc)
        except Unresolved:
            return replace(self._frame, pc=self._pc + FENTRY_SIZE)
        return self._frame

    def activation(self) -> Activation | None:
        """How this call of the function is told from others; None where its frame is not known."""
        return self._dwarf.activation(self._function, self._pc, self._frame)

    def result(self) -> CType | None:
        """The function's result type."""
        return self._dwarf.result_of(self._function)

    def _names(self) -> tuple[str, ...]:
        return self.names("vars")

    def _missing(self, name: str) -> str:
        dwarf = self._dwarf
        names = " ".join(f"${n}" for n in self._names())
        where = f"{self._function.name} {dwarf.types.declared(self._function).rpartition(':')[0]}".strip()
        text = f"unable to find local '{name}', [man error::dwarf] dieoffset {self._function.offset:#x}"
        text += f" in {dwarf.module or 'kernel'}, near pc {self._pc:#x} in {where}"
        return f"{text} (alternatives: {names})" if names else text

    def _visible(self) -> list[Die]:
        if self._variables is None:
            self._variables = self._collect(self._function)
        return self._variables

    def _own(self, block: Die) -> list[Die]:
        return [child for child in block.children() if child.tag in (dw.FORMAL_PARAMETER, dw.VARIABLE)]

    def _collect(self, block: Die) -> list[Die]:
        """A block's variables after those of the blocks in it that cover the address."""
        inner = []
        for child in block.children():
            if child.tag == dw.LEXICAL_BLOCK and covers(child, self._pc):
                inner += self._collect(child)
        return inner + self._own(block)
