"""What elaboration produces: a whole program with every name, type and probe point decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Union

from pystap.source import Span
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.debuginfo.ctype import CType
    from pystap.elaborate.regex import Automaton
    from pystap.providers.base import Site

Type = Literal["long", "string", "stats", "unknown"]


@dataclass(slots=True, eq=False)
class Variable:
    """A local, parameter or global. `type` is decided by types.py; nothing changes after elaboration."""

    name: str  # as the C side and messages know it: private globals are mangled, `shown` is as written
    kind: Literal["local", "parameter", "global"]
    span: Span
    type: Type = "unknown"
    shown: str = ""
    ctype: CType | None = None  # for autocast


@dataclass(slots=True, eq=False)
class GlobalVariable:
    """A global: scalar, statistic, or array (`keys` not empty)."""

    variable: Variable  # its type is the value's type
    declaration: ast.Global
    keys: tuple[Type, ...] = ()
    hist: ast.HistOp | None = None
    shift: int = 0
    stat_ops: frozenset[str] = frozenset()
    read: bool = False
    written: bool = False
    display: bool = False  # written, never read, declared by the user: shown at exit

    @property
    def name(self) -> str:
        return self.variable.name


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """Code with its own locals. Probes that resolved to the same body share one object."""

    block: ast.Block
    locals: Mapping[str, Variable]  # by name; a Name that is not here is a global
    entry: tuple[ast.Expr, ...] = ()  # of a return probe: expressions evaluated at entry; ast.EntryValue(k) reads them
    entry_locals: Mapping[str, Variable] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """One overload of a function."""

    id: str
    name: str
    declaration: ast.Function
    parameters: tuple[Variable, ...]
    result: Type  # "unknown": returns nothing
    body: Union[Body, ast.EmbeddedExpr]
    tags: frozenset[str] = frozenset()  # of embedded C: pure, stable, unprivileged, ...
    pragmas: tuple[tuple[str, str], ...] = ()  # ("read", "g"), ("write", "g"), ("vma", ""), ...
    is_user: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A site with the body that runs there."""

    site: Site
    body: Body
    point: str  # pp(): the resolved spelling
    written: str  # pn(): as the script spelt it
    span: Span
    condition: ast.Expr | None = None
    chain: tuple[str, ...] = ()  # the alias derivation, outermost first, for messages and -v listings


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Everything that will be in the module, in the order of the sources."""

    probes: tuple[Probe, ...]
    functions: Mapping[tuple[str, int], tuple[Function, ...]]  # (name, arity) -> overloads in the order they are tried
    globals: tuple[GlobalVariable, ...]
    embedded: tuple[ast.EmbeddedCode, ...] = ()
    regexes: Mapping[str, Automaton] = field(default_factory=dict)  # by pattern text

    def globals_by_name(self) -> dict[str, GlobalVariable]:
        """The globals by (mangled) name."""
        return {g.name: g for g in self.globals}
