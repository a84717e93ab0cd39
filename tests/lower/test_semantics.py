"""Random programs mean the same as trees and as IR: strict left-to-right evaluation survives lowering.

One interpreter walks the syntax tree, the other the IR; both record what is printed. Texts are not bounded here.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from pystap.diagnostics import Diagnostics
from pystap.ir import nodes as ir
from pystap.ir.check import check
from pystap.lower import lower
from pystap.options import Options
from pystap.syntax import ast
from tests.support.elaborating import program_of

FUNCTIONS = """
global g, h, gs = "G", hs = "H", arr, names
function bump:long(x:long) { g += x; println("bump", x, g); return g }
function tell:string(s:string) { gs = s . "!"; hs .= "h"; println("tell", s); return s . gs }
function keep:string(s:string) { gs = "k"; return s }
function pick:long(a:long, s:string) { h++; arr[a & 1] += a; names[a & 1] .= s; return a + h }
function risky:long(x:long) { return 10 / (x & 1) }
"""


class _Fault(Exception):  # noqa: N818
    pass


class _Break(Exception):  # noqa: N818
    pass


class _Return(Exception):  # noqa: N818
    def __init__(self, value: Any) -> None:
        self.value = value


def wrap(value: int) -> int:
    return (value + 2**63) % 2**64 - 2**63


def arithmetic(operator: str, a: int, b: int) -> int:
    if operator in "/%" and b == 0:
        raise _Fault
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1) if operator in "/%" else 0
    table: dict[str, Callable[[], int]] = {
        "+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b,
        "/": lambda: quotient, "%": lambda: a - quotient * b,
        "&": lambda: a & b, "|": lambda: a | b, "^": lambda: a ^ b,
    }  # fmt: skip
    return wrap(table[operator]())


def compared(operator: str, a: Any, b: Any) -> int:
    return int({"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b, "==": a == b, "!=": a != b}[operator])


def formatted(text: str, given: list[Any]) -> str:
    return text % tuple(given)


class Tree:
    """Runs the syntax tree."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.out: list[str] = []
        self.globals: dict[str, Any] = {}
        for g in program.globals:
            empty: Any = "" if g.variable.type == "string" else 0
            start = g.declaration.initializer.value if g.declaration.initializer else empty
            self.globals[g.name] = defaultdict(lambda empty=empty: empty) if g.keys else start
        self.locals: dict[str, Any] = {}

    def run(self, body: Any) -> str:
        self.locals = {n: "" if v.type == "string" else 0 for n, v in body.locals.items()}
        try:
            self.statement(body.block)
        except _Fault:
            self.out.append("FAULT")
        return "".join(self.out)

    def statement(self, s: Any) -> None:  # noqa: C901
        match s:
            case ast.Block():
                for inner in s.statements:
                    self.statement(inner)
            case ast.ExprStmt():
                self.value(s.value)
            case ast.If():
                chosen = s.then if self.value(s.condition) else s.otherwise
                if chosen is not None:
                    self.statement(chosen)
            case ast.Return():
                raise _Return(self.value(s.value))
            case ast.Try():
                try:
                    self.statement(s.body)
                except _Fault:
                    self.statement(s.handler)
            case ast.For():
                self.value(s.init)
                while self.value(s.condition):
                    self.statement(s.body)
                    self.value(s.step)
            case _:
                raise AssertionError(s)

    def value(self, e: Any) -> Any:  # noqa: C901
        match e:
            case ast.Number() | ast.String():
                return e.value
            case ast.Name():
                return self.locals[e.name] if e.name in self.locals else self.globals[e.name]
            case ast.Index():
                keys = tuple(map(self.value, e.keys))
                return self.globals[e.base.name].get(keys, self.globals[e.base.name].default_factory())
            case ast.Binary():
                left, right = self.value(e.left), self.value(e.right)
                return left + right if e.operator == "." else arithmetic(e.operator, left, right)
            case ast.Compare():
                left, right = self.value(e.left), self.value(e.right)
                return compared(e.operator, left, right)
            case ast.Logical():
                left = self.value(e.left)
                return int(bool(self.value(e.right))) if bool(left) == (e.operator == "&&") else int(bool(left))
            case ast.Unary():
                value = self.value(e.operand)
                return {"-": wrap(-value), "!": int(not value), "~": ~value, "+": value}[e.operator]
            case ast.Ternary():
                return self.value(e.then) if self.value(e.condition) else self.value(e.otherwise)
            case ast.Call():
                return self.call(e)
            case ast.Assign() | ast.IncDec():
                return self.assign(e)
            case ast.Print():
                given = list(map(self.value, e.arguments))
                text = formatted(e.format, given) if e.format is not None else "".join(map(str, given))
                text += "\n" if e.name.endswith("ln") else ""
                if e.to_string:
                    return text
                self.out.append(text)
                return 0
            case _:
                raise AssertionError(e)

    def assign(self, e: Any) -> Any:
        keys = tuple(map(self.value, e.target.keys)) if isinstance(e.target, ast.Index) else None
        if isinstance(e, ast.IncDec):
            value, operator = 1, e.operator[0]
        else:
            value, operator = self.value(e.value), e.operator[:-1]
        store, key = self.place(e.target, keys)
        old = store.get(key, store.default_factory()) if keys is not None else store[key]
        if operator == ".":
            value = old + value
        elif operator:
            value = arithmetic(operator, old, value)
        store[key] = value
        return old if isinstance(e, ast.IncDec) and not e.prefix else value

    def place(self, target: Any, keys: Any) -> tuple[Any, Any]:
        if keys is not None:
            return self.globals[target.base.name], keys
        return (self.locals if target.name in self.locals else self.globals), target.name

    def call(self, e: Any) -> Any:
        (function,) = self.program.functions[e.name, len(e.arguments)]
        given = [self.value(a) for a in e.arguments]
        saved = self.locals
        names = [p.name for p in function.parameters]
        self.locals = {n: "" if v.type == "string" else 0 for n, v in function.body.locals.items()}
        self.locals |= dict(zip(names, given, strict=True))
        try:
            self.statement(function.body.block)
        except _Return as result:
            return result.value
        finally:
            self.locals = saved
        return "" if function.result == "string" else 0


