"""Removes what has no effect, as stap does and says: unused assignments, expressions, statements, functions, probes.

Runs before types are decided, so that what is gone cannot fail. Warnings are given for the user's own files only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pystap.diagnostics import Diagnostics
from pystap.elaborate.effects import uses
from pystap.elaborate.program import Body, Function
from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.elaborate.tokens import token
from pystap.syntax import ast
from pystap.syntax.walk import walk

Functions = dict[tuple[str, int], list[Function]]


class Purity:
    """Which expressions and functions have no effect."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions
        self._known: dict[tuple[str, int], bool] = {}

    def pure(self, node: ast.Node) -> bool:
        """Whether evaluating an expression changes nothing."""
        return all(self._node(n) for n in walk(node))

    def _node(self, node: ast.Node) -> bool:
        match node:
            case ast.Assign() | ast.IncDec():
                return False
            case ast.Print():
                return node.to_string
            case ast.Call(name=name, arguments=arguments):
                return self.function((name, len(arguments)))
            case ast.EmbeddedExpr(code=code):
                return "/* pure */" in code or "/* stable */" in code
            case _:
                return True

    def function(self, key: tuple[str, int]) -> bool:
        """Whether calling a function changes nothing."""
        known = self._known.get(key)
        if known is None:
            self._known[key] = False  # while it is looked at: recursion may not end
            known = self._known[key] = all(self._overload(f) for f in self._functions.get(key, ()))
        return known

    def _overload(self, function: Function) -> bool:
        if isinstance(function.body, ast.EmbeddedExpr):
            return "pure" in function.tags
        local = set(function.body.locals)
        return all(self._in_function(n, local) for n in walk(function.body.block))

    def _in_function(self, node: ast.Node, local: set[str]) -> bool:
        match node:
            case ast.Assign(target=target) | ast.IncDec(target=target):
                return isinstance(target, ast.Name) and target.name in local
            case ast.Delete() | ast.While() | ast.For():
                return False
            case ast.Return() | ast.Next() | ast.Try():
                return True
            case _:
                return self._node(node)


