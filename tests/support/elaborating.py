"""Elaborates a script against the fakes."""

from __future__ import annotations

from dataclasses import dataclass

from pystap.diagnostics import Diagnostic, Diagnostics, Severity, StapError
from pystap.elaborate import elaborate
from pystap.elaborate.program import Program
from pystap.options import Options
from pystap.source import SourceFile
from pystap.syntax.parser import parse
from pystap.syntax.preprocess import PreprocessContext
from tests.support.fakes import FakeLibrary, FakeTarget


@dataclass
class Outcome:
    """What came of a script."""

    program: Program | None
    messages: list[Diagnostic]

    @property
    def errors(self) -> list[Diagnostic]:
        """Errors, each followed by its causes."""
        found: list[Diagnostic] = []
        for message in self.messages:
            here: Diagnostic | None = message
            while here is not None and here.severity is not Severity.WARNING:
                found.append(here)
                here = here.cause
        return found

    @property
    def error_lines(self) -> list[str]:
        """`MESSAGE: TOKEN at LINE:COLUMN` of each error."""
        return [_line(d) for d in self.errors]

    @property
    def warnings(self) -> list[str]:
        """The same of each warning."""
        return [_line(d) for d in self.messages if d.severity is Severity.WARNING]


def _line(d: Diagnostic) -> str:
    where = f": {d.token} at {d.span.line}:{d.span.column}" if d.span is not None else ""
    return f"{d.message}{where}"


def outcome(script: str, options: Options | None = None, *, optimise: bool | None = None) -> Outcome:
    """Parses and elaborates a script; nothing is raised."""
    options = options or Options()
    diagnostics = Diagnostics()
    context = PreprocessContext(guru=options.guru)
    file = parse(SourceFile("<input>", script), context, None, diagnostics)
    program = None
    try:
        diagnostics.stop_on_errors()
        program = elaborate(file, FakeLibrary(), FakeTarget(), options, diagnostics, optimise=optimise)  # type: ignore[arg-type]
    except StapError:
        pass
    return Outcome(program, diagnostics.items)


def program_of(script: str, options: Options | None = None) -> Program:
    """The program of a script that must be right."""
    found = outcome(script, options)
    assert found.program is not None, found.error_lines
    return found.program
