"""Constants, dead branches, and (through a Resolver) target variables and @defined: a body -> a body without them.

The order matters and is written here once: conditions before branches. What @defined or @probewrite decides is folded
first, so that names in its dead branch are never looked up; branches that are dead for a constant's sake are code like
any other until types are decided (`dead=True`), since stap refuses what is wrong in them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeGuard

from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.syntax import ast
from pystap.syntax.walk import walk

_LOW = -(1 << 63)
_MASK = (1 << 64) - 1


class Resolver(Protocol):
    """Decides what a target expression means at one site."""

    def target(self, node: Any, fold: Callable[[Any], Any]) -> ast.Expr:
        """The replacement of a TargetVar, Cast, AtVar, AtEnum, AtEnumName, AtConst or Entry (or the node itself)."""
        ...

    def defined(self, node: ast.Defined, fold: Callable[[Any], Any]) -> ast.Expr:
        """1 or 0."""
        ...

    def assigned(self, node: Any, fold: Callable[[Any], Any]) -> Any:
        """An Assign or IncDec whose target is a target expression."""
        ...


    def called(self, node: ast.Call, fold: Callable[[Any], Any]) -> ast.Expr:
        """A call, its arguments folded: of a function with $variables, of the site's own copy of it."""
        ...


TARGETS = (ast.TargetVar, ast.Cast, ast.AtVar, ast.AtEnum, ast.AtEnumName, ast.AtConst, ast.Entry)
_WRITTEN = (ast.TargetVar, ast.AtVar)


class Folder:
    """One walk over one body."""

    def __init__(self, resolver: Resolver | None, dead: bool = False) -> None:
        self._resolver = resolver
        self._dead = dead

    def _decides(self, original: ast.Expr, folded: ast.Expr) -> TypeGuard[ast.Number]:
        """Whether a condition is a constant by which branches go already."""
        if not isinstance(folded, ast.Number):
            return False
        return self._dead or any(isinstance(n, (ast.Defined, ast.ProbeWrite)) for n in walk(original))

    def __call__(self, node: Any) -> Any:
        """The folded node."""
        method = _METHODS.get(type(node))
        return rebuild(node, self) if method is None else method(self, node)

    def target(self, node: Any) -> Any:
        return node if self._resolver is None else self._resolver.target(node, self)

    def defined(self, node: ast.Defined) -> Any:
        return node if self._resolver is None else self._resolver.defined(node, self)

    def call(self, node: ast.Call) -> Any:
        node = rebuild(node, self)
        return node if self._resolver is None else self._resolver.called(node, self)

    def write(self, node: ast.Assign | ast.IncDec) -> Any:
        if self._resolver is not None and isinstance(node.target, _WRITTEN):
            return self._resolver.assigned(node, self)
        return rebuild(node, self)

    def binary(self, node: ast.Binary) -> Any:
        node = rebuild(node, self)
        left, right = node.left, node.right
        if isinstance(left, ast.Number) and isinstance(right, ast.Number):
            value = arithmetic(node.operator, left.value, right.value)
            return node if value is None else ast.Number(value, span=left.span)
        if isinstance(left, ast.String) and isinstance(right, ast.String) and node.operator == ".":
            return ast.String(left.value + right.value, span=left.span)
        return node

    def compare(self, node: ast.Compare) -> Any:
        node = rebuild(node, self)
        match node.left, node.right:
            case (ast.Number(value=left), ast.Number(value=right)):
                return _truth(_COMPARE[node.operator](left, right), node)
            case (ast.String(value=left), ast.String(value=right)):
                return _truth(_COMPARE[node.operator](left, right), node)
            case _:
                return node

    def unary(self, node: ast.Unary) -> Any:
        node = rebuild(node, self)
        if isinstance(node.operand, ast.Number):
            return ast.Number(_UNARY[node.operator](node.operand.value), span=node.span)
        return node

    def logical(self, node: ast.Logical) -> Any:
        left = self(node.left)
        decides = node.operator == "||"
        if self._decides(node.left, left):
            if bool(left.value) is decides:
                return _truth(decides, node)
            right = self(node.right)
            if isinstance(right, ast.Number):
                return _truth(bool(right.value), node)
            return with_fields(node, {"left": left, "right": right})
        right = self(node.right)
        return node if left is node.left and right is node.right else with_fields(node, {"left": left, "right": right})

    def ternary(self, node: ast.Ternary) -> Any:
        condition = self(node.condition)
        if self._decides(node.condition, condition):
            return self(node.then if condition.value else node.otherwise)
        then, otherwise = self(node.then), self(node.otherwise)
        if condition is node.condition and then is node.then and otherwise is node.otherwise:
            return node
        return with_fields(node, {"condition": condition, "then": then, "otherwise": otherwise})

    def branch(self, node: ast.If) -> Any:
        condition = self(node.condition)
        if self._decides(node.condition, condition):
            chosen = node.then if condition.value else node.otherwise
            return ast.Null(span=node.span) if chosen is None else self(chosen)
        then = self(node.then)
        otherwise = None if node.otherwise is None else self(node.otherwise)
        if condition is node.condition and then is node.then and otherwise is node.otherwise:
            return node
        return with_fields(node, {"condition": condition, "then": then, "otherwise": otherwise})

    def loop(self, node: ast.While) -> Any:
        condition = self(node.condition)
        if self._decides(node.condition, condition) and not condition.value:
            return ast.Null(span=node.span)
        return with_fields(node, {"condition": condition, "body": self(node.body)})

    def block(self, node: ast.Block) -> Any:
        kept: list[Any] = []
        for statement in node.statements:
            new = self(statement)
            if not isinstance(new, ast.Null) or new is statement:
                kept.append(new)
            if self._dead and isinstance(new, (ast.Next, ast.Return, ast.Break, ast.Continue)):
                break
        same = len(kept) == len(node.statements) and all(a is b for a, b in zip(kept, node.statements, strict=True))
        return node if same else with_fields(node, {"statements": tuple(kept)})

    def statement(self, node: ast.ExprStmt) -> Any:
        value = self(node.value)
        return node if value is node.value else with_fields(node, {"value": value})


