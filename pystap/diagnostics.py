"""Errors and warnings: collected as data, rendered in SystemTap's layout at the end.

The first lines keep stap's form to the letter, since people and scripts grep for it; what
pystap adds (`hint:` lines) comes below them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field

from pystap.source import Span


class Severity(enum.Enum):
    WARNING = "WARNING"
    PARSE = "parse error"
    SEMANTIC = "semantic error"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One message.

    `code` is a short stable name for tests (`unresolved-function`); `token` is the kind of the token at
    `span` as stap prints it (`identifier 'x'`, `operator '+'`, `keyword`, `string 'x'`); `cause` is printed
    after this one as a block of its own.
    """

    severity: Severity
    code: str
    message: str
    span: Span | None = None
    token: str = ""
    hints: tuple[str, ...] = ()
    cause: Diagnostic | None = None
    context: tuple[str, ...] = ()  # lines such as 'in expansion of macro: ...'


class StapError(Exception):
    """Stops the pipeline; what went wrong stands in the diagnostics (or in the message, where there is no script)."""


class Unresolved(Exception):
    """Something that a script names is not there: the one exception for lookups that may fail.

    Raised by debug-info, providers and the target-variable walker alike; caught where a probe point is derived
    and where @defined is decided, and nowhere else.
    """

    def __init__(self, reason: str, similar: Iterable[str] = (), hint: str = "", span: Span | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.similar = tuple(similar)
        self.hint = hint
        self.span = span


@dataclass(slots=True)
class Diagnostics:
    """Collects messages of all passes. Warnings turn into errors under -W, vanish under -w."""

    suppress_warnings: bool = False
    warnings_are_errors: bool = False
    items: list[Diagnostic] = field(default_factory=list)
    _seen: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keeps a message, once for each place and text."""
        if diagnostic.severity is Severity.WARNING and self.suppress_warnings:
            return
        key = (diagnostic.code, diagnostic.message, str(diagnostic.span))
        if key not in self._seen:
            self._seen.add(key)
            self.items.append(diagnostic)

    def error(
        self,
        span: Span | None,
        code: str,
        message: str,
        *,
        token: str = "",
        hint: str = "",
        severity: Severity = Severity.SEMANTIC,
        cause: Diagnostic | None = None,
        context: tuple[str, ...] = (),
    ) -> None:
        """Reports an error and goes on; `stop_on_errors` ends the pass."""
        hints = (hint,) if hint else ()
        self.add(Diagnostic(severity, code, message, span, token, hints, cause, context))

    def warn(self, span: Span | None, code: str, message: str, *, token: str = "") -> None:
        """Reports a warning."""
        self.add(Diagnostic(Severity.WARNING, code, message, span, token))

    @property
    def failed(self) -> bool:
        """Whether any error (or, under -W, any warning) was reported."""
        return any(d.severity is not Severity.WARNING or self.warnings_are_errors for d in self.items)

    def stop_on_errors(self) -> None:
        """Raises StapError where errors were reported."""
        if self.failed:
            raise StapError
