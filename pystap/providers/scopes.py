"""Scopes that providers hand out: one that is made only when a script asks for a variable, and one with $return."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pystap.arch import X86_64, Arch
from pystap.debuginfo.abi import UnknownScope, returned
from pystap.debuginfo.api import Activation, Kind, Root, Scope
from pystap.debuginfo.ctype import CType, Int
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Space

LONG = Int("long int", 8, True)


class LazyScope:
    """The scope that `make` returns, made at the first question: most of thousands of sites are never asked."""

    __slots__ = ("_made", "_make", "space")

    def __init__(self, make: Callable[[], Scope], space: Space = Space.KERNEL) -> None:
        self.space = space
        self._make = make
        self._made: Scope | None = None

    def lookup(self, name: str) -> Root:
        """The variable `name`."""
        return self._scope().lookup(name)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names of one kind."""
        return self._scope().names(kind)

    def result(self) -> CType | None:
        """The type of the function's result."""
        return self._scope().result()

    def listed(self) -> tuple[tuple[str, CType], ...]:
        """What a listing shows: the variables that can be read, unless the scope itself knows better."""
        return listed(self._scope())

    def activation(self) -> Activation | None:
        """How this call of the function is told from others, where that is known."""
        find = getattr(self._scope(), "activation", None)
        return find() if find is not None else None

    def _scope(self) -> Scope:
        if self._made is None:
            self._made = self._make()
        return self._made


def listed(scope: Scope) -> tuple[tuple[str, CType], ...]:
    """What a listing shows of any scope: names with types."""
    known = getattr(scope, "listed", None)
    found: tuple[tuple[str, CType], ...] = known() if known is not None else tuple(_readable(scope))
    return found


def _readable(scope: Scope) -> Iterator[tuple[str, CType]]:
    for name in scope.names("vars"):
        try:
            yield name, scope.lookup(name).type
        except Unresolved:
            continue


class ReturnScope:
    """The scope of a return probe: the function's own, and `$return` where the engine leaves it."""

    def __init__(self, scope: Scope, arch: Arch = X86_64) -> None:
        self.space = scope.space
        self._scope = scope
        self._arch = arch

    def lookup(self, name: str) -> Root:
        """`$return`, or the variable `name` (whose value at the entry is meant)."""
        if name != "return":
            return self._scope.lookup(name)
        result = self.result()
        if result is None:
            raise Unresolved("function has no return value: identifier '$return'")
        return returned(result, self._arch, self.space)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names of one kind."""
        return self._scope.names(kind)

    def listed(self) -> tuple[tuple[str, CType], ...]:
        """What a listing shows, besides `$return`."""
        return listed(self._scope)

    def result(self) -> CType | None:
        """The type of the function's result: what the ABI returns where nothing is known of it."""
        known = self._scope.result()
        return LONG if known is None and isinstance(self._scope, UnknownScope) else known
