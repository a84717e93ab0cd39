"""Symbols and BTF first, DWARF for what they do not know: one DebugInfo for the kernel or a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from pystap.debuginfo.api import Function, Root, Scope, Tracepoint
from pystap.debuginfo.btf import Btf
from pystap.debuginfo.ctype import CType, FunctionType
from pystap.debuginfo.symbolic import SymbolicInfo
from pystap.diagnostics import Unresolved

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf


class Layered:
    """`find` opens the DWARF at the first question that needs it; it gives None where there is none."""

    def __init__(
        self, symbolic: SymbolicInfo, find: Callable[[], Dwarf | None], *, search_types: bool,
        fetch: Callable[[], Dwarf | None] = lambda: None,
    ) -> None:  # fmt: skip
        self._symbolic = symbolic
        self._find = find
        self._fetch = fetch  # asks a server
        self._search_types = search_types  # in DWARF, unit by unit: for modules, not for a whole kernel

    @cached_property
    def dwarf(self) -> Dwarf | None:
        """The DWARF, where there is any."""
        return self._find()

    @cached_property
    def demanded(self) -> Dwarf | None:
        """The DWARF, from a server where it is not here: for what can only be refused without it."""
        if self.dwarf is None:
            self.dwarf = self._fetch()
        return self.dwarf

    @property
    def btf(self) -> Btf | None:
        """The BTF, where there is any."""
        return self._symbolic.btf

    def functions(self, pattern: str) -> Iterator[Function]:
        """Functions by glob that can be probed at their entry."""
        return self._symbolic.functions(pattern)

    def prototype(self, name: str) -> FunctionType | None:
        """A function's prototype, where BTF knows it."""
        return self._symbolic.prototype(name)

    def returns(self, name: str) -> CType | None:
        """What a function returns; None for void or unknown."""
        return self._symbolic.returns(name)

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """Tracepoints by glob of `name` or `system:name`."""
        return self._symbolic.tracepoints(pattern)

    def type(self, name: str) -> CType:
        """A type by name."""
        try:
            return self._symbolic.type(name)
        except Unresolved as failure:
            dwarf = self.dwarf if self._search_types or self.btf is None else None
            if dwarf is None:
                raise
            try:
                return dwarf.type(name)
            except Unresolved:
                raise failure from None

    def enumerator(self, name: str) -> int | None:
        """The value of an enumerator of any enum; None where there is none of that name."""
        value = self.btf.enumerator(name) if self.btf else None
        dwarf = self.dwarf if value is None and (self._search_types or self.btf is None) else None
        return value if dwarf is None else dwarf.enumerator(name)

    def variable(self, name: str, unit: str | None = None) -> Root:
        """A global or static variable."""
        if self.dwarf is not None:
            return self.dwarf.variable(name, unit)
        try:
            return self._symbolic.variable(name, unit)
        except Unresolved:
            dwarf = self.demanded if self._symbolic.knows(name) else None
            if dwarf is None:
                raise
        return dwarf.variable(name, unit)

    def scope(self, function: Function) -> Scope:
        """The variables at a function's entry: by DWARF where it knows the function, else by prototype."""
        if self.dwarf is not None:
            try:
                return self.dwarf.scope(function)
            except Unresolved:
                pass
        return self._symbolic.scope(function)
