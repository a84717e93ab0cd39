"""The IR: what must happen at run time, structured like C but without spelling C.

`Expr` is a pure signed 64-bit value (it may fault: the error sticks in the context, the value is 0, and codegen tests
the error before the next op with effects). `Str` names text storage or a literal; strings are never values. `Op`s have
effects and run in order. Everything compares by structure, spans excluded, so that equal handlers are one key.
"""

from __future__ import annotations

import enum
from dataclasses import field
from typing import Any, Union

from pystap.frozen import value as node
from pystap.source import NOWHERE, Span


class Space(enum.Enum):
    KERNEL = "kernel"
    USER = "user"


@node
class Mark:
    """Where in the script something stands, and the token that messages name (`operator '/'`)."""

    span: Span = NOWHERE
    token: str = ""


def _mark() -> Any:
    return field(default=Mark(), compare=False, kw_only=True, repr=False)


# --- values --------------------------------------------------------------------------------------------


@node
class Const:
    value: int


@node
class Local:  # a long local or parameter, by script name
    name: str


@node
class Temp:  # a long made by lowering
    number: int


@node
class GlobalValue:  # a long scalar global
    name: str


@node
class Reg:
    """A register of the probed context, by DWARF number (arch/*.py), at the hit; `space` says which register set."""

    number: int
    space: Space = Space.KERNEL


@node
class Field:
    """A number that the engine leaves in the context: ip, sp, retval, arg (`number`: tracepoint's or syscall's)."""

    name: str
    number: int = 0


@node
class Saved:
    """The k-th value that a return probe's entry side stored."""

    number: int


@node
class SymbolAddress:
    """The run-time address of a symbol or of a section offset; `module` None: the kernel, a path: a user object."""

    symbol: str
    offset: int = 0
    module: str | None = None


@node
class Load:
    address: Expr
    size: int  # 1, 2, 4, 8
    signed: bool
    space: Space = Space.KERNEL
    mark: Mark = _mark()


@node
class Bits:
    """`width` bits of a value, from bit `offset` (0 is the lowest) up."""

    value: Expr
    offset: int
    width: int
    signed: bool


@node
class Unary:
    operator: str  # - ! ~
    operand: Expr


@node
class Binary:
    operator: str  # + - * / % & | ^ << >> >>>
    left: Expr
    right: Expr
    mark: Mark = _mark()  # / and % fail on zero


@node
class Compare:
    operator: str  # < > <= >= == !=
    left: Expr
    right: Expr
    unsigned: bool = False


@node
class StrCompare:
    operator: str
    left: Str
    right: Str


@node
class Select:  # both arms are pure; a faulting arm must not be evaluated when not chosen
    condition: Expr
    then: Expr
    otherwise: Expr


@node
class Hole:  # the k-th run-time operand of a target access; lowering fills it, codegen never sees it
    number: int


Expr = Union[
    Const, Local, Temp, GlobalValue, Reg, Field, Saved, SymbolAddress, Load, Bits, Unary, Binary, Compare, StrCompare,
    Select, Hole,
]  # fmt: skip


# --- text ----------------------------------------------------------------------------------------------


@node
class Literal:
    text: str


@node
class StrLocal:
    name: str


@node
class StrTemp:
    number: int


@node
class StrGlobal:
    name: str


@node
class SavedStr:
    number: int


Str = Union[Literal, StrLocal, StrTemp, StrGlobal, SavedStr]
Arg = Union[Expr, Str]
Place = Union[Local, Temp, StrLocal, StrTemp]


# --- statistics and maps ---------------------------------------------------------------------------------


@node
class StatRef:
    """A statistic: a global, or an element of an array of them."""

    name: str
    keys: tuple[Arg, ...] = ()


@node
class Hist:
    linear: tuple[int, int, int] | None = None  # low, high, width; None: logarithmic


# --- ops -----------------------------------------------------------------------------------------------


@node
class Set:
    place: Union[Local, Temp]
    value: Expr


@node
class SetStr:
    place: Union[StrLocal, StrTemp]
    value: Str


@node
class SetGlobal:
    name: str
    value: Expr


@node
class SetGlobalStr:
    name: str
    value: Str


@node
class AddGlobal:
    """`g += value` whose result is not used: per-cpu when all writers of g are such."""

    name: str
    value: Expr


@node
class Store:
    """Writes memory (guru mode)."""

    address: Expr
    size: int
    value: Expr
    space: Space = Space.KERNEL
    mark: Mark = _mark()


@node
class SetReg:
    """Writes a register of the probed context (guru mode); `width` bytes of it."""

    number: int
    value: Expr
    width: int = 8


