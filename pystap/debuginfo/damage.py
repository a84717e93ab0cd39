"""What readers of binary files say where a file is not what it has to be: cut short, overwritten, or of another kind.

Readers check what they loop over or jump to; that a number leads out of the file or means nothing is left to Python,
whose exceptions a `reading` block turns into one message that names the file.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from types import TracebackType

from pystap import paths
from pystap.diagnostics import StapError, Unresolved

MALFORMED = (
    struct.error, LookupError, ValueError, TypeError, ArithmeticError, EOFError, RecursionError, zlib.error,
)  # fmt: skip


class Damaged(Unresolved, StapError):  # noqa: N818 - as Unresolved is
    """A file cannot be read: a point or variable that needs it is not found, and what needs it anyway ends."""


def damaged(name: str, what: str) -> Damaged:
    """The error for a file, and for what of it makes no sense."""
    return Damaged(f"{name or 'the file'} is damaged ({what}): {_remedy(name)}")


def _remedy(name: str) -> str:
    """What is to be done: a file of the cache is made again by whoever asks for it."""
    own = name.startswith("/") and Path(name).is_relative_to(paths.cache())
    return "pystap --clean-cache removes it" if own else "install or compile it again"


class reading:  # noqa: N801 - it is used as a statement
    """with reading(file, "its line table"): what Python makes of malformed data becomes Damaged."""

    __slots__ = ("_name", "_what")

    def __init__(self, name: str, what: str) -> None:
        self._name = name
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(error, MALFORMED):
            raise damaged(self._name, self._what) from error


def text_of(data: bytes) -> str:
    """A name in a file as text that can be printed, and kept in a line of a table."""
    text = data.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