class Machine:
    """Runs the IR."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        self.out: list[str] = []
        self.functions = {f.id: f for f in module.functions}
        self.globals: dict[str, Any] = {}
        for g in module.globals:
            if isinstance(g, ir.Map):
                empty: Any = "" if g.value == "string" else 0
                self.globals[g.name] = defaultdict(lambda empty=empty: empty)
            else:
                self.globals[g.name] = g.initial  # type: ignore[union-attr]
        self.frame: dict[Any, Any] = {}

    def run(self, handler: ir.Handler) -> str:
        self.frame = self.fresh(handler)
        try:
            self.block(handler.body)
        except _Fault:
            self.out.append("FAULT")
        return "".join(self.out)

    def fresh(self, owner: Any) -> dict[Any, Any]:
        return {**{ir.Local(n): 0 for n in owner.longs}, **{ir.StrLocal(n): "" for n in owner.strings}}

    def block(self, block: ir.Block) -> None:
        for op in block:
            self.op(op)

    def op(self, op: Any) -> None:  # noqa: C901
        match op:
            case ir.Charge():
                pass
            case ir.Set(place, value) | ir.SetStr(place, value):
                self.frame[place] = self.value(value)
            case ir.SetGlobal(name, value) | ir.SetGlobalStr(name, value):
                self.globals[name] = self.value(value)
            case ir.AddGlobal(name, value):
                self.globals[name] = wrap(self.globals[name] + self.value(value))
            case ir.Concat(place, left, right):
                assert place != right
                self.frame[place] = self.value(left) + self.value(right)
            case ir.Call():
                self.call(op)
            case ir.MapGet(place, name, keys):
                self.frame[place] = self.globals[name].get(self.all(keys), self.globals[name].default_factory())
            case ir.MapSet(name, keys, value):
                self.globals[name][self.all(keys)] = self.value(value)
            case ir.MapUpdate():
                self.update(op)
            case ir.Print(text, given):
                self.out.append(formatted(text, list(self.all(given))))
            case ir.Sprint(place, text, given):
                assert place not in given
                self.frame[place] = formatted(text, list(self.all(given)))
            case ir.If(condition, then, otherwise):
                self.block(then if self.value(condition) else otherwise)
            case ir.Loop(body, step):
                self.loop(body, step)
            case ir.Break():
                raise _Break
            case ir.Return(value):
                raise _Return(self.value(value))
            case ir.Try(body, _, handler):
                try:
                    self.block(body)
                except _Fault:
                    self.block(handler)
            case _:
                raise AssertionError(op)

    def loop(self, body: ir.Block, step: ir.Block) -> None:
        try:
            while True:
                self.block(body)
                self.block(step)
        except _Break:
            pass

    def all(self, values: Any) -> tuple[Any, ...]:
        return tuple(map(self.value, values))

    def update(self, op: ir.MapUpdate) -> None:
        array, keys = self.globals[op.name], self.all(op.keys)
        old, value = array.get(keys, array.default_factory()), self.value(op.value)
        new = old + value if op.operator == "." else arithmetic(op.operator, old, value)
        array[keys] = new
        if op.old is not None:
            self.frame[op.old] = old
        if op.new is not None:
            self.frame[op.new] = new

    def call(self, op: ir.Call) -> None:
        """Arguments are passed by reference where they are globals, as generated code may do."""
        (function,) = (self.functions[i] for i in op.functions)
        assert op.place not in op.arguments
        given = self.all(op.arguments)
        shared = [a.name for a in op.arguments if isinstance(a, ir.StrGlobal)]
        before = {name: self.globals[name] for name in shared}
        saved, self.frame = self.frame, self.fresh(function)
        for (name, kind), value in zip(function.parameters, given, strict=True):
            self.frame[ir.StrLocal(name) if kind == "string" else ir.Local(name)] = value
        result: Any = None
        try:
            self.block(function.body)
        except _Return as done:
            result = done.value
        finally:
            self.frame = saved
        assert all(self.globals[name] == text for name, text in before.items())
        if op.place is not None:
            self.frame[op.place] = result

    def value(self, e: Any) -> Any:
        match e:
            case ir.Const(value) | ir.Literal(value):
                return value
            case ir.Local() | ir.Temp() | ir.StrLocal() | ir.StrTemp():
                return self.frame[e]
            case ir.GlobalValue(name) | ir.StrGlobal(name):
                return self.globals[name]
            case ir.Binary(operator, left, right):
                return arithmetic(operator, self.value(left), self.value(right))
            case ir.Compare(operator, left, right) | ir.StrCompare(operator, left, right):
                return compared(operator, self.value(left), self.value(right))
            case ir.Unary(operator, operand):
                value = self.value(operand)
                return {"-": wrap(-value), "!": int(not value), "~": ~value}[operator]
            case ir.Select(condition, then, otherwise):
                return self.value(then if self.value(condition) else otherwise)
            case _:
                raise AssertionError(e)


class Writer:
    """Writes random scripts."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def long(self, depth: int) -> str:
        r = self.rng
        if depth <= 0:
            return r.choice(["a", "b", "g", "h", "3", "0", "-1", "arr[0]", "arr[b & 1]"])
        down = depth - 1
        return r.choice([
            lambda: f"({self.long(down)} {r.choice(['+', '-', '*', '&', '|', '^', '/', '%'])} {self.long(down)})",
            lambda: f"({self.long(down)} {r.choice(['<', '>', '==', '!=', '<=', '>='])} {self.long(down)})",
            lambda: f"({self.text(down)} {r.choice(['<', '==', '!='])} {self.text(down)})",
            lambda: f"({self.long(down)} {r.choice(['&&', '||'])} {self.long(down)})",
            lambda: f"({self.long(down)} ? {self.long(down)} : {self.long(down)})",
            lambda: f"{r.choice(['-', '!', '~'])}({self.long(0)})",
            lambda: f"bump({self.long(down)})",
            lambda: f"pick({self.long(down)}, {self.text(down)})",
            lambda: f"risky({self.long(down)})",
            lambda: f"({self.place()} {r.choice(['=', '+=', '-=', '|='])} {self.long(down)})",
            lambda: f"({self.place()}{r.choice(['++', '--'])})",
            lambda: f"({r.choice(['++', '--'])}{self.place()})",
            lambda: self.long(0),
        ])()  # fmt: skip

    def place(self) -> str:
        return self.rng.choice(["a", "b", "g", "h", "arr[0]", "arr[a & 1]", f"arr[{self.long(1)} & 1]"])

    def text(self, depth: int) -> str:
        r = self.rng
        if depth <= 0:
            return r.choice(["s", "t", "gs", "hs", '"lit"', '""', "names[0]", "names[a & 1]"])
        down = depth - 1
        return r.choice([
            lambda: f"({self.text(down)} . {self.text(down)})",
            lambda: f"({self.text(down)} . {self.text(down)} . {self.text(down)})",
            lambda: f"({self.long(down)} ? {self.text(down)} : {self.text(down)})",
            lambda: f"{r.choice(['tell', 'keep'])}({self.text(down)})",
            lambda: f'sprintf("<%d|%s|%s>", {self.long(down)}, {self.text(down)}, {self.text(down)})',
            lambda: f"sprint({self.text(down)}, {self.long(down)}, {self.text(down)})",
            lambda: f"({self.text_place()} {r.choice(['=', '.='])} {self.text(down)})",
            lambda: self.text(0),
        ])()  # fmt: skip

    def text_place(self) -> str:
        return self.rng.choice(["s", "t", "gs", "hs", "names[0]", f"names[{self.long(1)} & 1]"])

    def statement(self, depth: int) -> str:
        r = self.rng
        if depth <= 0:
            return r.choice([
                lambda: f"{self.place()} {r.choice(['=', '+=', '^='])} {self.long(3)};",
                lambda: f"{self.text_place()} {r.choice(['=', '.='])} {self.text(2)};",
                lambda: f"println({self.long(2)}, {self.text(2)}, {self.long(2)});",
                lambda: f'printf("%d %s %d %s\\n", {self.long(2)}, {self.text(2)}, {self.long(1)}, {self.text(1)});',
                lambda: f"{self.place()}++;",
                lambda: f"{self.long(3)};",
            ])()  # fmt: skip
        return r.choice([
            lambda: f"if ({self.long(2)}) {{ {self.body(depth - 1)} }} else {{ {self.body(depth - 1)} }}",
            lambda: f"try {{ {self.body(depth - 1)} }} catch {{ {self.body(depth - 1)} }}",
            lambda: f"for (i{depth} = 0; i{depth} < 2; i{depth}++) {{ {self.body(depth - 1)} }}",
            lambda: self.statement(0),
        ])()  # fmt: skip

    def body(self, depth: int) -> str:
        return " ".join(self.statement(depth) for _ in range(self.rng.randrange(1, 4)))

    def program(self) -> str:
        """A body that begins from a known state and shows where it ended."""
        start = 'a = 2; b = 5; g = h = 0; s = "s"; t = "t"; gs = "G"; hs = "H";'
        arrays = 'arr[0] = 0; arr[1] = 7; names[0] = "n"; names[1] = "";'
        end = "println(a, b, g, h, s, t, gs, hs, arr[0], arr[1], names[0], names[1]);"
        return f"{start} {arrays} {self.body(2)} {self.body(1)} {end}"

    def script(self) -> str:
        return f"{FUNCTIONS}probe begin {{ {self.program()} }}\n"


def compare(seed: int) -> None:
    script = Writer(seed).script()
    program = program_of(script, Options(unoptimized=True))
    options = Options(guru=True)
    module = lower(program, options, Diagnostics())
    assert check(module) == [], script
    expected = Tree(program).run(program.probes[0].body)
    assert Machine(module).run(module.handlers[module.probes[0].handler]) == expected, script


@pytest.mark.parametrize("block", range(8))
def test_random_programs(block: int) -> None:
    for seed in range(block * 50, block * 50 + 50):
        compare(seed)
