"""Which names a block reads and which it writes: `n++` alone writes, `x = n++` does both."""

from __future__ import annotations

from typing import Any

from pystap.syntax import ast
from pystap.syntax.walk import children


def uses(block: ast.Node) -> tuple[set[str], set[str]]:
    """(names that are read, names that are written)."""
    scan = _Uses()
    scan.look(block, False)
    return scan.read, scan.written


class _Uses:
    def __init__(self) -> None:
        self.read: set[str] = set()
        self.written: set[str] = set()

    def look(self, node: Any, discarded: bool) -> None:
        match node:
            case ast.Name(name=name):
                self.read.add(name)
            case ast.ExprStmt(value=value):
                self.look(value, True)
            case ast.Assign():
                self._write(node.target, discarded or node.operator in ("=", "<<<"))
                self.look(node.value, False)
            case ast.IncDec():
                self._write(node.target, discarded)
            case ast.Delete():
                self._write(node.target, True)
            case ast.For(init=init, step=step):
                for part in (init, step):
                    if part is not None:
                        self.look(part, True)
                for part in (node.condition, node.body):
                    if part is not None:
                        self.look(part, False)
            case _:
                for child in children(node):
                    self.look(child, False)

    def _write(self, target: Any, only: bool) -> None:
        base = target.base if isinstance(target, ast.Index) else target
        if not isinstance(base, ast.Name):
            self.look(target, False)
            return
        self.written.add(base.name)
        if not only:
            self.read.add(base.name)
        for key in getattr(target, "keys", ()):
            self.look(key, False)
