"""Errors and warnings: collected as data, rendered in SystemTap's layout at the end.

The first lines keep stap's form to the letter, since people and scripts grep for it; what
pystap adds (`hint:` lines) comes below them.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from pystap.source import Span, describe


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
    also: Span | None = None  # a second place that the message is about


class StapError(Exception):
    """Stops the pipeline; what went wrong stands in the diagnostics (or in the message, where there is no script)."""


class PassError(StapError):
    """A pass ended in errors that were already reported."""

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.number = number


def similar_names(names: Iterable[str]) -> str:
    """What a message says of near names, a space before it; nothing where there are none."""
    listed = ", ".join(names)
    return f" (similar: {listed})" if listed else ""


class Unresolved(Exception):  # noqa: N818 - named for what it says
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
        also: Span | None = None,
    ) -> None:
        """Reports an error and goes on; `stop_on_errors` ends the pass."""
        hints = (hint,) if hint else ()
        self.add(Diagnostic(severity, code, message, span, token, hints, cause, context, also))

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


# --- the renderer --------------------------------------------------------------------------------------

_DEFAULT_COLORS = "error=01;31:warning=00;33:source=00;34:caret=01:token=01"


def render(diagnostic: Diagnostic, color: bool = False) -> str:
    """A message as stap prints it, with its cause below; ends with a newline (and a blank line, but for warnings)."""
    return "".join(_blocks(diagnostic, _Paint(color), ""))


@dataclass(slots=True)
class Printer:
    """Renders the messages of one run: a file that the last one named is not named again, and of errors (and of
    warnings) of one kind only the first is shown, unless `everything` is asked for."""

    color: bool = False
    everything: bool = False
    file: str = ""
    _kinds: set[str] = field(default_factory=set)
    _left_out: dict[str, int] = field(default_factory=dict)

    def __call__(self, diagnostic: Diagnostic) -> str:
        """One message, or nothing."""
        warning = diagnostic.severity is Severity.WARNING
        kind = f"{diagnostic.severity.value} {diagnostic.message if warning else diagnostic.code}"
        counted = diagnostic.severity in (Severity.WARNING, Severity.SEMANTIC) and diagnostic.span is not None
        if counted and kind in self._kinds and not self.everything:
            what = "error" if diagnostic.severity is Severity.SEMANTIC else "warning"
            self._left_out[what] = self._left_out.get(what, 0) + 1
            return ""
        self._kinds.add(kind)
        shown = "".join(_blocks(diagnostic, _Paint(self.color), self.file))
        here: Diagnostic | None = diagnostic
        while here is not None and diagnostic.severity is not Severity.PARSE:
            self.file = here.span.file.name if here.span is not None else self.file
            here = here.cause
        return shown

    def summary(self) -> str:
        """How many were left out; once."""
        lines = [f"Number of similar {what} messages suppressed: {n}.\n" for what, n in self._left_out.items()]
        self._left_out = {}
        return "".join([*lines, "Rerun with -v to see them.\n"]) if lines else ""


def catalogue(messages: Iterable[Diagnostic]) -> str:
    """--semantic-keep-going: the errors of pass 2 for programs to read, one a line, causes below what they caused."""
    errors = [d for d in messages if d.severity is Severity.SEMANTIC]
    lines = [f"SEMANTIC_ERRORS: {len(errors)}"]
    for error in errors:
        here: Diagnostic | None = error
        while here is not None:
            name, line, column, token = "-", 0, 0, "-"
            if here.span is not None:
                name, (line, column) = here.span.file.name, here.span.file.line_column(here.span.start)
                token = here.token or describe(here.span.text)
            lines.append(f"SEMANTIC_ERROR\t{name}\t{line}\t{column}\t{token}\t{here.message}")
            here = here.cause
    return "\n".join([*lines, "SEMANTIC_ERRORS_END", ""])


def _blocks(diagnostic: Diagnostic, paint: _Paint, shown: str) -> Iterable[str]:
    current: Diagnostic | None = diagnostic
    while current is not None:
        yield _block(current, paint, shown)
        if current.span is not None:  # stap does not repeat the file that the last message was about
            shown = current.span.file.name
        current = current.cause


def _block(diagnostic: Diagnostic, paint: _Paint, shown: str) -> str:
    match diagnostic.severity:
        case Severity.PARSE:
            lines = _parse_block(diagnostic, paint)
        case Severity.WARNING:
            lines = _located(diagnostic, paint, "warning", " source: ", " " * 9, shown)
        case Severity.SEMANTIC | Severity.ERROR:
            lines = _located(diagnostic, paint, "error", "        source: ", " " * 16, shown)
    lines += [f"\t{line}" for line in diagnostic.context]
    lines += [f"  hint: {hint}" for hint in diagnostic.hints]
    if diagnostic.severity is Severity.SEMANTIC or (diagnostic.severity is Severity.PARSE and diagnostic.span):
        lines.append("")
    return "".join(f"{line}\n" for line in lines)


def _parse_block(diagnostic: Diagnostic, paint: _Paint) -> list[str]:
    """`token` may begin with `at: `: a token already read is wrong, not the one that is seen next."""
    span = diagnostic.span
    if span is None:
        return [diagnostic.message]  # of a whole file: `Input file 'x' is empty.`
    lines = [f"{paint('parse error:', 'error')} {diagnostic.message}"]
    if diagnostic.token == "EOF":
        return [*lines, f"        saw: {span.file.name} EOF"]
    token, label = diagnostic.token, "        saw: "
    if token.startswith("at: "):
        token, label = token.removeprefix("at: "), "         at: "
    lines.append(f"{label}{paint(token or describe(span.text), 'token')} at {span}")
    lines += _source(span, paint, "     source: ", " " * 13)
    return lines + _expansions(span, paint, "     source: ", " " * 13)


def _located(
    diagnostic: Diagnostic, paint: _Paint, kind: str, label: str, margin: str, shown: str
) -> list[str]:
    head = f"{paint(diagnostic.severity.value + ':', kind)} {diagnostic.message}"
    span = diagnostic.span
    if span is None or not span.file.text:
        return [head]
    token = paint(diagnostic.token or describe(span.text), "token")
    line, column = span.file.line_column(span.start)
    name = "" if span.file.name == shown else span.file.name
    lines = [f"{head}: {token} at {name}:{line}:{column}", *_source(span, paint, label, margin)]
    lines += _expansions(span, paint, label, margin)
    if diagnostic.also is not None:
        other = diagnostic.also
        line, column = other.file.line_column(other.start)
        name = "" if other.file is span.file else other.file.name
        lines.append(f"{paint(describe(other.text), 'token')} at {name}:{line}:{column}")
        lines += _source(other, paint, label, margin)
    return lines


def _source(span: Span, paint: _Paint, label: str, margin: str) -> list[str]:
    line, column = span.file.line_column(span.start)
    text = span.file.line_text(line)
    indent = "".join(c if c.isspace() else " " for c in text[: column - 1])
    return [f"{label}{paint(text, 'source')}", f"{margin}{indent}{paint('^', 'caret')}"]


def _expansions(span: Span, paint: _Paint, label: str, margin: str) -> list[str]:
    """The macro calls that brought a token in, innermost first."""
    lines: list[str] = []
    via = span.via
    while via is not None:
        what = "macro" if via.text.startswith("@") else "alias"
        lines.append(f"\tin expansion of {what}: {paint(describe(via.text), 'token')} at {via}")
        lines += _source(via, paint, label, margin)
        via = via.via
    return lines


class _Paint:
    """Colors words as SYSTEMTAP_COLORS says, or not at all."""

    def __init__(self, on: bool) -> None:
        setting = os.environ.get("SYSTEMTAP_COLORS", _DEFAULT_COLORS) if on else ""
        pairs = [part.partition("=") for part in setting.split(":") if part]
        valid = all(key in _DEFAULT_COLORS and value.replace(";", "").isdigit() for key, _, value in pairs)
        self.codes = {key: value for key, _, value in pairs} if valid else {}

    def __call__(self, text: str, kind: str) -> str:
        code = self.codes.get(kind)
        return f"\033[{code}m{text}\033[m\033[K" if code and text else text
