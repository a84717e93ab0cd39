"""IR values and text -> C expressions.

Every value is an s64 in parentheses; text is a pointer to a script string's storage.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, assert_never

from pystap.codegen import names
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.tables import Tables
    from pystap.codegen.variables import Variables

_FIELDS = {
    "ip": "stap_ip(c)",
    "sp": "stap_sp(c)",
    "retval": "c->retval",
    "verdict": "c->verdict",
    "cpu_offset": "(s64)__my_cpu_offset",
}
_ARITHMETIC = {"+": "(s64)((u64){0} + (u64){1})", "-": "(s64)((u64){0} - (u64){1})", "*": "(s64)((u64){0} * (u64){1})"}
_BITWISE = {
    "&": "({0} & {1})",
    "|": "({0} | {1})",
    "^": "({0} ^ {1})",
    "<<": "(s64)((u64){0} << ({1} & 63))",
    ">>": "({0} >> ({1} & 63))",
    ">>>": "(s64)((u64){0} >> ({1} & 63))",
}
_DIVISIONS = {"/": "stap_divide", "%": "stap_modulo"}


class Strings(Protocol):
    """Where a body keeps its text."""

    def local(self, name: str) -> str: ...
    def temporary(self, number: int) -> str: ...


class Values:
    """Spells values inside one body."""

    def __init__(self, tables: Tables, variables: Variables, strings: Strings) -> None:
        self._tables = tables
        self._variables = variables
        self._strings = strings

    def arg(self, arg: ir.Arg) -> str:
        """A value or a text."""
        if isinstance(arg, ir.Literal | ir.StrLocal | ir.StrTemp | ir.StrGlobal | ir.SavedStr):
            return self.text(arg)
        return self.value(arg)

    def text(self, text: ir.Str) -> str:
        """A pointer to a string's storage."""
        match text:
            case ir.Literal():
                return self._tables.literal(text.text)
            case ir.StrLocal():
                return self._strings.local(text.name)
            case ir.StrTemp():
                return self._strings.temporary(text.number)
            case ir.StrGlobal():
                return names.variable(text.name)
            case ir.SavedStr():
                return f"stap_saved_string(c, {text.number})"
            case _:
                assert_never(text)

    def value(self, e: ir.Expr) -> str:  # noqa: C901
        """An s64."""
        match e:
            case ir.Const():
                return names.c_number(e.value)
            case ir.Local():
                return names.local(e.name)
            case ir.Temp():
                return names.temporary(e.number)
            case ir.GlobalValue():
                return self._variables.read(e.name)
            case ir.Reg():
                return f"stap_register{'_user' if e.space is ir.Space.USER else ''}(c, {e.number})"
            case ir.Field():
                return self.field(e)
            case ir.Saved():
                return f"stap_saved(c, {e.number})"
            case ir.SymbolAddress(symbol="", module=str() as path):
                return f"stap_object_address(c, {self._tables.object(path)}, {e.offset:#x}ULL)"
            case ir.SymbolAddress():
                return f"(stap_symbol_address(c, {self._tables.symbol(e)}) + {names.c_number(e.offset)})"
            case ir.Load():
                return self.load(e)
            case ir.Bits():
                signed = "true" if e.signed else "false"
                return f"stap_bits({self.value(e.value)}, {e.offset}, {e.width}, {signed})"
            case ir.Unary():
                return self.unary(e)
            case ir.Binary():
                return self.binary(e)
            case ir.Compare():
                cast = "(u64)" if e.unsigned else ""
                return f"(s64)({cast}{self.value(e.left)} {e.operator} {cast}{self.value(e.right)})"
            case ir.StrCompare():
                return self.compare_text(e)
            case ir.Select():
                return f"({self.value(e.condition)} ? {self.value(e.then)} : {self.value(e.otherwise)})"
            case ir.Hole():
                raise AssertionError("lowering left a hole")
            case _:
                assert_never(e)

    def condition(self, e: ir.Expr) -> str:
        """A value of which only the truth matters."""
        text = self.value(e)
        return text[6:-1] if isinstance(e, ir.Compare) else text

    def field(self, e: ir.Field) -> str:
        """What the engine left in the context."""
        if e.name in ("arg", "args"):
            return f"c->args[{e.number}]"
        if e.name in ("vector", "thread_pointer"):
            self._tables.parts.add("ustate")
        return _FIELDS.get(e.name) or f"stap_field_{names.identifier(e.name)}(c, {e.number})"

    def load(self, e: ir.Load) -> str:
        """A fault-safe load."""
        space = "user_" if e.space is ir.Space.USER else ""
        kind = f"{'s' if e.signed else 'u'}{e.size * 8}"
        return f"stap_load_{space}{kind}(c, {self.value(e.address)}, {self._tables.mark(e.mark)})"

    def unary(self, e: ir.Unary) -> str:
        """- ! ~"""
        operand = self.value(e.operand)
        match e.operator:
            case "-":
                return f"(s64)(0 - (u64){operand})"
            case "!":
                return f"(s64)(!{operand})"
            case _:
                return f"({e.operator}{operand})"

    def binary(self, e: ir.Binary) -> str:
        """Arithmetic as scripts have it: wrapping, and failing on division by zero."""
        return self.operate(e.operator, self.value(e.left), self.value(e.right), e.mark)

    def operate(self, operator: str, left: str, right: str, mark: ir.Mark) -> str:
        """An operator on two spelt values."""
        if operator in _DIVISIONS:
            return f"{_DIVISIONS[operator]}(c, {left}, {right}, {self._tables.mark(mark)})"
        return "(" + (_ARITHMETIC.get(operator) or _BITWISE[operator]).format(left, right) + ")"

    def compare_text(self, e: ir.StrCompare) -> str:
        """Strings by their bytes."""
        left, right = self.text(e.left), self.text(e.right)
        if e.operator in ("==", "!="):
            return f"(s64)({'!' if e.operator == '!=' else ''}stap_equal({left}, {right}))"
        return f"(s64)(stap_compare({left}, {right}) {e.operator} 0)"


def may_fail(e: ir.Arg) -> bool:
    """Whether evaluating can leave an error in the context."""
    match e:
        case ir.Load() | ir.Reg() | ir.SymbolAddress():
            return True
        case ir.Field():
            return e.name not in _FIELDS and e.name not in ("arg", "args")
        case ir.Binary():
            divides = e.operator in _DIVISIONS and not (isinstance(e.right, ir.Const) and e.right.value != 0)
            return divides or may_fail(e.left) or may_fail(e.right)
        case ir.Compare():
            return may_fail(e.left) or may_fail(e.right)
        case ir.Unary():
            return may_fail(e.operand)
        case ir.Bits():
            return may_fail(e.value)
        case ir.Select():
            return may_fail(e.condition) or may_fail(e.then) or may_fail(e.otherwise)
        case _:
            return False
