"""Text -> tokens."""

from __future__ import annotations

import pytest

from pystap.source import SourceFile
from pystap.syntax.lexer import decode, tokenize


def kinds(text: str) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokenize(SourceFile("t", text))]


def test_longest_operators_win() -> None:
    text = "<<< >>> <<= >>= << >> <= >= == =~ !~ ! ~ -> -- -= .= && &= ^= |="
    assert [t for _, t in kinds(text)] == text.split()
    assert [t for _, t in kinds("a>>>=b")] == ["a", ">>>", "=", "b"]
    assert [t for _, t in kinds("!~x")] == ["!~", "x"]


def test_comments_vanish() -> None:
    text = "#!/usr/bin/stap\na # b\n// c\n/* d\n * e */ f /* g"
    assert kinds(text) == [("ident", "a"), ("ident", "f")]


def test_sigils() -> None:
    assert kinds("$x $$vars$ $1 @2 $# @# @cast $x$$ a$b $") == [
        ("ident", "$x"), ("ident", "$$vars$"), ("argument", "$1"), ("argument", "@2"), ("argument", "$#"),
        ("argument", "@#"), ("at", "@cast"), ("ident", "$x$$"), ("ident", "a$b"), ("ident", "$"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (r"a\n\t\\\"", 'a\n\t\\"'),
        (r"\a\b\v\f\r", "\a\b\v\f\r"),
        (r"\101\x41\0", "AA\0"),
        (r"\1014", "A4"),
        (r"\q\ ", "q "),
        (r"\777", "\udcff"),
    ],
)
def test_escapes(written: str, meant: str) -> None:
    assert decode(written) == meant


def test_embedded_code_is_one_token() -> None:
    tokens = tokenize(SourceFile("t", 'a %{ int x = "%"; } %} b'))
    assert [t.kind for t in tokens] == ["ident", "embedded", "ident"]
    assert tokens[1].value == ' int x = "%"; } '


def test_what_is_not_closed_is_junk() -> None:
    assert kinds('a "b') == [("ident", "a"), ("junk", '"b')]
    assert kinds("%{ b\nc") == [("junk", "%{ b\nc")]
    assert kinds("`")[0][0] == "junk"


def test_positions() -> None:
    source = SourceFile("t.stp", "probe\n\tbegin")
    second = tokenize(source)[1]
    assert str(second.span) == "t.stp:2:2"
    assert second.span.text == "begin"
