"""Expressions -> pure values, and ops for what has effects: order, short circuit, assignment, calls, texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never
from zlib import crc32

from pystap.ir import nodes as ir
from pystap.ir.effects import can_fail, reads
from pystap.lower.body import TextPlace
from pystap.lower.maps import Maps
from pystap.lower.marks import first_token
from pystap.lower.prints import Prints
from pystap.lower.stats import Stats
from pystap.lower.target import Targets
from pystap.lower.tree import concat_operands
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.elaborate.program import Type

ONE = ir.Const(1)
ZERO = ir.Const(0)
_FLIPPED = {"<": ">=", ">=": "<", ">": "<=", "<=": ">", "==": "!=", "!=": "=="}


def truth(value: ir.Expr) -> ir.Expr:
    """The value as 0 or 1."""
    if isinstance(value, (ir.Compare, ir.StrCompare)) or (isinstance(value, ir.Unary) and value.operator == "!"):
        return value
    if isinstance(value, ir.Const):
        return ONE if value.value else ZERO
    return ir.Compare("!=", value, ZERO)


def negated(value: ir.Expr) -> ir.Expr:
    """1 where the value is 0, else 0."""
    match value:
        case ir.Compare(operator=operator, left=left, right=right, unsigned=unsigned):
            return ir.Compare(_FLIPPED[operator], left, right, unsigned)
        case ir.StrCompare(operator=operator, left=text, right=other):
            return ir.StrCompare(_FLIPPED[operator], text, other)
        case ir.Const(value=number):
            return ZERO if number else ONE
        case _:
            return ir.Unary("!", value)


class Expressions(Maps, Stats, Prints, Targets):
    """Lowering of every expression."""

    __slots__ = ()

    # --- types: elaboration has decided them, this reads them off ---

    def type_of(self, e: ast.Expr) -> Type:  # noqa: C901
        """The type of an expression's value."""
        match e:
            case ast.String() | ast.Pretty() | ast.AtEnumName():
                return "string"
            case ast.Name(name=name):
                return self._name_type(name)
            case ast.Index(base=ast.Name(name=name)):
                return self.module.globals[name].variable.type
            case ast.Binary(operator=operator):
                return "string" if operator == "." else "long"
            case ast.Ternary(then=then, otherwise=otherwise):
                return "string" if "string" in (self.type_of(then), self.type_of(otherwise)) else "long"
            case ast.Call(name=name, arguments=arguments):
                return self.module.functions(name, len(arguments))[0].result
            case ast.Assign(operator=operator, value=value):
                return "string" if operator == ".=" or (operator == "=" and self.type_of(value) == "string") else "long"
            case ast.TargetAccess(result=result) | ast.EntryValue(result=result):
                return result
            case ast.EmbeddedExpr(code=code):
                return "string" if "/* string */" in code else "long"
            case ast.Print():
                return "string" if e.to_string else "unknown"
            case _:
                return "long"

    def _name_type(self, name: str) -> Type:
        if self.is_local(name):
            return self.locals[name].type
        return self.module.globals[name].variable.type

    # --- values ---

    def value(self, e: ast.Expr) -> ir.Expr:  # noqa: C901
        """A number, as a pure expression; what it needs done first is emitted."""
        match e:
            case ast.Number(value=number):
                return ir.Const(number)
            case ast.Name(name=name):
                return ir.Local(name) if self.is_local(name) else ir.GlobalValue(name)
            case ast.Index():
                return self.bucket(e, e.base) if isinstance(e.base, ast.HistOp) else self.element(e)
            case ast.Call():
                return self._call_value(e)
            case ast.Unary():
                return self._unary(e)
            case ast.Binary():
                return self._binary(e)
            case ast.Compare():
                return self._compare(e)
            case ast.Logical():
                return self._logical(e)
            case ast.Ternary():
                return self._ternary(e)
            case ast.Assign():
                return self._assigned_value(e)
            case ast.IncDec():
                return self._incdec(e, used=True)
            case ast.Match():
                return self._match(e)
            case ast.In():
                return self.contains(e)
            case ast.StatOp():
                return self.statistic(e)
            case ast.TargetAccess():
                return self.access(e)
            case ast.EntryValue(number=number):
                return ir.Saved(number)
            case ast.Register() | ast.Deref():
                return self.raw(e)
            case ast.EmbeddedExpr(code=code) | ast.AtConst(text=code):
                return self._embedded_value(e, code)
            case ast.Print():
                self.print(e)
                return ZERO
            case ast.AtPerf(counter=counter):
                return self.keep(ir.Field("counter", crc32(counter.encode("utf-8", "surrogateescape"))))
            case (
                ast.String() | ast.Star() | ast.TargetVar() | ast.Cast() | ast.AtVar() | ast.AtEnum() | ast.AtEnumName()
                | ast.Defined() | ast.ProbeWrite() | ast.Entry() | ast.HistOp() | ast.Pretty()
            ):  # fmt: skip
                raise AssertionError(f"{type(e).__name__} at {e.span} is no number after elaboration")
            case _:
                assert_never(e)

    def condition(self, e: ast.Expr) -> ir.Expr:
        """A value of which only the truth matters."""
        if isinstance(e, ast.Unary) and e.operator == "!":
            return negated(self.condition(e.operand))
        return self.value(e)

    def _unary(self, e: ast.Unary) -> ir.Expr:
        match e.operator:
            case "+":
                return self.value(e.operand)
            case "!":
                return negated(self.value(e.operand))
            case operator:
                return ir.Unary(operator, self.value(e.operand))

    def _binary(self, e: ast.Binary) -> ir.Expr:
        left, right = self._longs_of(e.left, e.right)
        return ir.Binary(e.operator, left, right, mark=first_token(e.span))

    def _longs_of(self, *expressions: ast.Expr) -> tuple[ir.Expr, ...]:
        return self.values(expressions)  # type: ignore[return-value]

    def _compare(self, e: ast.Compare) -> ir.Expr:
        if self.type_of(e.left) != "string":
            low, high = self._longs_of(e.left, e.right)
            return ir.Compare(e.operator, low, high)
        left, right = self.values((e.left, e.right))
        return ir.StrCompare(e.operator, left, right)  # type: ignore[arg-type]

    def _logical(self, e: ast.Logical) -> ir.Expr:
        left = self.condition(e.left)
        with self.block() as ops:
            right = truth(self.condition(e.right))
        conjunction = e.operator == "&&"
        if not ops:
            return ir.Select(left, right, ZERO) if conjunction else ir.Select(left, ONE, right)
        result = self.temp()
        evaluated = (*ops, ir.Set(result, right))
        decided = (ir.Set(result, ZERO if conjunction else ONE),)
        self.emit(ir.If(left, evaluated, decided) if conjunction else ir.If(left, decided, evaluated))
        return result

    def _ternary(self, e: ast.Ternary) -> ir.Expr:
        condition = self.condition(e.condition)
        with self.block() as yes:
            then = self.value(e.then)
        with self.block() as no:
            otherwise = self.value(e.otherwise)
        if not yes and not no:
            return ir.Select(condition, then, otherwise)
        result = self.temp()
        self.emit(ir.If(condition, (*yes, ir.Set(result, then)), (*no, ir.Set(result, otherwise))))
        return result

    def _match(self, e: ast.Match) -> ir.Expr:
        result = self.temp()
        with self.scratch():
            self.emit(ir.Regex(result, self.module.regex(e.pattern.value), self.text(e.subject)))
        return result if e.operator == "=~" else ir.Unary("!", result)

    def _embedded_value(self, e: ast.Expr, code: str) -> ir.Expr:
        result = self.temp()
        self.emit(ir.Embedded(result, code, mark=first_token(e.span)))
        return result

    # --- calls ---

    def _call_value(self, e: ast.Call) -> ir.Expr:
        functions = self.module.functions(e.name, len(e.arguments))
        if functions[0].result != "long":
            self.effect(e)
            return ZERO
        if self._is_kept(e):
            return ir.Local(self._kept(e, "long"))
        result = self.temp()
        with self.scratch():
            self._call(e, result)
        return result

    def _is_kept(self, e: ast.Call) -> bool:
        return not e.arguments and e.name in self.stable

    def _kept(self, e: ast.Call, kind: str) -> str:
        """The local with a stable function's result, which is called where that has not been yet."""
        name, known = f"__kept_{e.name}", f"__known_{e.name}"
        if known not in self.hidden_longs:
            self.hidden_longs.append(known)
            (self.hidden if kind == "string" else self.hidden_longs).append(name)
        with self.block() as ops:
            self._call(e, ir.StrLocal(name) if kind == "string" else ir.Local(name))
            self.emit(ir.Set(ir.Local(known), ir.Const(1)))
        self.emit(ir.If(ir.Local(known), (), tuple(ops)))
        return name

    def _call(self, e: ast.Call, place: ir.Place | None) -> None:
        ids = tuple(f.id for f in self.module.functions(e.name, len(e.arguments)))
        arguments = self.values(e.arguments)
        written = self.module.effects_of(ids)
        arguments = tuple(self._unshared(a, written) for a in arguments)
        self.emit(ir.Call(place, ids, arguments, mark=first_token(e.span)))

    def _unshared(self, argument: ir.Arg, written: frozenset[tuple[str, str | int]]) -> ir.Arg:
        """A copy of a global text that the callee would change under its own feet."""
        if not isinstance(argument, ir.StrGlobal) or ("global", argument.name) not in written:
            return argument
        copy = self.text_temp()
        self.emit(ir.SetStr(copy, argument))
        return copy

    # --- assignment ---

    def _assigned_value(self, e: ast.Assign) -> ir.Expr:
        match e.target:
            case ast.Name(name=name) if e.operator == "<<<":
                return self.add_sample(ir.StatRef(name), e.value, first_token(e.span))
            case ast.Name(name=name):
                return self._assign_name(e, name, used=True)
            case ast.Index():
                return self.assign_element(e, used=True)
            case ast.TargetAccess() as target:
                return self.assign_target(e, target, used=True)
            case _:
                self.refuse(e.target, "this cannot be assigned to")

    def _assign_name(self, e: ast.Assign, name: str, used: bool) -> ir.Expr:
        operator = e.operator[:-1]
        if self.is_local(name):
            local = ir.Local(name)
            self.emit(ir.Set(local, self._updated(local, operator, e)))
            return local
        if operator in ("+", "-") and not used:
            value = self.value(e.value)
            self.emit(ir.AddGlobal(name, value if operator == "+" else ir.Unary("-", value)))
            return ZERO
        value = self._updated(ir.GlobalValue(name), operator, e)
        if used and not isinstance(value, (ir.Const, ir.Temp)):
            value = self.keep(value)
        self.emit(ir.SetGlobal(name, value))
        return value

    def _updated(self, variable: ir.Expr, operator: str, e: ast.Assign) -> ir.Expr:
        """The new value of `variable OP= e.value`; the variable is read after what computing the value did to it."""
        value = self.value(e.value)
        return ir.Binary(operator, variable, value, mark=first_token(e.span)) if operator else value

    def _incdec(self, e: ast.IncDec, used: bool) -> ir.Expr:
        step = 1 if e.operator == "++" else -1
        match e.target:
            case ast.Name(name=name) if self.is_local(name):
                return self._step_local(ir.Local(name), step, used and not e.prefix)
            case ast.Name(name=name):
                return self._step_global(name, step, e.prefix, used)
            case ast.Index() as target:
                return self.step_element(target, step, e.prefix, used)
            case ast.TargetAccess() as target:
                return self.step_target(target, step, e.prefix)
            case _:
                self.refuse(e.target, "this cannot be incremented or decremented")

    def _step_local(self, local: ir.Local, step: int, want_old: bool) -> ir.Expr:
        old = self.keep(local) if want_old else local
        self.emit(ir.Set(local, ir.Binary("+", local, ir.Const(step))))
        return old

    def _step_global(self, name: str, step: int, prefix: bool, used: bool) -> ir.Expr:
        if not used:
            self.emit(ir.AddGlobal(name, ir.Const(step)))
            return ZERO
        old: ir.Expr = ir.GlobalValue(name)
        new: ir.Expr = ir.Binary("+", old, ir.Const(step))
        if prefix:
            kept = self.keep(new)
            self.emit(ir.SetGlobal(name, kept))
        else:
            kept = self.keep(old)
            self.emit(ir.SetGlobal(name, ir.Binary("+", kept, ir.Const(step))))
        return kept

    # --- texts ---

    def text(self, e: ast.Expr, into: TextPlace | None = None) -> ir.Str:  # noqa: C901
        """Where a text is; put `into` a place where that saves a copy (then that place is the answer)."""
        match e:
            case ast.String(value=text):
                return ir.Literal(text)
            case ast.Name(name=name):
                return ir.StrLocal(name) if self.is_local(name) else ir.StrGlobal(name)
            case ast.EntryValue(number=number):
                return ir.SavedStr(number)
            case ast.Index():
                return self.text_element(e, self._place(e, into))
            case ast.Binary():
                return self._concat(e, into)
            case ast.Ternary():
                return self._text_ternary(e, into)
            case ast.Assign():
                return self._assigned_text(e)
            case ast.Call() if self._is_kept(e):
                return ir.StrLocal(self._kept(e, "string"))
            case ast.Call():
                place = self._place(e, into)
                with self.scratch():
                    self._call(e, place)
                return place
            case ast.Print():
                return self.sprint(e, self._place(e, into))
            case ast.Pretty():
                return self.pretty(e, self._place(e, into))
            case ast.EmbeddedExpr(code=code):
                temp = self.text_temp()
                self.emit(ir.Embedded(temp, code, mark=first_token(e.span)))
                return temp
            case _:
                raise AssertionError(f"{type(e).__name__} at {e.span} is no text after elaboration")

    def _place(self, e: ast.Expr, into: TextPlace | None) -> TextPlace:
        """`into` where the expression does not read it; else a temporary."""
        if into is None or (isinstance(into, ir.StrLocal) and self.mentions(e, into.name)):
            return self.text_temp()
        return into

    def assign_text(self, place: TextPlace, e: ast.Expr) -> None:
        """place = e."""
        halfway = self.caught and isinstance(place, ir.StrLocal) and not _is_plain(e)
        with self.scratch():
            text = self.text(e, None if halfway else place)
            if text != place:
                self.emit(ir.SetStr(place, text))

    def _concat(self, e: ast.Expr, into: TextPlace | None) -> ir.Str:
        place = into or self.text_temp()
        operands = self.join(concat_operands(e))
        if len(operands) == 1:
            return operands[0]
        resource = reads(place)
        if any(reads(o) & resource for o in operands[1:]):
            place = self.text_temp()
        return self._chained(place, operands)

    def _chained(self, place: TextPlace, operands: list[ir.Str]) -> ir.Str:
        left = operands[0]
        for right in operands[1:]:
            self.emit(ir.Concat(place, left, right))
            left = place
        return place

    def join(self, expressions: list[ast.Expr]) -> list[ir.Str]:
        """The texts of a chain, neighbouring literals joined, empty ones left out."""
        joined: list[ir.Str] = []
        for text in self.values(expressions):
            if text == ir.Literal(""):
                continue
            if joined and isinstance(text, ir.Literal) and isinstance(joined[-1], ir.Literal):
                joined[-1] = ir.Literal(joined[-1].text + text.text)
            else:
                joined.append(text)  # type: ignore[arg-type]
        return joined or [ir.Literal("")]

    def _text_ternary(self, e: ast.Ternary, into: TextPlace | None) -> ir.Str:
        place = into or self.text_temp()
        condition = self.condition(e.condition)
        with self.block() as yes:
            self.assign_text(place, e.then)
        with self.block() as no:
            self.assign_text(place, e.otherwise)
        if yes or not no:
            self.emit(ir.If(condition, tuple(yes), tuple(no)))
        else:
            self.emit(ir.If(negated(condition), tuple(no)))
        return place

    def _assigned_text(self, e: ast.Assign, used: bool = True) -> ir.Str:
        match e.target:
            case ast.Name(name=name) if self.is_local(name):
                local = ir.StrLocal(name)
                if e.operator == ".=":
                    self._append(local, e.value)
                else:
                    self.assign_text(local, e.value)
                return local
            case ast.Name(name=name):
                text = self.text(e.value) if e.operator == "=" else self._appended(ir.StrGlobal(name), e.value)
                if text != ir.StrGlobal(name):
                    self.emit(ir.SetGlobalStr(name, text))
                return ir.StrGlobal(name)
            case ast.Index():
                return self.assign_text_element(e, used)
            case _:
                self.refuse(e.target, "a string cannot be assigned to this")

    def _append(self, local: ir.StrLocal, e: ast.Expr) -> None:
        """local .= e, in place; the local is read after what the computation of `e` did to it."""
        with self.scratch():
            operands = self.join(concat_operands(e))
            if any(reads(o) & reads(local) for o in operands):
                self.emit(ir.SetStr(local, self._chained(self.text_temp(), [local, *operands])))
                return
            for operand in operands:
                if operand != ir.Literal(""):
                    self.emit(ir.Concat(local, local, operand))

    def _appended(self, variable: ir.Str, e: ast.Expr) -> ir.Str:
        place = self.text_temp()
        return self._chained(place, [variable, *self.join(concat_operands(e))])

    # --- effects only ---

    def effect(self, e: ast.Expr) -> None:
        """Does what an expression does; its value is not wanted."""
        with self.scratch():
            self._effect(e)

    def _effect(self, e: ast.Expr) -> None:
        match e:
            case ast.Assign():
                self._assign_effect(e)
            case ast.IncDec():
                self._incdec(e, used=False)
            case ast.Call():
                string = self.type_of(e) == "string"
                self._call(e, self.text_temp() if string else None)
            case ast.Print() if not e.to_string:
                self.print(e)
            case ast.Ternary():
                self._ternary_effect(e)
            case ast.Logical():
                self._logical_effect(e)
            case _:
                self._computed(e)

    def _assign_effect(self, e: ast.Assign) -> None:
        if self.type_of(e) == "string":
            self._assigned_text(e, used=False)
            return
        match e.target:
            case ast.Name(name=name) if e.operator != "<<<":
                self._assign_name(e, name, used=False)
            case ast.Index():
                self.assign_element(e, used=False)
            case ast.TargetAccess() as target:
                self.assign_target(e, target, used=False)
            case _:
                self._assigned_value(e)

    def _ternary_effect(self, e: ast.Ternary) -> None:
        condition = self.condition(e.condition)
        with self.block() as yes:
            self.effect(e.then)
        with self.block() as no:
            self.effect(e.otherwise)
        self.emit(ir.If(condition, tuple(yes), tuple(no)))

    def _logical_effect(self, e: ast.Logical) -> None:
        condition = self.condition(e.left)
        with self.block() as ops:
            self.effect(e.right)
        self.emit(ir.If(condition if e.operator == "&&" else negated(condition), tuple(ops)))

    def _computed(self, e: ast.Expr) -> None:
        """A value that nobody wants still fails where it fails."""
        if self.type_of(e) == "string":
            self.text(e)
            return
        value = self.value(e)
        if can_fail(value):
            self.keep(value)


def _is_plain(e: ast.Expr) -> bool:
    """Whether a text is made without anything that can fail on the way."""
    return all(isinstance(n, (ast.String, ast.Name, ast.Binary)) for n in walk(e))
