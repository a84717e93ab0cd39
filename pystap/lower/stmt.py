"""Statements -> ops: loops, foreach, try, return.

Statements are charged as SystemTap charges them, since scripts are tuned to its limits: one action each, taken where
control forks, joins or leaves, so that the message names the same token. budget.py thins them out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from pystap.ir import nodes as ir
from pystap.lower.expr import Expressions, negated
from pystap.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Sequence

_LEAVING = (ir.Return, ir.Next, ir.Break, ir.Continue)


class Statements(Expressions):
    """Lowering of every statement."""

    __slots__ = ()

    def statement(self, s: ast.Stmt) -> None:  # noqa: C901
        """Emits what a statement does."""
        match s:
            case ast.Block(statements=statements):
                for inner in statements:
                    self.statement(inner)
            case ast.Null():
                pass
            case ast.ExprStmt(value=value):
                self.effect(value)
                self._charge(s)
            case ast.If():
                self._if(s)
            case ast.While():
                self._charge(s, settles=True)
                self._loop(s.condition, s.body, None, s)
            case ast.For():
                if s.init is not None:
                    self.effect(s.init)
                self._charge(s, settles=True)
                self._loop(s.condition, s.body, s.step, s)
            case ast.Foreach():
                self._charge(s, settles=True)
                with self.scratch():
                    self._foreach(s)
            case ast.Break():
                self._charge(s, settles=True)
                self.emit(ir.Break())
            case ast.Continue():
                self._charge(s, settles=True)
                self.emit(ir.Continue())
            case ast.Next():
                self._charge(s, settles=True)
                self.emit(ir.Next())
            case ast.Return():
                self._return(s)
            case ast.Delete(target=target):
                assert isinstance(target, (ast.Name, ast.Index))  # elaboration has refused all else
                self.delete(target)
                self._charge(s)
            case ast.Try():
                self.settle(s)
                self._try(s)
            case _:
                assert_never(s)

    def body(self, block: ast.Block) -> None:
        """Emits what a handler or function does."""
        self.statement(block)
        self.settle(block)

    def _charge(self, s: ast.Stmt, settles: bool = False) -> None:
        self.emit(ir.Charge(1, settles, mark=self.statement_mark(s)))

    def settle(self, s: ast.Stmt) -> None:
        """Takes what was charged so far; a message names the beginning of `s`."""
        if not self.ops or not isinstance(self.ops[-1], _LEAVING):
            self.emit(ir.Charge(0, mark=self.statement_mark(s)))

    def nested(self, s: ast.Stmt | None) -> ir.Block:
        """A statement as a block of its own."""
        with self.block() as ops:
            if s is not None:
                self.statement(s)
                self.settle(s)
        return tuple(ops)

    def _if(self, s: ast.If) -> None:
        before = len(self.ops)
        with self.scratch():
            condition = self.condition(s.condition)
        then, otherwise = self.nested(s.then), self.nested(s.otherwise)
        if isinstance(condition, ir.Const):
            self.ops.extend(then if condition.value else otherwise)
            return
        self.ops.insert(before, ir.Charge(1, mark=self.statement_mark(s)))
        if _does_something(then) or not _does_something(otherwise):
            self.emit(ir.If(condition, then, otherwise))
        else:
            self.emit(ir.If(negated(condition), otherwise))

    def _loop(self, condition: ast.Expr | None, body: ast.Stmt, step: ast.Expr | None, loop: ast.Stmt) -> None:
        with self.block() as ops:
            self._charge(loop)
            if condition is not None:
                self._leave_unless(condition)
            self.statement(body)
            self.settle(body)
        with self.block() as stepping:
            if step is not None:
                self.effect(step)
        self.emit(ir.Loop(tuple(ops), tuple(stepping)))

    def _leave_unless(self, condition: ast.Expr) -> None:
        with self.scratch():
            value = negated(self.condition(condition))
        if value != ir.Const(0):
            self.emit(ir.If(value, (ir.Break(),)))

    # --- foreach ---

    def _foreach(self, s: ast.Foreach) -> None:
        if isinstance(s.base, ast.HistOp):
            self._foreach_bucket(s, s.base)
            return
        array = self.module.globals[s.base.name]
        limit = self._fixed(s.limit)
        slice_ = self._slice(s.slice)
        with self.block() as ops:
            keys = tuple(self._cursor(name) for name in s.keys)
            value = self._cursor(s.value) if s.value is not None else None
            self._iteration(s)
        aggregate = None
        if array.variable.type == "stats":
            aggregate = _aggregate(s) if s.sort and not s.sort_by else None
        mark = self.statement_mark(s)
        self.emit(
            ir.MapForeach(s.base.name, keys, value, slice_, s.sort, s.sort_by, aggregate, limit, tuple(ops), mark=mark)
        )

    def _foreach_bucket(self, s: ast.Foreach, of: ast.HistOp) -> None:
        limit = self._fixed(s.limit)
        stat = self.stat_ref(of.stat)
        stat = ir.StatRef(stat.name, tuple(self._held(k) for k in stat.keys))
        with self.block() as ops:
            cursor = self._cursor(s.keys[0])
            self._iteration(s)
        self.emit(ir.HistForeach(cursor, stat, ir.Hist(of.linear), limit, tuple(ops), mark=self.statement_mark(s)))

    def _iteration(self, s: ast.Foreach) -> None:
        self._charge(s)
        self.statement(s.body)
        self.settle(s.body)

    def _cursor(self, name: ast.Name) -> ir.Place:
        """Where a foreach puts a key or value; for a global that is a temporary, copied at the body's start."""
        text = self.type_of(name) == "string"
        if self.is_local(name.name):
            return ir.StrLocal(name.name) if text else ir.Local(name.name)
        if text:
            place = self.text_temp()
            self.emit(ir.SetGlobalStr(name.name, place))
            return place
        number = self.temp()
        self.emit(ir.SetGlobal(name.name, number))
        return number

    def _fixed(self, e: ast.Expr | None) -> ir.Expr | None:
        """A number computed once, before the loop."""
        if e is None:
            return None
        value = self.value(e)
        return value if isinstance(value, (ir.Const, ir.Temp)) else self.keep(value)

    def _slice(self, slice_: Sequence[ast.Expr] | None) -> tuple[ir.Arg | None, ...] | None:
        if slice_ is None or all(isinstance(e, ast.Star) for e in slice_):
            return None
        return tuple(None if k is None else self._held(k) for k in self.keys(slice_))

    def _held(self, key: ir.Arg) -> ir.Arg:
        """A key that the loop's body cannot change."""
        match key:
            case ir.Const() | ir.Temp() | ir.Literal() | ir.StrTemp() | ir.SavedStr():
                return key
            case ir.StrLocal() | ir.StrGlobal():
                copy = self.text_temp()
                self.emit(ir.SetStr(copy, key))
                return copy
            case _:
                return self.keep(key)

    # --- leaving ---

    def _return(self, s: ast.Return) -> None:
        e = s.value
        with self.scratch():
            if e is None or self.result == "unknown":
                if e is not None:
                    self.effect(e)
                result = self.default_result()
            else:
                result = self.text(e) if self.result == "string" else self.value(e)
            self._charge(s, settles=True)
            self.emit(ir.Return(result))

    def default_result(self) -> ir.Arg | None:
        """What a function returns that falls off its end."""
        if self.result == "unknown":
            return None
        return ir.Literal("") if self.result == "string" else ir.Const(0)

    def _try(self, s: ast.Try) -> None:
        before, self.caught = self.caught, True
        body = self.nested(s.body)
        self.caught = before
        with self.block() as ops:
            message = self._caught(s.message)
            self.statement(s.handler)
            self.settle(s.handler)
        self.emit(ir.Try(body, message, tuple(ops)))

    def _caught(self, name: ast.Name | None) -> ir.StrLocal | None:
        """The local that receives the message; a global gets it from a hidden local."""
        if name is None:
            return None
        if self.is_local(name.name):
            return ir.StrLocal(name.name)
        hidden = f"__caught{len(self.hidden)}"
        self.hidden.append(hidden)
        self.emit(ir.SetGlobalStr(name.name, ir.StrLocal(hidden)))
        return ir.StrLocal(hidden)


def _does_something(block: ir.Block) -> bool:
    return any(not isinstance(op, ir.Charge) or op.actions for op in block)


def _aggregate(s: ast.Foreach) -> str:
    """What an array of statistics is sorted by."""
    return "count" if s.sort_aggregate is None or s.sort_aggregate == "variance" else s.sort_aggregate
