"""All functions and variables of a DWARF file by name: one fast walk over .debug_info, kept in the cache by build-id.

Only what a name leads to is kept: where a function begins, where it was inlined, which DIE says more.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pystap.debuginfo import dw, second_names
from pystap.debuginfo.damage import reading
from pystap.debuginfo.die import Abbrev, Unit
from pystap.debuginfo.lines import LineTable
from pystap.debuginfo.ranges import entry_pc
from pystap.debuginfo.sections import Sections, uleb
from pystap.debuginfo.symtab import NameTable
from pystap.diagnostics import StapError

T = TypeVar("T")
FORMAT = "dwarf-5"
_PROGRESS_AFTER = 0.7  # seconds: a progress line only where one waits
WORTH_KEEPING = 1 << 20  # bytes of .debug_info: smaller files are walked in less time than a look-up saves
_PARALLEL_FROM = 8 << 20  # bytes of .debug_info


class Entry(NamedTuple):
    """A function (as compiled, or as inlined) or a variable."""

    name: str
    kind: str  # f: a function's own code, i: an inlined copy, v: a variable
    file: str
    line: int
    external: bool
    die: int
    pc: int  # 0 for variables


@dataclass(frozen=True, slots=True)
class Index:
    """The index of one file."""

    _names: NameTable
    _copies: array[int]  # pc, die alternately: the inlined copies
    second_names: Callable[[], NameTable]  # functions whose names only the symbol table has

    def functions(self, pattern: str) -> Iterator[Entry]:
        """Functions by glob: their own code and every inlined copy."""
        for copies in self.alike(pattern):
            yield from copies

    def alike(self, pattern: str) -> Iterator[Iterator[Entry]]:
        """As `functions`, but those that differ in their addresses alone together."""
        with self._reading():
            for name, payload in self._names.glob(pattern):
                if payload[0] != "v":
                    yield self._entries(name, payload)

    def groups(self, pattern: str) -> Iterator[tuple[str, str, str, int, bool]]:
        """(name, kind, file, line, external) by glob: as `functions`, but a function's inlined copies count once."""
        with self._reading():
            for name, payload in self._names.glob(pattern):
                if payload[0] != "v":
                    kind, file, line, external, _ = payload.split("\t", 4)
                    yield name, kind, file, int(line), external == "1"

    def variables(self, name: str) -> list[Entry]:
        """Global and static variables of that name."""
        with self._reading():
            return [e for p in self._names.find(name) if p[0] in "vc" for e in self._entries(name, p)]

    def _reading(self) -> reading:
        return reading(self._names.name, "a line of it")

    def _entries(self, name: str, payload: str) -> Iterator[Entry]:
        with self._reading():
            yield from self._read(name, payload)

    def _read(self, name: str, payload: str) -> Iterator[Entry]:
        kind, file, line, external, rest = payload.split("\t", 4)
        first, second = (int(k, 16) for k in rest.split("\t"))
        if kind != "i":
            yield Entry(name, kind, file, int(line), external == "1", first, second)
            return
        for k in range(first, first + second):
            yield Entry(name, kind, file, int(line), external == "1", self._copies[2 * k + 1], self._copies[2 * k])


def open_index(dwarf: Sections, build_id: str, store: Path) -> Index:
    """The index from the cache; made first where it is not there (interrupting that does no harm)."""
    names, copies, second = (store / f"{build_id}.{what}" for what in ("names", "copies", "second"))
    if not names.is_file() or names.stat().st_size == 0:  # what a machine without power may leave
        found = build(dwarf)
        write_whole(copies, found.copies.tobytes())
        write_whole(second, second_names.build(dwarf, found.bodies, found.without_code))
        write_whole(names, found.names)  # last: where it is, all are
    numbers: array[int] = array("Q")
    with reading(str(copies), "its numbers"):
        numbers.frombytes(copies.read_bytes())
    return Index(NameTable.open(names), numbers, partial(NameTable.open, second))


