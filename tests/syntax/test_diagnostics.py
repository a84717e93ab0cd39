"""The layout of messages: stap's, to the letter (hints come below)."""

from __future__ import annotations

import pytest

from pystap.diagnostics import Diagnostic, Diagnostics, Severity, render
from pystap.source import SourceFile, Span
from pystap.syntax.parser import parse
from pystap.syntax.preprocess import PreprocessContext

SOURCE = SourceFile("a.stp", "probe begin {\n\tfoo(bar)\n}\n")
FOO = Span(SOURCE, 15, 18)


def said(text: str) -> str:
    diagnostics = Diagnostics()
    parse(SourceFile("q.stp", text), PreprocessContext(), None, diagnostics)
    return "".join(map(render, diagnostics.items))


def test_parse_error() -> None:
    assert said("probe begin {\n\t\tx = \tfoo(a b) }") == (
        "parse error: expected one of ') ,'\n"
        "        saw: identifier 'b' at q.stp:2:14\n"
        "     source: \t\tx = \tfoo(a b) }\n"
        "             \t\t    \t      ^\n"
        "\n"
    )


def test_end_of_file() -> None:
    assert said("probe begin { x = (3") == "parse error: unexpected end-of-file\n        saw: q.stp EOF\n\n"


def test_last_token() -> None:
    assert said("probe begin { print($1) }") == (
        "parse error: command line argument out of range [1-0]\n"
        "         at: junk '' at q.stp:1:21\n"
        "     source: probe begin { print($1) }\n"
        "                                 ^\n"
        "\n"
    )


def test_expansions() -> None:
    text = "@define foo(a) %( @b %) probe begin { x = @foo(1) }"
    assert said(text) == (
        "parse error: unknown operator @b\n"
        "        saw: operator '@b' at q.stp:1:19\n"
        f"     source: {text}\n"
        "                               ^\n"
        "\tin expansion of macro: operator '@foo' at q.stp:1:43\n"
        f"     source: {text}\n"
        "                                                       ^\n"
        "\n"
    )


def test_semantic_error_with_its_cause() -> None:
    cause = Diagnostic(Severity.SEMANTIC, "y", "no match", FOO)
    whole = Diagnostic(Severity.SEMANTIC, "x", "while resolving probe point", Span(SOURCE, 6, 11), cause=cause)
    assert render(whole) == (
        "semantic error: while resolving probe point: identifier 'begin' at a.stp:1:7\n"
        "        source: probe begin {\n"
        "                      ^\n"
        "\n"
        "semantic error: no match: identifier 'foo' at :2:2\n"
        "        source: \tfoo(bar)\n"
        "                \t^\n"
        "\n"
    )


def test_warning() -> None:
    assert render(Diagnostic(Severity.WARNING, "w", "unused", FOO)) == (
        "WARNING: unused: identifier 'foo' at a.stp:2:2\n source: \tfoo(bar)\n         \t^\n"
    )
    assert render(Diagnostic(Severity.WARNING, "w", "unused")) == "WARNING: unused\n"


def test_hints_come_last() -> None:
    text = render(Diagnostic(Severity.SEMANTIC, "x", "no", FOO, hints=("do this",)))
    assert text.endswith("\t^\n  hint: do this\n\n")


@pytest.mark.parametrize(
    ("source", "token"),
    [
        ("while", "keyword"), ("$x", "identifier '$x'"), ("7", "number '7'"), ('"s" "t"', "string 's'"),
        ("%{ c %}", "embedded-code"), ("@cast", "operator '@cast'"), ("<<<", "operator '<<<'"),
    ],
)  # fmt: skip
def test_tokens(source: str, token: str) -> None:
    file = SourceFile("f", source)
    first = render(Diagnostic(Severity.SEMANTIC, "x", "m", Span(file, 0, len(source)))).splitlines()[0]
    assert first == f"semantic error: m: {token} at f:1:1"


def test_colors(monkeypatch: pytest.MonkeyPatch) -> None:
    diagnostic = Diagnostic(Severity.SEMANTIC, "x", "m", FOO)
    monkeypatch.delenv("SYSTEMTAP_COLORS", raising=False)
    assert "\033[01;31msemantic error:\033[m" in render(diagnostic, color=True)
    monkeypatch.setenv("SYSTEMTAP_COLORS", "error=32")
    assert "\033[32msemantic error:\033[m" in render(diagnostic, color=True)
    monkeypatch.setenv("SYSTEMTAP_COLORS", "nonsense=x")
    assert "\033" not in render(diagnostic, color=True)
