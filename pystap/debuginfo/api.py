"""What debug-info answers, whichever source answers it (BTF, DWARF, or both in layers). It knows nothing of scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from pystap.debuginfo.ctype import CType, FunctionType
from pystap.ir.nodes import Binary, Expr, Field, Space


@dataclass(frozen=True, slots=True)
class Part:
    """Some bytes of a value that is kept in several places; `value` None: they were optimized out."""

    offset: int  # in bytes, from the value's start
    size: int
    value: Expr | None
    in_memory: bool = False  # `value` is their address
    target: Callable[[], Root] | None = None  # of a pointer: as Root's


@dataclass(frozen=True, slots=True)
class Root:
    """A named value in a scope: where it is and what it is.

    `value` is the value itself when `in_memory` is False (a register, a context field); otherwise it is the address of
    the memory that holds it.
    """

    value: Expr
    type: CType
    in_memory: bool = False
    writable: bool = False
    parts: tuple[Part, ...] = ()  # of a value that is scattered: `value` says nothing then
    target: Callable[[], Root] | None = None  # of a pointer to what is kept in no memory: that; `value` says nothing


def of_this_cpu(address: Expr) -> Expr:
    """The address of this CPU's copy of a per-cpu variable, from what its symbol says."""
    return Binary("+", address, Field("cpu_offset"))


@dataclass(frozen=True, slots=True)
class Activation:
    """One call of a function in progress: how it is told from others, in the middle of it and at its entry."""

    key: str  # unique for the function; part of a C identifier
    point: tuple[tuple[str, str | None], ...]  # of the function's entry, as components of a probe point
    frame: Expr  # the canonical frame address, here
    frame_at_entry: Expr  # and at the entry
    space: Space


Kind = Literal["vars", "parms", "locals"]


class Scope(Protocol):
    """What `$names` mean at one probe site."""

    space: Space

    def lookup(self, name: str) -> Root:
        """The variable `name`; raises Unresolved (with the reason and near names)."""
        ...

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Names for $$vars, $$parms, $$locals, in their order of declaration."""
        ...

    def result(self) -> CType | None:
        """The type of the probed function's return value; None for void or where it is not known."""
        ...


@dataclass(frozen=True, slots=True)
class Function:
    """One function as debug-info or a symbol table knows it."""

    name: str
    module: str | None = None  # None: the kernel
    address: int | None = None  # link-time; None where only the name is known
    file: str = ""  # "fs/read_write.c"; "" where not known (BTF)
    line: int = 0
    prototype: FunctionType | None = None
    inlined: bool = False
    external: bool = True


@dataclass(frozen=True, slots=True)
class Tracepoint:
    """A kernel tracepoint with the arguments that its probe functions receive (without the leading void *)."""

    system: str
    name: str
    arguments: tuple[tuple[str, CType], ...]
    module: str | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """A place in code: what .statement and inline points resolve to."""

    module: str | None
    address: int  # link-time
    function: str
    symbol: str  # the ELF symbol that covers it, and
    offset: int  # the distance from it: what a kprobe is registered with
    file: str = ""
    line: int = 0
    die: int = 0  # the DWARF entry that it was found by
    inlined: bool = False
    external: bool = True
    label: str = ""

    def labelled(self, name: str) -> Address:
        """The same place as a C label's."""
        return replace(self, label=name)


class DebugInfo(Protocol):
    """Facts about one binary (the kernel, a module, a program). What it cannot know raises Unresolved with a hint."""

    def functions(self, pattern: str) -> Iterator[Function]:
        """Functions whose name matches a glob."""
        ...

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """Tracepoints by glob of `name` or `system:name`."""
        ...

    def type(self, name: str) -> CType:
        """A type by `struct x`, `union x`, `enum x`, or a typedef or base type's name."""
        ...

    def variable(self, name: str, unit: str | None = None) -> Root:
        """A global or static variable."""
        ...

    def scope(self, function: Function) -> Scope:
        """The variables at a function's entry."""
        ...
