"""Where actions are charged: in loops and in functions that loops or recursion reach; nowhere else while it all fits.

Lowering charges every statement. Straight-line code that cannot use up MAXACTION loses its charges; what remains is
added up, so that a run of statements is charged once, where it begins.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pystap.ir import nodes as ir
from pystap.ir.calls import CallGraph, called
from pystap.ir.effects import all_ops, blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pystap.options import Options

_LEAVING = (ir.Return, ir.Next, ir.Break, ir.Continue)
_LOOPS = (ir.Loop, ir.MapForeach, ir.HistForeach)


def budget(module: ir.Module, options: Options) -> ir.Module:
    """The module with the charges that it needs, and recursive functions marked as such."""
    graph = CallGraph(module)
    recursive = graph.recursive()
    module = replace(module, functions=tuple(replace(f, recursive=f.id in recursive) for f in module.functions))
    if options.suppress_time_limits:
        return _thinned(module, frozenset(), frozenset(), strip=True)
    costs = _Costs(module, recursive)
    limit = options.number("MAXACTION", 1000)
    long = frozenset(k for k, h in enumerate(module.handlers) if costs.of(h.body) > limit)
    looped = frozenset(i for block in _loop_bodies(module) for i in called(block))
    from_long = frozenset(i for k in long for i in called(module.handlers[k].body))
    return _thinned(module, graph.reached(recursive | looped | from_long), long)


def _thinned(module: ir.Module, hot: frozenset[str], long: frozenset[int], strip: bool = False) -> ir.Module:
    handlers = tuple(replace(h, body=_thin(h.body, k in long, strip)) for k, h in enumerate(module.handlers))
    functions = tuple(replace(f, body=_thin(f.body, f.id in hot, strip)) for f in module.functions)
    return replace(module, handlers=handlers, functions=functions)


def _loop_bodies(module: ir.Module) -> Iterator[ir.Block]:
    bodies = [h.body for h in module.handlers] + [f.body for f in module.functions]
    for body in bodies:
        for op in all_ops(body):
            if isinstance(op, _LOOPS):
                yield from blocks(op)


class _Costs:
    """The most statements that a block runs, loops (which are charged by themselves) aside."""

    def __init__(self, module: ir.Module, recursive: frozenset[str]) -> None:
        self._bodies = {f.id: f.body for f in module.functions}
        self._known: dict[str, int] = dict.fromkeys(recursive, 0)

    def of(self, block: ir.Block) -> int:
        return sum(map(self._op, block))

    def _op(self, op: ir.Op) -> int:
        match op:
            case ir.Charge(actions=actions):
                return actions
            case ir.If(then=then, otherwise=otherwise):
                return max(self.of(then), self.of(otherwise))
            case ir.Try(body=body, handler=handler):
                return self.of(body) + self.of(handler)
            case ir.Call(functions=functions):
                return sum(map(self._function, functions))
            case _:
                return 0

    def _function(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = self.of(self._bodies[name])
        return self._known[name]


def _thin(block: ir.Block, keep: bool, strip: bool) -> ir.Block:
    """The block with its charges added up (`keep`) or left out; loops always keep theirs, unless all are stripped."""
    out: list[ir.Op] = []
    open_at: int | None = None  # where the current run of statements is charged
    for op in block:
        if isinstance(op, ir.Charge):
            if not keep:
                continue
            if open_at is None:
                open_at = len(out)
                out.append(op)
            else:
                first = out[open_at]
                assert isinstance(first, ir.Charge)
                out[open_at] = replace(first, actions=first.actions + op.actions)
            continue
        out.append(_inside(op, keep, strip))
        if _may_leave(op):
            open_at = None
    return tuple(out)


def _may_leave(op: ir.Op) -> bool:
    return isinstance(op, _LOOPS) or any(isinstance(inner, _LEAVING) for inner in all_ops((op,)))


def _inside(op: ir.Op, keep: bool, strip: bool) -> ir.Op:
    in_loop = not strip
    match op:
        case ir.If():
            return replace(op, then=_thin(op.then, keep, strip), otherwise=_thin(op.otherwise, keep, strip))
        case ir.Try():
            return replace(op, body=_thin(op.body, keep, strip), handler=_thin(op.handler, keep, strip))
        case ir.Loop():
            return replace(op, body=_thin(op.body, in_loop, strip), step=_thin(op.step, in_loop, strip))
        case ir.MapForeach() | ir.HistForeach():
            return replace(op, body=_thin(op.body, in_loop, strip))
        case _:
            return op