class Elider:
    """Removes what has no effect from one body, until nothing more can go."""

    def __init__(self, purity: Purity, diagnostics: Diagnostics) -> None:
        self._purity = purity
        self._diagnostics = diagnostics
        self._unread: set[str] = set()
        self._changed = False
        self._round = 0
        self._warnings: list[tuple[int, bool, ast.Node, str]] = []

    def flush(self) -> None:
        """Gives the warnings: of each round first those of assignments, as stap goes over the program."""
        for _, _, node, text in sorted(self._warnings, key=lambda w: w[:2]):
            self._diagnostics.warn(node.span, "elided", text, token=token(node))
        self._warnings = []

    def body(self, body: Body, kept: frozenset[str] = frozenset()) -> Body:
        """The body without what has no effect; `kept` are names that count as read."""
        block = body.block
        self._round = 0
        while True:
            self._changed = False
            self._round += 1
            read, written = uses(block)
            self._unread = body.locals.keys() - read - kept
            block = self._statement(block)
            if not self._changed:
                break
        if block is body.block:
            return body
        used = read | written
        return replace(body, block=block, locals={k: v for k, v in body.locals.items() if k in used})

    def _warn(self, node: ast.Node, text: str) -> None:
        self._changed = True
        if node.span.file.is_user:
            self._warnings.append((self._round, not text.startswith("Eliding assignment"), node, text))

    # --- statements ----------------------------------------------------------------------------------

    def _statement(self, node: Any) -> Any:
        match node:
            case ast.Block():
                return self._block(node)
            case ast.ExprStmt():
                return self._expression(node)
            case ast.If():
                return self._if(rebuild(node, self._part))
            case ast.Foreach() | ast.For() | ast.While():
                return self._loop(rebuild(node, self._part))
            case ast.Try():
                return self._try(rebuild(node, self._part))
            case _:
                return rebuild(node, self._value)

    def _part(self, node: Any) -> Any:
        return self._statement(node) if isinstance(node, _STATEMENTS) else self._value(node)

    def _block(self, node: ast.Block) -> ast.Block:
        new = tuple(self._statement(s) for s in node.statements)
        kept = tuple(s for s in new if not isinstance(s, ast.Null) and not _no_statements(s))
        if len(kept) != len(node.statements):
            self._changed = self._changed or len(kept) != len(new)
        elif all(a is b for a, b in zip(kept, node.statements, strict=True)):
            return node
        return with_fields(node, {"statements": kept})

    def _expression(self, node: ast.ExprStmt) -> Any:
        value = self._value(node.value, discarded=True)
        if self._purity.pure(value):
            self._warn(_anchor(node.value), "Eliding side-effect-free expression ")
            return ast.Null(span=node.span)
        return node if value is node.value else with_fields(node, {"value": value})

    def _if(self, node: ast.If) -> Any:
        then, otherwise = node.then, node.otherwise
        if otherwise is not None and _empty(otherwise):
            self._changed = True
            node, otherwise = with_fields(node, {"otherwise": None}), None
        if not _empty(then):
            return node
        if otherwise is not None:
            self._changed = True
            inverted = ast.Unary("!", node.condition, span=node.condition.span)
            return with_fields(node, {"condition": inverted, "then": otherwise, "otherwise": None})
        if self._purity.pure(node.condition):
            self._warn(node, "Eliding side-effect-free if statement ")
            return ast.Null(span=node.span)
        self._changed = True
        return ast.ExprStmt(node.condition, span=node.span)

    def _loop(self, node: Any) -> Any:
        if not _empty(node.body) or isinstance(node, ast.Foreach):
            if isinstance(node, ast.Foreach) and _empty(node.body) and self._key_unread(node):
                self._warn(node, "Eliding side-effect-free foreach statement ")
                return ast.Null(span=node.span)
            return node
        parts = [node.condition] if isinstance(node, ast.While) else [node.init, node.condition, node.step]
        if all(p is None or self._purity.pure(p) for p in parts):
            what = "while" if isinstance(node, ast.While) else "for"
            self._warn(node, f"Eliding side-effect-free {what} statement ")
            return ast.Null(span=node.span)
        return node

    def _key_unread(self, node: ast.Foreach) -> bool:
        names = [*node.keys, *([node.value] if node.value else [])]
        plain = node.sort == 0 and (node.limit is None or self._purity.pure(node.limit))
        return plain and all(n.name in self._unread for n in names)

    def _try(self, node: ast.Try) -> Any:
        if _empty(node.body):
            self._warn(node, "Eliding empty try {} block ")
            return ast.Null(span=node.span)
        return node

    # --- expressions ---------------------------------------------------------------------------------

    def _value(self, node: Any, discarded: bool = False) -> Any:
        name = _assigned(node)
        if name not in self._unread:
            return rebuild(node, self._value)
        if isinstance(node, ast.Assign) and (node.operator == "=" or discarded):
            self._warn(node, f"Eliding assignment to '{name}'")
            return self._value(node.value, discarded)
        if discarded:
            self._warn(node, f"Eliding assignment to '{name}'")
            return ast.Number(0, span=node.span)
        return rebuild(node, self._value)


_STATEMENTS = (
    ast.Block, ast.Null, ast.ExprStmt, ast.If, ast.While, ast.For, ast.Foreach, ast.Break, ast.Continue, ast.Next,
    ast.Return, ast.Delete, ast.Try,
)  # fmt: skip


def _no_statements(node: ast.Node) -> bool:
    return isinstance(node, ast.Block) and not node.statements


def _assigned(node: Any) -> str:
    """The variable that an expression assigns, if that is what it does."""
    if isinstance(node, (ast.Assign, ast.IncDec)) and isinstance(node.target, ast.Name):
        return node.target.name
    return ""


def _empty(node: ast.Node) -> bool:
    return isinstance(node, ast.Null) or (isinstance(node, ast.Block) and all(map(_empty, node.statements)))


def empty(body: Body) -> bool:
    """Whether nothing is left of a body."""
    return _empty(body.block)


def _anchor(node: ast.Node) -> ast.Node:
    """Where stap points for an expression: its leftmost part."""
    match node:
        case ast.Binary(left=left) | ast.Compare(left=left) | ast.Logical(left=left) | ast.Assign(target=left):
            return _anchor(left)
        case _:
            return node


def reached(roots: list[ast.Node], functions: Functions) -> set[tuple[str, int]]:
    """The functions that are called from some nodes, directly or not."""
    found: set[tuple[str, int]] = set()
    pending = list(roots)
    while pending:
        for node in walk(pending.pop()):
            if not isinstance(node, ast.Call):
                continue
            key = node.name, len(node.arguments)
            if key in functions and key not in found:
                found.add(key)
                pending += [f.body.block for f in functions[key] if isinstance(f.body, Body)]
    return found
