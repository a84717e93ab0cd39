"""Questions about syntax trees: which names and nodes occur below a node."""

from __future__ import annotations

from functools import lru_cache

from pystap.syntax import ast
from pystap.syntax.walk import walk


@lru_cache(maxsize=1024)
def names_in(node: ast.Node) -> frozenset[str]:
    """The variables named anywhere below a node."""
    return frozenset(n.name for n in walk(node) if isinstance(n, ast.Name))


def concat_operands(e: ast.Expr) -> list[ast.Expr]:
    """The operands of a chain of `.`, left to right."""
    flat: list[ast.Expr] = []
    stack: list[ast.Expr] = [e]
    while stack:
        here = stack.pop()
        if isinstance(here, ast.Binary) and here.operator == ".":
            stack += (here.right, here.left)
        else:
            flat.append(here)
    return flat
