"""The types of expressions: one method for each kind, which demands of its operands what the kind needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pystap.diagnostics import Diagnostics
from pystap.elaborate.program import GlobalVariable, Type, Variable
from pystap.elaborate.symbols import shown_name
from pystap.elaborate.unify import Cell, Shape, T, Unifier
from pystap.syntax import ast


class Values(Unifier):
    """Expressions of one program."""

    def __init__(self, shapes: dict[str, Shape], diagnostics: Diagnostics) -> None:
        super().__init__(diagnostics)
        self.shapes = shapes
        self.locals: Any = {}  # of the body that is looked at
        self.saved: list[T] = []  # the types of what it saved at entry
        self.cells: dict[Variable, Cell] = {}
        self.results: dict[tuple[str, int], Cell] = {}
        self.parameters: dict[tuple[str, int], list[Cell]] = {}
        self.uses: list[tuple[Cell, ast.Node]] = []

    def want(self, node: ast.Expr, type_: Type) -> None:
        """An expression that must have a type."""
        found = self.raw(node)
        if isinstance(found, Cell):
            self.fix(found, type_, node)
        elif found != type_:
            self.error(node, "type", f"type mismatch: expected {type_} but found {found}")

    def pass_(self, cell: Cell, argument: ast.Expr) -> None:
        """A value handed over as parameter or array key."""
        found = self.expr(argument)
        if isinstance(found, Cell):
            self.unify(cell, found, argument)
            return
        self.fix(cell, found, argument)

    # --- variables -----------------------------------------------------------------------------------

    def name(self, node: ast.Name) -> Cell:
        variable = self.locals.get(node.name)
        if variable is not None:
            cell = self.cells.get(variable)
            if cell is None:
                cell = self.cells[variable] = Cell()
            return cell
        shape = self.shapes.get(node.name)
        if shape is None:  # reported before
            return Cell("long")
        self.use(shape, 0, node)
        return shape.value

    def element(self, base: ast.Name, keys: tuple[ast.Expr, ...]) -> Cell:
        """An array element's value; the keys get the array's key types."""
        shape = self.shapes.get(base.name)
        if shape is None or base.name in self.locals:
            for key in keys:
                self.key(Cell(), key)
            return Cell("long")
        if self.use(shape, len(keys), base):
            for cell, key in zip(shape.keys, keys, strict=True):
                self.key(cell, key)
        return shape.value

    def key(self, cell: Cell, key: ast.Expr) -> None:
        if not isinstance(key, ast.Star):
            self.pass_(cell, key)

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
        found = self.raw(node)
        if isinstance(found, Cell) and found.root().type == "stats":
            self.error(node, "type", "invalid type stats")
            return "long"
        return found

    def raw(self, node: ast.Expr) -> T:
        """As expr(), for uses to which a statistic is no worse than a wrong type."""
        found = EXPRESSIONS[type(node)](self, node)
        if isinstance(found, Cell) and found.root().type is None:
            self.uses.append((found, node))
        return found

    def long(self, node: Any) -> T:
        return "long"

    def string(self, node: Any) -> T:
        return "string"

    def call(self, node: ast.Call) -> T:
        key = node.name, len(node.arguments)
        cells = self.parameters.get(key)
        if cells is None:  # reported before
            for argument in node.arguments:
                self.expr(argument)
            return "long"
        for cell, argument in zip(cells, node.arguments, strict=True):
            self.pass_(cell, argument)
        return self.results[key]

    def unary(self, node: ast.Unary) -> T:
        self.want(node.operand, "long")
        return "long"

    def binary(self, node: ast.Binary) -> T:
        type_: Type = "string" if node.operator == "." else "long"
        if type_ == "long" and isinstance(node.left, ast.Print) and node.left.to_string:
            right = self.expr(node.right)
            shown = (right.root().type or "long") if isinstance(right, Cell) else right
            self.error(node, "type", f"type mismatch: left and right sides don't agree (string vs {shown})")
            return type_
        self.want(node.left, type_)
        self.want(node.right, type_)
        return type_

    def compare(self, node: ast.Compare) -> T:
        self.agree(self.expr(node.left), self.expr(node.right), node.left, node.right)
        return "long"

    def logical(self, node: ast.Logical) -> T:
        self.want(node.left, "long")
        self.want(node.right, "long")
        return "long"

    def ternary(self, node: ast.Ternary) -> T:
        self.want(node.condition, "long")
        return self.agree(self.expr(node.otherwise), self.expr(node.then), node.otherwise, node.then)

    def assign(self, node: ast.Assign) -> T:
        if node.operator == "<<<":
            self.stats(node.target)
            self.want(node.value, "long")
            return "long"
        target = self.place(node.target)
        if node.operator == "=":
            self._remember(node)
            return self.set(target, self.expr(node.value), node.target)
        type_: Type = "string" if node.operator == ".=" else "long"
        self.set(target, type_, node.target)
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
        self.set(self.place(node.target), "long", node.target)
        return "long"

    def regex(self, node: ast.Match) -> T:
        self.want(node.subject, "string")
        return "long"

    def member_of(self, node: ast.In) -> T:
        cell = self.element(node.array, node.keys)
        if cell.root().type is None:
            self.uses.append((cell, node.array))
        return "long"

    def stats(self, node: ast.Expr) -> GlobalVariable | None:
        if isinstance(node, ast.Index) and isinstance(node.base, ast.Name):
            cell, name = self.element(node.base, node.keys), node.base.name
        elif isinstance(node, ast.Name):
            cell, name = self.name(node), node.name
            if name in self.locals:
                if cell.root().type == "stats":
                    return None  # reported before
                cell.root().type = "stats"
                self.error(node, "stat-local", "stat locals not supported, missing global declaration? ")
                return None
        else:
            self.want(node, "stats")
            return None
        self.fix(cell, "stats", node)
        shape = self.shapes.get(name)
        return shape.variable if shape is not None else None

    def stat(self, node: ast.StatOp) -> T:
        if not 0 <= node.shift <= 62:
            self.error(node, "shift", f"bit shift ({node.shift}) out of range <0..62>")
        variable = self.stats(node.stat)
        if variable is None:
            return "long"
        variable.stat_ops |= {node.operator}
        if node.operator == "variance":
            self._shift(variable, node)
        return "long"

    def _shift(self, variable: GlobalVariable, node: ast.StatOp) -> None:
        if not 0 <= node.shift <= 62:
            self.error(node, "shift", f"bit shift ({node.shift}) out of range <0..62>")
        elif variable.shift and variable.shift != node.shift:
            self.error(node, "shift", f"conflicting bit shifts declared (previously {variable.shift})")
        else:
            variable.shift = node.shift

    def hist(self, node: ast.HistOp) -> T:
        variable = self.stats(node.stat)
        if variable is None:
            return "string"
        if variable.hist is not None and variable.hist.linear != node.linear:
            text = f"multiple histogram types declared on '{shown_name(variable.name)}'"
            self.error(node, "histogram", text)
        variable.hist = variable.hist or node
        return "string"

    def print(self, node: ast.Print) -> T:
        if node.format is not None:
            self._formatted(node)
        elif len(node.arguments) == 1 and isinstance(node.arguments[0], ast.HistOp):
            self.hist(node.arguments[0])
        else:
            for argument in node.arguments:  # translation refuses what cannot be printed, as in stap
                self.raw(argument)
        if len(node.arguments) > 32:
            self.error(node, "print", f"too many arguments to print ({len(node.arguments)})")
        return "string" if node.to_string else "long"

    def _formatted(self, node: ast.Print) -> None:
        from pystap.elaborate.formats import FormatError, argument_types, parse_format

        assert node.format is not None
        try:
            wanted = argument_types(parse_format(node.format))
        except FormatError as error:
            self.error(node, "format", str(error))
            return
        if len(wanted) != len(node.arguments):
            self.error(node, "format", "Wrong number of args to formatted print operator")
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
        return self.saved[node.number] if node.number < len(self.saved) else node.result

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


EXPRESSIONS: dict[type, Callable[[Values, Any], T]] = {
    ast.Number: Values.long,
    ast.String: Values.string,
    ast.Name: Values.name,
    ast.Star: Values.long,
    ast.Index: Values.index,
    ast.Call: Values.call,
    ast.Unary: Values.unary,
    ast.Binary: Values.binary,
    ast.Compare: Values.compare,
    ast.Logical: Values.logical,
    ast.Ternary: Values.ternary,
    ast.Assign: Values.assign,
    ast.IncDec: Values.step,
    ast.Match: Values.regex,
    ast.In: Values.member_of,
    ast.TargetVar: Values.unresolved,
    ast.Cast: Values.unresolved,
    ast.AtVar: Values.unresolved,
    ast.AtEnum: Values.unresolved,
    ast.AtEnumName: Values.string,
    ast.AtConst: Values.long,
    ast.AtPerf: Values.long,
    ast.Register: Values.register,
    ast.Deref: Values.deref,
    ast.Defined: Values.long,
    ast.ProbeWrite: Values.long,
    ast.Entry: Values.unresolved,
    ast.StatOp: Values.stat,
    ast.HistOp: Values.hist,
    ast.Print: Values.print,
    ast.EmbeddedExpr: Values.embedded,
    ast.TargetAccess: Values.access,
    ast.EntryValue: Values.entry_value,
    ast.Pretty: Values.pretty,
}
