"""Whole outcomes: the text of -p2, and errors as they are shown."""

from __future__ import annotations

from pystap.diagnostics import render
from pystap.elaborate.dump import dump
from tests.support import cases
from tests.support.elaborating import outcome, program_of


@cases.parametrize("errors", "rendered")
def test_errors_as_shown(case: cases.Case) -> None:
    def rendered(script: str) -> str:
        return "\n".join(render(d).rstrip("\n") for d in outcome(script.rstrip("\n")).messages)

    cases.check(case, "rendered", rendered)


@cases.parametrize("elaborate", "-p2")
def test_programs(case: cases.Case) -> None:
    cases.check(case, "-p2", lambda script: dump(program_of(script)))
