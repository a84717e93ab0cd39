"""`$x->a[i].b`, @cast, @var, remembered pointers and `&`: a root and steps over C types -> ast.TargetAccess.

The only reader of `->` and `[ ]` on target things, for every probe family. What cannot be had raises Unresolved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pystap.debuginfo.api import Part, Root
from pystap.debuginfo.ctype import (
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Lazy,
    Member,
    Pointer,
    Struct,
    Void,
    find_member,
    member_names,
    size_of,
    spell,
    strip,
)
from pystap.diagnostics import Unresolved
from pystap.elaborate.inner import inner_member
from pystap.elaborate.nearest import nearest
from pystap.ir import nodes as ir
from pystap.source import Span
from pystap.syntax import ast

_LOADABLE = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Place:
    """A value on the way along a path: `value` is the address of its memory, or the value itself."""

    value: ir.Expr
    type: CType
    in_memory: bool
    space: ir.Space
    bit_offset: int = 0
    bit_size: int = 0  # 0: not a bitfield
    parts: tuple[Part, ...] = ()  # of a value that is in several places at once
    target: Callable[[], Root] | None = None  # of a pointer that was optimized out: what it points at

    @classmethod
    def of(cls, root: Root, space: ir.Space) -> Place:
        """Where a scope's variable begins."""
        return cls(root.value, root.type, root.in_memory, space, parts=root.parts, target=root.target)

    def pointed(self, ctype: CType) -> Place | None:
        """What an optimized-out pointer points at, as a type; None for pointers that have a value."""
        return None if self.target is None else replace(Place.of(self.target(), self.space), type=ctype)