@node
class SetField:
    """Writes a context field that the engine passes on (netfilter's verdict)."""

    name: str
    value: Expr


@node
class Concat:
    """`place` may be `left` (then it appends), never `right`."""

    place: Union[StrLocal, StrTemp]
    left: Str
    right: Str


@node
class Call:
    """Calls `functions` in turn until one does not `next`; all of one arity and type.

    A text place is none of the arguments, and no argument is a global that the functions write.
    """

    place: Place | None
    functions: tuple[str, ...]  # ids of Module.functions
    arguments: tuple[Arg, ...]
    mark: Mark = _mark()


@node
class MapGet:
    place: Place
    name: str
    keys: tuple[Arg, ...]
    mark: Mark = _mark()


@node
class MapSet:
    name: str
    keys: tuple[Arg, ...]
    value: Arg
    mark: Mark = _mark()


@node
class MapUpdate:
    """`a[k] OP= value` in one lookup; `old`/`new` receive the values before and after where they are used."""

    name: str
    keys: tuple[Arg, ...]
    operator: str  # + - * / % & | ^ << >> .
    value: Arg
    old: Union[Temp, StrTemp, None] = None
    new: Union[Temp, StrTemp, None] = None
    mark: Mark = _mark()


@node
class MapIn:
    place: Temp
    name: str
    keys: tuple[Arg | None, ...]  # None: *


@node
class MapDelete:
    name: str
    keys: tuple[Arg | None, ...]  # () deletes all; None: *


@node
class MapForeach:
    """Walks an array; `keys`/`value` receive each element's. With `sort` the array's own list is sorted first."""

    name: str
    keys: tuple[Place, ...]
    value: Place | None
    slice: tuple[Arg | None, ...] | None
    sort: int  # 0, +1, -1
    sort_by: int  # 0 value, n-th key from 1
    aggregate: str | None  # for arrays of statistics: count sum min max avg
    limit: Expr | None
    body: Block
    mark: Mark = _mark()


@node
class StatAdd:
    stat: StatRef
    value: Expr
    mark: Mark = _mark()


@node
class StatGet:
    place: Temp
    operator: str  # count sum min max avg variance
    stat: StatRef
    mark: Mark = _mark()


@node
class StatClear:
    name: str


@node
class HistBucket:
    """The count in one bucket (index 0 is the first, as capabilities say)."""

    place: Temp
    stat: StatRef
    hist: Hist
    index: Expr
    mark: Mark = _mark()


@node
class HistForeach:
    place: Place
    stat: StatRef
    hist: Hist
    limit: Expr | None
    body: Block
    mark: Mark = _mark()


@node
class Print:
    """printf to the output; every print form comes down to it. The format's conversions match `arguments`."""

    format: str
    arguments: tuple[Arg, ...]
    mark: Mark = _mark()


@node
class Sprint:
    """sprintf: `place` is none of the arguments."""

    place: Union[StrLocal, StrTemp]
    format: str
    arguments: tuple[Arg, ...]
    mark: Mark = _mark()


@node
class PrintHist:
    stat: StatRef
    hist: Hist
    mark: Mark = _mark()


@node
class SprintHist:
    place: StrTemp
    stat: StatRef
    hist: Hist
    mark: Mark = _mark()


@node
class PrettyPart:
    """One `label` + value of a Pretty op. `type` indexes Module.descriptors; value or address is given, or none: ?"""

    label: str
    type: int
    value: Expr | None = None
    address: Expr | None = None
    bare: bool = False  # the label alone
    joined: bool = False  # no space before it


@node
class Pretty:
    """The parts, with spaces between them: `$$vars`; or a lone part without a label: `$x$`."""

    place: Union[StrLocal, StrTemp]
    parts: tuple[PrettyPart, ...]
    depth: int
    space: Space = Space.KERNEL


@node
class Regex:
    place: Temp
    regex: int  # index into Module.regexes
    subject: Str


@node
class If:
    condition: Expr
    then: Block
    otherwise: Block = ()


@node
class Loop:
    """for (;;) { body; step }: `Break` leaves, `Continue` goes to step."""

    body: Block
    step: Block = ()


@node
class Break:
    pass


@node
class Continue:
    pass


@node
class Return:
    value: Arg | None = None


@node
class Next:
    """Ends a handler; in a function, hands over to the next overload."""


@node
class Try:
    body: Block
    message: Union[StrLocal, None]
    handler: Block


@node
class Fail:
    text: str
    mark: Mark = _mark()


