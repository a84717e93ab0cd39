"""Source text and positions in it: what every token, node and diagnostic points at."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

KEYWORDS = frozenset(
    "probe global private function if else for foreach in limit return delete while break continue next string long"
    " try catch".split()
)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """One text that was read: a script, a tapset file, or an option's argument.

    `name` is what messages show (`<input>` for -e and standard input, as stap shows it).
    """

    name: str
    text: str
    is_user: bool = True  # False: a file of the tapset library
    _starts: list[int] = field(default_factory=list, repr=False)

    def line_starts(self) -> list[int]:
        """Offsets at which lines begin, computed at the first question."""
        if not self._starts:
            self._starts.append(0)
            find = self.text.find
            at = find("\n")
            while at >= 0:
                self._starts.append(at + 1)
                at = find("\n", at + 1)
        return self._starts

    def line_column(self, offset: int) -> tuple[int, int]:
        """The line and column (both from 1) of an offset."""
        starts = self.line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def line_text(self, line: int) -> str:
        """A line's text without its newline; `line` counts from 1."""
        starts = self.line_starts()
        begin = starts[line - 1]
        end = starts[line] - 1 if line < len(starts) else len(self.text)
        return self.text[begin:end]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file; `via` is the macro call or alias use it was expanded from."""

    file: SourceFile
    start: int
    end: int
    via: Span | None = None

    @property
    def line(self) -> int:
        return self.file.line_column(self.start)[0]

    @property
    def column(self) -> int:
        return self.file.line_column(self.start)[1]

    @property
    def text(self) -> str:
        return self.file.text[self.start : self.end]

    def __str__(self) -> str:
        line, column = self.file.line_column(self.start)
        return f"{self.file.name}:{line}:{column}"

    def to(self, other: Span) -> Span:
        """The stretch from this span's start to the other's end (this one's where they differ in file)."""
        if other.file is not self.file or other.end < self.start:
            return self
        return Span(self.file, self.start, other.end, self.via)


def describe(text: str) -> str:
    """What messages call a token: `identifier 'x'`, `operator '+'`, `keyword`, `string 'x'`, `number '1'`."""
    first = text[:1]
    if first == '"':
        return f"string '{text[1:].partition(chr(34))[0]}'"
    if first.isdigit():
        return f"number '{text}'"
    if first.isalpha() or first in ("_", "$"):
        return "keyword" if text in KEYWORDS else f"identifier '{text}'"
    return "embedded-code" if text.startswith("%{") else f"operator '{text}'"


NOWHERE = Span(SourceFile("<built-in>", "", is_user=False), 0, 0)
