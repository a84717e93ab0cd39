"""`break` and `continue` that stand in no loop: a mistake that SystemTap finds when it translates."""

from __future__ import annotations

from pystap.diagnostics import Diagnostics
from pystap.elaborate.program import Body, Program
from pystap.elaborate.tokens import token
from pystap.syntax import ast
from pystap.syntax.walk import children

_LOOPS = (ast.While, ast.For, ast.Foreach)


def check_jumps(program: Program, diagnostics: Diagnostics) -> None:
    """Reports them all."""
    bodies = {id(p.body): p.body for p in program.probes}
    blocks = [body.block for body in bodies.values()]
    blocks += [f.body.block for same in program.functions.values() for f in same if isinstance(f.body, Body)]
    for block in blocks:
        _check(block, False, diagnostics)


def _check(node: ast.Node, inside: bool, diagnostics: Diagnostics) -> None:
    if isinstance(node, (ast.Break, ast.Continue)) and not inside:
        word = "break" if isinstance(node, ast.Break) else "continue"
        diagnostics.error(node.span, "loop", f"cannot '{word}' outside loop", token=token(node))
    for child in children(node):
        _check(child, inside or isinstance(node, _LOOPS), diagnostics)
