"""Source text -> ast.File: the lexer, the preprocessor, and an LALR loop over the grammar's tables.

After an error it goes on at the next probe, function or global, so that one run shows the errors of all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence, Set
from functools import cache
from typing import Any, Protocol

from pystap.diagnostics import Diagnostics, Severity
from pystap.source import SourceFile
from pystap.syntax import ast, tables
from pystap.syntax.build import Builder, Refused
from pystap.syntax.expectation import at_end, expected
from pystap.syntax.lexer import Token, junk_reason
from pystap.syntax.preprocess import Macro, PreprocessContext, preprocess
from pystap.syntax.walk import children
from pystap.syntax.words import Word, words


class MacroSource(Protocol):
    """Where macros come from besides the file itself: the library."""

    def macro(self, name: str) -> Macro | None:
        """A macro by name (without the @)."""


Macros = MacroSource | Callable[[str], Macro | None] | Mapping[str, Macro] | None

_MAX_DEPTH = 1_500  # of a tree: passes walk it by recursion
_RECURSION = 12_000  # what Python must allow for that
_ITEM_STARTS = frozenset(("probe", "function", "global", "private"))


def parse(
    source: SourceFile,
    context: PreprocessContext,
    macros: Macros,
    diagnostics: Diagnostics,
) -> ast.File:
    """Parses one file; what is wrong with it goes into the diagnostics, and what is right into the tree."""
    before = len(diagnostics.items)
    read = preprocess(source, context, _lookup(macros), diagnostics)
    # Where the preprocessor found errors, those of the parser would mostly be their echoes.
    tokens = read.tokens if len(diagnostics.items) == before or not diagnostics.failed else []
    return parse_tokens(source, tokens, context, diagnostics)


def parse_script(source: SourceFile, context: PreprocessContext, macros: Macros, diagnostics: Diagnostics) -> ast.File:
    """Parses the user's script: `parse`, with a warning of each command line argument that it leaves unused."""
    used: set[int] = set()
    file = parse_scripts([source], context, macros, diagnostics, used)[0]
    warn_of_unused(used, context, diagnostics)
    return file


def parse_scripts(
    sources: Sequence[SourceFile],
    context: PreprocessContext,
    macros: Macros,
    diagnostics: Diagnostics,
    used: set[int],
) -> list[ast.File]:
    """Parses the user's script and what -E adds to it, which share the command line arguments; notes which they use."""
    lookup = _lookup(macros)
    files = []
    for source in sources:
        before = len(diagnostics.items)
        read = preprocess(source, context, lookup, diagnostics)
        used |= read.arguments_used
        if not read.tokens and len(diagnostics.items) == before:
            after = " after preprocessing" if source.text.strip() else ""
            diagnostics.error(None, "empty", f"Input file '{source.name}' is empty{after}.", severity=Severity.PARSE)
        # Where the preprocessor found errors, those of the parser would mostly be their echoes.
        files.append(parse_tokens(source, [] if diagnostics.failed else read.tokens, context, diagnostics))
    return files


def warn_of_unused(used: Set[int], context: PreprocessContext, diagnostics: Diagnostics) -> None:
    """A warning of each command line argument that neither the scripts nor what they take of the library use."""
    for number in range(1, len(context.arguments) + 1):
        if number not in used and not diagnostics.failed:
            diagnostics.warn(None, "unused-argument", f"unused command line option ${number}/@{number}")


def parse_tokens(
    source: SourceFile, tokens: list[Token], context: PreprocessContext, diagnostics: Diagnostics
) -> ast.File:
    """Parses what the preprocessor left."""
    if sys.getrecursionlimit() < _RECURSION:
        sys.setrecursionlimit(_RECURSION)
    if source.is_user and not _at_least(context.compatible, 3):
        tokens = [t._replace(kind="ident") if t.text == "private" else t for t in tokens]
    return _Parser(source, context, diagnostics).run(words(tokens))


def _at_least(version: str, major: int) -> bool:
    found = version.partition(".")[0]
    return not found.isdigit() or int(found) >= major


def _lookup(macros: Macros) -> Callable[[str], Macro | None]:
    if macros is None:
        return lambda name: None
    if isinstance(macros, Mapping):
        return macros.get
    return macros if callable(macros) else macros.macro


@cache
def _tables() -> tables.Tables:
    return tables.load()


@cache
def _climbed() -> dict[tuple[int, int, str], int]:
    """(state below, state, terminal) -> the state at the end of a chain of renaming reductions."""
    return {}


