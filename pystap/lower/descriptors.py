"""C types -> the descriptor table that runtime/pretty.h walks; equal types are one row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import assert_never

from pystap.debuginfo.ctype import (
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Member,
    Pointer,
    Qualified,
    Struct,
    Typedef,
    Void,
    shown_members,
    size_of,
    strip,
)
from pystap.ir import nodes as ir

# At most 32 items are printed, so what stands behind that many simple members is never looked at.
SHOWN_ITEMS = 32
_UNKNOWN = ir.Descriptor("unknown")


@dataclass(slots=True)
class Descriptors:
    """The table under construction."""

    rows: list[ir.Descriptor] = field(default_factory=list)
    _index: dict[ir.Descriptor, int] = field(default_factory=dict)
    _known: dict[tuple[int, bool], int] = field(default_factory=dict)
    _alive: list[CType] = field(default_factory=list)  # keeps the ids in _known meaningful

    def of(self, ctype: CType | None, depth: int) -> int:
        """The row of a type; structs inside a struct are described when `depth` opens them (2: all of them)."""
        return self._row(ctype, 0 if depth == 0 else 1 if depth == 1 else 99)

    def _row(self, ctype: CType | None, levels: int) -> int:
        if ctype is None:
            return self._add(ir.Descriptor("int", 8))
        ctype = strip(ctype)
        key = (id(ctype), levels > 0 if levels in (0, 99) else False)
        composite = isinstance(ctype, (Struct, Array)) and levels != 1
        if composite and key in self._known:
            return self._known[key]
        row = self._add(self._describe(ctype, levels))
        if composite:
            self._known[key] = row
            self._alive.append(ctype)
        return row

    def _add(self, row: ir.Descriptor) -> int:
        found = self._index.get(row)
        if found is None:
            found = self._index[row] = len(self.rows)
            self.rows.append(row)
        return found

    def _describe(self, ctype: CType, levels: int) -> ir.Descriptor:
        match ctype:
            case Int():
                return _number(ctype)
            case Enum(size=size, signed=signed):
                return ir.Descriptor("int" if signed else "uint", size)
            case Float(size=size):
                return ir.Descriptor("float", size)
            case Pointer(size=size, target=target):
                return ir.Descriptor("string" if is_text(strip(target.get())) else "pointer", size)
            case Array(count=count):
                inner, rows = _flat(ctype)
                return ir.Descriptor("array", size_of(inner), self._row(inner, levels), rows * (count or 0))
            case Struct():
                return self._struct(ctype, levels)
            case Void() | FunctionType():
                return _UNKNOWN
            case Typedef() | Qualified():
                raise AssertionError("strip() leaves no such type")
            case _:
                assert_never(ctype)

    def _struct(self, struct: Struct, levels: int) -> ir.Descriptor:
        kind = "union" if struct.kind == "union" else "struct"
        if not levels:
            return ir.Descriptor(kind, struct.size)
        inner = levels if levels == 99 else levels - 1
        members = tuple(self._member(m, way, inner) for way, m in _shown(struct))
        return ir.Descriptor(kind, struct.size, members=members)

    def _member(self, member: Member, way: tuple[Member, ...], levels: int) -> ir.DescribedMember:
        ctype = member.type.get()
        row = self._row(ctype, levels)
        before, virtual = _bases(way)
        if not member.bit_size:
            return member.name, row, before + member.offset_bits // 8, 0, 0, virtual
        unit = size_of(ctype) * 8 or 8
        start = member.offset_bits // unit * unit
        if member.offset_bits + member.bit_size > start + unit:  # packed: reaches over its unit
            start = member.offset_bits // 8 * 8
        return member.name, row, before + start // 8, member.offset_bits - start, member.bit_size, virtual


def _shown(struct: Struct) -> Iterator[tuple[tuple[Member, ...], Member]]:
    """The members that can be reached, and one more, for the dots."""
    items = 0
    for way, member in shown_members(struct):
        yield way, member
        if items == SHOWN_ITEMS:
            return
        items += isinstance(strip(member.type.get()), (Int, Enum, Pointer))


def _bases(way: tuple[Member, ...]) -> tuple[int, tuple[tuple[int, int], ...]]:
    """Where the last of some base classes lies: bytes after the last virtual one of them, and those."""
    offset, virtual = 0, []
    for base in way:
        if base.virtual:
            virtual.append((offset, base.virtual))
            offset = 0
        else:
            offset += base.offset_bits // 8
    return offset, tuple(virtual)


def _flat(array: Array) -> tuple[CType, int]:
    """An array of arrays as stap shows it: as one of their elements. (element, how many in each of its own)"""
    inner, count = array.element.get(), 1
    while isinstance(inner, Array):
        count *= inner.count or 0
        inner = inner.element.get()
    return inner, count


def _number(ctype: Int) -> ir.Descriptor:
    if ctype.size > 8:
        return _UNKNOWN
    if ctype.kind in ("char", "utf"):
        return ir.Descriptor("char", ctype.size)
    return ir.Descriptor("int" if ctype.signed else "uint", ctype.size)


def is_text(ctype: CType) -> bool:
    """Whether what points at the type points at a string."""
    return isinstance(ctype, Int) and ctype.kind in ("char", "utf")
