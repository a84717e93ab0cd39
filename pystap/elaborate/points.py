"""The tree of all probe points that can be written, from patterns and aliases: what a point means, or near misses.

Provider patterns (`timer.s|ms(num)[.randomize(num)]`) are multiplied out once; aliases are added by the elaborator as
sequences of components. Nothing here resolves a point: it only says whose it is, and with which arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Literal, Union

from pystap.diagnostics import Unresolved, similar_names
from pystap.elaborate.nearest import ranked
from pystap.providers.base import Provider
from pystap.syntax import ast

Kind = Literal["", "str", "num"]  # which argument a component takes
Key = tuple[str, Kind]

_TOKEN = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(\((?P<kind>str|num)\))?|(?P<mark>[\[\]|.])")
_SPELT: dict[Kind, str] = {"": "", "str": "(string)", "num": "(number)"}
_KEYWORDS = frozenset(
    (
        "probe", "global", "private", "function", "if", "else", "for", "foreach", "in", "limit", "return", "delete",
        "while", "break", "continue", "next", "string", "long", "try", "catch",
    )
)  # fmt: skip


class PointMismatch(Unresolved):
    """A point that no pattern and no alias fits; `component` is the part at which it went wrong."""

    def __init__(self, reason: str, component: ast.Component) -> None:
        super().__init__(reason, span=component.span)
        self.component = component
        self.token = component_token(component)


def component_token(component: ast.Component) -> str:
    """The component as messages name it: identifier 'foo', operator '*', keyword."""
    if component.name in ("*", "**"):
        return f"operator '{component.name}'"
    return "keyword" if component.name in _KEYWORDS else f"identifier '{component.name}'"


@dataclass(frozen=True, slots=True)
class Match:
    """One thing that a written point names.

    `owner` is a provider, or whatever the elaborator added as alias (then `suffix` holds components after its name).
    `point` is the written point with its wildcards replaced; `wild` says that there were some, so that a match which
    does not resolve is no error while others do.
    """

    owner: Any
    pattern: str
    arguments: tuple[Union[str, int], ...]
    point: ast.Point
    is_alias: bool = False
    suffix: tuple[ast.Component, ...] = ()
    wild: bool = False


@dataclass(frozen=True, slots=True)
class _End:
    owner: Any
    pattern: str
    is_alias: bool


@dataclass(slots=True)
class _Node:
    children: dict[Key, _Node] = field(default_factory=dict)
    ends: list[_End] = field(default_factory=list)


class PointTree:
    """All points by component. Provider patterns come first, aliases in the order in which they are added."""

    def __init__(self, providers: Iterable[Provider] = ()) -> None:
        self._root = _Node()
        for provider in providers:
            for pattern in provider.patterns:
                for keys in expand(pattern):
                    self._node(keys).ends.append(_End(provider, pattern, is_alias=False))

    def add_alias(self, components: Iterable[ast.Component], owner: Any) -> None:
        """Adds an alias name; several of one name are kept all."""
        self._node(tuple((c.name, _kind(c)) for c in components)).ends.append(_End(owner, "", is_alias=True))

    def match(self, point: ast.Point) -> tuple[Match, ...]:
        """Everything that the point names, in the tree's order; raises PointMismatch where that is nothing."""
        return tuple(self._walk(self._root, point, 0))

    def types(self, keep: Callable[[Any], bool] = lambda owner: True) -> list[str]:
        """The lines of --dump-probe-types: `timer.s(number).randomize(number)`."""
        return sorted(_spell(keys) for keys, end in self._all(self._root, ()) if not end.is_alias and keep(end.owner))

    def aliases(self) -> Iterator[tuple[str, Any]]:
        """Every alias with its name."""
        for keys, end in self._all(self._root, ()):
            if end.is_alias:
                yield _spell(keys), end.owner

    def _node(self, keys: Iterable[Key]) -> _Node:
        node = self._root
        for key in keys:
            node = node.children.setdefault(key, _Node())
        return node

    def _all(self, node: _Node, keys: tuple[Key, ...]) -> Iterator[tuple[tuple[Key, ...], _End]]:
        for end in node.ends:
            yield keys, end
        for key, child in node.children.items():
            yield from self._all(child, (*keys, key))

    def _walk(self, node: _Node, point: ast.Point, at: int) -> list[Match]:
        if at == len(point.components):
            return self._finish(node, point)
        component = point.components[at]
        if is_wild(component):
            return self._wild(node, point, at)
        child = node.children.get((component.name, _kind(component)))
        if child is not None:
            return self._walk(child, point, at + 1)
        if node.ends:
            return self._suffixed(node, point, at)
        raise PointMismatch(f"probe point mismatch{_similar(node, component.name)}", component)

    def _finish(self, node: _Node, point: ast.Point) -> list[Match]:
        if not node.ends:
            follow = " ".join(sorted(_spell((key,)) for key in node.children))
            raise PointMismatch(f"probe point truncated (follow:  {follow})", point.components[-1])
        arguments = _arguments(point)
        return [Match(end.owner, end.pattern, arguments, point, end.is_alias) for end in node.ends]

    def _suffixed(self, node: _Node, point: ast.Point, at: int) -> list[Match]:
        head, suffix = replace(point, components=point.components[:at]), point.components[at:]
        aliases = [end for end in node.ends if end.is_alias]
        if not aliases:
            raise PointMismatch("invalid suffix for probe", suffix[0])
        arguments = _arguments(head)
        return [Match(end.owner, "", arguments, point, is_alias=True, suffix=suffix) for end in aliases]

    def _wild(self, node: _Node, point: ast.Point, at: int) -> list[Match]:
        component = point.components[at]
        found: list[Match] = []
        for (name, kind), child in sorted(node.children.items()):
            if kind == _kind(component) and _fits(name, component.name):
                for fixed, position in _replaced(point, at, name):
                    found.extend(self._tolerant(child, fixed, position))
        if found:
            return found
        if node.ends:
            return self._suffixed(node, point, at)
        nearest = _similar(node, component.name)
        raise PointMismatch(f"probe point mismatch: didn't find any wildcard matches{nearest}", component)

    def _tolerant(self, node: _Node, point: ast.Point, at: int) -> list[Match]:
        try:
            found = self._walk(node, point, at)
        except PointMismatch:
            return []
        return [replace(m, wild=True) for m in found if not any(map(is_wild, m.suffix))]


