"""The call graph of a module: who calls whom, what is reached, what is recursive."""

from __future__ import annotations

from collections.abc import Iterable

from pystap.ir import nodes as ir
from pystap.ir.effects import all_ops


def called(block: ir.Block) -> frozenset[str]:
    """The functions that a block calls directly."""
    return frozenset(i for op in all_ops(block) if isinstance(op, ir.Call) for i in op.functions)


class CallGraph:
    """Direct calls by function id, and what follows from them."""

    def __init__(self, module: ir.Module) -> None:
        self.direct = {f.id: called(f.body) for f in module.functions}

    def reached(self, start: Iterable[str]) -> frozenset[str]:
        """The functions and all that they call in turn."""
        found: set[str] = set()
        pending = list(start)
        while pending:
            here = pending.pop()
            if here not in found:
                found.add(here)
                pending.extend(self.direct.get(here, ()))
        return frozenset(found)

    def recursive(self) -> frozenset[str]:
        """The functions that may call themselves, directly or through others."""
        return frozenset(i for i, calls in self.direct.items() if calls and i in self.reached(calls))
