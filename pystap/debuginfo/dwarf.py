"""DWARF as DebugInfo: functions and their inlined copies, statements, labels, callees, variables, of one file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import chain
from typing import NamedTuple

from pystap.arch import X86_64, Arch, by_machine
from pystap.debuginfo import dw
from pystap.debuginfo.api import Activation, Address, Function, Part, Root, Tracepoint
from pystap.debuginfo.cfa import Frames, Rule
from pystap.debuginfo.ctype import CType, Struct, Void, strip
from pystap.debuginfo.die import Die
from pystap.debuginfo.dwarf_scope import DwarfScope
from pystap.debuginfo.dwarf_types import Complete, Types
from pystap.debuginfo.index import Entry, Index
from pystap.debuginfo.location import Frame, Piece, Place, evaluate, location_at
from pystap.debuginfo.ranges import entry_pc, ranges_of
from pystap.debuginfo.sections import Sections
from pystap.debuginfo.spec import Spec, file_matches
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Const, Expr, Reg, Space, SymbolAddress


class Covering(NamedTuple):
    """The symbol that holds an address."""

    symbol: str
    offset: int
    probeable: bool = True
    fentry: bool = False  # the symbol begins with an ftrace call
    place: int = 0  # the symbol's own address, as its module or kernel counts


Cover = Callable[[int], "Covering | None"]  # link-time address -> the symbol that holds it


class Dwarf:
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
    ) -> None:
        self.sections = dwarf
        self.module = module
        self.space = space
        self.arch: Arch = by_machine(dwarf.elf.machine) or X86_64
        self.types = Types(dwarf, complete)
        self._make_index = index
        self._cover = cover
        self._anchor = anchor  # a symbol of the kernel and its link-time address: the kernel moves as a whole
        self._frames = Frames(dwarf)
        self._covered: dict[int, Covering | None] = {}
        self._begin: dict[int, list[int]] = {}

    def covering(self, pc: int) -> Covering | None:
        """The symbol that holds a link-time address."""
        if pc not in self._covered:  # asked for again: to filter a place, then to probe it
            self._covered[pc] = self._cover(pc)
        return self._covered[pc]

    @cached_property
    def index(self) -> Index:
        """Names of functions and variables; made or read at the first question."""
        return self._make_index()

    # --- points ---

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
        return _once(a for e in entries for a in self._lines_of(e, spec, wanted.get(e.file), nearest))

    def _wanted(self, spec: Spec, entries: list[Entry]) -> dict[str, Callable[[int], bool]]:
        """By file, which lines are asked for; none where it is every line of one function: its own.

        Lines counted from functions, and every line of several functions, are lines of their files: where a function
        was inlined, the one around it has code of the line too.
        """
        if spec.lines and not spec.relative:
            return {e.file: spec.wants for e in entries}
        if not spec.lines and _WILD.isdisjoint(spec.function):
            return {}
        lines: dict[str, set[int]] = {}
        for e in entries:
            own = range(0) if spec.lines else [k for k, _ in self._line_addresses(e) if k > e.line]
            counted = (e.line + k for low, high in spec.lines or () for k in range(low, high + 1))
            lines.setdefault(e.file, set()).update(own, counted)
        return {file: found.__contains__ for file, found in lines.items()}

    def labels(self, spec: Spec, pattern: str) -> list[Address]:
        """C labels by glob, in the functions that a pattern asks for; `line` is the label's."""
        out = []
        for entry in self._entries(spec):
            for die in _inside(self.sections.die(entry.die), inlined=False):
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
        return (e for e in self.index.functions(spec.function) if spec.in_file(e.file))

    def _alike(self, spec: Spec) -> Iterator[Iterator[Entry]]:
        """As `_entries`, but what differs in its address alone together."""
        for copies in self.index.alike(spec.function):
            first = next(copies, None)
            if first is not None and spec.in_file(first.file):
                yield chain((first,), copies)

    def _lines_of(
        self, entry: Entry, spec: Spec, wanted: Callable[[int], bool] | None, nearest: bool
    ) -> Iterator[Address]:
        known = self._line_addresses(entry, within=wanted is None)
        chosen = [(line, pc) for line, pc in known if wanted is None or wanted(line)]
        if not chosen and nearest and spec.lines:
            chosen = self._nearest(entry, spec.lines[0][0] + (entry.line if spec.relative else 0))
        elif entry.kind == "i" and wanted is None:  # before the last line at the first instruction: declarations
            chosen.sort(key=lambda c: (c[1], -c[0]) if c[1] == entry.pc else (c[1], c[0]))
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
                if line and self.types.file(die, die.number(dw.DECL_FILE) or 0) == own:
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
        if where is None or not where.probeable:
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
        return self.prologue_end(die, entry.pc) if self.unoptimized(die) else entry.pc

    def unoptimized(self, die: Die) -> bool:
        """Whether the unit was compiled without optimization, so that arguments are stored on the stack first."""
        found = die.unit.root.attributes.get(dw.PRODUCER)
        producer = die.unit.string(*found) if found else ""
        return " -O" not in producer or " -O0" in producer

    def prologue_end(self, die: Die, pc: int) -> int:
        """The second line row's address, which is where gcc's prologue ends."""
        rows = self.types.lines(die).sorted_rows
        end = max((high for _, high in ranges_of(die)), default=pc)
        start = bisect_right(rows, pc, key=lambda r: r.address)
        later = next((r.address for r in rows[start:] if pc < r.address < end and not r.end), pc)
        return later

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
        for die in _inside(self.sections.die(entry.die), inlined=False):
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

    # --- names ---

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """DWARF does not know tracepoints as such."""
        return iter(())

    def type(self, name: str) -> CType:
        """A type by name: DWARF has no table of them, so this searches units one by one."""
        kind, _, short = name.strip().rpartition(" ")
        for offset in self.sections.unit_offsets:
            for die in self.sections.unit(offset).root.children():
                if die.tag in _TYPE_TAGS and die.name == short and _named(die, kind) and not die.get(dw.DECLARATION):
                    return self.types.at(die)
        raise Unresolved(f"type definition '{name}' not found in '{self.module or 'kernel'}'")

    def variable(self, name: str, unit: str | None = None) -> Root:
        """A global or static variable, of a unit (a file, by its path's tail) where one is given."""
        found = self.index.variables(name)
        chosen = [e for e in found if unit is None or self._in_unit(e, unit)]
        if not chosen:
            where = f"'{self.module or 'kernel'}'" + (f", in unit '{unit}'" if unit else "")
            raise Unresolved(f"unable to find global '{name}' in {where}", [f"{e.name}@{e.file}" for e in found])
        best = min(chosen, key=lambda e: not e.external)
        return self.root_of(self.sections.die(best.die), self._no_frame())

    def _in_unit(self, entry: Entry, unit: str) -> bool:
        root = self.sections.unit_of(entry.die).root
        return file_matches(unit, entry.file) or file_matches(unit, root.name)

    def scope(self, function: Function) -> DwarfScope:
        """The variables at a function's entry."""
        spec = Spec(function.name, function.file)
        for address in self.entries(spec):
            if function.address in (None, address.address):
                return self.scope_at(address)
        raise Unresolved(f"DWARF debug-info does not know {function.name}")

    def scope_at(self, address: Address) -> DwarfScope:
        """The variables at an address that one of the methods above gave."""
        die = self.sections.die(address.die)
        return DwarfScope(self, die, address.address, self._frame(die, address.address))

    def result_of(self, die: Die) -> CType | None:
        """What a function returns; None for void."""
        ctype = self.types.of(die)
        return None if isinstance(strip(ctype), Void) else ctype

    # --- values ---

    def root_of(self, die: Die, frame: Frame) -> Root:
        """A variable's place and type; raises Unresolved where it has none."""
        ctype = self.types.of(die)
        constant = die.attributes.get(dw.CONST_VALUE)
        if constant is not None and dw.LOCATION not in die.attributes:
            return Root(Const(_constant(constant[1])), ctype)
        place = evaluate(location_at(die, frame.pc), frame, die.unit)
        if place.pieces:
            if isinstance(strip(ctype), Struct):
                return Root(Const(0), ctype, parts=_parts(place.pieces))
            place = _gather(die.name, place)
        in_memory = place.in_memory
        return Root(place.value, ctype, in_memory, writable=in_memory or isinstance(place.value, Reg))

    def activation(self, die: Die, pc: int, frame: Frame) -> Activation | None:
        """How a call of the function at an address is told from others; None where no frame table covers it."""
        body = self._body_of(die)
        entry = entry_pc(body) if body is not None else None
        if body is None or entry is None or self._frames.cfa(pc) is None:
            return None
        home = "kernel" if self.module is None else "process" if self.space is Space.USER else "module"
        spec = f"{body.name}@{self.types.declared(body.origin())}"
        stack = Binary("+", Reg(self.arch.stack_pointer, self.space), Const(self.arch.stack_arguments))
        return Activation(
            re.sub(r"\W", "_", f"{self.module or home}_{body.name}_{body.offset:x}"),
            ((home, self.module), ("function", spec), ("call", None)),
            frame.cfa(),
            stack,
            self.space,
        )

    def _frame(self, die: Die, pc: int) -> Frame:
        owner = self._body_of(die)
        at_entry = owner is not None and entry_pc(owner) == pc

        def base() -> Expr:
            if owner is None:
                raise Unresolved("its frame is not known")
            return evaluate(location_at(owner, pc, dw.FRAME_BASE), frame, owner.unit).value

        frame = Frame(pc, self.space, at_entry, lambda: self._cfa(pc, frame), base, self.run_time)
        return frame

    def _no_frame(self) -> Frame:
        def none() -> Expr:
            raise Unresolved("it is relative to a frame")

        return Frame(0, self.space, False, none, none, self.run_time)

    def _cfa(self, pc: int, frame: Frame) -> Expr:
        rule: Rule | None = self._frames.cfa(pc)
        if rule is None:
            raise Unresolved(f"no call-frame information covers {pc:#x}")
        if isinstance(rule, bytes):
            unit = self.sections.unit(self.sections.unit_offsets[0])
            return evaluate(rule, frame, unit).value
        register, offset = rule
        return Binary("+", Reg(register, self.space), Const(offset)) if offset else Reg(register, self.space)

    def run_time(self, address: int) -> Expr:
        """Where a link-time address is at run time."""
        if self._anchor is not None:
            symbol, base = self._anchor
            return SymbolAddress(symbol, address - base) if address >= base else Const(address)  # else: per-cpu
        where = self._cover(address)
        if where is None:
            raise Unresolved(f"no symbol covers {address:#x}")
        return SymbolAddress(where.symbol, where.offset, self.module)

    # --- from addresses to entries ---

    def _body_of(self, die: Die) -> Die | None:
        """The function in whose code a DIE lies."""
        if die.tag == dw.SUBPROGRAM:
            return die
        for candidate in _bodies(die.unit.root):
            if candidate.offset <= die.offset < candidate.past():
                return candidate
        return None

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
        for body in _bodies(self.sections.unit(unit).root):
            if any(low <= pc < high for low, high in ranges_of(body)):
                inner = [d for d in _inside(body) if d.tag == dw.INLINED_SUBROUTINE and _covers(d, pc)]
                return inner[-1] if inner else body
        return None


