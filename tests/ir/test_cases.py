"""Scripts and the IR that they become; the checks find nothing wrong with any of it."""

from __future__ import annotations

from pystap.diagnostics import Diagnostics
from pystap.ir.check import check as problems
from pystap.ir.text import dump
from pystap.lower import lower
from pystap.options import Options
from tests.support import cases
from tests.support.elaborating import program_of


def ir_of(script: str) -> str:
    """The dump of a script's module."""
    options, diagnostics = Options(guru=True), Diagnostics()
    module = lower(program_of(script, options), options, diagnostics)
    assert not diagnostics.items
    assert problems(module) == []
    return dump(module)


@cases.parametrize("ir", "ir")
def test_case(case: cases.Case) -> None:
    cases.check(case, "ir", ir_of)
