"""Walking trees: children, walk, find_all, rewrite. Which fields of a class can hold nodes is computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import TypeVar, cast

from pystap.syntax.ast import Node

N = TypeVar("N", bound=Node)

# Fields that never hold nodes, by their annotation; what is left is looked at.
_PLAIN = frozenset(
    ("str", "int", "bool", "str | None", "int | None", "TypeName", "TypeName | None", "CType | None", "ir.Expr",
     "tuple[int, int, int] | None", "SourceFile", "Span", "Union[str, int, None]")
)  # fmt: skip


_NODE_FIELDS: dict[type[Node], tuple[str, ...]] = {}


def node_fields(kind: type[Node]) -> tuple[str, ...]:
    """The names of a class's fields that can hold nodes or tuples of nodes, in order of writing."""
    found = _NODE_FIELDS.get(kind)
    if found is None:
        found = tuple(f.name for f in fields(kind) if f.name != "span" and f.type not in _PLAIN)
        _NODE_FIELDS[kind] = found
    return found


def children(node: Node) -> Iterator[Node]:
    """The nodes right below one."""
    for name in node_fields(type(node)):
        value = getattr(node, name)
        if type(value) is tuple:
            for item in value:
                if isinstance(item, Node):
                    yield item
        elif isinstance(value, Node):
            yield value


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, each before what it holds, in order of writing."""
    pending = [node]
    pop, extend = pending.pop, pending.extend
    while pending:
        current = pop()
        yield current
        below: list[Node] = []
        for name in node_fields(type(current)):
            value = getattr(current, name)
            if type(value) is tuple:
                below.extend(value)
            elif isinstance(value, Node):
                below.append(value)
        if below:
            below.reverse()
            extend(below)


def find_all(node: Node, kind: type[N] | tuple[type[N], ...]) -> Iterator[N]:
    """All nodes of a class (or of several) in a tree, the root included."""
    return (found for found in walk(node) if isinstance(found, kind))


def rewrite(node: N, change: Callable[[Node], Node]) -> N:
    """A tree with every node replaced by what `change` makes of it, from the leaves up.

    `change` returns the node itself to leave it; subtrees in which nothing changed are shared, not copied.
    """
    return cast(N, _rewritten(node, change))


def _rewritten(node: Node, change: Callable[[Node], Node]) -> Node:
    changes: dict[str, object] | None = None
    for name in node_fields(type(node)):
        value = getattr(node, name)
        if type(value) is tuple:
            new: object = _rewritten_tuple(value, change)
        elif isinstance(value, Node):
            new = _rewritten(value, change)
        else:
            continue
        if new is not value:
            if changes is None:
                changes = {}
            changes[name] = new
    return change(node if changes is None else replaced(node, changes))


def _rewritten_tuple(values: tuple[Node, ...], change: Callable[[Node], Node]) -> tuple[Node, ...]:
    new = [_rewritten(value, change) if isinstance(value, Node) else value for value in values]
    for before, after in zip(values, new, strict=True):
        if before is not after:
            return tuple(new)
    return values


def replaced(node: N, changes: dict[str, object]) -> N:
    """A copy with some fields changed: dataclasses.replace, quicker."""
    kind = type(node)
    values = {field.name: getattr(node, field.name) for field in fields(kind)}
    values.update(changes)
    return kind(**values)
