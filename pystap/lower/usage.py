"""Which aggregates and histograms of each statistic are ever read: what is not is not kept at run time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pystap.ir import nodes as ir
from pystap.ir.effects import all_ops


@dataclass(slots=True)
class Use:
    """What is read of one statistic."""

    ops: set[str] = field(default_factory=set)
    hist: ir.Hist | None = None


def with_usage(module: ir.Module) -> ir.Module:
    """The module with every statistic's needs filled in."""
    uses: dict[str, Use] = defaultdict(Use)
    for op in _every_op(module):
        _note(op, uses)
    return replace(module, globals=tuple(_with(g, uses) for g in module.globals))


def _every_op(module: ir.Module) -> Iterator[ir.Op]:
    for handler in module.handlers:
        yield from all_ops(handler.body)
    for function in module.functions:
        yield from all_ops(function.body)


def _note(op: ir.Op, uses: dict[str, Use]) -> None:
    match op:
        case ir.StatGet(operator=operator, stat=stat):
            uses[stat.name].ops.add(operator)
        case ir.HistBucket(stat=stat, hist=hist) | ir.HistForeach(stat=stat, hist=hist):
            uses[stat.name].hist = hist
        case ir.PrintHist(stat=stat, hist=hist) | ir.SprintHist(stat=stat, hist=hist):
            uses[stat.name].hist = hist
        case ir.MapForeach(name=name, aggregate=aggregate) if aggregate is not None:
            uses[name].ops.add(aggregate)
        case _:
            pass


def _with(variable: ir.Global, uses: dict[str, Use]) -> ir.Global:
    match variable:
        case ir.Stat():
            return _stat(variable, uses[variable.name])
        case ir.Map(stat=ir.Stat() as stat):
            return replace(variable, stat=_stat(stat, uses[variable.name]))
        case _:
            return variable


def _stat(stat: ir.Stat, use: Use) -> ir.Stat:
    ops = frozenset(use.ops)
    return replace(stat, hist=use.hist or stat.hist, ops=ops, variance="variance" in ops)