_WILD = frozenset("*?[")
_TYPE_TAGS = {
    dw.STRUCTURE_TYPE: "struct", dw.CLASS_TYPE: "class", dw.UNION_TYPE: "union", dw.ENUMERATION_TYPE: "enum",
    dw.TYPEDEF: "", dw.BASE_TYPE: "",
}  # fmt: skip


def _named(die: Die, kind: str) -> bool:
    known = _TYPE_TAGS[die.tag]
    return known == kind or (kind == "" and known != "enum") or {known, kind} == {"struct", "class"}


def _bodies(root: Die) -> Iterator[Die]:
    """The functions of a unit that have code."""
    for die in root.children():
        if die.tag == dw.SUBPROGRAM and (dw.LOW_PC in die.attributes or dw.RANGES in die.attributes):
            yield die
        elif die.tag == dw.NAMESPACE:
            yield from _bodies(die)


def _inside(die: Die, *, inlined: bool = True) -> Iterator[Die]:
    """Everything below a DIE, outer things first; `inlined`: also what is below inlined functions."""
    for child in die.children():
        yield child
        deeper = inlined or child.tag != dw.INLINED_SUBROUTINE
        if deeper and child.abbrev.children and child.tag not in _TYPE_TAGS:
            yield from _inside(child, inlined=inlined)


