"""Functions tagged stable, which give one result throughout a hit: those that a body calls again keep it in a local."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from pystap.syntax import ast
from pystap.syntax.walk import walk

_LOOPS = (ast.While, ast.For, ast.Foreach)


def called_again(block: ast.Stmt, is_stable: Callable[[str], bool]) -> frozenset[str]:
    """The stable functions that a body calls at several places, or in a loop."""
    calls = Counter(_calls(block))
    looped = {name for loop in walk(block) if isinstance(loop, _LOOPS) for name in _calls(loop)}
    return frozenset(name for name, count in calls.items() if (count > 1 or name in looped) and is_stable(name))


def _calls(node: ast.Node) -> list[str]:
    return [n.name for n in walk(node) if isinstance(n, ast.Call) and not n.arguments]
