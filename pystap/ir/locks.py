"""Which globals each handler must hold, and how; which globals are kept per CPU and need no lock.

Begin, end and error handlers run while nothing else does: they take no locks, and what only they write is constant to
all others. Samples are added under a shared lock, since statistics are per CPU; reading them merges: it is exclusive.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from pystap.ir import nodes as ir
from pystap.ir.calls import CallGraph
from pystap.ir.effects import all_ops, arguments, global_written, nodes_of

ALONE = frozenset({"begin", "never"})  # engines whose handlers run while no other does
CALM = ALONE | {"timer"}  # engines rare enough to sum up what is kept per CPU
_PRAGMA = re.compile(r"/\*\s*pragma:(read|write):(\w+)\s*\*/")


@dataclass(frozen=True, slots=True)
class _Statistics:
    all: frozenset[str]
    wrapping: frozenset[str]  # a sample may throw an element out


@dataclass(slots=True)
class Uses:
    """How some code uses globals."""

    read: set[str] = field(default_factory=set)
    written: set[str] = field(default_factory=set)  # exclusively
    added: set[str] = field(default_factory=set)  # by AddGlobal
    assigned: set[str] = field(default_factory=set)  # scalars, by anything else

    def update(self, other: Uses) -> None:
        """Adds another's uses."""
        self.read |= other.read
        self.written |= other.written
        self.added |= other.added
        self.assigned |= other.assigned


def lock(module: ir.Module) -> ir.Module:
    """The module with per-CPU globals chosen and every handler's locks filled in."""
    usage = _Usage(module)
    per_cpu = usage.per_cpu()
    contended = usage.contended() - per_cpu
    order = {g.name: k for k, g in enumerate(module.globals)}
    handlers = tuple(
        replace(h, locks=_locks(usage.handlers[k], contended, order) if k in usage.running else ())
        for k, h in enumerate(module.handlers)
    )
    globals_ = tuple(
        replace(g, per_cpu=True) if isinstance(g, ir.Scalar) and g.name in per_cpu else g for g in module.globals
    )
    return replace(module, handlers=handlers, globals=globals_)


def _locks(uses: Uses, contended: frozenset[str], order: dict[str, int]) -> tuple[ir.LockUse, ...]:
    names = sorted((uses.read | uses.written) & contended, key=order.__getitem__)
    return tuple(ir.LockUse(name, name in uses.written) for name in names)


class _Usage:
    """The uses of every handler, called functions included."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        graph = CallGraph(module)
        statistics = _Statistics(
            frozenset(g.name for g in module.globals if _is_statistic(g)),
            frozenset(g.name for g in module.globals if _is_statistic(g) and isinstance(g, ir.Map) and g.wrap),
        )
        own = {f.id: _function_uses(f, statistics) for f in module.functions}
        self.handlers = [_with_calls(h, own, graph, statistics) for h in module.handlers]
        self.engines: dict[int, set[str]] = {}
        for probe in module.probes:
            for handler in (probe.handler, probe.entry):
                if handler is not None:
                    self.engines.setdefault(handler, set()).add(probe.site.engine)
        self.running = {k for k, engines in self.engines.items() if not engines <= ALONE}

    def contended(self) -> frozenset[str]:
        """Globals that some handler changes while others may run."""
        return frozenset().union(*(self.handlers[k].written for k in self.running))

    def per_cpu(self) -> frozenset[str]:
        """Scalars that running handlers only add to, and that only calm ones read."""
        added: set[str] = set()
        barred = {name for p in self.module.probes for name in _in_condition(p)}
        for k, engines in self.engines.items():
            uses = self.handlers[k]
            added |= uses.added
            barred |= uses.assigned
            if not engines <= ALONE:
                # To add and look in one handler is to count on nobody else adding in between.
                barred |= uses.read & uses.added if engines <= CALM else uses.read
        longs = {g.name for g in self.module.globals if isinstance(g, ir.Scalar) and g.type == "long"}
        return frozenset((added & longs) - barred)


def steering(module: ir.Module) -> frozenset[int]:
    """The handlers that write globals which probes' conditions read."""
    read = {name for p in module.probes for name in _in_condition(p)}
    uses = _Usage(module).handlers
    return frozenset(k for k, u in enumerate(uses) if read & (u.written | u.added | u.assigned))


def _in_condition(probe: ir.Probe) -> Iterator[str]:
    if probe.condition is not None:
        yield from _reads_in(probe.condition)


def _reads_in(value: object) -> Iterator[str]:
    for node in nodes_of(value):
        if isinstance(node, (ir.GlobalValue, ir.StrGlobal)):
            yield node.name


def _is_statistic(variable: ir.Global) -> bool:
    return isinstance(variable, ir.Stat) or (isinstance(variable, ir.Map) and variable.value == "stats")


def _with_calls(handler: ir.Handler, own: dict[str, Uses], graph: CallGraph, statistics: _Statistics) -> Uses:
    uses = _block_uses(handler.body, statistics)
    calls = (i for op in all_ops(handler.body) if isinstance(op, ir.Call) for i in op.functions)
    for reached in graph.reached(calls):
        uses.update(own[reached])
    return uses


def _function_uses(function: ir.Function, statistics: _Statistics) -> Uses:
    uses = _block_uses(function.body, statistics)
    _note_embedded(uses, function.reads, function.writes)
    return uses


def _note_embedded(uses: Uses, reads: Iterable[str], writes: Iterable[str]) -> None:
    uses.read |= {*reads, *writes}
    uses.written |= set(writes)
    uses.assigned |= set(writes)


def _block_uses(block: ir.Block, statistics: _Statistics) -> Uses:
    uses = Uses()
    for op in all_ops(block):
        _note(op, uses, statistics)
    return uses


def _note(op: ir.Op, uses: Uses, statistics: _Statistics) -> None:  # noqa: C901
    for argument in arguments(op):
        if isinstance(argument, (ir.GlobalValue, ir.StrGlobal)):
            uses.read.add(argument.name)
    match op:
        case ir.StatAdd(stat=stat):
            (uses.written if stat.name in statistics.wrapping else uses.read).add(stat.name)
        case ir.AddGlobal(name=name):
            uses.added.add(name)
            uses.written.add(name)
        case ir.StatGet(stat=stat) | ir.HistBucket(stat=stat) | ir.HistForeach(stat=stat):
            uses.written.add(stat.name)
        case ir.PrintHist(stat=stat) | ir.SprintHist(stat=stat):
            uses.written.add(stat.name)
        case ir.MapGet(name=name) | ir.MapIn(name=name):
            (uses.written if name in statistics.all else uses.read).add(name)
        case ir.MapForeach(name=name, sort=sort):
            (uses.written if sort or name in statistics.all else uses.read).add(name)
        case ir.Embedded(code=code):
            found = _PRAGMA.findall(code)
            _note_embedded(uses, (n for k, n in found if k == "read"), (n for k, n in found if k == "write"))
        case _:
            target = global_written(op)
            if target is not None:
                uses.written.add(target)
                uses.assigned.add(target)