class _Parser:
    """One run of the LALR machine. The stacks go side by side: state, value, and the first word of the value."""

    def __init__(self, source: SourceFile, context: PreprocessContext, diagnostics: Diagnostics) -> None:
        self.source = source
        self.diagnostics = diagnostics
        builder = Builder(guru=context.guru or not source.is_user)
        self.tables = _tables()
        self.methods: list[Callable[[Token, list[Any]], Any] | None] = [
            getattr(builder, rule.method) if rule.method and rule.method != "start" else None
            for rule in self.tables.rules
        ]
        self.climbed = _climbed()
        self.states: list[int] = []
        self.values: list[Any] = []
        self.firsts: list[int] = []
        self.items: list[ast.Item] = []
        self.words: list[Word] = []

    def run(self, found: list[Word]) -> ast.File:
        end = found[-1][1] if found else Token("op", "", "", self.source, 0, 0)
        self.words = [*found, ("$END", end)]
        at = 0
        self._restart()
        while at < len(self.words):
            try:
                self._word(at)
                at += 1
            except Refused as wrong:
                if wrong.seen is not None:
                    wrong.token = self.words[at + wrong.seen][1]
                self._report(wrong)
                at = self._next_item(at)
        self.items = [item for item in self.items if self._shallow(item)]
        return ast.File(self.source, tuple(self.items), span=Token("op", "", "", self.source, 0, 0).span)

    def _shallow(self, item: ast.Item) -> bool:
        """Refuses what the recursive passes could not walk."""
        level: list[ast.Node] = [item]
        for _ in range(_MAX_DEPTH):
            level = [below for node in level for below in children(node)]
            if not level:
                return True
        self.diagnostics.error(level[0].span, "too-deep", "nested too deeply", severity=Severity.PARSE)
        return False

    def _restart(self) -> None:
        """Forgets all but the whole items."""
        self.states, self.values, self.firsts = [self.tables.start], [], []

    def _next_item(self, at: int) -> int:
        """Where to go on after an error: past this word, and not within the item that was begun."""
        begun = self.firsts[-1] if self.firsts else at
        self._restart()
        at = max(at, begun + 1)
        while at < len(self.words) - 1 and self.words[at][0] not in _ITEM_STARTS:
            at += 1
        return at if at < len(self.words) - 1 else len(self.words)

    def _word(self, at: int) -> None:
        """Feeds one terminal to the machine: reductions, then a shift."""
        name, token = self.words[at]
        actions, rules = self.tables.actions, self.tables.rules
        states, values, firsts = self.states, self.values, self.firsts
        while True:
            action = actions[states[-1]].get(name)
            if action is None:
                raise self._unexpected(at)
            if action >= 0:
                states.append(action)
                values.append(token)
                firsts.append(at)
                return
            rule = rules[~action]
            if rule.unit and rule.size == 1:
                key = states[-2], states[-1], name
                states[-1] = self.climbed.get(key) or self._climb(key)
                continue
            if self._reduce(~action, rule, at):
                return

    def _climb(self, key: tuple[int, int, str]) -> int:
        """Where a chain of reductions ends that only rename a value: an identifier is a value is an access ..."""
        below, state, name = key
        while True:
            action = self.tables.actions[state].get(name)
            rule = self.tables.rules[~action] if action is not None and action < 0 else None
            if rule is None or not rule.unit or rule.size != 1:
                self.climbed[key] = state
                return state
            state = self.tables.gotos[below][rule.origin]

    def _reduce(self, number: int, rule: tables.Rule, at: int) -> bool:
        """Replaces a rule's values by what they make; True at the end of the file."""
        states, values, firsts = self.states, self.values, self.firsts
        size = rule.size
        first = firsts[-size] if size else at
        taken = values[len(values) - size :]
        if size:
            del states[-size:], values[-size:], firsts[-size:]
        if rule.origin == "start":
            self.items.extend(_spliced(rule.kept, taken))
            return True
        kept = _spliced(rule.kept, taken)
        method = self.methods[number]
        if method is not None:
            value = method(self.words[first][1], kept)
        else:
            value = kept[0] if rule.unit else kept
        states.append(self.tables.gotos[states[-1]][rule.origin])
        values.append(value)
        firsts.append(first)
        if rule.origin == "_items" and kept:
            self.items.extend(kept)
            values[-1] = []
        return False

    # --- errors -------------------------------------------------------------------------------------------

    def _unexpected(self, at: int) -> Refused:
        name, token = self.words[at]
        if name == "?junk" and token.text[0] in '"%':
            return Refused(token, junk_reason(token))
        names, read = self._acceptable(self.states[-1]), self.words[:at]
        if name == "?operator" and names >= {"+", "AGGREGATE", "limit"}:
            return Refused(token, "expected statistical operation")
        if name == "?operator":
            return Refused(token, f"unknown operator {token.text}")
        if name == "$END":
            message, of_last = at_end(names, read)
            return Refused(token, message, at_end=not of_last)
        if token.text == "," and "probe" in names and self._appended():
            return Refused(token, "Combined prologue and epilogue cannot be defined with '+='")
        if "foreach" in names and token.kind == "keyword":
            return Refused(token, "expected statement")
        if names == {"["}:
            histogram = next(t for name, t in reversed(read) if name.startswith("@hist_"))
            return Refused(histogram, expected(names, read), before=True)
        return Refused(token, expected(names, read))

    def _appended(self) -> bool:
        """Whether what was just read is an alias with +=."""
        last = self.items[-1] if self.items else None
        return any(isinstance(v, ast.Alias) and v.operator == "+=" for v in (last, *self.values))

    def _acceptable(self, state: int) -> set[str]:
        """The terminals that could really come next: those that end in a shift."""
        return {name for name in self.tables.actions[state] if self._shifts(name)}

    def _shifts(self, name: str) -> bool:
        states = list(self.states)
        while True:
            action = self.tables.actions[states[-1]].get(name)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = self.tables.rules[~action]
            if rule.origin == "start":
                return True
            if rule.size:
                del states[-rule.size :]
            states.append(self.tables.gotos[states[-1]][rule.origin])

    def _report(self, wrong: Refused) -> None:
        where = wrong.token.span
        token = "EOF" if wrong.at_end else wrong.token.described()
        self.diagnostics.error(
            where, wrong.code, wrong.message, token=f"at: {token}" if wrong.before else token, severity=Severity.PARSE
        )


def _spliced(kept: tuple[int, ...], taken: list[Any]) -> list[Any]:
    out: list[Any] = []
    for at in kept:
        value = taken[at]
        if type(value) is list:
            out.extend(value)
        else:
            out.append(value)
    return out
