"""Types of every variable, function and array, by unification over the whole program: order-independent and linear.

Each variable, parameter, result and array key has one cell; walking the program once adds equalities, each with the
node that demanded it, so that a conflict names both places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pystap.diagnostics import Diagnostics
from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Type
from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.elaborate.unify import Cell, Shape, T, shape_of
from pystap.elaborate.values import EXPRESSIONS, Values
from pystap.syntax import ast
from pystap.syntax.walk import walk


class Inference(Values):
    """One program's types."""

    def __init__(
        self,
        globals_: dict[str, GlobalVariable],
        functions: dict[tuple[str, int], list[Function]],
        diagnostics: Diagnostics,
    ) -> None:
        super().__init__({name: shape_of(g) for name, g in globals_.items()}, diagnostics)
        self.functions = functions
        self._result: Cell | None = None
        self._deleted: list[tuple[Cell, ast.Name]] = []
        self._saved: dict[int, list[T]] = {}  # the types of each body's saved values

    # --- the whole program ---------------------------------------------------------------------------

    def run(self, bodies: list[Body]) -> None:
        """Visits every function and body, then writes the types into the variables."""
        for key, overloads in self.functions.items():
            self._declare(key, overloads)
        for key, overloads in self.functions.items():
            for function in overloads:
                self._function(key, function)
        for body in bodies:
            self.body(body)
        self._settle(bodies)

    def _declare(self, key: tuple[str, int], overloads: list[Function]) -> None:
        result = self.results[key] = Cell()
        cells = self.parameters[key] = [Cell(index=i) for i in range(key[1])]
        for function in overloads:
            if function.declaration.result is not None:
                self.fix(result, function.declaration.result, function.declaration)
            given = function.declaration.parameters
            for cell, variable, declared in zip(cells, function.parameters, given, strict=True):
                if declared.type is not None:
                    self.fix(cell, declared.type, declared)
                self.cells[variable] = cell

    def _function(self, key: tuple[str, int], function: Function) -> None:
        if isinstance(function.body, Body):
            self._result = self.results[key]
            self.body(function.body)
            self._result = None

    def condition(self, condition: ast.Expr) -> None:
        """A probe point's condition."""
        self.locals = {}
        self.want(condition, "long")

    def body(self, body: Body) -> None:
        """One body, with what it saves at entry."""
        self.locals = body.entry_locals
        self.saved = [self.expr(e) for e in body.entry]
        self._saved[id(body)] = self.saved
        self.locals = body.locals
        self.stmt(body.block)

    def _settle(self, bodies: list[Body]) -> None:
        reported: set[Cell] = set()
        for cell, node in self.uses:
            root = cell.root()
            if root.type is None and root not in reported:
                reported.add(root)
                self.error(node, "unresolved-type", "unresolved type ")
        for cell, name in self._deleted:
            if cell.root().type is None:
                self.error(name, "delete-unknown", "unresolved array in delete statement")
        for variable, cell in self.cells.items():
            variable.type = cell.root().type or "long"
        for shape in self.shapes.values():
            shape.variable.variable.type = shape.value.root().type or "long"
            shape.variable.keys = tuple(k.root().type or "long" for k in shape.keys)
            self._check_form(shape)

    def _check_form(self, shape: Shape) -> None:
        declaration = shape.variable.declaration
        if shape.arity == 0 and declaration.size and not declaration.wrap:
            self.error(declaration, "arity", "inconsistent arity")
        if shape.arity == 0 and declaration.wrap:
            self.error(declaration, "wrap", "wrapping not supported for scalars")
        if shape.arity and declaration.initializer is not None:
            assert shape.first is not None
            self._arity(shape, 0, shape.arity, declaration, shape.first)

    def result_of(self, key: tuple[str, int]) -> Type:
        """A function's result after inference."""
        return self.results[key].root().type or "unknown"

    def texts_of(self, body: Body) -> frozenset[int]:
        """The numbers of a body's saved values that are strings."""
        types = (t.root().type if isinstance(t, Cell) else t for t in self._saved[id(body)])
        return frozenset(number for number, t in enumerate(types) if t == "string")

    # --- statements ----------------------------------------------------------------------------------

    def stmt(self, node: ast.Stmt) -> None:
        """One statement and those in it."""
        match node:
            case ast.Block(statements=statements):
                for statement in statements:
                    self.stmt(statement)
            case ast.ExprStmt(value=value):
                self._discarded(value)
            case ast.If() | ast.While() | ast.For() | ast.Foreach() | ast.Try():
                _COMPOUND[type(node)](self, node)
            case ast.Return(value=value):
                self._return(node, value)
            case ast.Delete(target=target):
                self._delete(target)
            case _:
                pass

    def _discarded(self, value: ast.Expr) -> None:
        """An expression whose value is not used: it may have none."""
        EXPRESSIONS[type(value)](self, value)

    def branch(self, node: ast.If) -> None:
        self.want(node.condition, "long")
        self.stmt(node.then)
        if node.otherwise is not None:
            self.stmt(node.otherwise)

    def loop(self, node: ast.While) -> None:
        self.want(node.condition, "long")
        self.stmt(node.body)

    def counted(self, node: ast.For) -> None:
        if node.init is not None:
            self._discarded(node.init)
        if node.condition is not None:
            self.want(node.condition, "long")
        if node.step is not None:
            self._discarded(node.step)
        self.stmt(node.body)

    def catch(self, node: ast.Try) -> None:
        self.stmt(node.body)
        if node.message is not None:
            self.fix(self.name(node.message), "string", node.message)
        self.stmt(node.handler)

    def foreach(self, node: ast.Foreach) -> None:
        if isinstance(node.base, ast.HistOp):
            self.hist(node.base)
            for name in (*node.keys, *((node.value,) if node.value else ())):
                self.fix(self.name(name), "long", name)
        else:
            self._foreach_array(node, node.base)
        if node.limit is not None:
            self.want(node.limit, "long")
        self.stmt(node.body)

    def _foreach_array(self, node: ast.Foreach, base: ast.Name) -> None:
        shape = self.shapes.get(base.name)
        if shape is None or not self.use(shape, len(node.keys), base):
            for name in (*node.keys, *((node.value,) if node.value else ())):
                self.fix(self.name(name), "long", name)  # one error is enough
            return
        for cell, name in zip(shape.keys, node.keys, strict=True):
            self.unify(cell, self.name(name), name)
            self.uses.append((cell, name))
        for cell, key in zip(shape.keys, node.slice or (), strict=False):
            self.key(cell, key)
        if node.sort_aggregate is not None:
            self.fix(shape.value, "stats", base)
            shape.variable.stat_ops |= {node.sort_aggregate}
        if node.value is not None:
            self._foreach_value(node.value, shape)

    def _foreach_value(self, name: ast.Name, shape: Shape) -> None:
        if shape.value.root().type == "stats":
            self.error(name, "stats", "invalid type stats")
        else:
            self.unify(shape.value, self.name(name), name)

    def _return(self, node: ast.Return, value: ast.Expr | None) -> None:
        if value is None:
            return
        found = self.expr(value)
        if self._result is None:
            return
        if isinstance(found, Cell):
            self.unify(self._result, found, value)
        else:
            self.fix(self._result, found, value)

    def _delete(self, target: ast.Expr) -> None:
        match target:
            case ast.Name(name=name) if name in self.shapes and name not in self.locals:
                pass  # scalar or whole array: either will do
            case ast.Name():
                self._deleted.append((self.name(target), target))
            case ast.Index():
                self.index(target)
            case _:
                self.expr(target)

