"""The syntax tree: what was written. Immutable; compared by identity, so that nodes can key tables.

Each class carries an example of its source text: that comment is its documentation. `span` is the only common
field; lines and columns are computed from it when needed. Names keep their sigils out: `$x` is TargetVar("x").
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Literal, Union

from pystap.frozen import Frozen, node
from pystap.source import NOWHERE, SourceFile, Span

if TYPE_CHECKING:
    from pystap.debuginfo.ctype import CType
    from pystap.ir import nodes as ir

TypeName = Literal["long", "string", "stats"]


@node
class Node(Frozen):
    """Anything in the tree."""

    span: Span = field(default=NOWHERE, kw_only=True, repr=False)


# --- expressions ---------------------------------------------------------------------------------------


@node
class Number(Node):  # 42  0x1f  017
    value: int  # as signed 64 bits


@node
class String(Node):  # "text\n"  (escapes decoded, adjacent literals joined)
    value: str  # encoded as UTF-8; lone bytes above 127 are surrogates, as errors="surrogateescape" makes them


@node
class Name(Node):  # x        a local, global, or parameter
    name: str


@node
class Star(Node):  # the * of a[1, *]
    pass


@node
class Index(Node):  # a[i, "k"]  a[1, *]  @hist_log(s)[b]
    base: Union[Name, HistOp]
    keys: tuple[Expr, ...]


@node
class Call(Node):  # f(1, x)
    name: str
    arguments: tuple[Expr, ...]


@node
class Unary(Node):  # -x  !x  ~x  +x
    operator: str
    operand: Expr


@node
class Binary(Node):  # a + b   a << b   a . b   (all but && || = =~ in)
    operator: str  # + - * / % << >> >>> & | ^ .
    left: Expr
    right: Expr


@node
class Compare(Node):  # a < b
    operator: str  # < > <= >= == !=
    left: Expr
    right: Expr


@node
class Logical(Node):  # a && b
    operator: str  # && ||
    left: Expr
    right: Expr


@node
class Ternary(Node):  # c ? a : b
    condition: Expr
    then: Expr
    otherwise: Expr


@node
class Assign(Node):  # x = 1   a[k] += 2   s <<< 3   $x->y = 4   v .= "t"
    operator: str  # = += -= *= /= %= <<= >>= &= ^= |= .= <<<
    target: Expr
    value: Expr


@node
class IncDec(Node):  # ++x  x--
    operator: str  # ++ --
    prefix: bool
    target: Expr


@node
class Match(Node):  # s =~ "re"   s !~ "re"
    operator: str  # =~ !~
    subject: Expr
    pattern: String


@node
class In(Node):  # k in a   [1, *] in a
    keys: tuple[Expr, ...]
    array: Name


@node
class Member(Node):  # the ->f of $x->f
    name: str


@node
class Element(Node):  # the [i] of $x[i]
    index: Expr


Step = Union[Member, Element]


@node
class TargetVar(Node):  # $x->a[i]   $$vars   $return   $x$$   @var("g@f.c", "m")->x   @cast(e, "t")->x
    name: str  # "x" of $x, "$vars" of $$vars; "" when `base` says what the root is
    steps: tuple[Step, ...] = ()
    address_of: bool = False  # &$x->f
    pretty: int = 0  # how many trailing $: 0, 1 or 2
    base: Union[Cast, AtVar, Expr, None] = None  # @cast, @var, or any expression with a remembered type (autocast)


@node
class Cast(Node):  # @cast(e, "struct x", "kernel<linux/x.h>")
    operand: Expr
    type_name: str
    module: str | None = None


@node
class AtVar(Node):  # @var("name@unit.c", "module")
    name: str
    module: str | None = None


@node
class AtEnum(Node):  # @enum("NAME")
    name: str


@node
class AtEnumName(Node):  # @enumname(e, "enum x", "module")
    value: Expr
    type_name: str | None = None
    module: str | None = None


@node
class AtConst(Node):  # @const("PAGE_SIZE")
    text: str


@node
class AtPerf(Node):  # @perf("counter")
    counter: str


@node
class Register(Node):  # @kregister(n)  @uregister(n)
    user: bool
    number: Expr


@node
class Deref(Node):  # @kderef(size, address)  @uderef(size, address)
    user: bool
    size: Expr
    address: Expr


@node
class Defined(Node):  # @defined($x->y)
    operand: Expr


@node
class ProbeWrite(Node):  # @probewrite(g)
    name: str


@node
class Entry(Node):  # @entry($x)
    operand: Expr


@node
class StatOp(Node):  # @count(s)  @avg(s[k])  @variance(s, 3)
    operator: str  # count sum min max avg variance
    stat: Expr
    shift: int = 0


@node
class HistOp(Node):  # @hist_log(s)   @hist_linear(s, 0, 100, 10)
    stat: Union[Name, Index]
    linear: tuple[int, int, int] | None = None  # low, high, width; None: logarithmic


@node
class Print(Node):  # printf("%d\n", x)  print(a, b)  printdln("|", a)  sprint(x)  print(@hist_log(s))
    name: str  # print println printd printdln printf sprint sprintln sprintd sprintdln sprintf
    arguments: tuple[Expr, ...]  # without the format and without the delimiter
    format: str | None = None  # of printf and sprintf
    delimiter: str | None = None  # of the ...d... forms

    @property
    def to_string(self) -> bool:
        """Whether it returns its text instead of printing it."""
        return self.name.startswith("s")


@node
class EmbeddedExpr(Node):  # %{ c code %}
    code: str


@node
class TargetAccess(Node):
    """What elaboration puts in a TargetVar's place: a resolved read (assigned to: write) of memory or a register."""

    value: ir.Expr  # with ir.Hole(k) for the k-th run-time index or operand
    holes: tuple[Expr, ...]
    ctype: CType | None  # what it is, for autocast; None for a plain number
    result: TypeName = "long"