def _jumps(call: Die) -> bool:
    """Whether a call site is the function's last act, a jump: the callee then returns to the function's caller."""
    return dw.CALL_TAIL_CALL in call.attributes or dw.GNU_TAIL_CALL in call.attributes


def _covers(die: Die, pc: int) -> bool:
    return any(low <= pc < high for low, high in ranges_of(die))


def _once(addresses: Iterable[Address]) -> list[Address]:
    """By address, each place once: the same function may be described by several units."""
    seen: dict[tuple[int, str, int, str], Address] = {}
    for a in addresses:
        seen.setdefault((a.address, a.function, a.line, a.label), a)
    return list(seen.values())


def _constant(value: object) -> int:
    if isinstance(value, bytes):
        if len(value) > 8:
            raise Unresolved("its value is a constant of more than 8 bytes")
        value = int.from_bytes(value, "little")
    assert isinstance(value, int)
    return value - (1 << 64) if value >> 63 else value


def _parts(pieces: tuple[Piece, ...]) -> tuple[Part, ...]:
    """A struct in pieces, by offset."""
    out, offset = [], 0
    for piece in pieces:
        out.append(Part(offset, piece.size, piece.value, piece.in_memory))
        offset += piece.size
    return tuple(out)


def _gather(name: str, place: Place) -> Place:
    """A value in parts: contiguous memory is one place, up to 8 bytes in registers are put together."""
    pieces = place.pieces
    if len(pieces) == 1 and pieces[0].value is not None:
        return Place(pieces[0].value, pieces[0].in_memory)
    if any(p.value is None for p in pieces):
        raise Unresolved(f"'{name}' was partly optimized out here")
    if any(p.in_memory for p in pieces) or sum(p.size for p in pieces) > 8:
        raise Unresolved(f"'{name}' is kept in several places at once, which pystap cannot read as a whole")
    from pystap.ir.nodes import Bits

    value: Expr = Const(0)
    shift = 0
    for piece in pieces:
        assert piece.value is not None
        part: Expr = Bits(piece.value, 0, 8 * piece.size, False) if piece.size < 8 else piece.value
        value = part if shift == 0 else Binary("|", value, Binary("<<", part, Const(shift)))
        shift += 8 * piece.size
    return Place(value, False)
