"""The contract of probe-point families: a provider turns a matched pattern into sites, which an engine arms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol, Union

from pystap.debuginfo.api import Kind, Root, Scope
from pystap.debuginfo.ctype import CType
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Space
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.options import Options
    from pystap.target import Target


class Site(Protocol):
    """What an engine registers: a frozen dataclass with structural equality; `engine` names the engine."""

    engine: ClassVar[str]


class NoScope:
    """For points without $variables; the hint says what to write instead."""

    space = Space.KERNEL

    def __init__(self, why: str = "", hint: str = "") -> None:
        self._why = why
        self.hint = hint

    def lookup(self, name: str) -> Root:
        raise Unresolved(self._why or f"unresolved target-symbol expression: identifier '${name}'", hint=self.hint)

    def names(self, kind: Kind) -> tuple[str, ...]:
        return ()

    def result(self) -> CType | None:
        return None


@dataclass(frozen=True, slots=True)
class Request:
    """A probe point that matched one of a provider's patterns.

    `arguments` holds the components' arguments in order, for those pattern components that take one;
    `pattern` is the pattern that matched, as the provider spelt it.
    """

    pattern: str
    arguments: tuple[Union[str, int], ...]
    point: ast.Point
    target: Target
    options: Options

    @property
    def tolerant(self) -> bool:
        """Whether it is no error when nothing resolves: nobody would see near names, which are costly to find."""
        return self.point.optional or self.point.sufficient


@dataclass(frozen=True, slots=True)
class TextValue:
    """A $variable that is a text of the point's own: the tapset functions that read, replace and extend it."""

    read: str
    replace: str = ""  # empty: it may not be assigned
    extend: str = ""


@dataclass(frozen=True, slots=True)
class Resolved:
    """One place that a point means."""

    site: Site
    scope: Scope
    point: str  # canonical spelling, for pp() and -l: kernel.function("vfs_read@fs/read_write.c:450").call
    is_return: bool = False  # $x is the entry-time snapshot, $return is there
    context: str = ""  # prologue/epilogue kind of context for checks: "kernel", "user", "" (none)
    inlined: bool = False
    texts: tuple[tuple[str, str], ...] = ()  # constant texts: ("$name", "sched_switch") for $$name
    values: tuple[tuple[str, TextValue], ...] = ()  # ("value", ...) for $value
    home: str = "kernel"  # where @cast and @var look by default: "kernel", a module's name, or an object's path
    extra: tuple[tuple[str, str], ...] = field(default=())  # further facts for -v listings, e.g. ("pc", "...")
    caution: str = ""  # what probing it can do to what is probed: warned of once


class Provider(Protocol):
    """One family of points: one module in this package, listed in PROVIDERS.

    A pattern is a dotted sequence; `(str)`/`(num)` take an argument, `[.x]` is optional, `a|b` alternates:
    `kernel.function(str)[.call|.return|.return.maxactive(num)]`.
    """

    patterns: ClassVar[tuple[str, ...]]

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """All places that the point means; raises Unresolved when there is none."""
        ...
