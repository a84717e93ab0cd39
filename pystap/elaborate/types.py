"""Types of every variable, function and array, by unification over the whole program: order-independent and linear.

Each variable, parameter, result and array key has one cell; walking the program once adds equalities, each with the
node that demanded it, so that a conflict names both places.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Union, cast

from pystap.diagnostics import Diagnostic, Diagnostics, Severity
from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Type, Variable
from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.elaborate.symbols import shown_name
from pystap.elaborate.tokens import token
from pystap.syntax import ast
from pystap.syntax.walk import walk


@dataclass(slots=True, eq=False)
class Cell:
    """A type that may not be known yet, and the node at which it was first decided."""

    type: Type | None = None
    node: ast.Node | None = None
    link: Cell | None = None
    index: int | None = None  # the position of an array key or parameter, for messages

    def root(self) -> Cell:
        """The cell that speaks for all that were unified with this one."""
        here = self
        while here.link is not None:
            here = here.link
        if here is not self:
            self.link = here
        return here


T = Union[Cell, Type]


@dataclass(slots=True, eq=False)
class Shape:
    """What is known of a global's form."""

    variable: GlobalVariable
    value: Cell
    arity: int | None = None
    first: ast.Node | None = None
    keys: list[Cell] = field(default_factory=list)


class Inference:
    """One program's types."""

    def __init__(
        self,
        globals_: dict[str, GlobalVariable],
        functions: dict[tuple[str, int], list[Function]],
        diagnostics: Diagnostics,
    ) -> None:
        self.diagnostics = diagnostics
        self.functions = functions
        self.shapes = {name: _shape(g) for name, g in globals_.items()}
        self._cells: dict[Variable, Cell] = {}
        self._results: dict[tuple[str, int], Cell] = {}
        self._parameters: dict[tuple[str, int], list[Cell]] = {}
        self._uses: list[tuple[Cell, ast.Node]] = []
        self._locals: Any = {}
        self._result: Cell | None = None
        self._entry: list[T] = []
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
        result = self._results[key] = Cell()
        cells = self._parameters[key] = [Cell(index=i) for i in range(key[1])]
        for function in overloads:
            if function.declaration.result is not None:
                self._fix(result, function.declaration.result, function.declaration)
            given = function.declaration.parameters
            for cell, variable, declared in zip(cells, function.parameters, given, strict=True):
                if declared.type is not None:
                    self._fix(cell, declared.type, declared)
                self._cells[variable] = cell

    def _function(self, key: tuple[str, int], function: Function) -> None:
        if isinstance(function.body, Body):
            self._result = self._results[key]
            self.body(function.body)
            self._result = None

    def condition(self, condition: ast.Expr) -> None:
        """A probe point's condition."""
        self._locals = {}
        self.want(condition, "long")

    def body(self, body: Body) -> None:
        """One body, with what it saves at entry."""
        self._locals = body.entry_locals
        self._entry = [self.expr(e) for e in body.entry]
        self._saved[id(body)] = self._entry
        self._locals = body.locals
        self.stmt(body.block)

    def _settle(self, bodies: list[Body]) -> None:
        reported: set[Cell] = set()
        for cell, node in self._uses:
            root = cell.root()
            if root.type is None and root not in reported:
                reported.add(root)
                self._error(node, "unresolved-type", "unresolved type ")
        for variable, cell in self._cells.items():
            variable.type = cell.root().type or "long"
        for shape in self.shapes.values():
            shape.variable.variable.type = shape.value.root().type or "unknown"
            shape.variable.keys = tuple(k.root().type or "long" for k in shape.keys)
            self._check_form(shape)

    def _check_form(self, shape: Shape) -> None:
        declaration = shape.variable.declaration
        if shape.arity == 0 and declaration.wrap:
            self._error(declaration, "wrap", "wrapping not supported for scalars")
        if shape.arity and declaration.initializer is not None:
            assert shape.first is not None
            self._arity(shape, 0, shape.arity, declaration, shape.first)

    def result_of(self, key: tuple[str, int]) -> Type:
        """A function's result after inference."""
        return self._results[key].root().type or "unknown"

    def texts_of(self, body: Body) -> frozenset[int]:
        """The numbers of a body's saved values that are strings."""
        types = (t.root().type if isinstance(t, Cell) else t for t in self._saved[id(body)])
        return frozenset(number for number, t in enumerate(types) if t == "string")

    # --- equalities ----------------------------------------------------------------------------------

    def _fix(self, cell: Cell, type_: Type, node: ast.Node) -> None:
        root = cell.root()
        if root.type is None:
            root.type, root.node = type_, node
        elif root.type != type_:
            self._mismatch(root, type_, node, cell.index)

    def _unify(self, a: Cell, b: Cell, node: ast.Node) -> None:
        x, y = a.root(), b.root()
        if x is y:
            return
        if x.type is not None and y.type is not None and x.type != y.type:
            self._mismatch(x, y.type, node, a.index)
            return
        if x.type is None:
            x.link = y
        else:
            y.link = x

    def want(self, node: ast.Expr, type_: Type, index: int | None = None) -> None:
        """An expression that must have a type."""
        found = self.expr(node)
        if isinstance(found, Cell):
            self._fix(found, type_, node)
        elif found != type_:
            self._error(node, "type", f"type mismatch: expected {type_} but found {found}")

    def _agree(self, left: T, right: T, lnode: ast.Expr, rnode: ast.Expr, node: ast.Node) -> T:
        match left, right:
            case Cell() as a, Cell() as b:
                self._unify(a, b, lnode)
                return a
            case Cell() as a, str() as t:
                self._fix(a, t, lnode)
                return t
            case str() as t, Cell() as b:
                self._fix(b, t, rnode)
                return t
            case _:
                if left != right:
                    text = f"type mismatch: left and right sides don't agree ({left} vs {right})"
                    self._error(node, "type", text)
                return left

    def _assign(self, target: T, value: T, node: ast.Expr) -> T:
        """The target takes the value's type; a conflict is reported at the target."""
        match target, value:
            case Cell() as a, Cell() as b:
                self._unify(a, b, node)
            case (Cell() as a, t) | (t, Cell() as a):
                self._fix(a, cast(Type, t), node)
            case _:
                if target != value:
                    self._error(node, "type", f"type mismatch: expected {target} but found {value}")
        return target

    def _pass(self, cell: Cell, argument: ast.Expr) -> None:
        """A value handed over as parameter or array key."""
        found = self.expr(argument)
        if isinstance(found, Cell):
            self._unify(cell, found, argument)
            return
        root = cell.root()
        if isinstance(root.node, (ast.Parameter, ast.Function)) and root.type != found:
            self._error(argument, "type", f"type mismatch: expected {root.type} but found {found}")
        else:
            self._fix(cell, found, argument)

    # --- messages ------------------------------------------------------------------------------------

    def _error(self, node: ast.Node, code: str, text: str, cause: Diagnostic | None = None) -> None:
        self.diagnostics.error(node.span, code, text, token=token(node), cause=cause)

    def _mismatch(self, root: Cell, type_: Type, node: ast.Node, index: int | None) -> None:
        where = "" if index is None else f"index {index} "
        of_index = "" if index is None else f" of index {index}"
        cause = None
        if root.node is not None:
            text = f"type{of_index} was first inferred here ({root.type})"
            cause = Diagnostic(Severity.SEMANTIC, "first", text, root.node.span, token(root.node))
        self._error(node, "type", f"{where}type mismatch ({type_})", cause)

    def _arity(self, shape: Shape, arity: int, first: int, node: ast.Node, first_node: ast.Node) -> None:
        cause = Diagnostic(
            Severity.SEMANTIC, "first", f"arity {first} first inferred here", first_node.span, token(first_node)
        )
        self._error(node, "arity", f"inconsistent arity ({first} vs {arity})", cause)

    # --- variables -----------------------------------------------------------------------------------

    def name(self, node: ast.Name) -> Cell:
        variable = self._locals.get(node.name)
        if variable is not None:
            cell = self._cells.get(variable)
            if cell is None:
                cell = self._cells[variable] = Cell()
            return cell
        shape = self.shapes.get(node.name)
        if shape is None:  # reported before
            return Cell("long")
        self._use(shape, 0, node)
        return shape.value

    def _use(self, shape: Shape, arity: int, node: ast.Node) -> bool:
        if shape.arity is None:
            shape.arity, shape.first = arity, node
            shape.keys = [Cell(index=i) for i in range(arity)]
        elif shape.arity != arity:
            assert shape.first is not None
            self._arity(shape, arity, shape.arity, node, shape.first)
            return False
        return True

    def element(self, base: ast.Name, keys: tuple[ast.Expr, ...]) -> Cell:
        """An array element's value; the keys get the array's key types."""
        shape = self.shapes.get(base.name)
        if shape is None or base.name in self._locals:
            for key in keys:
                self._key(Cell(), key)
            return Cell("long")
        if self._use(shape, len(keys), base):
            for cell, key in zip(shape.keys, keys, strict=True):
                self._key(cell, key)
        return shape.value

    def _key(self, cell: Cell, key: ast.Expr) -> None:
        if not isinstance(key, ast.Star):
            self._pass(cell, key)

    def index(self, node: ast.Index) -> T:
        if isinstance(node.base, ast.HistOp):
            self.hist(node.base)
            for key in node.keys:
                self.want(key, "long")
            return "long"
        return self.element(node.base, node.keys)

    # --- expressions ---------------------------------------------------------------------------------

    def expr(self, node: ast.Expr) -> T:
        """The type of an expression that is used as a value."""
        found = _EXPRESSIONS[type(node)](self, node)
        if isinstance(found, Cell):
            if found.root().type == "stats":
                self._error(node, "type", "type mismatch: expected long but found stats")
                return "long"
            if found.root().type is None:
                self._uses.append((found, node))
        return found

    def long(self, node: Any) -> T:
        return "long"

    def string(self, node: Any) -> T:
        return "string"

    def call(self, node: ast.Call) -> T:
        key = node.name, len(node.arguments)
        cells = self._parameters.get(key)
        if cells is None:  # reported before
            for argument in node.arguments:
                self.expr(argument)
            return "long"
        for cell, argument in zip(cells, node.arguments, strict=True):
            self._pass(cell, argument)
        return self._results[key]

    def unary(self, node: ast.Unary) -> T:
        self.want(node.operand, "long")
        return "long"

    def binary(self, node: ast.Binary) -> T:
        type_: Type = "string" if node.operator == "." else "long"
        self.want(node.left, type_)
        self.want(node.right, type_)
        return type_

    def compare(self, node: ast.Compare) -> T:
        self._agree(self.expr(node.left), self.expr(node.right), node.left, node.right, node)
        return "long"

    def logical(self, node: ast.Logical) -> T:
        self.want(node.left, "long")
        self.want(node.right, "long")
        return "long"

    def ternary(self, node: ast.Ternary) -> T:
        self.want(node.condition, "long")
        return self._agree(self.expr(node.then), self.expr(node.otherwise), node.then, node.otherwise, node)

    def assign(self, node: ast.Assign) -> T:
        if node.operator == "<<<":
            self._stats(node.target)
            self.want(node.value, "long")
            return "long"
        target = self.place(node.target)
        if node.operator == "=":
            self._remember(node)
            return self._assign(target, self.expr(node.value), node.target)
        type_: Type = "string" if node.operator == ".=" else "long"
        self._assign(target, type_, node.target)
        self.want(node.value, type_)
        return type_

    def _remember(self, node: ast.Assign) -> None:
        """A global that holds a C pointer is shown as one."""
        base = node.target.base if isinstance(node.target, ast.Index) else node.target
        if isinstance(node.value, ast.TargetAccess) and isinstance(base, ast.Name) and base.name in self.shapes:
            self.shapes[base.name].variable.variable.ctype = node.value.ctype

    def place(self, node: ast.Expr) -> T:
        """What is assigned to."""
        match node:
            case ast.Name():
                return self.name(node)
            case ast.Index():
                return self.index(node)
            case _:
                return self.expr(node)

    def step(self, node: ast.IncDec) -> T:
        self._assign(self.place(node.target), "long", node.target)
        return "long"

    def regex(self, node: ast.Match) -> T:
        self.want(node.subject, "string")
        return "long"

    def member_of(self, node: ast.In) -> T:
        self.element(node.array, node.keys)
        return "long"

    def _stats(self, node: ast.Expr) -> GlobalVariable | None:
        if isinstance(node, ast.Index) and isinstance(node.base, ast.Name):
            cell, name = self.element(node.base, node.keys), node.base.name
        elif isinstance(node, ast.Name):
            cell, name = self.name(node), node.name
        else:
            self._error(node, "stats", "invalid type stats")
            return None
        self._fix(cell, "stats", node)
        shape = self.shapes.get(name)
        return shape.variable if shape is not None else None

    def stat(self, node: ast.StatOp) -> T:
        variable = self._stats(node.stat)
        if variable is None:
            return "long"
        variable.stat_ops |= {node.operator}
        if node.operator == "variance":
            self._shift(variable, node)
        return "long"

    def _shift(self, variable: GlobalVariable, node: ast.StatOp) -> None:
        if not 0 <= node.shift <= 62:
            self._error(node, "shift", f"bit shift ({node.shift}) out of range <0..62>")
        elif variable.shift and variable.shift != node.shift:
            self._error(node, "shift", f"conflicting bit shifts declared (previously {variable.shift})")
        else:
            variable.shift = node.shift

    def hist(self, node: ast.HistOp) -> T:
        variable = self._stats(node.stat)
        if variable is None:
            return "string"
        if variable.hist is not None and variable.hist.linear != node.linear:
            text = f"multiple histogram types declared on '{shown_name(variable.name)}'"
            self._error(node, "histogram", text)
        variable.hist = variable.hist or node
        return "string"

    def print(self, node: ast.Print) -> T:
        if node.format is not None:
            self._formatted(node)
        elif len(node.arguments) == 1 and isinstance(node.arguments[0], ast.HistOp):
            self.hist(node.arguments[0])
        else:
            for argument in node.arguments:
                if node.name == "print_char":
                    self.want(argument, "long")
                else:
                    self.expr(argument)
        if len(node.arguments) > 32:
            self._error(node, "print", f"too many arguments to print ({len(node.arguments)})")
        return "string" if node.to_string else "long"

    def _formatted(self, node: ast.Print) -> None:
        from pystap.elaborate.formats import FormatError, argument_types, parse_format

        assert node.format is not None
        try:
            wanted = argument_types(parse_format(node.format))
        except FormatError as error:
            self._error(node, "format", str(error))
            return
        if len(wanted) != len(node.arguments):
            self._error(node, "format", "Wrong number of args to formatted print operator")
            return
        for argument, type_ in zip(node.arguments, wanted, strict=True):
            self.want(argument, type_)

    def embedded(self, node: ast.EmbeddedExpr) -> T:
        return "string" if "/* string */" in node.code else "long"

    def access(self, node: ast.TargetAccess) -> T:
        for hole in node.holes:
            self.want(hole, "long")
        return node.result

    def pretty(self, node: ast.Pretty) -> T:
        for each in node.fields:
            for access in (each.access, each.address):
                if access is not None:
                    self.access(access)
        return "string"

    def entry_value(self, node: ast.EntryValue) -> T:
        return self._entry[node.number] if node.number < len(self._entry) else node.result

    def unresolved(self, node: ast.Node) -> T:
        """A target expression that could not be had: reported elsewhere."""
        return Cell("long")

    def deref(self, node: ast.Deref) -> T:
        self.want(node.size, "long")
        self.want(node.address, "long")
        return "long"

    def register(self, node: ast.Register) -> T:
        self.want(node.number, "long")
        return "long"

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
        _EXPRESSIONS[type(value)](self, value)

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
            self._fix(self.name(node.message), "string", node.message)
        self.stmt(node.handler)

    def foreach(self, node: ast.Foreach) -> None:
        if isinstance(node.base, ast.HistOp):
            self.hist(node.base)
            for name in (*node.keys, *((node.value,) if node.value else ())):
                self._fix(self.name(name), "long", name)
        else:
            self._foreach_array(node, node.base)
        if node.limit is not None:
            self.want(node.limit, "long")
        self.stmt(node.body)

    def _foreach_array(self, node: ast.Foreach, base: ast.Name) -> None:
        shape = self.shapes.get(base.name)
        if shape is None or not self._use(shape, len(node.keys), base):
            for name in (*node.keys, *((node.value,) if node.value else ())):
                self._fix(self.name(name), "long", name)  # one error is enough
            return
        for cell, name in zip(shape.keys, node.keys, strict=True):
            self._unify(cell, self.name(name), name)
        for cell, key in zip(shape.keys, node.slice or (), strict=False):
            self._key(cell, key)
        if node.sort_aggregate is not None:
            self._fix(shape.value, "stats", base)
            shape.variable.stat_ops |= {node.sort_aggregate}
        if node.value is not None:
            self._foreach_value(node.value, shape)

    def _foreach_value(self, name: ast.Name, shape: Shape) -> None:
        if shape.value.root().type == "stats":
            self._error(name, "stats", "invalid type stats")
        else:
            self._unify(shape.value, self.name(name), name)

    def _return(self, node: ast.Return, value: ast.Expr | None) -> None:
        if value is None:
            return
        found = self.expr(value)
        if self._result is None:
            return
        if isinstance(found, Cell):
            self._unify(self._result, found, value)
        else:
            self._fix(self._result, found, value)

    def _delete(self, target: ast.Expr) -> None:
        match target:
            case ast.Name(name=name) if name in self.shapes and name not in self._locals:
                pass  # scalar or whole array: either will do
            case ast.Name():
                self.name(target)
            case ast.Index():
                self.index(target)
            case _:
                self.expr(target)


