"""Target accesses -> loads with their run-time operands filled in; assigned to, stores. Pretty texts -> descriptors."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

from pystap.ir import nodes as ir
from pystap.ir.effects import nodes_of
from pystap.lower.body import Core, TextPlace
from pystap.lower.marks import first_token
from pystap.syntax import ast


class Targets(Core):
    """Lowering of $variables, casts, registers and raw memory."""

    __slots__ = ()

    def access(self, e: ast.TargetAccess) -> ir.Expr:
        """Reads a target."""
        return self._filled(e.value, self._operands(e))

    def _operands(self, e: ast.TargetAccess) -> list[ir.Expr]:
        values = list(self.values(e.holes))
        uses = [n.number for n in nodes_of(e.value) if isinstance(n, ir.Hole)]
        for k, value in enumerate(values):
            if uses.count(k) > 1 and not isinstance(value, (ir.Const, ir.Temp, ir.Local)):
                values[k] = self.keep(value)  # type: ignore[arg-type]
        return values  # type: ignore[return-value]

    def _filled(self, value: ir.Expr, operands: list[ir.Expr]) -> ir.Expr:
        return fill(value, operands) if operands else value

    # --- writing (guru mode) ---

    def assign_target(self, e: ast.Assign, target: ast.TargetAccess, used: bool) -> ir.Expr:
        """$x = v   $x->y += v."""
        expressions = (*target.holes, e.value)
        *operands, value = self.values(expressions)
        place = self._filled(target.value, operands)  # type: ignore[arg-type]
        place, number = self._steady(place, value, e.operator, used)  # type: ignore[arg-type]
        if e.operator != "=":
            number = ir.Binary(e.operator[:-1], place, number, mark=first_token(e.span))
            number = self.keep(number) if used else number
        self._write(place, number, e)
        return number

    def _steady(self, place: ir.Expr, value: ir.Expr, operator: str, used: bool) -> tuple[ir.Expr, ir.Expr]:
        """Nothing that is used twice is computed twice."""
        twice = operator != "=" or isinstance(place, ir.Bits)
        if twice and isinstance(_inside(place), ir.Load):
            place = _with_address(place, self._simple(_inside(place).address))
        if used and operator == "=":
            value = self._simple(value)
        return place, value

    def _simple(self, value: ir.Expr) -> ir.Expr:
        return value if isinstance(value, (ir.Const, ir.Temp, ir.Local)) else self.keep(value)

    def step_target(self, target: ast.TargetAccess, step: int, prefix: bool) -> ir.Expr:
        """$x++ and its kin."""
        place = self.access(target)
        if isinstance(_inside(place), ir.Load):
            place = _with_address(place, self._simple(_inside(place).address))
        old = self.keep(place)
        new = self.keep(ir.Binary("+", old, ir.Const(step)))
        self._write(place, new, target)
        return new if prefix else old

    def _write(self, place: ir.Expr, value: ir.Expr, at: ast.Expr) -> None:
        match place:
            case ir.Load(address=address, size=size, space=space):
                self.emit(ir.Store(address, size, value, space, mark=first_token(at.span)))
            case ir.Bits(value=inner, offset=offset, width=width):
                self._write(inner, _merged(inner, offset, width, value), at)
            case ir.Reg(number=number, space=space):
                self.emit(ir.SetReg(number, value))
            case ir.Field(name=name):
                self.emit(ir.SetField(name, value))
            case _:
                self.refuse(at, "this target variable cannot be written")

    # --- registers and memory by number (guru mode) ---

    def raw(self, e: ast.Register | ast.Deref) -> ir.Expr:
        """@kregister(n)   @uderef(size, address)."""
        space = ir.Space.USER if e.user else ir.Space.KERNEL
        if isinstance(e, ast.Register):
            return ir.Reg(self._constant(e.number), space)
        size = self._constant(e.size)
        if size not in (1, 2, 4, 8):
            self.refuse(e, "the size must be 1, 2, 4 or 8")
        return ir.Load(self.value(e.address), size, False, space, mark=first_token(e.span))

    def _constant(self, e: ast.Expr) -> int:
        if isinstance(e, ast.Number):
            return e.value
        self.refuse(e, "a number is needed here, not an expression")

    # --- pretty texts ---

    def pretty(self, e: ast.Pretty, place: TextPlace) -> ir.Str:
        """$x$   $$vars."""
        if not e.fields:
            return ir.Literal("")
        accesses = [a for f in e.fields for a in (f.access, f.address) if a is not None]
        with self.scratch():
            values = iter(self.values(accesses))
            parts = tuple(
                ir.PrettyPart(
                    f.label,
                    self.module.descriptor(_ctype(f) if e.depth or f.access is None else None, e.depth),
                    next(values) if f.access is not None else None,  # type: ignore[arg-type]
                    next(values) if f.address is not None else None,  # type: ignore[arg-type]
                    f.bare,
                    f.joined,
                )
                for f in e.fields
            )
            self.emit(ir.Pretty(place, parts, e.depth, _space(e, parts)))
        return place


def _ctype(field: ast.PrettyField) -> object:
    access = field.address or field.access
    return access.ctype if access is not None else None


def _space(e: ast.Pretty, parts: tuple[ir.PrettyPart, ...]) -> ir.Space:
    user = any(f.user for f in e.fields) or any(_is_user(n) for part in parts for n in nodes_of(part))
    return ir.Space.USER if user else ir.Space.KERNEL


def _is_user(node: Any) -> bool:
    match node:
        case ir.Load(space=space) | ir.Reg(space=space):
            return space is ir.Space.USER
        case ir.SymbolAddress(module=module):
            return module is not None and "/" in module
        case _:
            return False


def fill(value: Any, operands: list[ir.Expr]) -> Any:
    """The expression with its holes replaced."""
    if isinstance(value, ir.Hole):
        return operands[value.number]
    if not is_dataclass(value) or isinstance(value, ir.Mark):
        return value
    changes = {}
    for f in fields(value):
        old = getattr(value, f.name)
        new = fill(old, operands)
        if new is not old:
            changes[f.name] = new
    return replace(value, **changes) if changes else value  # type: ignore[type-var]


def _inside(place: ir.Expr) -> Any:
    return place.value if isinstance(place, ir.Bits) else place


def _with_address(place: ir.Expr, address: ir.Expr) -> ir.Expr:
    if isinstance(place, ir.Bits):
        return replace(place, value=_with_address(place.value, address))
    assert isinstance(place, ir.Load)
    return replace(place, address=address)


def _merged(old: ir.Expr, offset: int, width: int, value: ir.Expr) -> ir.Expr:
    """`old` with `width` bits from `offset` on replaced."""
    mask = ((1 << width) - 1) << offset
    kept = ir.Binary("&", old, ir.Const(_signed(~mask)))
    return ir.Binary("|", kept, ir.Binary("&", ir.Binary("<<", value, ir.Const(offset)), ir.Const(_signed(mask))))


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
