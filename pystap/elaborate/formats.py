"""Print formats: text -> literal pieces and typed conversions, and back to one normalised format.

Both the type checker and lowering read formats through `parse_format`. Knows nothing of expressions or of C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

ArgType = Literal["long", "string"]

MAX_ARGUMENTS = 32
_FLAGS = "0+- #"
_CONVERSIONS = "diuoxXpcsmMb"


class FormatError(ValueError):
    """A format that cannot be read; `offset` is where in its text."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Conversion:
    """One `%` item. A width or precision of "*" takes an argument of its own, before the value's."""

    flags: str
    width: Union[int, Literal["*"], None]
    precision: Union[int, Literal["*"], None]
    letter: str
    offset: int = 0

    @property
    def arguments(self) -> tuple[ArgType, ...]:
        """The types of the arguments it takes, in order: %m and %M take an address."""
        stars: list[ArgType] = ["long"] * ((self.width == "*") + (self.precision == "*"))
        return (*stars, "string" if self.letter == "s" else "long")

    @property
    def plain(self) -> bool:
        """Whether it is a bare letter such as %s."""
        return not self.flags and self.width is None and self.precision is None

    def __str__(self) -> str:
        width = "" if self.width is None else self.width
        precision = "" if self.precision is None else f".{self.precision}"
        return f"%{self.flags}{width}{precision}{self.letter}"


Piece = Union[str, Conversion]


def parse_format(text: str) -> tuple[Piece, ...]:
    """The literal texts (with %% undone) and the conversions of a format, in order; raises FormatError."""
    pieces: list[Piece] = []
    literal = ""
    at = 0
    while at < len(text):
        if text[at] != "%":
            end = text.find("%", at)
            end = len(text) if end < 0 else end
            literal, at = literal + text[at:end], end
        elif text.startswith("%%", at):
            literal, at = literal + "%", at + 2
        else:
            conversion, at = _conversion(text, at)
            if literal:
                pieces.append(literal)
                literal = ""
            pieces.append(conversion)
    if literal:
        pieces.append(literal)
    return tuple(pieces)


def _conversion(text: str, start: int) -> tuple[Conversion, int]:
    at = start + 1
    flags = ""
    while at < len(text) and text[at] in _FLAGS:
        flags, at = flags + text[at], at + 1
    width, at = _number(text, at, None)
    precision: Union[int, Literal["*"], None] = None
    if text.startswith(".", at):
        precision, at = _number(text, at + 1, 0)
    while text.startswith("l", at):
        at += 1
    if at >= len(text) or text[at] not in _CONVERSIONS:
        raise FormatError("invalid or missing conversion specifier", start)
    if text[at] == "b" and width == "*":
        raise FormatError("the width of %b must be known", start)
    if text[at] == "b" and width not in (1, 2, 4, 8):
        width = None  # eight bytes
    return Conversion("".join(dict.fromkeys(flags)), width, precision, text[at], start), at + 1


def _number(
    text: str, at: int, default: Union[int, None]
) -> tuple[Union[int, Literal["*"], None], int]:
    if text.startswith("*", at):
        return "*", at + 1
    end = at
    while end < len(text) and text[end] in "0123456789":
        end += 1
    return (int(text[at:end]) if end > at else default), end


def conversions(pieces: tuple[Piece, ...]) -> tuple[Conversion, ...]:
    """The conversions among the pieces."""
    return tuple(p for p in pieces if isinstance(p, Conversion))


def argument_types(pieces: tuple[Piece, ...]) -> tuple[ArgType, ...]:
    """The types of all arguments that a format takes, those of `*` included."""
    return tuple(t for c in conversions(pieces) for t in c.arguments)


def join_format(pieces: tuple[Piece, ...]) -> str:
    """A format that means the pieces: `%` doubled, `l` dropped, neighbouring literals one."""
    return "".join(str(p) if isinstance(p, Conversion) else p.replace("%", "%%") for p in pieces)


def plain(letter: str) -> Conversion:
    """A bare conversion such as %d."""
    return Conversion("", None, None, letter)


