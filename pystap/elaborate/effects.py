"""Which names a block reads and which it writes: `n++` alone writes, `x = n++` does both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pystap.syntax import ast
from pystap.syntax.walk import children


def uses(block: ast.Node) -> tuple[set[str], set[str]]:
    """(names that are read, names that are written)."""
    scan = _Uses()
    scan.look(block)
    return scan.read, scan.written


class _Uses:
    def __init__(self) -> None:
        self.read: set[str] = set()
        self.written: set[str] = set()

    def look(self, node: Any) -> None:
        """A node whose value, if it has one, is used."""
        method = _METHODS.get(type(node))
        if method is not None:
            method(self, node)
            return
        for child in children(node):
            self.look(child)

    def _all(self, *nodes: Any) -> None:
        for node in nodes:
            if node is not None:
                self.look(node)

    def _discarded(self, node: Any) -> None:
        """An expression of which only the effect counts."""
        match node:
            case ast.Assign(target=target, value=value):
                self._write(target, only=True)
                self.look(value)
            case ast.IncDec(target=target):
                self._write(target, only=True)
            case None:
                pass
            case _:
                self.look(node)

    def name(self, node: ast.Name) -> None:
        self.read.add(node.name)

    def statement(self, node: ast.ExprStmt) -> None:
        self._discarded(node.value)

    def assign(self, node: ast.Assign) -> None:
        self._write(node.target, only=node.operator in ("=", "<<<"))
        self.look(node.value)

    def step(self, node: ast.IncDec) -> None:
        self._write(node.target, only=False)

    def delete(self, node: ast.Delete) -> None:
        self._write(node.target, only=True)

    def loop(self, node: ast.For) -> None:
        self._discarded(node.init)
        self._discarded(node.step)
        self._all(node.condition, node.body)

    def foreach(self, node: ast.Foreach) -> None:
        for name in (*node.keys, *((node.value,) if node.value is not None else ())):
            self.written.add(name.name)
        self._all(node.base, *(node.slice or ()), node.limit, node.body)

    def catch(self, node: ast.Try) -> None:
        if node.message is not None:
            self.written.add(node.message.name)
        self._all(node.body, node.handler)

    def _write(self, target: Any, only: bool) -> None:
        base = target.base if isinstance(target, ast.Index) else target
        if not isinstance(base, ast.Name):
            self.look(target)
            return
        self.written.add(base.name)
        if not only:
            self.read.add(base.name)
        self._all(*getattr(target, "keys", ()))


_METHODS: dict[type, Callable[[_Uses, Any], None]] = {
    ast.Name: _Uses.name,
    ast.ExprStmt: _Uses.statement,
    ast.Assign: _Uses.assign,
    ast.IncDec: _Uses.step,
    ast.Delete: _Uses.delete,
    ast.For: _Uses.loop,
    ast.Foreach: _Uses.foreach,
    ast.Try: _Uses.catch,
}
