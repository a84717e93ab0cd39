"""Statistics: samples added, aggregates and histogram buckets read."""

from __future__ import annotations

from pystap.ir import nodes as ir
from pystap.lower.body import Core
from pystap.lower.marks import first_token
from pystap.syntax import ast


class Stats(Core):
    """Lowering of what is done to statistics."""

    __slots__ = ()

    def stat_ref(self, e: ast.Expr) -> ir.StatRef:
        """The statistic that an operator is about."""
        if isinstance(e, ast.Name):
            return ir.StatRef(e.name)
        assert isinstance(e, ast.Index)
        assert isinstance(e.base, ast.Name)
        return ir.StatRef(e.base.name, self.values(e.keys))

    def add_sample(self, stat: ir.StatRef, value: ast.Expr, mark: ir.Mark) -> ir.Expr:
        """s <<< v."""
        sample = self.value(value)
        self.emit(ir.StatAdd(stat, sample, mark=mark))
        return sample

    def statistic(self, e: ast.StatOp) -> ir.Expr:
        """@count(s) and its kin."""
        place = self.temp()
        with self.scratch():
            self.emit(ir.StatGet(place, e.operator, self.stat_ref(e.stat), mark=first_token(e.span)))
        return place

    def bucket(self, e: ast.Index, of: ast.HistOp) -> ir.Expr:
        """@hist_log(s)[b]."""
        place = self.temp()
        stat = of.stat
        with self.scratch():
            base_keys = stat.keys if isinstance(stat, ast.Index) else ()
            *keys, index = self.values((*base_keys, *e.keys))
            name = stat.base if isinstance(stat, ast.Index) else stat
            assert isinstance(name, ast.Name)
            ref = ir.StatRef(name.name, tuple(keys))
            self.emit(
                ir.HistBucket(place, ref, ir.Hist(of.linear), index, mark=first_token(e.span))  # type: ignore[arg-type]
            )
        return place
