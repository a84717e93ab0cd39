"""Scopes that providers hand out: one that is made only when a script asks for a variable."""

from __future__ import annotations

from collections.abc import Callable

from pystap.debuginfo.api import Kind, Root, Scope
from pystap.debuginfo.ctype import CType
from pystap.ir.nodes import Space


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

    def _scope(self) -> Scope:
        if self._made is None:
            self._made = self._make()
        return self._made
