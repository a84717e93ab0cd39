"""DWARF as DebugInfo: functions, statements, types, variables and values of one file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from pystap.debuginfo import dw
from pystap.debuginfo.api import Activation, Address, Function, Part, Root, Tracepoint, of_this_cpu
from pystap.debuginfo.cfa import Rule
from pystap.debuginfo.ctype import Array, CType, Struct, Void, size_of, strip
from pystap.debuginfo.die import Die
from pystap.debuginfo.dwarf_code import DwarfCode
from pystap.debuginfo.dwarf_file import TYPE_TAGS, Covering
from pystap.debuginfo.dwarf_scope import DwarfScope
from pystap.debuginfo.index import Entry
from pystap.debuginfo.location import Frame, Piece, Place, constant_pieces, evaluate, location_at
from pystap.debuginfo.ranges import entry_pc
from pystap.debuginfo.spec import Spec, file_matches
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Const, Expr, Reg, Space, SymbolAddress

__all__ = ["Covering", "Dwarf"]


class Dwarf(DwarfCode):
    """One file's DWARF: what its places and names mean."""

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """DWARF does not know tracepoints as such."""
        return iter(())

    def type(self, name: str) -> CType:
        """A type by name: DWARF has no table of them, so this searches units one by one."""
        kind, _, short = name.strip().rpartition(" ")
        for offset in self.sections.unit_offsets:
            for die in self.sections.unit(offset).root.children():
                if die.tag in TYPE_TAGS and die.name == short and is_type(die, kind):
                    return self.types.at(die)
        raise Unresolved(f"type definition '{name}' not found in '{self.module or 'kernel'}'")

    def enumerator(self, name: str) -> int | None:
        """The value of an enumerator of any enum outside of functions; None where there is none of that name."""
        for offset in self.sections.unit_offsets:
            for die in _enums(self.sections.unit(offset).root):
                for value in die.children():
                    if value.name == name and value.tag == dw.ENUMERATOR:
                        return value.number(dw.CONST_VALUE) or 0
        return None

    def variable(self, name: str, unit: str | None = None) -> Root:
        """A global or static variable, of a unit (a file, by its path's tail) where one is given."""
        found = self._variables(name)
        chosen = [e for e in found if unit is None or self._in_unit(e, unit)]
        declared = self._declared(name) if not found and unit is None else None
        if declared is not None:
            return declared
        if not chosen:
            where = f"'{self.module or 'kernel'}'" + (f", in unit '{unit}'" if unit else "")
            similar = [f"{e.name}@{e.file}" for e in found] or self._similar_variables(name)
            raise Unresolved(f"unable to find global '{name}' in {where}", similar)
        best = min(chosen, key=lambda e: not e.external)
        return self.root_of(self.sections.die(best.die), self._no_frame())

    def _variables(self, name: str) -> list[Entry]:
        return self.index.variables(name)

    def _similar_variables(self, name: str) -> list[str]:
        """Names that may have been meant; the kernel's are looked for by who asks for them."""
        return []

    def _declared(self, name: str) -> Root | None:
        """A symbol of a linker script or of assembly, with the type that a declaration gives it."""
        from pystap.debuginfo.declared import declaration

        die = declaration(self.sections, name) if self._is_symbol(name) else None
        if die is None:
            return None
        return Root(SymbolAddress(name, 0, self.module), self.types.of(die), in_memory=True, writable=True)

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
            place = _constant(constant[1])
        else:
            place = evaluate(location_at(die, frame.pc), frame, die.unit)
        if place.points:
            return Root(Const(0), ctype, target=self._pointed(place.points, frame))
        if place.pieces:
            if isinstance(strip(ctype), (Struct, Array)):
                return Root(Const(0), ctype, parts=tuple(self._parts(place.pieces, frame)))
            place = _gather(die.name, place)
        in_memory = place.in_memory
        return Root(place.value, ctype, in_memory, writable=in_memory or isinstance(place.value, Reg))

    def _pointed(self, points: tuple[int, int], frame: Frame) -> Callable[[], Root]:
        """What an optimized-out pointer points at: a DIE's value, from some byte of it on."""
        offset, start = points

        def target() -> Root:
            found = self.root_of(self.sections.die(offset), frame)
            if found.in_memory:
                return replace(found, value=Binary("+", found.value, Const(start))) if start else found
            parts = found.parts or (Part(0, size_of(found.type) or 8, found.value, target=found.target),)
            return replace(found, parts=tuple(replace(p, offset=p.offset - start) for p in parts))

        return target

    def _parts(self, pieces: tuple[Piece, ...], frame: Frame) -> Iterator[Part]:
        """A value in pieces, by offset."""
        offset = 0
        for piece in pieces:
            target = self._pointed(piece.points, frame) if piece.points else None
            yield Part(offset, piece.size, piece.value, piece.in_memory, target)
            offset += piece.size

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

        def cfa() -> Expr:
            return self._cfa(pc, frame)

        frame = Frame(pc, self.space, at_entry, cfa, base, self.run_time, self.arch, self.thread_local)
        return frame

    def _no_frame(self) -> Frame:
        def none() -> Expr:
            raise Unresolved("it is relative to a frame")

        return Frame(0, self.space, False, none, none, self.run_time, self.arch, self.thread_local)

    def _cfa(self, pc: int, frame: Frame) -> Expr:
        rule: Rule | None = self._frames.cfa(pc)
        if rule is None:
            raise Unresolved(f"no call-frame information covers {pc:#x}")
        if isinstance(rule, bytes):
            unit = self.sections.unit(self.sections.unit_offsets[0])
            return evaluate(rule, frame, unit).value
        register, offset = rule
        return Binary("+", Reg(register, self.space), Const(offset)) if offset else Reg(register, self.space)

    def thread_local(self, offset: Expr) -> Expr:
        """Where a thread-local variable is in the current thread; the kernel has none."""
        raise Unresolved("thread-local variables cannot be read")

    def run_time(self, address: int) -> Expr:
        """Where a link-time address is at run time."""
        if self._anchor is not None:
            symbol, base = self._anchor
            return SymbolAddress(symbol, address - base) if address >= base else of_this_cpu(Const(address))
        where = self._cover(address)
        if where is None:
            raise Unresolved(f"no symbol covers {address:#x}")
        found = SymbolAddress(where.symbol, where.offset, self.module)
        return of_this_cpu(found) if where.per_cpu else found


