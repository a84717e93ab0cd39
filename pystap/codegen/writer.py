"""Lines of C with indentation, and the script positions that they came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pystap.source import Span

BACK_TO_C = "#line @module.c"  # translate() puts the line's own number in


class Writer:
    """Collects lines; `span` of the op being written goes into the line map."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.spans: dict[int, Span] = {}  # index into lines -> script position
        self.depth = 0
        self.span: Span | None = None

    def __call__(self, text: str) -> None:
        """One line, indented."""
        if self.span is not None:
            self.spans[len(self.lines)] = self.span
        self.lines.append("\t" * self.depth + text)

    def raw(self, text: str) -> None:
        """Lines as they are: labels, directives, embedded C."""
        self.lines.extend(text.split("\n"))

    @contextmanager
    def block(self, head: str, tail: str = "}") -> Iterator[None]:
        """`head {`, an indented body, `tail`."""
        self(f"{head} {{" if head else "{")
        self.depth += 1
        yield
        self.depth -= 1
        self(tail)

    def label(self, name: str) -> None:
        """A jump target, which nobody need jump to."""
        self.lines.append("\t" * (self.depth - 1) + f"{name}: __maybe_unused;")

    def append(self, other: Writer) -> None:
        """Another writer's lines after these."""
        base = len(self.lines)
        self.spans.update({base + at: span for at, span in other.spans.items()})
        self.lines.extend(other.lines)

    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines) + "\n"
