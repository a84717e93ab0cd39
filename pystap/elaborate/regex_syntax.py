"""The text of a regular expression -> a tree. POSIX extended syntax, `(?: )` added, back-references refused."""

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
    """A pattern that cannot be compiled; `offset` is where in it, None for the whole."""

    def __init__(self, message: str, offset: int | None = None) -> None:
        at = "" if offset is None else f" at position {offset}"
        super().__init__(f"{message}{at}")
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
        raise PatternError("unmatched ')' in a regular expression", parser.at)
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
        while self._here() not in ("", "|", ")"):
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
                case "{" if self._is_bound():
                    bounds = self._bound()
                case _:
                    return item
            self.at += 1
            item = Repeat(item, *bounds)

    def _is_bound(self) -> bool:
        return self.text[self.at + 1 : self.at + 2].isdigit()

    def _bound(self) -> tuple[int, int | None]:
        """{n} {n,} {n,m}; leaves the position on the closing brace."""
        start = self.at
        end = self.text.find("}", start)
        low, comma, high = self.text[start + 1 : end].partition(",") if end > 0 else ("", "", "")
        if not low.isdigit() or (high and not high.isdigit()):
            raise PatternError("a repetition is written {n}, {n,} or {n,m}", start)
        least, most = int(low), int(high) if high else (None if comma else int(low))
        if max(least, most or 0) > _MOST_REPEATS:
            raise PatternError(f"a repetition count is above {_MOST_REPEATS}", start)
        if most is not None and most < least:
            raise PatternError("a repetition's bounds are in the wrong order", start)
        self.at = end
        return least, most

    def _atom(self) -> Node:
        start, character = self.at, self._here()
        self.at += 1
        match character:
            case "(":
                return self._group(start)
            case "[":
                return Set(self._bracket(start))
            case ".":
                return Set(_ANY)
            case "^":
                return Anchor(at_end=False)
            case "$":
                return Anchor(at_end=True)
            case "\\":
                return Set(frozenset((self._escape(start),)))
            case "*" | "+" | "?":
                raise PatternError(f"nothing to repeat before '{character}'", start)
            case _:
                return self._literal(character)

    def _literal(self, character: str) -> Node:
        """One character: all bytes of its UTF-8 sequence, so that a repetition takes it whole."""
        items: list[Node] = [Set(frozenset((ord(character),)))]
        while character >= "\xc2" and "\x80" <= self._here() <= "\xbf":
            items.append(Set(frozenset((ord(self._here()),))))
            self.at += 1
        return items[0] if len(items) == 1 else Sequence(tuple(items))

    def _escape(self, start: int) -> int:
        character = self._here()
        self.at += 1
        if not character:
            raise PatternError("a regular expression ends with '\\'", start)
        if character in "123456789":
            raise PatternError("back-references are not supported", start)
        if character.isalnum() and character not in _ESCAPES:
            raise PatternError(f"unknown escape '\\{character}'", start)
        return _ESCAPES.get(character, ord(character))

    def _group(self, start: int) -> Node:
        number: int | None = None
        if self.text.startswith("?:", self.at):
            self.at += 2
        elif self._here() == "?":
            raise PatternError("of the (?...) forms only (?: ) is supported", start)
        else:
            self.groups += 1
            number = self.groups
        self._depth += 1
        if self._depth > 100:
            raise PatternError("groups are nested too deeply", start)
        item = self.alternatives()
        self._depth -= 1
        if self._here() != ")":
            raise PatternError("unmatched '(' in a regular expression", start)
        self.at += 1
        return Group(item, number)

    # --- [ ] ---

    def _bracket(self, start: int) -> frozenset[int]:
        negated = self._here() == "^"
        self.at += negated
        members: set[int] = set()
        first = True
        while first or self._here() != "]":
            first = False
            if not self._here():
                raise PatternError("unmatched '[' in a regular expression", start)
            members |= self._class() if self.text.startswith("[:", self.at) else self._range()
        self.at += 1
        return _ANY - members if negated else frozenset(members)

    def _class(self) -> set[int]:
        start = self.at
        end = self.text.find(":]", start)
        name = self.text[start + 2 : end] if end > 0 else ""
        test = _CLASSES.get(name)
        if test is None:
            raise PatternError(f"unknown character class '{name}'", start)
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
            raise PatternError("a range's ends are in the wrong order", start)
        return set(range(low, high + 1))
