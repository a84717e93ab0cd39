"""Parse tree -> ast: one method for each rule (or alias) of the grammar, called as the parser reduces it.

A node's span is the token that messages name: an operator's own, an array's name, a statement's keyword.
"""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import Any, cast

from pystap.source import Span
from pystap.syntax import ast
from pystap.syntax.lexer import Token
from pystap.syntax.preprocess import parse_number
from pystap.syntax.walk import find_all

_MAX_POINTS = 10_000  # of one brace set
_MAX_SIZE = (1 << 31) - 1
_CONVERSIONS = re.compile(r"(?:[^%]|%%|%[-+ #0]?(?:\d+|\*)?(?:\.(?:\d+|\*)?)?l?[dioxXupcsmMb])*")
_TARGET = re.compile(r"\$(\$?[^$]+)(\${0,2})")


class Refused(Exception):  # noqa: N818 - named for what the builder does
    """The text is wrong at a token. `before`: it is a token already read that is wrong, not the next one.

    `seen` names the token by how far it is behind the one that is looked at (0 or -1), for those who do not have it.
    """

    def __init__(
        self, token: Token, message: str, *, code: str = "parse", before: bool = False, at_end: bool = False,
        seen: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.token = token
        self.message = message
        self.code = code
        self.before = before
        self.at_end = at_end
        self.seen = seen


Values = list[Any]


class Builder:
    """Makes nodes. `guru`: embedded C and the like are allowed."""

    def __init__(self, *, guru: bool) -> None:
        self.guru = guru
        self._globals: set[tuple[str, bool]] = set()

    def _guru_only(self, token: Token, message: str) -> None:
        if not self.guru:
            raise Refused(token, f"{message}; need stap -g", code="guru")

    # --- globals ------------------------------------------------------------------------------------------

    def global_(self, first: Token, values: Values) -> list[ast.Global]:
        return self._declared(values, private=first.text == "private")

    def private_global(self, first: Token, values: Values) -> list[ast.Global]:
        return self._declared(values, private=True)

    def _declared(self, variables: list[ast.Global], private: bool) -> list[ast.Global]:
        for variable in variables:
            if (variable.name, private) in self._globals:
                raise Refused(_again(variable.span), "duplicate global name")
            self._globals.add((variable.name, private))
        return [_private(v) for v in variables] if private else variables

    def variable(self, first: Token, values: Values) -> ast.Global:
        size = next((v for v in values[1:] if type(v) is int), 0)
        initial = next((v for v in values[1:] if isinstance(v, ast.Number | ast.String)), None)
        if size and initial:
            raise Refused(first, "only scalar globals can be initialized", before=True)
        return ast.Global(first.value, initial, size, any(v is True for v in values), span=first.span)

    def wrap(self, first: Token, values: Values) -> bool:
        return True

    def size(self, first: Token, values: Values) -> int:
        size = _integer(values[0])
        if not 1 <= size <= _MAX_SIZE:
            raise Refused(values[0], "array size out of range")
        return size

    # --- functions ----------------------------------------------------------------------------------------

    def function(self, first: Token, values: Values) -> ast.Function:
        private, name, result, parameters, priority, body = values
        return ast.Function(name.value, parameters, result, body, priority, private, span=name.span)

    def privacy(self, first: Token, values: Values) -> bool:
        return bool(values)

    def type_(self, first: Token, values: Values) -> ast.TypeName | None:
        return values[0].text if values else None

    def parameters(self, first: Token, values: Values) -> tuple[ast.Parameter, ...]:
        for at, parameter in enumerate(values):
            if any(parameter.name == other.name for other in values[:at]):
                raise Refused(_again(parameter.span), "duplicate parameter names")
        return tuple(values)

    def parameter(self, first: Token, values: Values) -> ast.Parameter:
        name, kind = values
        return ast.Parameter(name.value, kind, span=name.span)

    def priority(self, first: Token, values: Values) -> int | None:
        if not values:
            return None
        number = _integer(values[0])
        if number <= 0:
            raise Refused(values[0], "specified priority must be > 0")
        return number

    def embedded(self, first: Token, values: Values) -> ast.EmbeddedExpr:
        self._guru_only(first, "embedded code in unprivileged script")
        return ast.EmbeddedExpr(first.value, span=first.span)

    def embedded_item(self, first: Token, values: Values) -> ast.EmbeddedCode:
        self._guru_only(first, "embedded code in unprivileged script")
        return ast.EmbeddedCode(first.value, span=first.span)

    # --- probes -------------------------------------------------------------------------------------------

    def probe(self, first: Token, values: Values) -> ast.Probe:
        points, body = values
        _no_return(body)
        return ast.Probe(points, body, span=first.span)

    def alias(self, first: Token, values: Values) -> ast.Alias:
        names = tuple(_alias_name(v) for v in values if _is_point(v))
        points, *bodies = values[len(names) :]
        for body in bodies:
            _no_return(body)
        epilogue = bodies[1] if len(bodies) > 1 else None
        return ast.Alias(names, points, bodies[0], epilogue, span=first.span)

    def alias_after(self, first: Token, values: Values) -> ast.Alias:
        *names, points, body = values
        _no_return(body)
        return ast.Alias(tuple(_alias_name(v) for v in names), points, None, body, operator="+=", span=first.span)

    def points(self, first: Token, values: Values) -> tuple[ast.Point, ...]:
        return tuple(point for alternatives in values for point in alternatives.points)

    def point(self, first: Token, values: Values) -> _Points:
        paths, mark, condition = values
        return _Points(
            ast.Point(
                path.components,
                mark == "?" or (path.optional and not mark),
                mark == "!" or (path.sufficient and not mark),
                condition or path.condition,
                span=path.span,
            )
            for path in paths
        )

    def path(self, first: Token, values: Values) -> tuple[ast.Point, ...]:
        choices: list[tuple[ast.Point, ...]] = [
            v if type(v) is tuple else (ast.Point((v,), span=v.span),) for v in values
        ]
        if prod(map(len, choices)) > _MAX_POINTS:
            raise Refused(first, "too many probe points in brace sets", before=True)
        return choices[0] if len(choices) == 1 else tuple(map(_chained, product(*choices)))

    def component(self, first: Token, values: Values) -> ast.Component:
        argument = values[1].value if len(values) > 1 else None
        return ast.Component(first.value, argument, span=first.span)

    def choices(self, first: Token, values: Values) -> tuple[ast.Point, ...]:
        return cast("tuple[ast.Point, ...]", values[0])

    def mark(self, first: Token, values: Values) -> str:
        return values[0].text if values else ""

    def condition(self, first: Token, values: Values) -> ast.Expr | None:
        return values[0] if values else None

    # --- statements ---------------------------------------------------------------------------------------

    def block(self, first: Token, values: Values) -> ast.Block:
        return ast.Block(tuple(values), span=first.span)

    def null(self, first: Token, values: Values) -> ast.Null:
        return ast.Null(span=first.span)

    def expr_stmt(self, first: Token, values: Values) -> ast.ExprStmt:
        return ast.ExprStmt(values[0], span=first.span)

    def if_(self, first: Token, values: Values) -> ast.If:
        condition, then, *otherwise = values
        return ast.If(condition, then, otherwise[0] if otherwise else None, span=first.span)

    def while_(self, first: Token, values: Values) -> ast.While:
        return ast.While(values[0], values[1], span=first.span)

    def for_(self, first: Token, values: Values) -> ast.For:
        return ast.For(*values, span=first.span)

    def maybe(self, first: Token, values: Values) -> ast.Expr | None:
        return values[0] if values else None

    def break_(self, first: Token, values: Values) -> ast.Break:
        return ast.Break(span=first.span)

    def continue_(self, first: Token, values: Values) -> ast.Continue:
        return ast.Continue(span=first.span)

    def next_(self, first: Token, values: Values) -> ast.Next:
        return ast.Next(span=first.span)

    def return_(self, first: Token, values: Values) -> ast.Return:
        return ast.Return(values[0] if values else None, span=first.span)

    def delete(self, first: Token, values: Values) -> ast.Delete:
        return ast.Delete(values[0], span=first.span)

    def try_(self, first: Token, values: Values) -> ast.Try:
        return ast.Try(*values, span=first.span)

    def caught(self, first: Token, values: Values) -> ast.Name | None:
        return values[0] if values else None

    def foreach(self, first: Token, values: Values) -> ast.Foreach:
        return _foreach(first, None, values)

    def foreach_value(self, first: Token, values: Values) -> ast.Foreach:
        return _foreach(first, values[0], values[1:])

    def keys(self, first: Token, values: Values) -> tuple[_Key, ...]:
        return tuple(values)

    def key(self, first: Token, values: Values) -> _Key:
        return _Key(values[0], values[1])

    def direction(self, first: Token, values: Values) -> Token | None:
        return values[0] if values else None

    def order(self, first: Token, values: Values) -> tuple[Token, ...]:
        return tuple(values)

    def over(self, first: Token, values: Values) -> tuple[Any, ...]:
        """(what, slice, order)"""
        match values:
            case [what, order]:
                return what, None, order
            case [what, slots, order]:
                return what, slots, order
            case _:
                return values[0], None, ()

    def limit(self, first: Token, values: Values) -> ast.Expr | None:
        return values[0] if values else None

    # --- operators ----------------------------------------------------------------------------------------

    def assign(self, first: Token, values: Values) -> ast.Assign:
        target, operator, value = values
        return ast.Assign(operator.text, target, value, span=operator.span)

    def conditional(self, first: Token, values: Values) -> ast.Ternary:
        condition, mark, then, _, otherwise = values
        return ast.Ternary(condition, then, otherwise, span=mark.span)

    def logical(self, first: Token, values: Values) -> ast.Logical:
        left, operator, right = values
        return ast.Logical(operator.text, left, right, span=operator.span)

    def binary(self, first: Token, values: Values) -> ast.Binary:
        left, operator, right = values
        return ast.Binary(operator.text, left, right, span=operator.span)

    def compare(self, first: Token, values: Values) -> ast.Compare:
        left, operator, right = values
        return ast.Compare(operator.text, left, right, span=operator.span)

    def match(self, first: Token, values: Values) -> ast.Match:
        subject, operator, pattern = values
        return ast.Match(operator.text, subject, _string(pattern), span=operator.span)

    def in_(self, first: Token, values: Values) -> ast.In:
        keys, word, array = values
        return ast.In(keys if type(keys) is tuple else (keys,), array, span=word.span)

    def unary(self, first: Token, values: Values) -> ast.Unary:
        return ast.Unary(first.text, values[1], span=first.span)

    def before(self, first: Token, values: Values) -> ast.IncDec:
        return ast.IncDec(first.text, True, values[1], span=first.span)

    def after(self, first: Token, values: Values) -> ast.IncDec:
        return ast.IncDec(values[1].text, False, values[0], span=values[1].span)

    # --- what can be stepped into -------------------------------------------------------------------------

    def address_of(self, first: Token, values: Values) -> ast.TargetVar:
        base = values[0]
        if isinstance(base, ast.TargetVar) and not base.address_of:
            return ast.TargetVar(base.name, base.steps, True, base.pretty, base.base, span=base.span)
        return ast.TargetVar("", (), True, base=base, span=base.span)

    def member(self, first: Token, values: Values) -> ast.TargetVar:
        base, word = values
        name = word.text.rstrip("$")
        dollars = len(word.text) - len(name)
        target = _stepped(base, word, (ast.Member(name, span=word.span),) if name else ())
        return _pretty(target, dollars, word) if dollars else target

    def element(self, first: Token, values: Values) -> ast.TargetVar:
        return _stepped(values[0], first, (ast.Element(values[1], span=values[1].span),))

    def pretty(self, first: Token, values: Values) -> ast.TargetVar:
        return _pretty(_stepped(values[0], first, ()), len(values[1].text), values[1])

    def hist_index(self, first: Token, values: Values) -> ast.Index:
        return ast.Index(values[0], values[1], span=first.span)

    # --- values -------------------------------------------------------------------------------------------

    def number(self, first: Token, values: Values) -> ast.Number:
        return ast.Number(_integer(first), span=first.span)

    def negative(self, first: Token, values: Values) -> ast.Number:
        value = -_integer(values[0])
        return ast.Number(value if value < 1 << 63 else -value, span=first.span)

    def string(self, first: Token, values: Values) -> ast.String:
        return _string(first)

    def name(self, first: Token, values: Values) -> ast.Name:
        return ast.Name(first.value, span=first.span)

    def group(self, first: Token, values: Values) -> ast.Expr:
        return cast("ast.Expr", values[0])

    def index(self, first: Token, values: Values) -> ast.Index:
        return ast.Index(ast.Name(first.value, span=first.span), values[1], span=first.span)

    def slots(self, first: Token, values: Values) -> tuple[ast.Expr, ...]:
        return tuple(values)

    def star(self, first: Token, values: Values) -> ast.Star:
        return ast.Star(span=first.span)

    def arguments(self, first: Token, values: Values) -> tuple[ast.Expr, ...]:
        return tuple(values)

    def call(self, first: Token, values: Values) -> ast.Call:
        return ast.Call(first.value, values[1], span=first.span)

    def target(self, first: Token, values: Values) -> ast.TargetVar:
        found = _TARGET.fullmatch(first.text)
        if not found:
            return ast.TargetVar(first.text[1:], span=first.span)
        return ast.TargetVar(found[1], pretty=len(found[2]), span=first.span)

    def embedded_expr(self, first: Token, values: Values) -> ast.EmbeddedExpr:
        self._guru_only(first, "embedded expression code in unprivileged script")
        return ast.EmbeddedExpr(first.value, span=first.span)

    def print(self, first: Token, values: Values) -> ast.Print:
        name = first.text
        arguments: tuple[ast.Expr, ...] = values[1] if type(values[1]) is tuple else (values[1],)
        if name in ("print", "sprint", "print_char") and not arguments:
            raise Refused(first, "expected literal string or number", seen=-1)
        if name in ("printf", "sprintf"):
            text, arguments = _literal_first(first, arguments)
            if not _CONVERSIONS.fullmatch(text):
                where = values[1][0].span
                raise Refused(_behind(where), "invalid or missing conversion specifier")
            return ast.Print(name, arguments, format=text, span=first.span)
        if name.endswith(("printd", "printdln")):
            text, arguments = _literal_first(first, arguments)
            if not arguments:
                raise Refused(first, "expected literal string or number", seen=0)
            return ast.Print(name, arguments, delimiter=text, span=first.span)
        return ast.Print(name, arguments, span=first.span)

    # --- @ operators --------------------------------------------------------------------------------------

    def cast(self, first: Token, values: Values) -> ast.Cast:
        operand, kind, *module = values
        return ast.Cast(operand, kind.value, _text(module), span=first.span)

    def at_var(self, first: Token, values: Values) -> ast.AtVar:
        name, *module = values
        return ast.AtVar(name.value, _text(module), span=first.span)

    def at_enum(self, first: Token, values: Values) -> ast.AtEnum:
        return ast.AtEnum(values[0].value, span=first.span)

    def at_enum_name(self, first: Token, values: Values) -> ast.AtEnumName:
        value, *texts = values
        return ast.AtEnumName(value, _text(texts), _text(texts[1:]), span=first.span)

    def at_const(self, first: Token, values: Values) -> ast.AtConst:
        self._guru_only(first, "using @const operator not permitted")
        return ast.AtConst(values[0].value, span=first.span)

    def at_perf(self, first: Token, values: Values) -> ast.AtPerf:
        return ast.AtPerf(values[0].value, span=first.span)

    def register(self, first: Token, values: Values) -> ast.Register:
        self._guru_only(first, f"using {first.text} operator not permitted")
        return ast.Register(first.text == "@uregister", values[1], span=first.span)

    def deref(self, first: Token, values: Values) -> ast.Deref:
        self._guru_only(first, f"using {first.text} operator not permitted")
        return ast.Deref(first.text == "@uderef", values[1], values[2], span=first.span)

    def defined(self, first: Token, values: Values) -> ast.Defined:
        return ast.Defined(values[0], span=first.span)

    def entry(self, first: Token, values: Values) -> ast.Entry:
        return ast.Entry(values[0], span=first.span)

    def probe_write(self, first: Token, values: Values) -> ast.ProbeWrite:
        return ast.ProbeWrite(values[0].value, span=first.span)

    def stat_op(self, first: Token, values: Values) -> ast.StatOp:
        _, stat, *shift = values
        if shift and first.text != "@variance":
            raise Refused(_again(shift[0].span), "not more than 1 parameter allowed", before=True)
        number = shift[0].value if shift else 0
        return ast.StatOp(first.text[1:], stat, number, span=first.span)

    def hist_log(self, first: Token, values: Values) -> ast.HistOp:
        return ast.HistOp(values[0], span=first.span)

    def hist_linear(self, first: Token, values: Values) -> ast.HistOp:
        stat, low, high, width = values
        return ast.HistOp(stat, (low.value, high.value, width.value), span=first.span)


class _Points:
    """What one written point stands for: several, where it holds brace sets."""

    def __init__(self, points: Any) -> None:
        self.points: tuple[ast.Point, ...] = tuple(points)


class _Key:
    """A foreach variable and the + or - behind it."""

    def __init__(self, name: ast.Name, direction: Token | None) -> None:
        self.name = name
        self.direction = direction


def _is_point(value: object) -> bool:
    return isinstance(value, _Points)


def _private(variable: ast.Global) -> ast.Global:
    return ast.Global(variable.name, variable.initializer, variable.size, variable.wrap, True, span=variable.span)


def _alias_name(written: _Points) -> ast.Point:
    point = written.points[0]
    if point.optional or point.sufficient:
        raise Refused(_again(point.span), "probe point alias name cannot be optional nor sufficient", before=True)
    if point.condition is not None or len(written.points) != 1:
        raise Refused(_again(point.span), "a probe point alias name has no condition and no brace sets", before=True)
    return point


def _no_return(body: ast.Block) -> None:
    for found in find_all(body, ast.Return):
        raise Refused(_again(found.span), "found 'return' not in function context", code="return")


def _chained(parts: tuple[ast.Point, ...]) -> ast.Point:
    return ast.Point(
        tuple(component for part in parts for component in part.components),
        any(part.optional for part in parts),
        any(part.sufficient for part in parts),
        next((part.condition for part in parts if part.condition is not None), None),
        span=parts[0].span,
    )


def _foreach(first: Token, value: _Key | None, values: Values) -> ast.Foreach:
    keys, (base, slots, order), limit, body = values
    marks = [(number, key.direction) for number, key in enumerate(keys, 1) if key.direction]
    if value is not None and value.direction:
        marks.append((0, value.direction))
    if order:
        marks.append((0, order[-1]))
    if len(marks) > 1:
        raise Refused(marks[-1][1], "multiple sort directives")
    by, mark = marks[0] if marks else (0, None)
    return ast.Foreach(
        tuple(key.name for key in keys),
        value.name if value else None,
        base,
        slots,
        0 if mark is None else 1 if mark.text == "+" else -1,
        by,
        order[0].text[1:] if len(order) == 2 else None,
        limit,
        body,
        span=first.span,
    )


def _stepped(base: ast.Expr, token: Token, steps: tuple[ast.Step, ...]) -> ast.TargetVar:
    if not isinstance(base, ast.TargetVar) or base.address_of:
        return ast.TargetVar("", steps, base=base, span=base.span)
    if base.pretty and steps:
        raise Refused(token, "-> and [ are not accepted for a pretty-printing variable", before=True)
    return ast.TargetVar(base.name, base.steps + steps, False, base.pretty, base.base, span=base.span)


def _pretty(target: ast.TargetVar, dollars: int, token: Token) -> ast.TargetVar:
    if target.pretty or dollars > 2:
        raise Refused(token, "expected at most '$$' behind a pretty-printing variable", before=True)
    return ast.TargetVar(target.name, target.steps, target.address_of, dollars, target.base, span=target.span)


def _behind(span: Span) -> Token:
    """The `,` or `)` behind a literal."""
    text = span.file.text
    at = span.end
    while at < len(text) - 1 and text[at].isspace():
        at += 1
    return Token("op", text[at : at + 1], text[at : at + 1], span.file, at, at + 1, span.via)


def _literal_first(first: Token, arguments: tuple[ast.Expr, ...]) -> tuple[str, tuple[ast.Expr, ...]]:
    if not arguments or not isinstance(arguments[0], ast.String):
        where = _again(arguments[0].span) if arguments else first
        raise Refused(where, "expected literal string", seen=None if arguments else -1)
    return arguments[0].value, arguments[1:]


def _integer(token: Token) -> int:
    try:
        return parse_number(token.text)
    except ValueError:
        raise Refused(token, "number invalid or out of range") from None


def _string(token: Token) -> ast.String:
    return ast.String(token.value, span=token.span)


def _text(tokens: Values) -> str | None:
    return tokens[0].value if tokens else None


def _again(span: Span) -> Token:
    """The token that a span was made of."""
    return Token("op", span.text, span.text, span.file, span.start, span.end, span.via)
