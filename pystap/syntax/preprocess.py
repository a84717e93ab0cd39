"""Tokens -> tokens: %( condition %? ... %: ... %), @define and macro calls, $1 @1 $# @#.

What a macro call brought in keeps its own position and points at the call by `Span.via`. An unused branch of a
condition is only tokenised: nothing in it can be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pystap.diagnostics import Diagnostics, Severity
from pystap.source import SourceFile, Span
from pystap.syntax.lexer import Token, junk_reason, tokenize

OPERATORS = frozenset(
    "@cast @var @enum @enumname @const @perf @defined @entry @probewrite @kregister @uregister @kderef @uderef"
    " @count @sum @min @max @avg @variance @hist_log @hist_linear".split()
)
_MAX_TOKENS = 500_000  # 3 MB of text; more is a macro that doubles itself
_MAX_DEPTH = 200


@dataclass(frozen=True, slots=True)
class PreprocessContext:
    """What conditions and arguments are decided by."""

    kernel_release: str = "6.1.0"
    arch: str = "x86_64"
    kconfig: Mapping[str, str] = field(default_factory=dict)
    guru: bool = False
    privilege: str = "stapdev"
    compatible: str = "5.6"
    runtime: str = "kernel"
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Macro:
    """`@define name(parameters) %( body %)`; `parameters` is empty where there were no brackets."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[Token, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Preprocessed:
    """The tokens left for the parser, the macros that the file defined, and the numbers of the arguments it used."""

    tokens: list[Token]
    macros: dict[str, Macro]
    arguments_used: frozenset[int]


def preprocess(
    source: SourceFile,
    context: PreprocessContext,
    macros: Callable[[str], Macro | None],
    diagnostics: Diagnostics,
) -> Preprocessed:
    """Runs the preprocessor over a file; `macros` finds the library's macros by name (without the @)."""
    work = _Preprocessor(source, context, macros, diagnostics)
    try:
        work.run()
    except _EndOfFile:
        pass
    except _Wrong as wrong:
        work.report(wrong)
    if work.open_conditions and not diagnostics.failed:
        work.report(_Wrong("incomplete conditional at end of file", work.open_conditions[0]))
    return Preprocessed(work.output, work.defined, frozenset(work.used))


_Env = Mapping[str, "tuple[_Pending, ...]"]
_Pending = tuple[Token, _Env]
_EMPTY: _Env = {}


class _EndOfFile(Exception):  # noqa: N818 - no error by itself
    """No token is left."""


class _Wrong(Exception):  # noqa: N818
    def __init__(self, message: str, token: Token) -> None:
        super().__init__(message)
        self.message = message
        self.token = token


