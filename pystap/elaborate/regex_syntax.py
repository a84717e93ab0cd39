"""The text of a regular expression -> a tree. POSIX extended syntax, `(?: )` added.

Without back-references: `\\1` is a 1, and a `)` that has nothing to close, at the beginning, a character: as in stap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Union

_ANY = frozenset(range(1, 256))
_MOST_REPEATS = 255
_ESCAPES = {"a": 7, "b": 8, "t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "e": 27}
_CLASSES: dict[str, Callable[[str], bool]] = {
    "alnum": str.isalnum, "alpha": str.isalpha, "digit": str.isdigit, "lower": str.islower, "upper": str.isupper,
    "space": lambda c: c in " \t\n\v\f\r", "blank": lambda c: c in " \t",
    "cntrl": lambda c: ord(c) < 32 or ord(c) == 127,
    "print": lambda c: 32 <= ord(c) < 127, "graph": lambda c: 32 < ord(c) < 127,
    "punct": lambda c: 32 < ord(c) < 127 and not c.isalnum(), "xdigit": lambda c: c in "0123456789abcdefABCDEF",
}  # fmt: skip


class PatternError(ValueError):
    """A pattern that cannot be compiled; `offset` is how far it was read, as stap counts, None for the whole."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        at = "" if offset is None else f" (at position {offset})"
        super().__init__(f"regex compilation error{at}: {message}")
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Set:
    bytes: frozenset[int]


@dataclass(frozen=True, slots=True)
class Anchor:
    at_end: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Group:
    item: Node
    number: int | None  # None: (?: )


@dataclass(frozen=True, slots=True)
class Repeat:
    item: Node
    least: int
    most: int | None  # None: without end


Node = Union[Set, Anchor, Sequence, Alternatives, Group, Repeat]


def parse(pattern: bytes) -> tuple[Node, int]:
    """The tree, and how many groups are numbered."""
    parser = _Parser(pattern.decode("latin-1"))
    tree = parser.alternatives()
    if parser.at < len(parser.text):
        raise PatternError("unbalanced ')'", parser.at + 1)
    return tree, parser.groups


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.groups = 0
        self._depth = 0

    def _here(self) -> str:
        return self.text[self.at : self.at + 1]

    def alternatives(self) -> Node:
        items = [self._sequence()]
        while self._here() == "|":
            self.at += 1
            items.append(self._sequence())
        return items[0] if len(items) == 1 else Alternatives(tuple(items))

    def _sequence(self) -> Node:
        items: list[Node] = []
        while self._here() not in ("", "|", ")") or (self.at == 0 and self._here() == ")"):
            items.append(self._repeated(self._atom()))
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _repeated(self, item: Node) -> Node:
        while True:
            match self._here():
                case "*":
                    bounds: tuple[int, int | None] = (0, None)
                case "+":
                    bounds = (1, None)
                case "?":
                    bounds = (0, 1)
                case "{":
                    bounds = self._bound()
                case _:
                    return item
            self.at += 1
            item = Repeat(item, *bounds)

    def _bound(self) -> tuple[int, int | None]:
        """{n} {n,} {n,m}; leaves the position on the closing brace."""
        start = self.at
        least = self._count("expected number")
        most: int | None = least
        if self._ahead() == ",":
            self.at += 1
            most = None if self._ahead() == "}" else self._count("expected '}' or number")
        if not self._ahead():
            raise PatternError("unexpected end of regex", len(self.text))
        if self._ahead() != "}":
            raise PatternError("expected '}' or number", self.at + 2)
        if max(least, most or 0) > _MOST_REPEATS:
            raise PatternError(f"a repetition count is above {_MOST_REPEATS}", start)
        if most is not None and most < least:
            raise PatternError("a repetition's bounds are in the wrong order", start)
        self.at += 1
        return least, most

    def _ahead(self) -> str:
        return self.text[self.at + 1 : self.at + 2]

    def _count(self, otherwise: str) -> int:
        """The number behind the position, which is moved to its last digit."""
        digits = ""
        while self._ahead().isdigit():
            self.at += 1
            digits += self._here()
        if not digits:
            raise PatternError(otherwise, min(self.at + 2, len(self.text)))
        return int(digits[:9])

    def _atom(self) -> Node:
        start, character = self.at, self._here()
        self.at += 1
        match character:
            case "(":
                return self._group(start)
            case "[":
                return Set(self._bracket())
            case ".":
                return Set(_ANY)
            case "^":
                return Anchor(at_end=False)
            case "$":
                return Anchor(at_end=True)
            case "\\":
                return Set(frozenset((self._escape(),)))
            case "*" | "+" | "?":
                raise PatternError(f"unexpected '{character}'", start)
            case _:
                return self._literal(character)

    def _literal(self, character: str) -> Node:
        """One character: all bytes of its UTF-8 sequence, so that a repetition takes it whole."""
        items: list[Node] = [Set(frozenset((ord(character),)))]
        while character >= "\xc2" and "\x80" <= self._here() <= "\xbf":
            items.append(Set(frozenset((ord(self._here()),))))
            self.at += 1
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _escape(self) -> int:
        character = self._here()
        self.at += 1
        if not character:
            raise PatternError("unexpected end of regex", len(self.text))
        return _ESCAPES.get(character, ord(character))

    def _group(self, start: int) -> Node:
        number: int | None = None
        if self.text.startswith("?:", self.at):
            self.at += 2
        elif self._here() == "?":
            raise PatternError(f"unexpected '{self.text[start : self.at + 2]}'", self.at + 1)
        else:
            self.groups += 1
            number = self.groups
        self._depth += 1
        if self._depth > 100:
            raise PatternError("groups are nested too deeply", start)
        item = self.alternatives()
        self._depth -= 1
        if self._here() != ")":
            raise PatternError("expected ), found end of regex", len(self.text) - 1)
        self.at += 1
        return Group(item, number)

    # --- [ ] ---

    def _bracket(self) -> frozenset[int]:
        negated = self._here() == "^"
        self.at += negated
        members: set[int] = set()
        first = True
        while first or self._here() != "]":
            first = False
            if not self._here():
                raise PatternError("unclosed character class", len(self.text) - 1)
            members |= self._class() if self.text.startswith("[:", self.at) else self._range()
        self.at += 1
        return _ANY - members if negated else frozenset(members)

    def _class(self) -> set[int]:
        start = self.at
        end = self.text.find(":]", start)
        name = self.text[start + 2 : end] if end > 0 else ""
        test = _CLASSES.get(name)
        if test is None:
            raise PatternError(f"unknown character class '{name}'")
        self.at = end + 2
        return {code for code in range(1, 128) if test(chr(code))}

    def _range(self) -> set[int]:
        start = self.at
        if self.text.startswith(("[.", "[="), start):
            raise PatternError("collating elements are not supported", start)
        low = ord(self._here())
        self.at += 1
        if self._here() != "-" or self.text[self.at + 1 : self.at + 2] in ("]", ""):
            return {low}
        high = ord(self.text[self.at + 1])
        self.at += 2
        if high < low:
            raise PatternError(f"Inverted character range {chr(low)}-{chr(high)}", self.at)
        return set(range(low, high + 1))
