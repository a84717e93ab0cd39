"""Places in the code of one file: functions and their inlined copies, statements, labels, callees."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property, partial
from itertools import chain, takewhile

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
from pystap.diagnostics import Unresolved
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
        entries = sorted(self._entries(Spec(spec.function, spec.file)), key=_as_systemtap)
        if spec.every_line and _WILD.isdisjoint(spec.function):
            return self._lines_of_one(entries)
        wanted = self._wanted(spec, entries)
        found = _once(a for e in entries for a in self._lines_of(e, spec, wanted[e.file], nearest))
        if not nearest or not spec.lines or _WILD.isdisjoint(spec.function):
            return found
        asked = spec.lines[0][0]  # of all functions that a wildcard means, what is nearest in any of them
        best = min((_distance(a, asked) for a in found), default=None)
        return [a for a in found if _distance(a, asked) == best]

    def _wanted(self, spec: Spec, entries: list[Entry]) -> dict[str, Callable[[int, int], bool]]:
        """By file, which (line, address) are asked for.

        Lines counted from functions, and every line of several functions, are lines of their files: where a function
        was inlined, the one around it has code of the line too.
        """
        if spec.lines and not spec.relative:
            return {e.file: lambda line, pc: spec.wants(line) for e in entries}
        if not spec.lines:
            return self._every_line(entries)
        lines: dict[str, set[int]] = {}
        for e in entries:
            counted = (e.line + k for low, high in spec.lines for k in range(low, high + 1))
            lines.setdefault(e.file, set()).update(counted)
        return {file: partial(_is_line, found) for file, found in lines.items()}

    def _every_line(self, entries: list[Entry]) -> dict[str, Callable[[int, int], bool]]:
        """By file, the lines of all functions: an instruction counts for one of them, before what is inlined there."""
        places: dict[str, dict[int, int]] = {e.file: {} for e in entries}
        for e in entries:
            for line, pc in self._own_lines(e):
                places[e.file].setdefault(pc, line)
        return {file: partial(_is_place, {(n, pc) for pc, n in found.items()}) for file, found in places.items()}

    def _lines_of_one(self, entries: list[Entry]) -> list[Address]:
        """Every line of one function and its copies: one for each instruction."""
        for lines_of in (self._own_lines, self._declared_lines):
            places: dict[int, tuple[Entry, int]] = {}
            for e in entries:
                for line, pc in lines_of(e):
                    places.setdefault(pc, (e, line))
            if places:
                break
        found = (self._address(e, pc, e.file, line) for pc, (e, line) in places.items())
        return [a for a in found if a is not None]

    def _own_lines(self, entry: Entry) -> list[tuple[int, int]]:
        """A function's lines, by address; of several that begin at one instruction the first, at the entry the last."""
        known = self._function_lines(entry)
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
        self, entry: Entry, spec: Spec, wanted: Callable[[int, int], bool], nearest: bool
    ) -> Iterator[Address]:
        chosen = [(line, pc) for line, pc in sorted(self._line_addresses(entry).items()) if wanted(line, pc)]
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
        known = self._function_lines(entry) or self._declared_lines(entry)
        return sorted(known, key=lambda k: (abs(k[0] - wanted), -k[0]))[:1]

    def _line_addresses(self, entry: Entry) -> dict[int, int]:
        """Lines of a function's file -> their lowest addresses in its code, also those of what was inlined there."""
        die = self.sections.die(entry.die)
        table = self.types.lines(die)
        first: dict[int, int] = {}
        rows = table.sorted_rows
        for low, high in ranges_of(die):
            for row in rows[bisect_right(rows, low - 1, key=lambda r: r.address) :]:
                if row.address >= high:
                    break
                if row.line and not row.end and table.file(row.file) == entry.file:
                    first[row.line] = min(row.address, first.get(row.line, row.address))
        return first

    def _function_lines(self, entry: Entry) -> list[tuple[int, int]]:
        """(line, address) of a function's own lines, as SystemTap has them: from its entry's on, while it has code.

        A copy whose first instruction is of what was inlined into it begins there: it has no lines where that is of
        another file.
        """
        table = self.types.lines(self.sections.die(entry.die))
        entered = table.at(entry.pc)
        if entered is None or table.file(entered.file) != entry.file:
            return []
        return self._lines_from(entry, entered.line)

    def _lines_from(self, entry: Entry, begin: int) -> list[tuple[int, int]]:
        """A function's lines from one on, until one that has code elsewhere only."""
        lines = self._lines_with_code(self.sections.die(entry.die).unit.root, entry.file)
        first = self._line_addresses(entry)
        return [(k, first[k]) for k in takewhile(first.__contains__, lines[bisect_left(lines, begin) :])]

    def _declared_lines(self, entry: Entry) -> list[tuple[int, int]]:
        """A function's lines from its declaration on: what there is where its entry is of another file."""
        return self._lines_from(entry, entry.line)

    def _lines_with_code(self, root: Die, file: str) -> list[int]:
        """The lines of a file that have code anywhere in a unit, ascending."""
        known = self._with_code.get((root.offset, file))
        if known is None:
            table = self.types.lines(root)
            found = {r.line for r in table.rows if r.line and not r.end and table.file(r.file) == file}
            known = self._with_code[root.offset, file] = sorted(found)
        return known

    def alternatives(self, spec: Spec) -> list[int]:
        """Lines with code near those that were asked for, for messages."""
        lines: set[int] = set()
        for entry in self._entries(Spec(spec.function, spec.file)):
            lines.update(line for line, _ in self._function_lines(entry) or self._declared_lines(entry))
        if not spec.lines:
            return sorted(lines)
        wanted = self._asked(spec)[1]
        below, above = [k for k in lines if k < wanted], [k for k in lines if k > wanted]
        return ([max(below)] if below else []) + ([min(above)] if above else [])

    def no_lines(self, spec: Spec) -> Unresolved | None:
        """What is to say of lines that have no code: which near ones have; None where there are none, either."""
        near = [f":{line}" for line in self.alternatives(spec)]
        if not near or not spec.lines:
            return None
        file, line = self._asked(spec)
        return Unresolved(f"no line records for {file}:{line} [man error::dwarf] (try {' or '.join(near)})")

    def _asked(self, spec: Spec) -> tuple[str, int]:
        """(file, first line) of a pattern with lines, as far as the file is known."""
        entry = next(iter(self._entries(Spec(spec.function, spec.file))), None)
        line = spec.lines[0][0] if spec.lines else 0
        if entry is None:
            return spec.file, line
        return entry.file, line + entry.line if spec.relative else line

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


def _as_systemtap(entry: Entry) -> tuple[str, int, int]:
    """Which function an instruction is said to be of first: one with a body, and of copies the later function's."""
    return entry.kind, -entry.line, entry.die


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
