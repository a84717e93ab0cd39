"""Spans -> Marks: the position and the token that run-time messages name (a node's span is that token)."""

from __future__ import annotations

import re
from functools import lru_cache

from pystap.ir import nodes as ir
from pystap.source import SourceFile, Span

_KEYWORDS = frozenset((
    "probe", "global", "private", "function", "if", "else", "for", "foreach", "in", "limit", "return", "delete",
    "while", "break", "continue", "next", "string", "long", "try", "catch",
))  # fmt: skip
_TOKEN = re.compile(
    r"""(?P<identifier>[A-Za-z_$][\w$]*)|(?P<at>@\w+)|(?P<number>0[xX][0-9a-fA-F]+|\d+)|"(?P<string>(?:[^"\\]|\\.)*)"|"""
    r"""(?P<embedded>%\{)|"""
    r"""(?P<operator><<<|>>>|<<=|>>=|==|!=|<=|>=|=~|!~|[-+*/%&^|.]=|&&|\|\||\+\+|--|->|<<|>>|.)""",
    re.DOTALL,
)


@lru_cache(maxsize=4096)
def _token_at(file: SourceFile, start: int) -> tuple[str, int]:
    found = _TOKEN.match(file.text, start)
    if found is None:
        return "", start
    text = found[0]
    match found.lastgroup:
        case "identifier":
            name = "keyword" if text in _KEYWORDS else f"identifier '{text}'"
        case "number":
            name = f"number '{text}'"
        case "string":
            name = f"string '{found['string']}'"
        case "embedded":
            name = "embedded-code"
        case _:
            name = f"operator '{text}'"
    return name, found.end()


def first_token(span: Span) -> ir.Mark:
    """The token that a span begins with."""
    if span.end <= span.start and not span.file.text:
        return ir.Mark(span, "")
    start = span.start
    name, end = _token_at(span.file, start)
    return ir.Mark(Span(span.file, start, max(end, start), span.via), name)
