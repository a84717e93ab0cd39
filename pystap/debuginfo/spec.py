"""`function@file:lines`, the text that points of functions and statements take -> what it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pystap.diagnostics import Unresolved

_SPEC = re.compile(r"(?P<function>[^@]+)(?:@(?P<file>[^:+]+)(?:(?P<mark>[:+])(?P<lines>.+))?)?$")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?$")


@dataclass(frozen=True, slots=True)
class Spec:
    """What a pattern asks for. `lines`: None for any; `relative`: counted from the function's first line."""

    function: str
    file: str = ""
    lines: tuple[tuple[int, int], ...] | None = None  # first and last of each range; () for :*
    relative: bool = False
    text: str = ""

    @property
    def every_line(self) -> bool:
        """f@file:*"""
        return self.lines == ()

    def wants(self, line: int) -> bool:
        """Whether a line is asked for."""
        return not self.lines or any(low <= line <= high for low, high in self.lines)

    def asked_line(self, found: int) -> int:
        """What listings call the line that is nearest: the one that was asked for."""
        return self.lines[0][0] if self.lines and not self.relative else found

    def in_file(self, path: str) -> bool:
        """Whether a file is meant: the pattern matches its last parts, whole directories at a time."""
        return not self.file or file_matches(self.file, path)


def file_matches(pattern: str, path: str) -> bool:
    """A glob on the whole path, or on its tail from a directory boundary on, with or without the slash there."""
    return path == pattern or fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern.removeprefix('/')}")


def parse(text: str) -> Spec:
    """Reads a pattern; raises Unresolved where it is malformed."""
    found = _SPEC.match(text)
    if found is None:
        raise Unresolved(f"malformed specification '{text}'", hint="write function@file:line, as in f@fs/open.c:100")
    lines = found["lines"]
    if lines is None:
        return Spec(found["function"], found["file"] or "", None, False, text)
    relative = found["mark"] == "+"
    if lines == "*":
        return Spec(found["function"], found["file"], (), False, text)
    ranges = []
    for part in lines.split(","):
        number = _RANGE.match(part.strip())
        if number is None:
            raise Unresolved(f"invalid line number '{part}' in '{text}'", hint="lines are N, N-M, lists of these, or *")
        low = int(number[1])
        ranges.append((low, int(number[2] or low)))
    return Spec(found["function"], found["file"], tuple(ranges), relative, text)
