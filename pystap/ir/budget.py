"""Where actions are charged: in handlers that loop, recurse or are long, and in what they call; nowhere else.

Lowering charges every statement. A handler whose statements cannot use up MAXACTION loses its charges; in the others
they are added up to where the last of them settles, or to ten.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pystap.ir import nodes as ir
from pystap.ir.calls import CallGraph, called
from pystap.ir.effects import all_ops

if TYPE_CHECKING:
    from pystap.options import Options

_LOOPS = (ir.Loop, ir.MapForeach, ir.HistForeach)
_AT_ONCE = 10  # actions that are taken together at most


def budget(module: ir.Module, options: Options) -> ir.Module:
    """The module with the charges that it needs, and recursive functions marked as such."""
    graph = CallGraph(module)
    recursive = graph.recursive()
    module = replace(module, functions=tuple(replace(f, recursive=f.id in recursive) for f in module.functions))
    if options.suppress_time_limits:
        return _thinned(module, frozenset(), frozenset())
    limit = options.number("MAXACTION", 1000)
    limit = min(limit, options.number("MAXACTION_INTERRUPTIBLE", limit))
    costs = _Costs(module, recursive)
    endless = recursive | {f.id for f in module.functions if _loops(f.body)}
    counted: set[int] = set()
    for k, h in enumerate(module.handlers):
        if _loops(h.body) or graph.reached(called(h.body)) & endless or costs.of(h.body) >= limit:
            counted.add(k)
    from_counted = frozenset(i for k in counted for i in called(module.handlers[k].body))
    return _thinned(module, graph.reached(from_counted), frozenset(counted))


def _thinned(module: ir.Module, functions: frozenset[str], handlers: frozenset[int]) -> ir.Module:
    """The module with the charges of those functions and handlers only."""
    return replace(
        module,
        handlers=tuple(replace(h, body=_thin(h.body, k in handlers)) for k, h in enumerate(module.handlers)),
        functions=tuple(replace(f, body=_thin(f.body, f.id in functions)) for f in module.functions),
    )


def _loops(block: ir.Block) -> bool:
    return any(isinstance(op, _LOOPS) for op in all_ops(block))


class _Costs:
    """The most actions that a block takes, loops aside."""

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


def _thin(block: ir.Block, keep: bool) -> ir.Block:
    """The block with its charges added up, or left out."""
    out: list[ir.Op] = []
    pending = 0
    for op in block:
        if not isinstance(op, ir.Charge):
            out.append(_inside(op, keep))
            continue
        pending += op.actions
        if keep and (pending >= _AT_ONCE or (op.settles and pending)):
            out.append(replace(op, actions=pending, settles=True))
            pending = 0
    return tuple(out)


def _inside(op: ir.Op, keep: bool) -> ir.Op:
    match op:
        case ir.If():
            return replace(op, then=_thin(op.then, keep), otherwise=_thin(op.otherwise, keep))
        case ir.Try():
            return replace(op, body=_thin(op.body, keep), handler=_thin(op.handler, keep))
        case ir.Loop():
            return replace(op, body=_thin(op.body, keep), step=_thin(op.step, keep))
        case ir.MapForeach() | ir.HistForeach():
            return replace(op, body=_thin(op.body, keep))
        case _:
            return op