def is_wild(component: ast.Component) -> bool:
    """Whether the component's name is a pattern (its argument may be one all the same)."""
    return "*" in component.name or "?" in component.name or "[" in component.name


@cache
def expand(pattern: str) -> tuple[tuple[Key, ...], ...]:
    """All sequences that a provider's pattern stands for: `[...]` is optional, `|` alternates within its brackets.

    `a|b(num)` at the place of one name alternates between the names only: timer.s|ms(num) is timer.s(num) and
    timer.ms(num).
    """
    tokens = list(_TOKEN.finditer(pattern))
    assert sum(len(t.group()) for t in tokens) == len(pattern), pattern
    reader = _PatternReader([t.group() for t in tokens])
    sequences = reader.alternatives()
    assert reader.at == len(reader.tokens), pattern
    return tuple(dict.fromkeys(sequences))


class _PatternReader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def alternatives(self) -> list[tuple[Key, ...]]:
        """sequence | sequence, where each alternative within brackets begins with a dot."""
        found = self.sequence()
        while self._peek() == "|":
            self.at += 1
            found = found + self.sequence()
        return found

    def sequence(self) -> list[tuple[Key, ...]]:
        found: list[tuple[Key, ...]] = [()]
        while (token := self._peek()) and token not in "|]":
            if token == "[":
                self.at += 1
                inner = [(), *self.alternatives()]
                assert self._peek() == "]", self.tokens
                self.at += 1
            elif token == ".":
                self.at += 1
                continue
            else:
                inner = self.names()
            found = [left + right for left in found for right in inner]
        return found

    def names(self) -> list[tuple[Key, ...]]:
        """One component: a name, or names with `|` between (up to the one whose argument they all take)."""
        keys = [_key(self._take())]
        while self._peek() == "|" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1][0] not in ".[":
            self.at += 1
            keys.append(_key(self._take()))
        kind = keys[-1][1]
        return [((name, kind),) for name, _ in keys]

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _take(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]


def _key(token: str) -> Key:
    name, _, rest = token.partition("(")
    kinds: dict[str, Kind] = {"": "", "str)": "str", "num)": "num"}
    return name, kinds[rest]


def _kind(component: ast.Component) -> Kind:
    if component.argument is None:
        return ""
    return "num" if isinstance(component.argument, int) else "str"


def _spell(keys: Iterable[Key]) -> str:
    return ".".join(name + _SPELT[kind] for name, kind in keys)


def _fits(name: str, pattern: str) -> bool:
    return pattern == "**" or fnmatchcase(name, pattern.replace("**", "*"))


def _replaced(point: ast.Point, at: int, name: str) -> Iterator[tuple[ast.Point, int]]:
    """The point with its wildcard at `at` read as `name`, and where to go on: `**` may take further components."""
    before, component, after = point.components[:at], point.components[at], point.components[at + 1 :]
    fixed = replace(component, name=name)
    yield replace(point, components=(*before, fixed, *after)), at + 1
    if component.name == "**":
        yield replace(point, components=(*before, fixed, component, *after)), at + 1


def _arguments(point: ast.Point) -> tuple[Union[str, int], ...]:
    return tuple(c.argument for c in point.components if c.argument is not None)


def _similar(node: _Node, name: str) -> str:
    return similar_names(ranked(name, (child for child, _ in node.children)))