@node
class EntryValue(Node):
    """What elaboration puts in place of @entry(e), and of $x in a return probe: the number-th value saved at entry."""

    number: int
    result: TypeName = "long"
    ctype: CType | None = None


@node
class Pretty(Node):
    """What elaboration puts in place of `$x$`, `$$vars` and the like: a text built from fields at run time."""

    fields: tuple[PrettyField, ...]
    depth: int = 0  # structs within structs that are opened: 0, 1 or 2 (the number of trailing $)


@node
class PrettyField(Node):
    """One `name=value` of $$vars; a lone `$x$` has one field without a name."""

    label: str  # "count=" or ""
    access: TargetAccess | None  # None: the value is not there, printed as ?
    address: TargetAccess | None = None  # where a struct, union or array lies
    user: bool = False  # in the memory of the probed process
    bare: bool = False  # nothing but the label: a brace
    joined: bool = False  # follows its predecessor without a space: a member of a struct that is in registers


Expr = Union[
    Number, String, Name, Star, Index, Call, Unary, Binary, Compare, Logical, Ternary, Assign, IncDec, Match, In,
    TargetVar, Cast, AtVar, AtEnum, AtEnumName, AtConst, AtPerf, Register, Deref, Defined, ProbeWrite, Entry,
    StatOp, HistOp, Print, EmbeddedExpr, TargetAccess, EntryValue, Pretty,
]  # fmt: skip


# --- statements ----------------------------------------------------------------------------------------


@node
class Block(Node):  # { ... }
    statements: tuple[Stmt, ...]


@node
class Null(Node):  # ;
    pass


@node
class ExprStmt(Node):  # f(x)
    value: Expr


@node
class If(Node):  # if (c) s else t
    condition: Expr
    then: Stmt
    otherwise: Stmt | None


@node
class While(Node):  # while (c) s
    condition: Expr
    body: Stmt


@node
class For(Node):  # for (i = 0; i < 3; i++) s
    init: Expr | None
    condition: Expr | None
    step: Expr | None
    body: Stmt


@node
class Foreach(Node):  # foreach (v = [a-, b] in m[1, *] limit 3) s   foreach (k in s @sum-)  foreach (b in @hist_log(s))
    keys: tuple[Name, ...]
    value: Name | None
    base: Union[Name, HistOp]
    slice: tuple[Expr, ...] | None
    sort: int  # 0 none, +1 up, -1 down
    sort_by: int  # 0: the value; n: the n-th key, from 1
    sort_aggregate: str | None  # count sum min max avg variance
    limit: Expr | None
    body: Stmt


@node
class Break(Node):
    pass


@node
class Continue(Node):
    pass


@node
class Next(Node):
    pass


@node
class Return(Node):  # return e
    value: Expr | None


@node
class Delete(Node):  # delete x    delete a[k]   delete a[k, *]
    target: Expr  # a Name or Index, or pass 2 refuses it


@node
class Try(Node):  # try { } catch (m) { }
    body: Stmt
    message: Name | None
    handler: Stmt


Stmt = Union[Block, Null, ExprStmt, If, While, For, Foreach, Break, Continue, Next, Return, Delete, Try]


# --- probe points --------------------------------------------------------------------------------------


@node
class Component(Node):  # function("vfs_*")   of kernel.function("vfs_*").call
    name: str  # may hold * and **
    argument: Union[str, int, None] = None

    def __str__(self) -> str:
        match self.argument:
            case None:
                return self.name
            case int() as number:
                return f"{self.name}({number})"
            case text:
                escaped = text.replace("\\", "\\\\").replace('"', '\\"')
                return f'{self.name}("{escaped}")'


@node
class Point(Node):  # kernel.function("f")?   syscall.open! if (on)     (brace sets are already multiplied out)
    components: tuple[Component, ...]
    optional: bool = False
    sufficient: bool = False
    condition: Expr | None = None

    def __str__(self) -> str:
        return ".".join(map(str, self.components))


# --- items ---------------------------------------------------------------------------------------------


@node
class Global(Node):  # global x = 3   global a[100]   global w%[10]    private global p
    name: str
    initializer: Union[Number, String, None] = None
    size: int = 0  # 0: not given
    wrap: bool = False
    private: bool = False


@node
class Parameter(Node):  # a:long
    name: str
    type: TypeName | None = None


@node
class Function(Node):  # function f:long(a:string, b) :2 { ... }   function f() %{ ... %}
    name: str
    parameters: tuple[Parameter, ...]
    result: TypeName | None
    body: Union[Block, EmbeddedExpr]
    priority: int | None = None
    private: bool = False


@node
class Probe(Node):  # probe p1, p2 { ... }
    points: tuple[Point, ...]
    body: Block


@node
class Alias(Node):  # probe name = p1, p2 { prologue }, { epilogue }     probe name += p { epilogue }
    names: tuple[Point, ...]
    points: tuple[Point, ...]
    prologue: Block | None
    epilogue: Block | None
    operator: str = "="  # as written: = or +=


@node
class EmbeddedCode(Node):  # %{ ... %} at the top of a file
    code: str


Item = Union[Global, Function, Probe, Alias, EmbeddedCode]


@node
class File(Node):
    """One parsed file; macros are already expanded (a library's .stpm macros live in the Library)."""

    source: SourceFile
    items: tuple[Item, ...]