@node
class Charge:
    """Takes `actions` from the handler's budget; MAXACTION when it is used up (not catchable).

    Until budget.py has added them up, one that does not settle is taken with the next that does.
    """

    actions: int
    settles: bool = True
    mark: Mark = _mark()


@node
class Embedded:
    """C text in an expression (%{ %}); the value or text lands in `place`."""

    place: Union[Temp, StrTemp]
    code: str
    mark: Mark = _mark()


@node
class SaveEntry:
    """On a return probe's entry side: keeps a value for Saved/SavedStr(number)."""

    number: int
    value: Arg


Op = Union[
    Set, SetStr, SetGlobal, SetGlobalStr, AddGlobal, Store, SetReg, SetField, Concat, Call, MapGet, MapSet, MapUpdate,
    MapIn, MapDelete, MapForeach, StatAdd, StatGet, StatClear, HistBucket, HistForeach, Print, Sprint, PrintHist,
    SprintHist, Pretty, Regex, If, Loop, Break, Continue, Return, Next, Try, Fail, Charge, Embedded, SaveEntry,
]  # fmt: skip
Block = tuple[Op, ...]


# --- the module ------------------------------------------------------------------------------------------


@node
class LockUse:
    name: str  # a global
    write: bool


@node
class Handler:
    """A compiled probe body."""

    body: Block
    longs: tuple[str, ...] = ()  # names of long locals
    strings: tuple[str, ...] = ()  # names of string locals
    locks: tuple[LockUse, ...] = ()  # in the one fixed order; filled by locks.py
    mark: Mark = _mark()


@node
class Function:
    """A script function; `code` instead of `body` for an embedded-C one."""

    id: str  # unique; a C identifier part
    name: str  # as written
    parameters: tuple[tuple[str, str], ...]  # (name, "long" | "string")
    result: str | None  # "long", "string", None
    body: Block = ()
    code: str | None = None
    longs: tuple[str, ...] = ()  # locals without the parameters
    strings: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()  # globals that embedded code names (pragma:read/write)
    writes: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()  # pure, stable, unprivileged, ...
    recursive: bool = False
    mark: Mark = _mark()  # its name
    code_mark: Mark = _mark()  # where its embedded C begins


@node
class Scalar:
    name: str
    type: str  # long, string
    initial: Union[int, str] = 0
    parameter: bool = True  # may be set with -G
    per_cpu: bool = False  # only ever added to; filled by locks.py


@node
class Stat:
    name: str
    hist: Hist | None = None
    variance: bool = False
    shift: int = 0  # of @variance
    ops: frozenset[str] = frozenset()  # which of count sum min max avg variance are ever read


@node
class Map:
    name: str
    keys: tuple[str, ...]  # long, string
    value: str  # long, string, stats
    size: int = 0  # 0: MAXMAPENTRIES
    wrap: bool = False
    stat: Stat | None = None  # its histogram and variance, for arrays of statistics


Global = Union[Scalar, Stat, Map]


@node
class Dfa:
    """A regular expression as tables; see elaborate/regex.py."""

    pattern: str
    table: Any  # elaborate.regex.Automaton, hashable


DescribedMember = tuple[str, int, int, int, int, tuple[tuple[int, int], ...]]


@node
class Descriptor:
    """A type as runtime/pretty.h walks it.

    `kind`: int uint char pointer string struct union array enum float unknown bits. A member is its name, type, byte
    offset, bit offset, bit size (0: no bitfield) and the virtual bases that lead to it: each the byte offset of an
    object, and how far before that object's vtable the offset of its base stands.
    """

    kind: str
    size: int = 0
    element: int = 0  # arrays: the element's descriptor
    count: int = 0
    members: tuple[DescribedMember, ...] = ()


@node
class Probe:
    """One site armed with one handler."""

    site: Any  # a Site class of providers/, hashable
    handler: int  # index into Module.handlers
    point: str  # pp()
    written: str  # pn()
    condition: Expr | None = None
    entry: int | None = None  # a return probe's entry handler
    saved: tuple[str, ...] = ()  # types of the saved values
    mark: Mark = _mark()
    derived: str = ""  # the aliases that it came through


@node
class Module:
    handlers: tuple[Handler, ...]
    functions: tuple[Function, ...]
    globals: tuple[Global, ...]
    probes: tuple[Probe, ...]
    regexes: tuple[Dfa, ...] = ()
    descriptors: tuple[Descriptor, ...] = ()
    embedded: tuple[tuple[str, Mark], ...] = ()  # top-level %{ %}, in order
    needs: frozenset[str] = frozenset()  # runtime parts by pragma: vma, unwind, symbols, lines, uprobes, tagged_dfa