def index_in_memory(dwarf: Sections) -> Index:
    """The index of a file that is not worth a place in the cache."""
    found = build(dwarf)

    def second() -> NameTable:
        return NameTable(second_names.build(dwarf, found.bodies, found.without_code))

    return Index(NameTable(found.names), found.copies, second)


@dataclass(frozen=True, slots=True)
class Built:
    """What the walk over a file found."""

    names: bytes
    copies: array[int]
    bodies: list[tuple[str, int, int]]  # (name, pc, die) of functions' own code
    without_code: frozenset[str]  # functions that are described and nowhere: gcc dropped them, or shares others' code


def build(dwarf: Sections) -> Built:
    """Walks the whole file, in two processes where it is large; shows progress where it takes long."""
    bodies: list[tuple[str, int, int]] = []
    without_code: set[str] = set()
    found: dict[tuple[str, str, int, bool], list[tuple[int, int]]] = {}
    lines: list[str] = []
    constants: dict[tuple[str, str, int], str] = {}  # those of headers are the same in each unit
    for entries in walk(dwarf, _scan_units):
        for name, kind, file, line, external, die, pc in entries:
            if kind == "i":
                found.setdefault((name, file, line, external), []).append((pc, die))
                continue
            if kind == "n":
                without_code.add(name)
                continue
            if kind == "f":
                bodies.append((name, pc, die))
            text = f"{name}\t{kind}\t{file}\t{line}\t{int(external)}\t{die:x}\t{pc:x}"
            if kind != "c":
                lines.append(text)
            else:
                constants.setdefault((name, file, line), text)
    lines += constants.values()
    numbers: array[int] = array("Q")
    for (name, file, line, external), copies in found.items():
        lines.append(f"{name}\ti\t{file}\t{line}\t{int(external)}\t{len(numbers) // 2:x}\t{len(copies):x}")
        for pc, die in sorted(copies, key=lambda c: c[1]):
            numbers.extend((pc, die))
    return Built(NameTable.build(lines), numbers, bodies, frozenset(without_code))


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that others may be looking for: it appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(data)
    temporary.replace(path)