class _Preprocessor:
    def __init__(
        self,
        source: SourceFile,
        context: PreprocessContext,
        macros: Callable[[str], Macro | None],
        diagnostics: Diagnostics,
    ) -> None:
        self.source = source
        self.context = context
        self.library = macros
        self.diagnostics = diagnostics
        self.defined: dict[str, Macro] = {}
        self.output: list[Token] = []
        self.used: set[int] = set()
        self.open_conditions: list[Token] = []
        self.in_else: list[bool] = []  # of each open condition: whether its %: was passed
        # What is still to be read, next at the end; each with the macro parameters that are visible to it.
        self.pending: list[_Pending] = [(token, _EMPTY) for token in reversed(tokenize(source))]

    def run(self) -> None:
        while self.pending:
            token, _ = self._next()
            try:
                self._one(token)
            except _Wrong as wrong:
                self.report(wrong)

    def report(self, wrong: _Wrong) -> None:
        token = f"at: {wrong.token.described()}"
        self.diagnostics.error(wrong.token.span, "preprocess", wrong.message, token=token, severity=Severity.PARSE)

    def _one(self, token: Token) -> None:
        match token.kind, token.text:
            case "preproc", "%(":
                self._conditional(token)
            case "preproc", "%:":
                self._else_of_true(token)
            case "preproc", "%)":
                self._end(token)
            case "preproc", _:
                raise _Wrong("incomplete conditional - missing '%('", token)
            case "at", "@define":
                if token.via is not None:
                    self.report(_Wrong("'@define' forbidden inside macro body", token))
                self._define(token)
            case "junk", _:
                self._junk(token)
            case _:
                self.output.append(token)
                if len(self.output) > _MAX_TOKENS:
                    self.pending.clear()
                    raise _Wrong("macro expansion grows without bound", token)

    def _junk(self, token: Token) -> None:
        if token.text[:1] in ('"', "%"):
            raise _Wrong(junk_reason(token), token)
        self.output.append(token)

    # --- reading ------------------------------------------------------------------------------------------

    def _raw(self) -> _Pending:
        if not self.pending:
            raise _EndOfFile
        return self.pending.pop()

    def _next(self) -> _Pending:
        """The next token with macro calls and arguments replaced."""
        while True:
            token, env = self._raw()
            if token.kind == "argument":
                self._argument(token)
                continue
            if token.kind != "at" or token.text == "@define":
                return token, env
            if not self._expand(token, env):
                return token, env

    def _need(self, opener: Token, message: str) -> Token:
        try:
            return self._next()[0]
        except _EndOfFile:
            raise _Wrong(message, opener) from None

    def _push(self, items: Iterable[_Pending], call: Token) -> None:
        via = call.span
        moved = [(token._replace(via=via), env) for token, env in items]
        moved.reverse()
        self.pending.extend(moved)

    # --- $1 @1 $# @# --------------------------------------------------------------------------------------

    def _argument(self, token: Token) -> None:
        arguments = self.context.arguments
        what = token.text[1:]
        if what == "#":
            text = str(len(arguments))
        else:
            # int() refuses numbers of thousands of digits; nobody passes so many arguments
            number = int(what) if len(what) < 10 else 0
            if not 1 <= number <= len(arguments):
                raise _Wrong(
                    f"command line argument out of range [1-{len(arguments)}]",
                    token._replace(kind="junk"),
                )
            self.used.add(number)
            text = arguments[number - 1]
        if token.text[0] == "@":
            self.pending.append((token._replace(kind="string", value=text), _EMPTY))
            return
        pasted = tokenize(SourceFile(token.file.name, text + self._joined(token)))
        if any(word.kind == "argument" for word in pasted):
            raise _Wrong("invalid nested substitution of command line arguments", token._replace(kind="junk"))
        here = token.file, token.start, token.end, token.via
        self.pending.extend((Token(w.kind, w.text, w.value, *here), _EMPTY) for w in reversed(pasted))

    def _joined(self, token: Token) -> str:
        """The letters right after an argument: they go on with its last word (`$1$` is `$file$` for `$file`)."""
        if not self.pending:
            return ""
        after, _ = self.pending[-1]
        if after.kind not in ("ident", "keyword") or after.file is not token.file or after.start != token.end:
            return ""
        self.pending.pop()
        return after.text

    # --- macros -------------------------------------------------------------------------------------------

    def _expand(self, token: Token, env: _Env) -> bool:
        """Puts a macro's or parameter's tokens in place of its name; False: the name is neither."""
        name = token.text[1:]
        if name in env:
            self._push(env[name], token)
            return True
        macro = self.defined.get(name) or (None if token.text in OPERATORS else self.library(name))
        if macro is None:
            return False
        if _depth(token) > _MAX_DEPTH or _inside(token, macro):
            raise _Wrong(f"recursive invocation of macro '@{name}'", token)
        visible: dict[str, tuple[_Pending, ...]] = {}
        if macro.parameters:
            visible = dict(zip(macro.parameters, self._arguments_of(token, macro), strict=True))
        self._push(((word, visible) for word in macro.body), token)
        return True

    def _arguments_of(self, call: Token, macro: Macro) -> list[tuple[_Pending, ...]]:
        count = len(macro.parameters)
        plural = "" if count == 1 else "s"
        needed = f"expected '(' in invocation of macro '@{macro.name}' taking {count} parameter{plural}"
        if not self.pending:
            raise _Wrong(needed, call)
        first = self.pending[-1][0]
        if first.text != "(" or first.kind != "op":
            raise _Wrong(needed, first)
        self.pending.pop()
        found: list[list[_Pending]] = [[]]
        depth = 0
        while True:
            if not self.pending:
                raise _Wrong(f"could not find end of invocation of macro '@{macro.name}'", call)
            token, env = self.pending.pop()
            mark = token.text if token.kind == "op" else ""
            if mark == ")" and depth == 0:
                break
            depth = max(0, depth + (mark in ("(", "[")) - (mark in (")", "]")))
            if mark == "," and depth == 0:
                if len(found) == count:
                    self._skip_call()
                    raise _Wrong(f"too many parameters for macro '@{macro.name}' (expected {count})", token)
                found.append([])
            else:
                found[-1].append((token, env))
        if len(found) < count:
            raise _Wrong(f"too few parameters for macro '@{macro.name}' (expected {count})", token)
        return [tuple(part) for part in found]

    def _skip_call(self) -> None:
        depth = 0
        while self.pending and depth >= 0:
            token, _ = self.pending.pop()
            if token.kind == "op":
                depth += (token.text == "(") - (token.text == ")")

    def _define(self, opener: Token) -> None:
        name = self._part(opener)
        if name.kind != "ident":
            raise _Wrong("expected identifier", name)
        after = self._part(name)
        parameters: list[str] = []
        if after.text == "(":
            parameters = self._parameters(name)
            after = self._part(name)
        if after.text != "%(":
            raise _Wrong("expected '%('" if parameters else "expected '%(' or '('", after)
        body = self._body(name)
        if name.text in self.defined:
            previous = self.defined[name.text]
            self.report(_Wrong(f"attempt to redefine macro '@{name.text}' in the same file", name))
            self.diagnostics.error(
                previous.span, "preprocess", f"macro '@{name.text}' first defined here",
                token=f"at: identifier '{name.text}'", severity=Severity.PARSE,
            )  # fmt: skip
        elif f"@{name.text}" in OPERATORS:
            self.diagnostics.warn(
                name.span, "macro-operator", f"macro redefines built-in operator '@{name.text}'",
                token=name.described(),
            )  # fmt: skip
        self.defined[name.text] = Macro(name.text, tuple(parameters), body, name.span)

    def _part(self, before: Token) -> Token:
        if not self.pending:
            raise _Wrong("incomplete macro definition", before)
        return self.pending.pop()[0]

    def _parameters(self, name: Token) -> list[str]:
        found = []
        while True:
            word = self._part(name)
            if word.kind != "ident":
                raise _Wrong("expected identifier", word)
            found.append(word.text)
            mark = self._part(word)
            if mark.text == ")":
                return found
            if mark.text != ",":
                raise _Wrong("expected ',' or ')'", mark)

    def _body(self, name: Token) -> tuple[Token, ...]:
        body: list[Token] = []
        depth = 0
        while self.pending:
            token, _ = self.pending.pop()
            if token.kind == "preproc":
                if token.text == "%)" and depth == 0:
                    return tuple(body)
                depth += (token.text == "%(") - (token.text == "%)")
            body.append(token)
        raise _Wrong("incomplete macro definition - missing '%)'", name)

    # --- conditions ---------------------------------------------------------------------------------------

    def _conditional(self, opener: Token) -> None:
        try:
            chosen = self._condition(opener)
        except (_Wrong, _EndOfFile) as wrong:
            self._skip(opener, to_else=False)
            if isinstance(wrong, _EndOfFile):
                raise _Wrong("incomplete condition after '%('", opener) from None
            raise
        if chosen or self._skip(opener, to_else=True):
            self.open_conditions.append(opener)
            self.in_else.append(not chosen)

    def _else_of_true(self, token: Token) -> None:
        if not self.open_conditions:
            raise _Wrong("incomplete conditional - missing '%('", token)
        if self.in_else[-1]:
            raise _Wrong(_DUPLICATE, token)
        self.in_else.pop()
        self._skip(self.open_conditions.pop(), to_else=False, in_else=True)

    def _end(self, token: Token) -> None:
        if not self.open_conditions:
            raise _Wrong("incomplete conditional - missing '%('", token)
        self.open_conditions.pop()
        self.in_else.pop()

    def _skip(self, opener: Token, *, to_else: bool, in_else: bool = False) -> bool:
        """Drops tokens through the matching %) (False) or, where allowed, %: (True)."""
        depth = 0
        while self.pending:
            token, _ = self.pending.pop()
            if token.kind != "preproc":
                continue
            if depth == 0 and (token.text == "%)" or (to_else and token.text == "%:")):
                return token.text == "%:"
            if depth == 0 and in_else and token.text == "%:":
                self.report(_Wrong(_DUPLICATE, token))
            depth += (token.text == "%(") - (token.text == "%)")
        raise _Wrong("incomplete conditional at end of file", opener)

    def _condition(self, opener: Token) -> bool:
        """`a && b || c && d %?`"""
        result = False
        every = True
        while True:
            every = self._comparison(opener) and every
            mark = self._next()[0]
            match mark.text:
                case "&&":
                    continue
                case "||":
                    result, every = result or every, True
                case "%?":
                    return result or every
                case _:
                    self.pending.append((mark, _EMPTY))
                    raise _Wrong("expected '%?' marker for conditional", opener)

    def _comparison(self, opener: Token) -> bool:
        left = self._next()[0]
        if left.text in ("%?", "%)"):
            self.pending.append((left, _EMPTY))
            raise _Wrong("incomplete condition after '%('", opener)
        operator = self._next()[0]
        if operator.text in ("%?", "%)", "%:"):
            self.pending.append((operator, _EMPTY))
            raise _Wrong(_EXPECTED, left)
        right = self._next()[0]
        return _decide(left, operator, right, self.context)


