"""Cells of types and equalities between them, with the messages for those that cannot hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union, cast

from pystap.diagnostics import Diagnostic, Diagnostics, Severity
from pystap.elaborate.program import GlobalVariable, Type
from pystap.elaborate.tokens import token
from pystap.syntax import ast


@dataclass(slots=True, eq=False)
class Cell:
    """A type that may not be known yet, and the node at which it was first decided."""

    type: Type | None = None
    node: ast.Node | None = None
    link: Cell | None = None
    index: int | None = None  # the position of an array key or parameter, for messages

    def root(self) -> Cell:
        """The cell that speaks for all that were unified with this one."""
        here = self
        while here.link is not None:
            here = here.link
        if here is not self:
            self.link = here
        return here


T = Union[Cell, Type]


@dataclass(slots=True, eq=False)
class Shape:
    """What is known of a global's form."""

    variable: GlobalVariable
    value: Cell
    arity: int | None = None
    first: ast.Node | None = None
    keys: list[Cell] = field(default_factory=list)


class Unifier:
    """Makes cells equal; where that fails, says so and goes on."""

    def __init__(self, diagnostics: Diagnostics) -> None:
        self.diagnostics = diagnostics

    def fix(self, cell: Cell, type_: Type, node: ast.Node) -> None:
        root = cell.root()
        if root.type is None:
            root.type, root.node = type_, node
        elif root.type != type_:
            self._mismatch(root, type_, node, cell.index)

    def unify(self, a: Cell, b: Cell, node: ast.Node) -> None:
        x, y = a.root(), b.root()
        if x is y:
            return
        if x.type is not None and y.type is not None and x.type != y.type:
            self._mismatch(x, y.type, node, a.index)
            return
        if x.type is None:
            x.link = y
        else:
            y.link = x

    def agree(self, left: T, right: T, lnode: ast.Expr, rnode: ast.Expr) -> T:
        """Two sides of one type."""
        match left, right:
            case Cell() as a, Cell() as b:
                self.unify(b, a, rnode)
                return a
            case Cell() as a, str() as t:
                self.fix(a, t, lnode)
                return t
            case str() as t, Cell() as b:
                self.fix(b, t, rnode)
                return t
            case _:
                if left != right:
                    self.error(lnode, "type", f"type mismatch: expected {right} but found {left}")
                return left

    def set(self, target: T, value: T, node: ast.Expr) -> T:
        """The target takes the value's type; a conflict is reported at the target."""
        match target, value:
            case Cell() as a, Cell() as b:
                self.unify(a, b, node)
            case (Cell() as a, t) | (t, Cell() as a):
                self.fix(a, cast(Type, t), node)
            case _:
                if target != value:
                    self.error(node, "type", f"type mismatch: expected {target} but found {value}")
        return target

    def use(self, shape: Shape, arity: int, node: ast.Node) -> bool:
        if shape.arity is None:
            shape.arity, shape.first = arity, node
            shape.keys = [Cell(index=i) for i in range(arity)]
        elif shape.arity != arity:
            assert shape.first is not None
            self._arity(shape, arity, shape.arity, node, shape.first)
            return False
        return True

    # --- messages ------------------------------------------------------------------------------------

    def error(self, node: ast.Node, code: str, text: str, cause: Diagnostic | None = None) -> None:
        self.diagnostics.error(node.span, code, text, token=token(node), cause=cause)

    def _mismatch(self, root: Cell, type_: Type, node: ast.Node, index: int | None) -> None:
        if isinstance(root.node, (ast.Parameter, ast.Function)):  # what was declared needs no second place
            self.error(node, "type", f"type mismatch: expected {type_} but found {root.type}")
            return
        where = "" if index is None else f"index {index} "
        of_index = "" if index is None else f" of index {index}"
        cause = None
        if root.node is not None:
            text = f"type{of_index} was first inferred here ({root.type})"
            cause = Diagnostic(Severity.SEMANTIC, "first", text, root.node.span, token(root.node))
        self.error(node, "type", f"{where}type mismatch ({type_})", cause)

    def _arity(self, shape: Shape, arity: int, first: int, node: ast.Node, first_node: ast.Node) -> None:
        cause = Diagnostic(
            Severity.SEMANTIC, "first", f"arity {first} first inferred here", first_node.span, token(first_node)
        )
        self.error(node, "arity", f"inconsistent arity ({first} vs {arity})", cause)


def shape_of(variable: GlobalVariable) -> Shape:
    cell = Cell()
    initial = variable.declaration.initializer
    if initial is not None:
        cell.type = "string" if isinstance(initial, ast.String) else "long"
        cell.node = variable.declaration
    return Shape(variable, cell)