def walk(dwarf: Sections, scan: Callable[[Sections, list[int]], list[T]]) -> Iterator[list[T]]:
    """What a function of some units makes of all, in two processes where the file is large, with a progress line."""
    offsets = dwarf.unit_offsets
    if len(dwarf.info) < _PARALLEL_FROM or not os.path.exists(dwarf.name) or (os.cpu_count() or 1) < 2:
        yield from (scan(dwarf, [offset]) for offset in offsets)
        return
    size = max(1, len(offsets) // 64)
    parts = [offsets[k : k + size] for k in range(0, len(offsets), size)]
    progress = _Progress(dwarf.name, len(parts))
    with ProcessPoolExecutor(2, initializer=_open_worker, initargs=(dwarf.name, dwarf.whole_paths)) as pool:
        try:
            for number, entries in enumerate(pool.map(partial(_in_worker, scan), parts), 1):
                progress.show(number)
                yield entries
        except BrokenExecutor:
            text = f"{dwarf.name} was not indexed: there was too little memory, or the worker was killed"
            raise StapError(text) from None
    progress.close()


_worker: list[Sections] = []


def _open_worker(name: str, whole_paths: bool) -> None:
    _worker.append(Sections.open(Path(name), whole_paths))


def _in_worker(scan: Callable[[Sections, list[int]], list[T]], offsets: list[int]) -> list[T]:
    return scan(_worker[0], offsets)


def _scan_units(dwarf: Sections, offsets: list[int]) -> list[tuple[Any, ...]]:
    return [entry for offset in offsets for entry in _scan(Unit(dwarf, offset))]


@dataclass(slots=True)
class _Progress:
    """One line on a terminal's standard error, gone afterwards."""

    name: str
    total: int
    started: float = 0.0
    shown: bool = False

    def show(self, done: int) -> None:
        self.started = self.started or time.monotonic()
        if sys.stderr.isatty() and time.monotonic() - self.started > _PROGRESS_AFTER:
            text = f"\rindexing debug-info of {os.path.basename(self.name)} (once): {100 * done // self.total}%"
            print(text, end="", file=sys.stderr, flush=True)
            self.shown = True

    def close(self) -> None:
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


# --- the walk over one unit ---

_SKIP, _SIBLING, _VARY, _FUNCTION, _COPY, _VARIABLE = range(6)
_WANTED = {dw.SUBPROGRAM: _FUNCTION, dw.INLINED_SUBROUTINE: _COPY, dw.VARIABLE: _VARIABLE}
_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from


def _plan(abbrevs: dict[int, Abbrev]) -> dict[int, tuple[int, int, Abbrev, Any]]:
    """code -> (what to do, operand, abbreviation, where the attributes of an inlined copy stand)."""
    plan: dict[int, tuple[int, int, Abbrev, Any]] = {}
    for code, abbrev in abbrevs.items():
        wanted = _WANTED.get(abbrev.tag)
        if wanted is not None:
            plan[code] = (wanted, abbrev.size or 0, abbrev, _copy_places(abbrev))
        elif abbrev.children and abbrev.sibling is not None and abbrev.tag not in _OPEN:
            plan[code] = (_SIBLING, abbrev.sibling, abbrev, None)
        elif abbrev.size is not None:
            plan[code] = (_SKIP, abbrev.size, abbrev, None)
        else:
            plan[code] = (_VARY, 0, abbrev, None)
    return plan


_CLASSES = frozenset((dw.STRUCTURE_TYPE, dw.CLASS_TYPE, dw.UNION_TYPE))
_OPEN = frozenset((dw.COMPILE_UNIT, dw.LEXICAL_BLOCK, dw.NAMESPACE, dw.PARTIAL_UNIT))  # functions are inside these


def _copy_places(abbrev: Abbrev) -> tuple[int, int] | None:
    """Of an inlined copy of fixed size: where its origin and its entry address stand."""
    if abbrev.size is None or abbrev.tag != dw.INLINED_SUBROUTINE:
        return None
    places, at = {}, 0
    for name, form, _ in abbrev.specs:
        places[name] = (at, form)
        at += dw.FIXED_SIZES[form] or 0
    origin, pc = places.get(dw.ABSTRACT_ORIGIN), places.get(dw.ENTRY_PC) or places.get(dw.LOW_PC)
    if origin is None or pc is None or origin[1] != dw.F_REF4 or pc[1] != dw.F_ADDR:
        return None
    return origin[0], pc[0]


def _scan(unit: Unit) -> list[tuple[Any, ...]]:
    """The unit's entries, as Entry's fields."""
    scan = _Scan(unit)
    with reading(unit.dwarf.name, f"debug-info of the unit at {unit.offset:#x}"):
        scan.run()
        return scan.entries()


class _Scan:
    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._declared: dict[int, tuple[str, str, int, bool]] = {}
        self._files: LineTable | None = None
        self._functions: list[tuple[int, int, int]] = []  # origin, die, pc
        self._copies: list[tuple[int, int, int]] = []
        self._without_code: list[str] = []
        self._variables: list[int] = []
        self._constants: list[int] = []  # variables of which only the value is known

    def run(self) -> None:
        """Visits every entry that may hold code, jumping over types and call sites."""
        unit = self._unit
        data, base, end = unit.data, unit.offset, unit.end
        plan = _plan(unit.abbrevs)
        copies = self._copies
        at = unit.root.end if unit.root.abbrev.children else end
        inside = 0  # of functions: where the current one ends
        while at < end:
            start = at
            code = data[at]
            at += 1
            if code >= 0x80:
                code, at = uleb(data, start)
            if not code:
                continue
            action, operand, abbrev, places = plan[code]
            if action == _SKIP:
                at += operand
            elif action == _SIBLING:
                if start < inside and abbrev.tag in _CLASSES:  # a class of a function's own: its methods are in it
                    _, at = unit.attributes(abbrev, at)
                else:
                    at = base + _U32(data, at + operand)[0]
                    if at <= start:
                        raise unit.damaged(start)
            elif action == _COPY and places is not None:
                copies.append((base + _U32(data, at + places[0])[0], start, _U64(data, at + places[1])[0]))
                at += operand
            elif action == _VARY:
                _, at = unit.attributes(abbrev, at)
            else:
                at, inside = self._visit(action, start, inside)

    def _visit(self, action: int, start: int, inside: int) -> tuple[int, int]:
        die = self._unit.die(start)
        at = die.end
        if action == _VARIABLE:
            location = die.attributes.get(dw.LOCATION)
            if location is not None and _static(location):
                self._variables.append(start)
            elif location is None and start >= inside and dw.CONST_VALUE in die.attributes:
                self._constants.append(start)
            return at, inside
        pc = entry_pc(die)
        if pc:
            declared = die.reference(dw.ABSTRACT_ORIGIN) or die  # in another file where that is shared
            origin = declared.offset if declared.unit.dwarf is self._unit.dwarf else start
            (self._functions if action == _FUNCTION else self._copies).append((origin, start, pc))
        elif action == _FUNCTION and not _may_hold_code(die.attributes):
            return (die.past() if die.abbrev.children else at), inside
        elif action == _FUNCTION:
            self._without_code.append(die.name)
        if action == _FUNCTION and die.abbrev.children and start >= inside:
            inside = die.past()
        return at, inside

    def entries(self) -> list[tuple[Any, ...]]:
        """What was found, with names and files."""
        out: list[tuple[Any, ...]] = [(name, "n", "", 0, False, 0, 0) for name in self._without_code]
        for kind, found in (("f", self._functions), ("i", self._copies)):
            for origin, die, pc in found:
                name, file, line, external = self._declaration(origin)
                if kind == "f" and not line:  # assembly, lambdas, Go: only the line table knows
                    place = self._place(pc)
                    file, line = place if file in ("", place[0]) else (file, 0)
                if name:
                    out.append((name, kind, file, line, external, die, pc))
        for kind, starts in (("v", self._variables), ("c", self._constants)):
            for start in starts:
                name, file, line, external = self._declaration(start)
                if name:
                    out.append((name, kind, file, line, external, start, 0))
        return out

    def _declaration(self, offset: int) -> tuple[str, str, int, bool]:
        known = self._declared.get(offset)
        if known is None:
            unit = self._unit
            die = unit.die(offset) if unit.offset <= offset < unit.end else unit.dwarf.die(offset)
            file = die.inherited(dw.DECL_FILE)
            line = die.inherited(dw.DECL_LINE)
            path = self._file(file[0].unit, file[0].number(dw.DECL_FILE)) if file else ""
            number = (line[0].number(dw.DECL_LINE) or 0) if line else 0
            known = (die.name, path, number, die.inherited(dw.EXTERNAL) is not None)
            self._declared[offset] = known
        return known

    def _place(self, pc: int) -> tuple[str, int]:
        self._files = self._files or LineTable(self._unit)
        row = self._files.at(pc)
        return (self._files.file(row.file), row.line) if row else ("", 0)

    def _file(self, unit: Unit, number: int | None) -> str:
        if unit is not self._unit:
            return LineTable(unit).file(number)
        self._files = self._files or LineTable(unit)
        return self._files.file(number)


def _may_hold_code(attributes: dict[int, Any]) -> bool:
    """Abstract functions (and declarations) hold no code: their copies stand elsewhere."""
    return dw.INLINE not in attributes and dw.DECLARATION not in attributes


def _static(location: tuple[int, Any]) -> bool:
    """Whether an expression names a fixed address (DW_OP_addr, addrx), or a thread's own (DW_OP_form_tls_address)."""
    form, value = location
    return form == dw.F_EXPRLOC and len(value) > 0 and (value[0] in (0x03, 0xA1) or value[-1] in (0x9B, 0xE0))
