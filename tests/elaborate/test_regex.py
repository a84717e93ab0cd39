"""Regular expressions: the automata agree with Python's `re` on whether, where, and with which groups they match."""

from __future__ import annotations

import random
import re

import pytest

from pystap.elaborate.regex import DEAD, NONE, NOW, Automaton, PatternError, compile_pattern


def search(automaton: Automaton, text: bytes) -> list[tuple[int, int] | None] | None:  # noqa: C901
    """What runtime/regex.h does, in Python: the groups' extents, or None."""
    state, at, found = 0, 0, None
    registers = [0] * max(automaton.registers, 1)

    def sources(where: int, now: int) -> list[int]:
        listed = automaton.lists[where + 1 : where + 1 + automaton.lists[where]]
        return [now if s == NOW else -1 if s == NONE else registers[s] for s in listed]

    if automaton.groups:
        first = sources(automaton.initial, 0)
        registers[: len(first)] = first
    while True:
        if automaton.accepting[state] & 1:
            if not automaton.groups:
                return []
            found = sources(automaton.finals[state], at)
        if at == len(text):
            if automaton.accepting[state] & 2:
                found = sources(automaton.ends[state], at) if automaton.groups else []
            break
        index = state * automaton.class_count + automaton.classes[text[at]]
        at += 1
        if automaton.next[index] == DEAD:
            break
        if automaton.groups and automaton.moves[index]:
            new = sources(automaton.moves[index], at)
            registers[: len(new)] = new
        state = automaton.next[index]
    if found is None:
        return None
    pairs = list(zip(found[::2], found[1::2], strict=True))
    return [None if -1 in pair else pair for pair in pairs]


@pytest.mark.parametrize(
    ("pattern", "text", "groups"),
    [
        ("o([0-9]+)b", "foo123bar", ["o123b", "123"]),
        ("^a.c$", "abc", ["abc"]),
        ("^a.c$", "abcd", None),
        ("[[:digit:]]", "x", None),
        ("^a{2,3}$", "aaa", ["aaa"]),
        ("^a{2,3}$", "aaaa", None),
        ("b|c", "ab", ["b"]),
        ("a|ab|abc", "xabcd", ["abc"]),
        ("(a*)(a|b)*", "aab", ["aab", "aa", "b"]),
        ("(?:x|y)(z)", "yz", ["yz", "z"]),
        ("", "abc", [""]),
        ("$", "abc", [""]),
        ("x*", "aaxx", [""]),
        ("x+", "aaxxa", ["xx"]),
        ("(x)?y", "y", ["y", None]),
        ("[]a]+", "x]a", ["]a"]),
        ("[^]a]", "]ab", ["b"]),
        ("a-z[a-]", "a-z-", ["a-z-"]),
        (r"1\.5\*", "1.5*", ["1.5*"]),
        (r"\(x\)", "(x)", ["(x)"]),
        ("a{2}{2}", "aaaaa", ["aaaa"]),
        (")a", "b)a", [")a"]),
        (r"(a)\1\d", "a1d", ["a1d", "a"]),
        ("(a|b)*c|(a|b)*d", "ababd", ["ababd", None, "b"]),
        ("/(usr|home)/([^/]*)$", "/home/me", ["/home/me", "home", "me"]),
        ("\udcff+", "a\xff\xff", ["\xff\xff"]),
        ("\u00e9+", "a\xc3\xa9\xc3\xa9", ["\xc3\xa9\xc3\xa9"]),
        ("^(a|(b))*$", "ab", ["ab", "b", "b"]),
        ("sys_(read|write)(v)?", "do_sys_writev", ["sys_writev", "write", "v"]),
    ],
)
def test_match(pattern: str, text: str, groups: list[str | None] | None) -> None:
    data = text.encode("latin-1")
    found = search(compile_pattern(pattern, groups=True), data)
    texts = None if found is None else [None if g is None else data[g[0] : g[1]].decode("latin-1") for g in found]
    assert texts == groups
    assert (search(compile_pattern(pattern), data) is not None) == (groups is not None)


@pytest.mark.parametrize(
    ("pattern", "offset"),
    [
        ("ab(c", 3), ("a)b", 2), ("ab[c", 3), ("a[]", 2), ("*a", 0), ("ab|*c", 3), ("[[:nope:]]", None), ("x[z-a]", 5),
        ("a{3,1}", 1), ("a{300}", 1), ("ab{x}", 4), ("ab{", 3), ("ab{3", 4), ("ab{3,x}", 6), ("a{,2}", 3), ("a\\", 2),
        ("(?=a)", 2), ("[[.a.]]", 1),
    ],
)  # fmt: skip
def test_bad(pattern: str, offset: int | None) -> None:
    """The offsets are those of stap's messages."""
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert caught.value.offset == offset


@pytest.mark.parametrize("pattern", ["(a|b)*a(a|b){14}", "((((a{200}){200})))", "(" * 40 + "a" + ")" * 40])
def test_too_large(pattern: str) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern, groups=True)


def random_pattern(rng: random.Random, depth: int) -> str:
    if depth == 0:
        return rng.choice(["a", "b", "c", ".", "[ab]", "[^a]"])
    match rng.randrange(7):
        case 0:
            return f"({random_pattern(rng, depth - 1)})"
        case 1:
            return f"(?:{random_pattern(rng, depth - 1)}|{random_pattern(rng, depth - 1)})"
        case 2:
            return f"(?:{random_pattern(rng, depth - 1)}){rng.choice(['*', '+', '?', '{2}', '{1,2}', '{0,3}'])}"
        case _:
            return random_pattern(rng, depth - 1) + random_pattern(rng, depth - 1)


def _anchored(rng: random.Random) -> str:
    body = random_pattern(rng, rng.randrange(1, 5))
    return rng.choice(["", "", "^"]) + body + rng.choice(["", "", "$"])


def test_against_re() -> None:
    """Whether and where it matches is as in `re`; its end is the longest that `re` can make from there."""
    rng = random.Random(7)
    for _ in range(1500):
        pattern = _anchored(rng)
        plain, tagged, peer = (
            compile_pattern(pattern),
            compile_pattern(pattern, groups=True),
            re.compile(pattern, re.DOTALL),
        )
        for _ in range(8):
            text = "".join(rng.choice("abcd") for _ in range(rng.randrange(9)))
            expected, found = peer.search(text), search(tagged, text.encode())
            assert (search(plain, text.encode()) is None) == (expected is None), (pattern, text)
            assert (found is None) == (expected is None), (pattern, text)
            if expected is None or found is None or found[0] is None:
                continue
            ends = [e for e in range(len(text), -1, -1) if _full(peer, pattern, text, expected.start(), e)]
            assert found[0] == (expected.start(), ends[0]), (pattern, text)


def _full(peer: re.Pattern[str], pattern: str, text: str, start: int, end: int) -> bool:
    if pattern.endswith("$") and end < len(text):
        return False
    return re.compile(f"(?:{pattern.strip('^$')})", re.DOTALL).fullmatch(text, start, end) is not None
