"""A node with its children replaced, from the top down: what walks that choose their way need besides syntax.walk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pystap.syntax import ast
from pystap.syntax.walk import node_fields
from pystap.syntax.walk import replaced as with_fields

__all__ = ["rebuild", "with_fields"]


def rebuild(node: Any, f: Callable[[Any], Any]) -> Any:
    """The node with `f` applied to each child; the same object where nothing changed."""
    changes: dict[str, Any] | None = None
    for name in node_fields(type(node)):
        value = getattr(node, name)
        new = _mapped(value, f)
        if new is not value:
            changes = changes or {}
            changes[name] = new
    return with_fields(node, changes) if changes else node


def _mapped(value: Any, f: Callable[[Any], Any]) -> Any:
    if isinstance(value, ast.Node):
        return f(value)
    if type(value) is not tuple or not value:
        return value
    new = tuple(f(item) if isinstance(item, ast.Node) else item for item in value)
    for a, b in zip(new, value, strict=True):
        if a is not b:
            return new
    return value