_METHODS: dict[type, Callable[[Folder, Any], Any]] = {
    ast.Binary: Folder.binary,
    ast.Compare: Folder.compare,
    ast.Unary: Folder.unary,
    ast.Logical: Folder.logical,
    ast.Ternary: Folder.ternary,
    ast.If: Folder.branch,
    ast.While: Folder.loop,
    ast.Block: Folder.block,
    ast.ExprStmt: Folder.statement,
    ast.Assign: Folder.write,
    ast.IncDec: Folder.write,
    ast.Defined: Folder.defined,
    ast.Call: Folder.call,
    **dict.fromkeys(TARGETS, Folder.target),
}


def _truth(value: bool, node: ast.Node) -> ast.Number:
    return ast.Number(int(value), span=node.span)


def signed(value: int) -> int:
    """A number wrapped to signed 64 bits."""
    value &= _MASK
    return value - (1 << 64) if value >> 63 else value


def arithmetic(operator: str, a: int, b: int) -> int | None:
    """`a operator b` in the script's 64-bit arithmetic; None where it fails at run time or is none."""
    if operator in "/%" and b == 0:
        return None
    function = _ARITHMETIC.get(operator)
    return None if function is None else signed(function(a, b))


def _quotient(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _quotient,
    "%": lambda a, b: a - _quotient(a, b) * b,
    "<<": lambda a, b: a << (b & 63),
    ">>": lambda a, b: a >> (b & 63),
    ">>>": lambda a, b: (a & _MASK) >> (b & 63),
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}
_UNARY: dict[str, Callable[[int], int]] = {
    "-": lambda a: signed(-a),
    "+": lambda a: a,
    "~": lambda a: ~a,
    "!": lambda a: int(not a),
}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
