"""Statistics ops -> C: adding to this CPU's cell, summing cells up, histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.codegen.variables import buckets
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.emit import Emitter

_OPERATORS = {
    "count": "cell.count",
    "sum": "cell.sum",
    "min": "cell.minimum",
    "max": "cell.maximum",
}
_NEED_SAMPLES = ("min", "max", "avg", "variance")


class Statistics:
    """The part of an Emitter that knows statistics."""

    def __init__(self, emitter: Emitter) -> None:
        self._e = emitter

    def add(self, op: ir.StatAdd) -> None:
        """<<<"""
        e = self._e
        kind = e.variables.kind(op.stat.name)
        with e.write.block(""):
            if not op.stat.keys:
                (value,) = e.ready([op.value])
                e.write(f"stap_stat_add(&c->globals.{names.variable(op.stat.name)}.cell, {kind}, {value});")
                return
            *keys, value = e.ready([*op.stat.keys, op.value])
            name = names.variable(op.stat.name)
            shape = e.variables.shape(op.stat.name).name
            joined = ", ".join(keys)
            e.write(f"struct m_{shape}_node *found = m_{shape}_obtain(c, &{name}, {e.mark(op.mark)}, {joined});")
            e.write("")
            e.write("if (unlikely(!found))")
            e.write(f"\tgoto {e.on_error};")
            e.write(f"stap_stat_add(stap_map_cell(&{name}, &found->node, c->cpu), {kind}, {value});")

    def collect(self, stat: ir.StatRef, with_buckets: bool) -> None:
        """Sums a statistic up into the context's total."""
        e = self._e
        name = names.variable(stat.name)
        parts = f"{e.variables.kind(stat.name)}.parts"
        count = e.variables.bucket_count(stat.name) if with_buckets else 0
        if not stat.keys:
            e.write(f"stap_collect(c, offsetof(struct stap_context, globals.{name}), {parts}, {count});")
            return
        keys = ", ".join(e.ready(stat.keys))
        shape = e.variables.shape(stat.name).name
        e.write(f"stap_map_collect(c, &{name}, (void *)m_{shape}_find(&{name}, {keys}), {parts}, {count});")

    def get(self, op: ir.StatGet) -> None:
        """@count ... @variance"""
        e = self._e
        e.variables.needs(op.stat.name, op.operator)
        with e.write.block(""):
            self.collect(op.stat, False)
            if op.operator in _NEED_SAMPLES:
                self._need_samples(op.mark)
            if op.operator == "avg":
                e.assign(op.place, "c->total.cell.sum / c->total.cell.count")
            elif op.operator == "variance":
                e.assign(op.place, f"stap_total_variance(&c->total, {e.variables.shift(op.stat.name)})")
            else:
                e.assign(op.place, f"c->total.{_OPERATORS[op.operator]}")

    def _need_samples(self, mark: ir.Mark) -> None:
        e = self._e
        e.write("if (unlikely(!c->total.cell.count)) {")
        e.write(f'\tstap_fail(c, {e.mark(mark)}, "empty aggregate");')
        e.write(f"\tgoto {e.on_error};")
        e.write("}")

    def clear(self, op: ir.StatClear) -> None:
        """delete s"""
        e = self._e
        name = names.variable(op.name)
        e.write(
            f"stap_collect_clear(offsetof(struct stap_context, globals.{name}), {e.variables.bucket_count(op.name)});"
        )

    def bucket(self, op: ir.HistBucket) -> None:
        """@hist_log(s)[i]"""
        e = self._e
        with e.write.block(""):
            (index,) = e.ready([op.index])
            e.write(f"const s64 index = {index};")
            e.write("")
            self.collect(op.stat, True)
            e.write(f"if (unlikely(index < 0 || index >= {buckets(op.hist)})) {{")
            e.write(f'\tstap_fail(c, {e.mark(op.mark)}, "histogram index out of range");')
            e.write(f"\tgoto {e.on_error};")
            e.write("}")
            e.assign(op.place, "c->total.buckets[index]")

    def foreach(self, op: ir.HistForeach) -> None:
        """All buckets, from 0."""
        e = self._e
        at = f"b{e.number()}"
        with e.write.block(""):
            (limit,) = e.ready([op.limit])
            held = f"limit{e.number()}"
            e.write(f"const s64 {held} = {limit or buckets(op.hist)};")
            e.write(f"s64 {at};")
            e.write("")
            with e.write.block(f"for ({at} = 0; {at} < {buckets(op.hist)} && {at} < {held}; {at}++)"):
                e.assign(op.place, at)
                e.in_loop(None, op.body)

    def _numbers(self, hist: ir.Hist) -> str:
        if hist.linear is None:
            return f"STAP_HISTOGRAM_LOG, 0, 0, 0, {buckets(hist)}"
        return "STAP_HISTOGRAM_LINEAR, " + ", ".join(names.c_number(n) for n in hist.linear) + f", {buckets(hist)}"

    def print(self, op: ir.PrintHist) -> None:
        """The runner lays it out."""
        e = self._e
        e.unit.item_bytes(
            f"sizeof(struct stap_item) + sizeof(struct stap_histogram) + {buckets(op.hist)} * sizeof(s64)"
        )
        with e.write.block(""):
            self.collect(op.stat, True)
            self._need_samples(op.mark)
            e.write(f"stap_print_histogram(c, {self._numbers(op.hist)});")

    def sprint(self, op: ir.SprintHist) -> None:
        """Laid out here, cut at what a string holds."""
        e = self._e
        e.unit.needs.add("histogram")
        with e.write.block(""):
            self.collect(op.stat, True)
            self._need_samples(op.mark)
            e.write(f"stap_sprint_histogram(c, {e.place(op.place)}, {self._numbers(op.hist)});")