_DUPLICATE = "invalid conditional - duplicate '%:'"
_EXPECTED = (
    "expected 'arch', 'kernel_v', 'kernel_vr', 'systemtap_v',\n"
    "             'runtime', 'systemtap_privilege', 'CONFIG_...', or\n"
    "             comparison between strings or integers"
)


def _depth(token: Token) -> int:
    depth, via = 0, token.via
    while via is not None and depth <= _MAX_DEPTH:
        depth, via = depth + 1, via.via
    return depth


def _inside(token: Token, macro: Macro) -> bool:
    """Whether a call stands in the macro's own body."""
    return token.file is macro.span.file and any(
        token.start == word.start and token.text == word.text for word in macro.body
    )


# --- what conditions mean -------------------------------------------------------------------------------


def _decide(left: Token, operator: Token, right: Token, context: PreprocessContext) -> bool:
    if left.kind == "string":
        return _plain(left.value, operator, _string(right))
    if left.kind == "number":
        if right.kind != "number" and not (right.text == "-"):
            raise _Wrong("expected number", right)
        return _ordered(_number(left), operator, _number(right))
    if left.kind == "ident" and left.text.startswith("CONFIG_"):
        return _kconfig(left, operator, right, context)
    return _about_target(left, operator, right, context)


def _about_target(left: Token, operator: Token, right: Token, context: PreprocessContext) -> bool:
    versions = {
        "kernel_v": context.kernel_release.partition("-")[0],
        "kernel_vr": context.kernel_release,
        "systemtap_v": context.compatible,
    }
    names = {"arch": context.arch, "runtime": context.runtime, "systemtap_privilege": context.privilege}
    if left.text in versions:
        return _version(versions[left.text], operator, _string(right))
    if left.text in names:
        return _equal(operator, fnmatchcase(names[left.text], _string(right)))
    if left.text == "guru_mode":
        return _equal(operator, context.guru == bool(_number(right)))
    raise _Wrong(_EXPECTED, left)


