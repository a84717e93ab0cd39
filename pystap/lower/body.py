"""The ground of lowering: one body's open block, its temporaries, and the rule that operands keep their order.

An operand is lowered to a pure expression; when ops that a later operand needs would change or overtake it, its value
is kept in a temporary at the place where it was due.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol, Union

from pystap.diagnostics import StapError
from pystap.ir import nodes as ir
from pystap.ir.effects import Resource, all_ops, can_fail, own_writes, reads
from pystap.lower.marks import first_token
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.diagnostics import Diagnostics
    from pystap.elaborate.program import Function, GlobalVariable, Type, Variable

TextPlace = Union[ir.StrLocal, ir.StrTemp]
_TEXTS = (ir.Literal, ir.StrLocal, ir.StrTemp, ir.StrGlobal, ir.SavedStr)


class Surroundings(Protocol):
    """What a body needs to know of the module that it is in."""

    globals: Mapping[str, GlobalVariable]
    diagnostics: Diagnostics

    def functions(self, name: str, arity: int) -> tuple[Function, ...]: ...
    def regex(self, pattern: str) -> int: ...
    def descriptor(self, ctype: object, depth: int) -> int: ...
    def effects_of(self, ids: Sequence[str]) -> frozenset[Resource]: ...


@dataclass(slots=True)
class Core:
    """State of lowering one handler or function; the subjects (expressions, maps, ...) are its subclasses."""

    module: Surroundings
    locals: Mapping[str, Variable]
    parameters: frozenset[str] = frozenset()
    result: Type = "unknown"
    ops: list[ir.Op] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)  # string locals that lowering adds
    hidden_longs: list[str] = field(default_factory=list)
    stable: frozenset[str] = frozenset()  # functions whose first result is kept
    caught: bool = False  # inside of a try: what fails leaves variables as they were
    _longs: int = 0
    _texts: int = 0  # string temporaries in use: they are a stack

    # --- what the subjects provide to each other ---

    def value(self, e: ast.Expr) -> ir.Expr:
        raise NotImplementedError

    def text(self, e: ast.Expr, into: TextPlace | None = None) -> ir.Str:
        raise NotImplementedError

    def effect(self, e: ast.Expr) -> None:
        raise NotImplementedError

    def type_of(self, e: ast.Expr) -> Type:
        raise NotImplementedError

    def arg(self, e: ast.Expr) -> ir.Arg:
        """A value or a text, as the expression's type says."""
        return self.text(e) if self.type_of(e) == "string" else self.value(e)

    def refuse(self, e: ast.Node, message: str) -> NoReturn:
        """Reports what elaboration let through, and gives up."""
        self.module.diagnostics.error(e.span, "lowering", message, token=first_token(e.span).token)
        raise StapError

    # --- blocks and temporaries ---

    def emit(self, op: ir.Op) -> None:
        self.ops.append(op)

    @contextmanager
    def block(self) -> Iterator[list[ir.Op]]:
        """Ops emitted inside go to a list of their own."""
        outer, self.ops = self.ops, []
        try:
            yield self.ops
        finally:
            self.ops = outer

    def temp(self) -> ir.Temp:
        """A new long temporary; gcc sees to its reuse."""
        self._longs += 1
        return ir.Temp(self._longs - 1)

    def text_temp(self) -> ir.StrTemp:
        """A string temporary, in use until the enclosing `scratch` ends."""
        self._texts += 1
        return ir.StrTemp(self._texts - 1)

    @contextmanager
    def scratch(self) -> Iterator[None]:
        """String temporaries taken inside are free again afterwards."""
        depth = self._texts
        try:
            yield
        finally:
            self._texts = depth

    def keep(self, value: ir.Expr) -> ir.Temp:
        """A temporary holding the value from here on."""
        temp = self.temp()
        self.emit(ir.Set(temp, value))
        return temp

    # --- order of evaluation ---

    def in_order(self, lowerings: Sequence[Callable[[], ir.Arg | None]]) -> list[ir.Arg | None]:
        """Lowers operands left to right; the results may be used together after all of their ops."""
        results: list[ir.Arg | None] = []
        due: list[int] = []
        for lower in lowerings:
            before = len(self.ops)
            result = lower()
            if len(self.ops) > before:
                self._protect(results, due, before)
            results.append(result)
            due.append(len(self.ops))
        return results

    def _protect(self, results: list[ir.Arg | None], due: list[int], start: int) -> None:
        """Keeps those earlier operands that the ops from `start` on would change or overtake."""
        written = self.written(self.ops[start:])
        for k in range(len(results) - 1, -1, -1):
            operand = results[k]
            if operand is None or not (can_fail(operand) or reads(operand) & written):
                continue
            results[k] = self._insert_copy(operand, due[k], written)
            due[k + 1 :] = [at + 1 for at in due[k + 1 :]]

    def _insert_copy(self, operand: ir.Arg, at: int, written: frozenset[Resource]) -> ir.Arg:
        if isinstance(operand, _TEXTS):
            # The ops behind it may have used, and given back, temporaries that look free now.
            self._texts = max([self._texts, *(int(n) + 1 for kind, n in written if kind == "text")])
            text = self.text_temp()
            self.ops.insert(at, ir.SetStr(text, operand))
            return text
        temp = self.temp()
        self.ops.insert(at, ir.Set(temp, operand))
        return temp

    def written(self, ops: Sequence[ir.Op]) -> frozenset[Resource]:
        """What the ops change, called functions included."""
        found: set[Resource] = set()
        for op in all_ops(tuple(ops)):
            found.update(own_writes(op))
            if isinstance(op, ir.Call):
                found |= self.module.effects_of(op.functions)
        return frozenset(found)

    def values(self, expressions: Sequence[ast.Expr]) -> tuple[ir.Arg, ...]:
        """Values and texts of several operands, in order."""
        results = self.in_order([_later(self.arg, e) for e in expressions])
        return tuple(r for r in results if r is not None)

    def keys(self, expressions: Sequence[ast.Expr]) -> tuple[ir.Arg | None, ...]:
        """Keys of an array; None for `*`."""
        return tuple(self.in_order([_later(self._key, e) for e in expressions]))

    def _key(self, e: ast.Expr) -> ir.Arg | None:
        return None if isinstance(e, ast.Star) else self.arg(e)

    # --- names ---

    def is_local(self, name: str) -> bool:
        return name in self.locals or name in self.parameters

    def mentions(self, e: ast.Node, name: str) -> bool:
        """Whether an expression names a variable anywhere."""
        from pystap.lower.tree import names_in

        return name in names_in(e)

    def statement_mark(self, node: ast.Node) -> ir.Mark:
        return first_token(node.span)


def _later(lower: Callable[[ast.Expr], ir.Arg | None], e: ast.Expr) -> Callable[[], ir.Arg | None]:
    return lambda: lower(e)
