"""`$x$`, `$x$$`, `$$vars`, `$$parms`, `$$locals`, `$$return` -> ast.Pretty: labels and accesses, no code per member."""

from __future__ import annotations

from typing import Literal

from pystap.debuginfo.api import Kind, Scope
from pystap.debuginfo.ctype import Array, CType, Pointer, Struct, Void, strip
from pystap.diagnostics import Unresolved
from pystap.elaborate.targetvars import Path, Place
from pystap.ir import nodes as ir
from pystap.syntax import ast

_KINDS: dict[str, Kind] = {"$vars": "vars", "$parms": "parms", "$locals": "locals"}
Collective = Literal["$vars", "$parms", "$locals", "$return"]


def is_collective(name: str) -> bool:
    """Whether `$name` lists variables: `$$vars` and its kin."""
    return name in _KINDS or name == "$return"


def collective(node: ast.TargetVar, scope: Scope) -> ast.Expr:
    """`$$vars` and the like, at a scope."""
    if node.name == "$return":
        names: tuple[str, ...] = ("return",)
        if scope.result() is None:
            return ast.String("", span=node.span)
    else:
        names = scope.names(_KINDS[node.name])
    fields = tuple(_named(name, scope, node) for name in names)
    return ast.Pretty(fields, node.pretty, span=node.span)


def lone(path: Path, node: ast.TargetVar) -> ast.Pretty:
    """`$x->y$`: one value without a name."""
    return ast.Pretty((_field("", path, node.pretty, node),), node.pretty, span=node.span)


def _named(name: str, scope: Scope, node: ast.TargetVar) -> ast.PrettyField:
    label = f"{name}="
    try:
        path = Path(Place.of(scope.lookup(name), scope.space), mark=ir.Mark(node.span, f"identifier '${name}'"))
        return _field(label, path, node.pretty, node)
    except Unresolved:
        return ast.PrettyField(label, None, span=node.span)


def _field(label: str, path: Path, depth: int, node: ast.Node) -> ast.PrettyField:
    place = path.place
    ctype = strip(place.type)
    if isinstance(ctype, (Struct, Array)):
        return _by_address(label, path, place.value, place, node)
    if depth and isinstance(ctype, Pointer) and _opened(ctype):
        target = ctype.target.get()
        value = path.read().value
        return _by_address(label, path, value, Place(value, target, True, place.space), node)
    return ast.PrettyField(label, path.read(), user=place.space is ir.Space.USER, span=node.span)


def _opened(pointer: Pointer) -> bool:
    """Whether printing a pointer shows what it points at: structs and unions that are known."""
    target = strip(pointer.target.get())
    return isinstance(target, Struct) and target.complete and not isinstance(target, Void)


def _by_address(label: str, path: Path, address: ir.Expr, place: Place, node: ast.Node) -> ast.PrettyField:
    if not place.in_memory:
        raise Unresolved("a struct passed by value is not in memory")
    ctype: CType = place.type
    access = ast.TargetAccess(address, tuple(path.holes), ctype, span=node.span)
    return ast.PrettyField(label, None, access, user=place.space is ir.Space.USER, span=node.span)
