"""Variables that are only known as they were when the function was entered (DW_OP_entry_value): a probe keeps them.

The register that held it is stored in an array by thread and frame; the read in the middle of the function becomes
a look-up there. Frames are told apart by their canonical address, so that recursion and interrupts do no harm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.ir import nodes as ir
from pystap.source import Span
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.debuginfo.api import Activation

ENTERED = "entered"  # the name of an ir.Field that stands for a register's value at the entry, by number


class Entered:
    """What one site's variables need from the entry of its function."""

    def __init__(self, find: Callable[[], Activation | None]) -> None:
        self._find = find
        self.needed: dict[str, tuple[Activation, int, Span]] = {}  # by the array's name

    def replaced(self, node: Any) -> Any:
        """The node with look-ups in place of registers at the entry."""
        if isinstance(node, ast.TargetAccess):
            return self._access(node)
        return rebuild(node, self.replaced) if isinstance(node, (ast.Pretty, ast.PrettyField)) else node

    def _access(self, node: ast.TargetAccess) -> ast.TargetAccess:
        holes = list(node.holes)

        def look_up(value: ir.Field) -> ir.Expr:
            hole = self._look_up(value.number, node.span)
            if hole is None:
                return value
            holes.append(hole)
            return ir.Hole(len(holes) - 1)

        value = substitute(node.value, look_up)
        return node if len(holes) == len(node.holes) else with_fields(node, {"value": value, "holes": tuple(holes)})

    def _look_up(self, register: int, span: Span) -> ast.Expr | None:
        activation = self._find()
        if activation is None:
            return None
        name = f"__entered_{activation.key}_{register}"
        self.needed[name] = activation, register, span
        return ast.Index(ast.Name(name, span=span), _keys(activation.frame, span), span=span)


def declarations(needed: dict[str, tuple[Activation, int, Span]]) -> Iterable[ast.Item]:
    """The array and the probe that keep each value that is needed."""
    for name, (activation, register, span) in needed.items():
        yield ast.Global(name, wrap=True, span=span)
        value = ast.TargetAccess(ir.Reg(register, activation.space), (), None, span=span)
        target = ast.Index(ast.Name(name, span=span), _keys(activation.frame_at_entry, span), span=span)
        body = ast.Block((ast.ExprStmt(ast.Assign("=", target, value, span=span), span=span),), span=span)
        components = tuple(ast.Component(word, argument, span=span) for word, argument in activation.point)
        yield ast.Probe((ast.Point(components, span=span),), body, span=span)


def _keys(frame: ir.Expr, span: Span) -> tuple[ast.Expr, ...]:
    return ast.Call("tid", (), span=span), ast.TargetAccess(frame, (), None, span=span)


def substitute(value: Any, replace: Callable[[ir.Field], ir.Expr]) -> Any:
    """The expression with every register at the entry replaced; the same object where there is none."""
    if isinstance(value, ir.Field):
        return replace(value) if value.name == ENTERED else value
    if not dataclasses.is_dataclass(value) or isinstance(value, (ir.Mark, type)):
        return value
    changes = {}
    for part in dataclasses.fields(value):
        old = getattr(value, part.name)
        new = substitute(old, replace)
        if new is not old:
            changes[part.name] = new
    return dataclasses.replace(value, **changes) if changes else value
