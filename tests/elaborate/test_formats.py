"""Formats: pieces, argument types, errors."""

from __future__ import annotations

import pytest

from pystap.elaborate.formats import FormatError, argument_types, join_format, parse_format


@pytest.mark.parametrize(
    ("text", "types", "joined"),
    [
        ("plain", (), "plain"),
        ("100%%", (), "100%%"),
        ("%d %s\n", ("long", "string"), "%d %s\n"),
        ("%-*d", ("long", "long"), "%-*d"),
        ("%.*s", ("long", "string"), "%.*s"),
        ("%*.*s", ("long", "long", "string"), "%*.*s"),
        ("%lld %li", ("long", "long"), "%d %i"),
        ("%#M %m", ("long", "long"), "%#M %m"),
        ("%8b%c", ("long", "long"), "%8b%c"),
        ("%05d|%+d|% d|%.3x", ("long",) * 4, "%05d|%+d|% d|%.3x"),
        ("%.s", ("string",), "%.0s"),
    ],
)
def test_format(text: str, types: tuple[str, ...], joined: str) -> None:
    pieces = parse_format(text)
    assert argument_types(pieces) == types
    assert join_format(pieces) == joined
    assert join_format(parse_format(joined)) == joined


@pytest.mark.parametrize(("text", "offset"), [("%", 0), ("ab%y", 2), ("%l", 0), ("x%d%-", 3), ("%*b", 0)])
def test_bad(text: str, offset: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse_format(text)
    assert caught.value.offset == offset
