"""Places in the code of one file: functions and their inlined copies, statements, labels, callees."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property, partial
from itertools import chain

from pystap.debuginfo import dw
from pystap.debuginfo.api import Address, Function
from pystap.debuginfo.die import Die
from pystap.debuginfo.dwarf_file import DwarfFile, inside
from pystap.debuginfo.index import Entry
from pystap.debuginfo.prologue import prologue_end, unoptimized
from pystap.debuginfo.ranges import entry_pc, ranges_of
from pystap.debuginfo.second_names import PART
from pystap.debuginfo.spec import Spec
from pystap.debuginfo.symtab import NameTable
from pystap.ir.nodes import Space

_WILD = frozenset("*?[")


class DwarfCode(DwarfFile):
    """Where a file's functions and lines are."""

    def functions(self, pattern: str) -> Iterator[Function]:
        """Functions by glob: one for each body and for each inlined copy."""
        for a in self.entries(Spec(pattern)):
            yield Function(a.function, self.module, a.address, a.file, a.line, None, a.inlined, a.external)

    def entries(self, spec: Spec, *, calls: bool = True, inlined: bool = True, one_each: bool = False) -> list[Address]:
        """Where the functions that a pattern asks for begin: their own code, and their inlined copies.

        As for SystemTap, lines that the pattern names choose among statements, not among functions.
        `one_each`: a function that was inlined a hundred times is wanted once, as for a list of names.
        """
        out: list[Address] = []
        for copies in self._alike(spec):
            for entry in copies:
                if not (inlined if entry.kind == "i" else calls):
                    break
                address = self._address(entry, self._entry_address(entry), entry.file, entry.line)
                if address is not None:
                    out.append(address)
                    if one_each:
                        break
        return _once(out)

    def statements(self, spec: Spec, nearest: bool = False) -> list[Address]:
        """The first address of every line that a pattern asks for, in every function that it matches."""
        if not spec.file or spec.lines is None:
            return self.entries(spec)
        entries = list(self._entries(Spec(spec.function, spec.file)))
        wanted = self._wanted(spec, entries)
        found = _once(a for e in entries for a in self._lines_of(e, spec, wanted.get(e.file), nearest))
        if not nearest or not spec.lines or _WILD.isdisjoint(spec.function):
            return found
        asked = spec.lines[0][0]  # of all functions that a wildcard means, what is nearest in any of them
        best = min((_distance(a, asked) for a in found), default=None)
        return [a for a in found if _distance(a, asked) == best]

    def _wanted(self, spec: Spec, entries: list[Entry]) -> dict[str, Callable[[int, int], bool]]:
        """By file, which (line, address) are asked for; none where it is every line of one function: its own.

        Lines counted from functions, and every line of several functions, are lines of their files: where a function
        was inlined, the one around it has code of the line too.
        """
        if spec.lines and not spec.relative:
            return {e.file: lambda line, pc: spec.wants(line) for e in entries}
        if not spec.lines:
            return {} if _WILD.isdisjoint(spec.function) else self._every_line(entries)
        lines: dict[str, set[int]] = {}
        for e in entries:
            counted = (e.line + k for low, high in spec.lines for k in range(low, high + 1))
            lines.setdefault(e.file, set()).update(counted)
        return {file: partial(_is_line, found) for file, found in lines.items()}

    def _every_line(self, entries: list[Entry]) -> dict[str, Callable[[int, int], bool]]:
        """By file, the lines of all functions: an instruction counts for one of them, before what is inlined there."""
        places: dict[str, dict[int, int]] = {}
        for e in sorted(entries, key=lambda e: e.kind):
            for line, pc in self._own_lines(e):
                places.setdefault(e.file, {}).setdefault(pc, line)
        return {file: partial(_is_place, {(n, pc) for pc, n in found.items()}) for file, found in places.items()}

    def _own_lines(self, entry: Entry) -> list[tuple[int, int]]:
        """A function's lines, by address; of several that begin at one instruction the first, at the entry the last."""
        known = self._line_addresses(entry)
        last = self.types.lines(self.sections.die(entry.die)).at(entry.pc)
        if last is None or (last.line, entry.pc) not in known:
            return sorted(known, key=lambda k: (k[1], k[0]))
        return sorted(known, key=lambda k: (k[1], k != (last.line, entry.pc), k[0]))

    def labels(self, spec: Spec, pattern: str) -> list[Address]:
        """C labels by glob, in the functions that a pattern asks for; `line` is the label's."""
        out = []
        for entry in self._entries(spec):
            for die in inside(self.sections.die(entry.die), inlined=False):
                if die.tag == dw.LABEL and fnmatchcase(die.name, pattern):
                    found = self._label(entry, die)
                    out += [found] if found else []
        return _once(out)

    def callees(self, spec: Spec, pattern: str) -> list[tuple[Address, Address]]:
        """(caller, callee): inlined copies and functions called by name, in the functions that a pattern asks for."""
        out = []
        for entry in self._entries(spec):
            caller = self._address(entry, entry.pc, entry.file, entry.line)
            if caller is not None:
                out += [(caller, callee) for callee in self._called(entry, pattern)]
        return out

    def at(self, pc: int) -> Address | None:
        """The statement at a link-time address: function, file and line."""
        unit = self._unit_at(pc)
        if unit is None:
            return None
        row = self.types.lines(self.sections.unit(unit).root).at(pc)
        function = self._function_at(unit, pc)
        where = self._cover(pc)
        if function is None or where is None:
            return None
        file = self.types.lines(function).file(row.file) if row else ""
        line = row.line if row else 0
        return Address(
            self.module, pc, function.name, where.symbol, where.offset, file, line, die=function.offset,
            inlined=function.tag == dw.INLINED_SUBROUTINE,
        )  # fmt: skip

    def _entries(self, spec: Spec) -> Iterator[Entry]:
        return (e for copies in self._alike(spec) for e in copies)

    def _alike(self, spec: Spec) -> Iterator[Iterator[Entry]]:
        """As `_entries`, but what differs in its address alone together."""
        found = False
        for copies in self.index.alike(spec.function):
            first = next(copies, None)
            if first is not None and spec.in_file(first.file) and not self._is_part(first):
                found = True
                yield chain((first,), copies)
        if self.space is Space.KERNEL and not (found and _WILD.isdisjoint(spec.function)):
            yield from (iter((e,)) for e in self._by_second_name(spec))

    def _by_second_name(self, spec: Spec) -> Iterator[Entry]:
        """Functions that are known to the symbol table by the name, and to DWARF by another."""
        for _, payload in self._second_names.glob(spec.function):
            address, _, name = payload.partition("\t")
            for entry in self.index.functions(name) if name else ():
                if entry.kind == "f" and entry.pc == int(address, 16) and spec.in_file(entry.file):
                    yield entry

    def without_debuginfo(self, pattern: str) -> Iterator[Address]:
        """Functions, by glob, that DWARF knows nothing of."""
        for name, payload in self._second_names.glob(pattern):
            if payload.endswith("\t"):
                yield Address(self.module, int(payload.rstrip("\t"), 16), name, name, 0, "", 0)

    @cached_property
    def _second_names(self) -> NameTable:
        return self.index.second_names()

    def _is_part(self, entry: Entry) -> bool:
        """Whether it is what gcc split off a function, which has the function's name in debug-info.

        Its beginning is not the function's: what is left of that calls it, with arguments of its own.
        """
        where = self.covering(entry.pc) if entry.kind == "f" else None
        return where is not None and not where.offset and PART in where.symbol

    def _lines_of(
        self, entry: Entry, spec: Spec, wanted: Callable[[int, int], bool] | None, nearest: bool
    ) -> Iterator[Address]:
        if wanted is None:
            chosen = self._own_lines(entry)
        else:
            chosen = [(line, pc) for line, pc in self._line_addresses(entry, within=False) if wanted(line, pc)]
        if not chosen and nearest and spec.lines:
            chosen = self._nearest(entry, spec.lines[0][0] + (entry.line if spec.relative else 0))
        shown: set[int] = set()
        for line, pc in chosen:
            if pc in shown:  # several lines that begin at one instruction are one probe, at the first of them
                continue
            shown.add(pc)
            address = self._address(entry, pc, entry.file, line)
            if address is not None:
                yield address

    def _nearest(self, entry: Entry, wanted: int) -> list[tuple[int, int]]:
        """The function's line with code that is nearest; of two, the later one."""
        return sorted(self._line_addresses(entry), key=lambda k: (abs(k[0] - wanted), -k[0]))[:1]

    def _line_addresses(self, entry: Entry, *, within: bool = True) -> list[tuple[int, int]]:
        """(line, its lowest address) in a function's code, by line; `within`: of its own lines only.

        Lines of other functions of the same file are there where these were inlined.
        """
        die = self.sections.die(entry.die)
        table = self.types.lines(die)
        first: dict[int, int] = {}
        rows = table.sorted_rows
        least, past = (entry.line, self._next_function(die, entry)) if within else (1, 1 << 30)
        for low, high in ranges_of(die):
            for row in rows[bisect_right(rows, low - 1, key=lambda r: r.address) :]:
                if row.address >= high:
                    break
                if least <= row.line < past and not row.end and table.file(row.file) == entry.file:
                    first[row.line] = min(row.address, first.get(row.line, row.address))
        if within and entry.kind == "i" and len(first) > 1:  # its name's line is where the caller prepares the call
            first.pop(entry.line, None)
        return sorted(first.items())

    def _next_function(self, die: Die, entry: Entry) -> int:
        """The line at which the next function of the same file begins: lines from there on are others'."""
        lines = self._beginnings(die.unit.root)
        index = bisect_right(lines, entry.line)
        return lines[index] if index < len(lines) else 1 << 30

    def _beginnings(self, root: Die) -> list[int]:
        """The lines at which functions of the unit's own file begin, ascending."""
        known = self._begin.get(root.offset)
        if known is None:
            own = root.name
            found = set()
            for die in root.children():
                line = die.number(dw.DECL_LINE) if die.tag == dw.SUBPROGRAM and not die.get(dw.DECLARATION) else None
                file = self.types.file(die, die.number(dw.DECL_FILE) or 0) if line else ""
                if line and (file == own or file.endswith(f"/{own}")):
                    found.add(line)
            known = self._begin[root.offset] = sorted(found)
        return known

    def alternatives(self, spec: Spec) -> list[int]:
        """Lines with code near those that were asked for, for messages."""
        lines: set[int] = set()
        for entry in self._entries(Spec(spec.function, spec.file)):
            lines.update(line for line, _ in self._line_addresses(entry))
        if not spec.lines:
            return sorted(lines)
        wanted = spec.lines[0][0]
        below, above = [k for k in lines if k < wanted], [k for k in lines if k > wanted]
        return ([max(below)] if below else []) + ([min(above)] if above else [])

    def _address(self, entry: Entry, pc: int, file: str, line: int) -> Address | None:
        where = self.covering(pc)
        if where is None or not (where.probeable or where.refused):
            return None
        inlined = entry.kind == "i"
        return Address(
            self.module, pc, entry.name, where.symbol, where.offset, file, line, die=entry.die, inlined=inlined,
            external=entry.external,
        )  # fmt: skip

    def _entry_address(self, entry: Entry) -> int:
        """Where a function is entered; in unoptimized code past the prologue, where its arguments are in place."""
        if entry.kind == "i" or self.space is Space.KERNEL:  # a kernel cannot be built without optimization
            return entry.pc
        die = self.sections.die(entry.die)
        return prologue_end(self.types.lines(die), die, entry.pc) if unoptimized(die) else entry.pc

    def _label(self, entry: Entry, die: Die) -> Address | None:
        low = die.attributes.get(dw.LOW_PC)
        if low is None:
            return None
        pc = die.unit.address(*low)
        line = die.inherited(dw.DECL_LINE)
        found = self._address(entry, pc, entry.file, int(line[1][1]) if line else 0)
        return None if found is None else found.labelled(die.name)

    def _called(self, entry: Entry, pattern: str) -> Iterator[Address]:
        names: set[str] = set()
        for die in inside(self.sections.die(entry.die), inlined=False):
            if die.tag == dw.INLINED_SUBROUTINE and fnmatchcase(die.name, pattern):
                found = self._inlined(die)
                if found is not None:
                    yield found
            elif die.tag in (dw.CALL_SITE, dw.GNU_CALL_SITE) and not _jumps(die):
                target = die.reference(dw.CALL_ORIGIN) or die.reference(dw.ABSTRACT_ORIGIN)
                if target is not None and fnmatchcase(target.name, pattern):
                    names.add(target.name)
        for name in sorted(names):
            yield from self.entries(Spec(name), inlined=False)

    def _inlined(self, die: Die) -> Address | None:
        pc = entry_pc(die)
        file, _, line = self.types.declared(die).rpartition(":")
        entry = Entry(die.name, "i", file, int(line or 0), False, die.offset, pc or 0)
        return self._address(entry, pc, file, int(line or 0)) if pc else None


def _distance(found: Address, line: int) -> tuple[int, int]:
    """How near a line is; of two that are as near, the later one is nearer."""
    return abs(found.line - line), -found.line


def _is_line(lines: set[int], line: int, pc: int) -> bool:
    return line in lines


def _is_place(places: set[tuple[int, int]], line: int, pc: int) -> bool:
    return (line, pc) in places


def _jumps(call: Die) -> bool:
    """Whether a call site is the function's last act, a jump: the callee then returns to the function's caller."""
    return dw.CALL_TAIL_CALL in call.attributes or dw.GNU_TAIL_CALL in call.attributes


def _once(addresses: Iterable[Address]) -> list[Address]:
    """By address, each place once: the same function may be described by several units."""
    seen: dict[tuple[int, str, int, str], Address] = {}
    for a in addresses:
        seen.setdefault((a.address, a.function, a.line, a.label), a)
    return list(seen.values())
