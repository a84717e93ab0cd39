"""Program -> ir.Module: script semantics made explicit (order, short circuit, one-lookup updates, formats, loops)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pystap.diagnostics import Diagnostics
    from pystap.elaborate.program import Program
    from pystap.ir.nodes import Module
    from pystap.options import Options

__all__ = ["lower"]


def lower(program: Program, options: Options, diagnostics: Diagnostics) -> Module:
    """Lowers a whole program, merges equal handlers and endings, decides locks and action charges."""
    from pystap.ir.budget import budget
    from pystap.ir.locks import lock
    from pystap.ir.merge import merge
    from pystap.ir.tails import share_tails
    from pystap.lower.jumps import check_jumps
    from pystap.lower.module import lower_program

    check_jumps(program, diagnostics)
    diagnostics.stop_on_errors()
    module = lower_program(program, options, diagnostics)
    diagnostics.stop_on_errors()
    module = share_tails(budget(lock(merge(module)), options))
    if options.verbose[2] > 2:
        _check(module)
    return module


def _check(module: Module) -> None:
    from pystap.ir.check import check

    problems = check(module)
    assert not problems, problems
