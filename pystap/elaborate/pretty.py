"""`$x$`, `$x$$`, `$$vars`, `$$parms`, `$$locals`, `$$return` -> ast.Pretty: labels and accesses, no code per member.

Only a struct that lies in registers is taken apart here, member by member; what is in memory is left to pretty.h.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from pystap.debuginfo.api import Kind, Scope
from pystap.debuginfo.ctype import (
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Member,
    Pointer,
    Struct,
    Void,
    shown_members,
    strip,
)
from pystap.diagnostics import Unresolved
from pystap.elaborate.targetvars import Path, Place
from pystap.ir import nodes as ir
from pystap.syntax import ast

_KINDS: dict[str, Kind] = {"$vars": "vars", "$parms": "parms", "$locals": "locals"}
_SHOWN_ITEMS = 32  # as pretty.h
Collective = Literal["$vars", "$parms", "$locals", "$return"]
Fields = tuple[ast.PrettyField, ...]


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
    fields = tuple(each for name in names for each in _named(name, scope, node))
    return ast.Pretty(fields, node.pretty, span=node.span)


def lone(path: Path, node: ast.TargetVar) -> ast.Pretty:
    """`$x->y$`: one value without a name."""
    return ast.Pretty(_fields("", path, node), node.pretty, span=node.span)


def _named(name: str, scope: Scope, node: ast.TargetVar) -> Fields:
    label = f"{name}="
    try:
        path = Path(Place.of(scope.lookup(name), scope.space), mark=ir.Mark(node.span, f"identifier '${name}'"))
        return _fields(label, path, node)
    except Unresolved:
        return (ast.PrettyField(label, None, span=node.span),)


def _fields(label: str, path: Path, node: ast.TargetVar) -> Fields:
    """One value: pointers are followed to what they point at, as far as it goes."""
    if node.pretty:
        path.place = _chased(path)
    place = path.place
    ctype = strip(place.type)
    match ctype:
        case Struct() | Array() if not node.pretty or not _is_known(ctype):
            return (_bare(label + ("[...]" if isinstance(ctype, Array) else "{...}"), node),)
        case Struct() if not place.in_memory:
            taken = _Taken(node, path, label)
            taken.struct(place)
            return taken.finished()
        case Pointer(target=target) if node.pretty and isinstance(strip(target.get()), FunctionType):
            label += "<function>:"
        case _ if node.pretty and place.in_memory and not (place.bit_size or isinstance(ctype, Pointer)):
            return (_by_address(label, path, place, node),)
        case Float() if node.pretty:
            return (ast.PrettyField(label, None, span=node.span),)
        case _:
            pass
    return (ast.PrettyField(label, path.read(), user=place.space is ir.Space.USER, span=node.span),)


def _chased(path: Path) -> Place:
    """Where pointers to structs and arrays end. Others are shown themselves: those of numbers as such numbers."""
    place = path.place
    while isinstance(pointer := strip(place.type), Pointer):
        target = strip(pointer.target.get())
        if isinstance(target, (Void, FunctionType)) or (isinstance(target, Int) and target.kind in ("char", "utf")):
            break
        place = path.pointee(place, pointer)
    number = strip(place.type)
    if place is path.place or not isinstance(number, (Int, Enum)):
        return place
    return replace(path.place, type=Int("long", 8, number.signed))


def _is_known(ctype: CType) -> bool:
    return not isinstance(ctype, Struct) or ctype.complete


def _by_address(label: str, path: Path, place: Place, node: ast.Node) -> ast.PrettyField:
    access = ast.TargetAccess(place.value, tuple(path.holes), place.type, span=node.span)
    return ast.PrettyField(label, None, access, user=place.space is ir.Space.USER, span=node.span)


def _bare(text: str, node: ast.Node) -> ast.PrettyField:
    return ast.PrettyField(text, None, bare=True, span=node.span)


@dataclass(slots=True)
class _Taken:
    """A struct in registers, or in several places, that is taken apart: `{.a=`, a value, `, .b=`, and so on."""

    node: ast.TargetVar
    path: Path
    text: str  # what goes before the next value
    fields: list[ast.PrettyField] = field(default_factory=list)

    def finished(self) -> Fields:
        if self.text:
            self.fields.append(replace(_bare(self.text, self.node), joined=bool(self.fields)))
        return tuple(self.fields)

    def struct(self, place: Place) -> None:
        struct = strip(place.type)
        assert isinstance(struct, Struct)
        self.text += "{"
        for at, (way, member) in enumerate(shown_members(struct)):
            self.text += ", " if at else ""
            if len(self.fields) >= _SHOWN_ITEMS:
                self.text += "..."
                break
            self.text += f".{member.name}=" if member.name else unnamed(strip(member.type.get()))
            try:
                self._member(place, (*way, member))
            except Unresolved:
                self.text += "?"
        self.text += "}"

    def _member(self, place: Place, way: tuple[Member, ...]) -> None:
        for member in way:
            place = self.path.inside(place, member)
        ctype = strip(place.type)
        match ctype:
            case Struct() | Array() if self.node.pretty < 2:
                self.text += "[...]" if isinstance(ctype, Array) else "{...}"
            case Struct() | Array() if place.in_memory:
                self._shown(_by_address(self.text, self.path, place, self.node))
            case Struct():
                self.struct(place)
            case Int() | Enum() | Pointer():
                value = replace(self.path, place=place).read()
                self._shown(ast.PrettyField(self.text, value, user=place.space is ir.Space.USER, span=self.node.span))
            case _:
                self.text += "?"

    def _shown(self, shown: ast.PrettyField) -> None:
        self.fields.append(replace(shown, joined=bool(self.fields)))
        self.text = ""


def unnamed(ctype: CType) -> str:
    """What stands for the name of a member that has none."""
    return "<union>=" if isinstance(ctype, Struct) and ctype.kind == "union" else "<class>="