@dataclass(slots=True)
class Path:
    """Walks the steps of one expression; run-time indexes become holes."""

    place: Place
    holes: list[ast.Expr] = field(default_factory=list)
    mark: ir.Mark = field(default_factory=ir.Mark)
    last: Span | None = None  # of the last step taken

    def walk(self, steps: tuple[ast.Step, ...]) -> None:
        """Takes every step in turn."""
        for step in steps:
            self.last = step.span
            match step:
                case ast.Member():
                    self.place = self._member(step)
                case ast.Element():
                    self.place = self._element(step)

    def address(self) -> ast.TargetAccess:
        """`&path`: the address of the memory that the path ends in."""
        place = self.place
        if not place.in_memory:
            raise Unresolved("cannot take the address of a value that is not in memory")
        if place.bit_size:
            raise Unresolved("cannot take the address of a bit-field")
        return self._access(place.value, Pointer(Lazy.of(place.type)))

    def read(self) -> ast.TargetAccess:
        """The path's value as a number."""
        return self._access(self._load(self.place), self.place.type)

    def _access(self, value: ir.Expr, ctype: CType) -> ast.TargetAccess:
        return ast.TargetAccess(value, tuple(self.holes), ctype, span=self.mark.span)

    def _member(self, step: ast.Member) -> Place:
        place = self._follow(self.place, step)
        struct = strip(place.type)
        if not isinstance(struct, Struct):
            raise Unresolved(f"invalid access '->{step.name}' vs '{spell(place.type)}'", span=step.span)
        way = find_member(struct, step.name)
        if way is None:
            raise _no_member(struct, step)
        for member in way:
            place = self.inside(place, member, step.span)
        return place

    def inside(self, place: Place, member: Member, span: Span | None = None) -> Place:
        """One member (or base class) of a struct."""
        if member.virtual:
            return self._virtual_base(place, member)
        if not place.in_memory:
            return by_value(place, member.offset_bits, member, span)
        address = add(place.value, member.offset_bits // 8)
        bits = (member.offset_bits % 8, member.bit_size) if member.bit_size else (0, 0)
        return Place(address, member.type.get(), True, place.space, *bits)

    def _virtual_base(self, place: Place, member: Member) -> Place:
        """A virtual base lies where the object's vtable says."""
        if not place.in_memory:
            raise Unresolved("a virtual base class can be found in memory only")
        vtable = ir.Load(place.value, 8, False, place.space, mark=self.mark)
        offset = ir.Load(add(vtable, -member.virtual), 8, True, place.space, mark=self.mark)
        return Place(ir.Binary("+", place.value, offset), member.type.get(), True, place.space)

    def _follow(self, place: Place, step: ast.Step) -> Place:
        """Through pointers, to pointers too, and references, to what they point at."""
        while isinstance(ctype := strip(place.type), Pointer):
            if isinstance(strip(ctype.target.get()), Void):
                raise Unresolved(f"invalid access '{_shown(step)}' vs 'void*'", span=step.span)
            place = self.pointee(place, ctype)
        return place

    def pointee(self, place: Place, pointer: Pointer) -> Place:
        """What a pointer or reference points at."""
        target = pointer.target.get()
        return place.pointed(target) or Place(self._load(place), target, True, place.space)

    def _element(self, step: ast.Element) -> Place:
        place = self.place
        ctype = strip(place.type)
        if isinstance(ctype, Pointer) and ctype.reference:
            place = self.pointee(place, ctype)
            ctype = strip(place.type)
        match ctype:
            case Array(element=element):
                base, inner = place, element.get()
            case Pointer(target=target):
                inner = target.get()
                base = place.pointed(inner) or Place(self._load(place), inner, True, place.space)
            case _:
                raise Unresolved(f"invalid access '{_shown(step)}' vs '{spell(place.type)}'", span=step.span)
        size = size_of(inner)
        if not size:
            raise Unresolved(f"cannot index '{spell(place.type)}': its elements have no known size", span=step.span)
        if base.in_memory:
            return Place(self._scaled(base.value, step.index, size), inner, True, place.space)
        if not isinstance(step.index, ast.Number):
            raise Unresolved("an array that is not in memory has elements by constant numbers only", span=step.span)
        return by_value(
            base, 8 * size * step.index.value, Member(f"[{step.index.value}]", Lazy.of(inner), 0), step.span
        )

    def _array_base(self, place: Place, step: ast.Step) -> ir.Expr:
        if not place.in_memory:
            raise Unresolved("cannot index an array that is not in memory", span=step.span)
        return place.value

    def _scaled(self, base: ir.Expr, index: ast.Expr, size: int) -> ir.Expr:
        if isinstance(index, ast.Number):
            return add(base, index.value * size)
        hole: ir.Expr = ir.Hole(len(self.holes))
        self.holes.append(index)
        return ir.Binary("+", base, ir.Binary("*", hole, ir.Const(size)) if size != 1 else hole)

    def _load(self, place: Place) -> ir.Expr:
        ctype = strip(place.type)
        if place.target is not None:
            return self._optimized_out(place)
        if place.parts and isinstance(ctype, (Int, Enum, Pointer)):
            place = by_value(place, 0, Member("it", Lazy.of(place.type), 0))
        match ctype:
            case Int(size=size, signed=signed) | Enum(size=size, signed=signed):
                return self._number(place, size, signed)
            case Pointer(size=size):
                return self._number(place, size, size == 8)
            case Array():
                return self._array_base(place, ast.Member(""))
            case Struct():
                raise _whole(ctype, self.last)
            case Float(size=size):  # its bits, which fp_to_string() and its kin take
                return self._number(place, size, False)
            case FunctionType() if place.in_memory:
                return place.value
            case _:
                raise Unresolved(f"cannot read a value of type '{spell(place.type)}'")

    def _optimized_out(self, place: Place) -> ir.Expr:
        """A pointer that was optimized out has a value where what it points at is in memory after all."""
        pointed = place.pointed(place.type)
        if pointed is None or not pointed.in_memory:
            raise Unresolved("it points to something that is kept in no memory (DW_OP_implicit_pointer)")
        return pointed.value

    def _number(self, place: Place, size: int, signed: bool) -> ir.Expr:
        if size not in _LOADABLE:
            what = "cannot process >64-bit values" if size > 8 else f"unsupported size {size}"
            raise Unresolved(f"{what}: '{spell(place.type)}'")
        if not place.in_memory:
            return _narrow(place.value, size, signed)
        if not place.bit_size:
            return ir.Load(place.value, size, signed, place.space, mark=self.mark)
        load = ir.Load(place.value, _bit_unit(place), False, place.space, mark=self.mark)
        return ir.Bits(load, place.bit_offset, place.bit_size, signed)


def by_value(place: Place, offset: int, member: Member, span: Span | None = None) -> Place:
    """A member of what is in registers: the bits of it, or those of its parts that hold them."""
    inner = member.type.get()
    bits = member.bit_size or 8 * size_of(inner)
    if not place.parts:
        if not 0 <= offset <= 64 - bits:
            raise Unresolved(f"'{member.name}' is not within the value that is known here", span=span)
        return Place(_bits(place.value, offset, bits, inner), inner, False, place.space)
    for part in place.parts:
        start = 8 * part.offset
        if start <= offset and offset + bits <= start + 8 * part.size:
            return _in_part(part, offset - start, bits, member, place.space, span)
    low, high = offset // 8, (offset + bits) // 8
    covered = [replace(p, offset=p.offset - low) for p in place.parts if low <= p.offset and p.offset + p.size <= high]
    if isinstance(strip(inner), (Struct, Array)) and covered:
        return Place(ir.Const(0), inner, False, place.space, parts=tuple(covered))
    if sum(p.size for p in covered) * 8 == bits <= 64:
        return Place(_joined(covered, member, place.space, span), inner, False, place.space)
    raise Unresolved(f"'{member.name}' is kept in several places at once", span=span)


def _joined(parts: list[Part], member: Member, space: ir.Space, span: Span | None) -> ir.Expr:
    """A number whose bytes are in several places."""
    value: ir.Expr = ir.Const(0)
    for part in parts:
        if part.value is None:
            raise Unresolved(f"'{member.name}' was partly optimized out here", span=span)
        bits = ir.Load(part.value, part.size, False, space) if part.in_memory else part.value
        bits = ir.Bits(bits, 0, 8 * part.size, False)
        value = ir.Binary("|", value, ir.Binary("<<", bits, ir.Const(8 * part.offset)))
    return value


def _in_part(part: Part, offset: int, bits: int, member: Member, space: ir.Space, span: Span | None) -> Place:
    inner = member.type.get()
    if part.target is not None:
        return Place(ir.Const(0), inner, False, space, target=part.target)
    if part.value is None:
        raise Unresolved(f"'{member.name}' was optimized out here", span=span)
    if part.in_memory:
        field = (offset % 8, member.bit_size) if member.bit_size else (0, 0)
        return Place(add(part.value, offset // 8), inner, True, space, *field)
    return Place(_bits(part.value, offset, bits, inner), inner, False, space)


def _bits(value: ir.Expr, offset: int, width: int, ctype: CType) -> ir.Expr:
    plain = strip(ctype)
    return value if (offset, width) == (0, 64) else ir.Bits(value, offset, width, getattr(plain, "signed", False))


def _bit_unit(place: Place) -> int:
    """The bytes of the smallest load that covers a bitfield."""
    for unit in _LOADABLE:
        if place.bit_offset + place.bit_size <= unit * 8:
            return unit
    raise Unresolved("a bit-field that straddles eight bytes cannot be read")


def _narrow(value: ir.Expr, size: int, signed: bool) -> ir.Expr:
    if size == 8 or (isinstance(value, ir.Load) and value.size == size):
        return value
    if isinstance(value, ir.Bits) and value.width == size * 8 and not value.offset:
        return value
    return ir.Bits(value, 0, size * 8, signed)


def space_of(value: ir.Expr) -> ir.Space:
    """Which memory a value came from, and so which its pointer points into."""
    pending: list[Any] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, (ir.Load, ir.Reg)):
            return node.space
        if isinstance(node, ir.Binary):
            pending += [node.left, node.right]
        elif isinstance(node, ir.Bits):
            pending.append(node.value)
    return ir.Space.KERNEL


def add(address: ir.Expr, offset: int) -> ir.Expr:
    """address + offset, folded where both are known."""
    if not offset:
        return address
    if isinstance(address, ir.Binary) and address.operator == "+" and isinstance(address.right, ir.Const):
        return ir.Binary("+", address.left, ir.Const(address.right.value + offset))
    if isinstance(address, ir.Const):
        return ir.Const(address.value + offset)
    return ir.Binary("+", address, ir.Const(offset))


def cast_root(operand: ir.Expr, named: CType, space: ir.Space) -> Place:
    """@cast(operand, "named"): the operand points to the named type, or is of that type where it is a pointer."""
    ctype = named if isinstance(strip(named), Pointer) else Pointer(Lazy.of(named))
    return Place(operand, ctype, False, space)


def _describe(struct: Struct) -> str:
    return f"{struct.kind} {struct.name or '<anonymous>'}"


def _shown(step: ast.Step) -> str:
    return f"->{step.name}" if isinstance(step, ast.Member) else "[]"


def _no_member(struct: Struct, step: ast.Member) -> Unresolved:
    if not struct.complete:
        return Unresolved(f"{_describe(struct)} has no known members here: only its name is", span=step.span)
    names = member_names(struct)
    near = nearest(step.name, names, limit=len(names))
    ordered = (*near, *(n for n in names if n not in near))
    text = f"unable to find member '{step.name}' for {_describe(struct)}"
    if ordered:
        text += f" (alternatives: {', '.join(ordered)})"
    inner = inner_member(struct, step.name)
    hint = f"within {_describe(struct)} there is ->{inner}" if inner else ""
    return Unresolved(text, hint=hint, span=step.span)


def _whole(struct: Struct, span: Span | None) -> Unresolved:
    where = f" ({struct.declared})" if struct.declared else ""
    names = member_names(struct)
    such = f" such as '->{names[0]}'" if names else ""
    return Unresolved(f"'{_describe(struct)}'{where} is being accessed instead of a member{such}", span=span)