def _enums(root: Die) -> Iterator[Die]:
    """The enums of a unit, those in structs and namespaces too."""
    for die in root.children():
        if die.tag == dw.ENUMERATION_TYPE:
            yield die
        elif die.tag in _HOLD_ENUMS and die.abbrev.children:
            yield from _enums(die)


_HOLD_ENUMS = (dw.STRUCTURE_TYPE, dw.UNION_TYPE, dw.CLASS_TYPE, dw.NAMESPACE)


def is_type(die: Die, kind: str) -> bool:
    """Whether a DIE defines a type of a kind (struct, class, union, enum; "" for any but an enum)."""
    known = TYPE_TAGS.get(die.tag)
    if known is None or die.get(dw.DECLARATION):
        return False
    return known == kind or (kind == "" and known != "enum") or {known, kind} == {"struct", "class"}


def _constant(value: object) -> Place:
    if isinstance(value, bytes):
        if len(value) > 8:
            return Place(Const(0), False, tuple(constant_pieces(value)))
        value = int.from_bytes(value, "little")
    assert isinstance(value, int)
    return Place(Const(value - (1 << 64) if value >> 63 else value), False)


def _gather(name: str, place: Place) -> Place:
    """A value in parts: contiguous memory is one place, up to 8 bytes in registers are put together."""
    pieces = place.pieces
    if len(pieces) == 1 and pieces[0].value is not None:
        return Place(pieces[0].value, pieces[0].in_memory)
    if any(p.value is None for p in pieces):
        raise Unresolved(f"'{name}' was partly optimized out here")
    if any(p.in_memory for p in pieces) or sum(p.size for p in pieces) > 8:
        raise Unresolved(f"'{name}' is kept in several places at once, which pystap cannot read as a whole")
    value: Expr = Const(0)
    shift = 0
    for piece in pieces:
        assert piece.value is not None
        part: Expr = Bits(piece.value, 0, 8 * piece.size, False) if piece.size < 8 else piece.value
        value = part if shift == 0 else Binary("|", value, Binary("<<", part, Const(shift)))
        shift += 8 * piece.size
    return Place(value, False)