_COMPOUND: dict[type, Callable[[Inference, Any], None]] = {
    ast.If: Inference.branch,
    ast.While: Inference.loop,
    ast.For: Inference.counted,
    ast.Foreach: Inference.foreach,
    ast.Try: Inference.catch,
}


def infer(
    probes: list[Probe],
    functions: dict[tuple[str, int], list[Function]],
    globals_: dict[str, GlobalVariable],
    diagnostics: Diagnostics,
) -> tuple[dict[tuple[str, int], tuple[Function, ...]], dict[int, Body]]:
    """Decides all types; returns the functions with their results, and (by id) bodies whose saved values are texts."""
    inference = Inference(globals_, functions, diagnostics)
    bodies = list({id(p.body): p.body for p in probes}.values())
    for condition in {id(p.condition): p.condition for p in probes if p.condition is not None}.values():
        inference.condition(condition)
    inference.run(bodies)
    final = {
        key: tuple(replace(f, result=inference.result_of(key)) for f in overloads)
        for key, overloads in functions.items()
    }
    return final, {id(b): _saved_texts(b, inference.texts_of(b)) for b in bodies if b.entry}


def _saved_texts(body: Body, texts: frozenset[int]) -> Body:
    """A return probe's body with the saved values that are strings marked as such."""

    def mark(node: Any) -> Any:
        node = rebuild(node, mark)
        if isinstance(node, ast.EntryValue) and node.number in texts and node.result != "string":
            return with_fields(node, {"result": "string"})
        return node

    if not any(isinstance(n, ast.EntryValue) for n in walk(body.block)):
        return body
    return replace(body, block=mark(body.block))