def _string(token: Token) -> str:
    if token.kind != "string":
        raise _Wrong("expected string literal", token)
    return token.value


def _number(token: Token) -> int:
    try:
        return parse_number(token.text)
    except ValueError:
        raise _Wrong("number invalid or out of range" if token.kind == "number" else "expected number", token) from None


def parse_number(text: str) -> int:
    """A literal's value as signed 64 bits; ValueError where it is none."""
    if len(text) > 40:
        raise ValueError(text)
    if text[:2] in ("0x", "0X"):
        value = int(text[2:].replace("_", "?"), 16)
    elif "_" in text or not text.isdigit():
        raise ValueError(text)
    else:
        value = int(text, 8 if text[0] == "0" else 10)
    if value >= 1 << 64:
        raise ValueError(text)
    return value - (1 << 64) if value >= 1 << 63 else value


def _equal(operator: Token, same: bool) -> bool:
    match operator.text:
        case "==":
            return same
        case "!=":
            return not same
        case _:
            raise _Wrong("expected '==' or '!='", operator)


def _ordered(left: object, operator: Token, right: object) -> bool:
    compare: dict[str, Callable[[], bool]] = {
        "<": lambda: left < right,  # type: ignore[operator]
        "<=": lambda: left <= right,  # type: ignore[operator]
        ">": lambda: left > right,  # type: ignore[operator]
        ">=": lambda: left >= right,  # type: ignore[operator]
        "==": lambda: left == right,
        "!=": lambda: left != right,
    }
    if operator.text not in compare:
        raise _Wrong("expected comparison operator", operator)
    return compare[operator.text]()


def _plain(left: str, operator: Token, right: str) -> bool:
    if operator.text in ("==", "!="):
        return _equal(operator, fnmatchcase(left, right) or left == right)
    return _ordered(left, operator, right)


_VERSION_PART = re.compile(r"\d+|\D+")


def _version(mine: str, operator: Token, wanted: str) -> bool:
    if operator.text in ("==", "!="):
        return _equal(operator, fnmatchcase(mine, wanted))
    if any(c in wanted for c in "*?["):
        raise _Wrong("wildcard not allowed with order comparison operators", operator)
    return _ordered(_version_key(mine), operator, _version_key(wanted))


def _version_key(text: str) -> list[tuple[int, int, str]]:
    """Sorts as strverscmp does: runs of digits by value."""
    return [(1, int(p), "") if p.isdigit() else (0, 0, p) for p in _VERSION_PART.findall(text)]


def _kconfig(left: Token, operator: Token, right: Token, context: PreprocessContext) -> bool:
    mine = _option(left.text, context)
    if right.kind == "number":
        try:
            return _ordered(int(mine or "0", 0), operator, _number(right))
        except ValueError:
            return operator.text == "!="
    if right.kind == "ident" and right.text.startswith("CONFIG_"):
        return _plain(mine, operator, _option(right.text, context))
    wanted = _string(right)
    return _equal(operator, fnmatchcase(mine, wanted) or mine == wanted)


def _option(name: str, context: PreprocessContext) -> str:
    value = context.kconfig.get(name, context.kconfig.get(name.removeprefix("CONFIG_"), ""))
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
