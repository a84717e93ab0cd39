"""The grammar -> LALR tables: made by lark, kept on disk as plain data, so that a warm start needs no lark."""

from __future__ import annotations

import hashlib
import marshal
from typing import Any, NamedTuple

from pystap import kept, paths

_FORMAT = 4  # raise it when Tables or Rule change


class Rule(NamedTuple):
    """What a reduction does: takes `size` values, keeps some, and calls the builder's `method` with them.

    Without a method the kept values are handed on: alone (`unit`), or as a list that its user splices in.
    """

    origin: str
    size: int
    method: str
    kept: tuple[int, ...]
    unit: bool


class Tables(NamedTuple):
    """`actions[state][terminal]`: a state to go to, or ~rule to reduce by; `gotos[state][origin]`: a state."""

    actions: list[dict[str, int]]
    gotos: list[dict[str, int]]
    rules: list[Rule]
    start: int
    end: int


def load() -> Tables:
    """The tables of pystap's grammar, from the cache where they are there already."""
    text = "".join((paths.grammar() / name).read_text() for name in ("stap.lark", "tokens.lark"))
    digest = hashlib.sha256(f"{_FORMAT} {text}".encode()).hexdigest()[:24]
    path = paths.cache("grammar") / f"{digest}.tables"
    known = kept.read(path)
    if known is not None:
        return _decoded(marshal.loads(known))
    tables = compile_grammar()
    plain = (tables.actions, tables.gotos, [tuple(rule) for rule in tables.rules], tables.start, tables.end)
    kept.write(path, marshal.dumps(plain))
    return tables


def _decoded(data: Any) -> Tables:
    actions, gotos, rules, start, end = data
    return Tables(actions, gotos, [Rule(*rule) for rule in rules], start, end)


def compile_grammar() -> Tables:
    """Asks lark for the tables."""
    from lark import Lark
    from lark.lexer import Lexer

    class _NoLexer(Lexer):  # only the tables are wanted
        def __init__(self, lexer_conf: Any) -> None: ...

        def lex(self, lexer_state: Any, parser_state: Any) -> Any: ...

    lark = Lark.open(str(paths.grammar() / "stap.lark"), parser="lalr", lexer=_NoLexer, maybe_placeholders=False)
    table = lark.parser.parser._parse_table
    literals = {t.name: t.pattern.value for t in lark.terminals if t.pattern is not None}
    numbers: dict[Any, int] = {}
    rules: list[Rule] = []
    actions: list[dict[str, int]] = [{} for _ in table.states]
    gotos: list[dict[str, int]] = [{} for _ in table.states]
    nonterminals = {str(rule.origin.name) for rule in lark.rules}
    for state, row in table.states.items():
        for symbol, (action, argument) in row.items():
            name = str(symbol)
            if action.name == "Reduce":
                if argument not in numbers:
                    numbers[argument] = len(rules)
                    rules.append(_rule(argument))
                actions[state][literals.get(name, name)] = ~numbers[argument]
            elif name in nonterminals:
                gotos[state][name] = argument
            else:
                actions[state][literals.get(name, name)] = argument
    return Tables(actions, gotos, rules, table.start_states["start"], table.end_states["start"])


def _rule(rule: Any) -> Rule:
    origin = str(rule.origin.name)
    keep_all = rule.options.keep_all_tokens
    kept = tuple(
        at for at, symbol in enumerate(rule.expansion) if keep_all or not (symbol.is_term and symbol.filter_out)
    )
    unit = len(kept) == 1 and bool(rule.options.expand1) and not rule.alias
    method = "" if unit or origin.startswith("_") else str(rule.alias or origin)
    return Rule(origin, len(rule.expansion), method, kept, unit)