def _shape(variable: GlobalVariable) -> Shape:
    cell = Cell()
    initial = variable.declaration.initializer
    if initial is not None:
        cell.type = "string" if isinstance(initial, ast.String) else "long"
        cell.node = variable.declaration
    return Shape(variable, cell)


_EXPRESSIONS: dict[type, Callable[[Inference, Any], T]] = {
    ast.Number: Inference.long,
    ast.String: Inference.string,
    ast.Name: Inference.name,
    ast.Star: Inference.long,
    ast.Index: Inference.index,
    ast.Call: Inference.call,
    ast.Unary: Inference.unary,
    ast.Binary: Inference.binary,
    ast.Compare: Inference.compare,
    ast.Logical: Inference.logical,
    ast.Ternary: Inference.ternary,
    ast.Assign: Inference.assign,
    ast.IncDec: Inference.step,
    ast.Match: Inference.regex,
    ast.In: Inference.member_of,
    ast.TargetVar: Inference.unresolved,
    ast.Cast: Inference.unresolved,
    ast.AtVar: Inference.unresolved,
    ast.AtEnum: Inference.unresolved,
    ast.AtEnumName: Inference.string,
    ast.AtConst: Inference.long,
    ast.AtPerf: Inference.long,
    ast.Register: Inference.register,
    ast.Deref: Inference.deref,
    ast.Defined: Inference.long,
    ast.ProbeWrite: Inference.long,
    ast.Entry: Inference.unresolved,
    ast.StatOp: Inference.stat,
    ast.HistOp: Inference.hist,
    ast.Print: Inference.print,
    ast.EmbeddedExpr: Inference.embedded,
    ast.TargetAccess: Inference.access,
    ast.EntryValue: Inference.entry_value,
    ast.Pretty: Inference.pretty,
}
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
