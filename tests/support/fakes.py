"""A small kernel, its types and a tiny tapset, for tests that need no real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pytest

from pystap.debuginfo.api import Address, Function, Kind, Root, Scope, Tracepoint
from pystap.debuginfo.ctype import (
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Lazy,
    Member,
    Pointer,
    Qualified,
    Struct,
    Typedef,
)
from pystap.debuginfo.symtab import KernelSymbol, SymbolTable
from pystap.diagnostics import Diagnostics, Unresolved
from pystap.ir import nodes as ir
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse
from pystap.syntax.preprocess import PreprocessContext
from pystap.target import Target

INT = Int("int", 4, True)
UINT = Int("unsigned int", 4, False)
LONG = Int("long int", 8, True)
ULONG = Int("long unsigned int", 8, False)
SHORT = Int("short int", 2, True)
CHAR = Int("char", 1, True, "char")
U8 = Typedef("u8", Lazy.of(Int("unsigned char", 1, False, "char")))
FLOAT = Float("float", 4)


def pointer(ctype: CType) -> Pointer:
    """ctype *"""
    return Pointer(Lazy.of(ctype))


def array(ctype: CType, count: int | None) -> Array:
    """ctype [count]"""
    return Array(Lazy.of(ctype), count)


def member(name: str, ctype: CType, offset: int, bit: int = 0, bits: int = 0) -> Member:
    """A member at a byte offset (and bit), `bits` wide if it is a bitfield."""
    return Member(name, Lazy.of(ctype), offset * 8 + bit, bits)


def struct(name: str, size: int, *members: Member, kind: str = "struct", declared: str = "") -> Struct:
    """A complete struct or union."""
    return Struct(kind, name, size, lambda: members, declared)


PATH = struct("path", 16, member("mnt", pointer(INT), 0), member("dentry", pointer(CHAR), 8))
INODE = struct("inode", 32, member("i_mode", SHORT, 0), member("i_ino", ULONG, 8), declared="fs.h:9")
_ANON = struct("", 8, member("f_llist", LONG, 0), member("f_rcuhead", INT, 0), kind="union")
COLOR = Enum("color", 4, False, (("RED", 0), ("GREEN", 5), ("BLUE", 6)))
OPAQUE = Struct("struct", "opaque", 0, tuple, complete=False)
FILE: Struct = struct(
    "file", 128,
    member("", _ANON, 0),
    member("f_path", PATH, 8),
    member("f_inode", pointer(INODE), 24),
    member("f_flags", UINT, 32),
    member("flag_a", UINT, 36, 0, 3),
    member("flag_b", INT, 36, 3, 5),
    member("name", array(CHAR, 16), 40),
    member("counts", array(INT, 4), 56),
    member("color", COLOR, 72),
    member("private_data", pointer(Struct("struct", "opaque", 0, tuple, complete=False)), 80),
    member("ratio", FLOAT, 88),
    member("next", Pointer(Lazy(lambda: FILE)), 96),
    declared="include/linux/fs.h:940",
)  # fmt: skip
READ = FunctionType(
    Lazy.of(LONG),
    (
        ("file", Lazy.of(pointer(FILE))),
        ("buf", Lazy.of(pointer(Qualified("const", Lazy.of(CHAR))))),
        ("count", Lazy.of(ULONG)),
        ("flags", Lazy.of(INT)),
    ),
)
WRITE = FunctionType(Lazy.of(LONG), (("inode", Lazy.of(pointer(INODE))), ("len", Lazy.of(UINT))))
FUNCTIONS = ("vfs_read", "vfs_write", "_printk")
_REGISTERS = (5, 4, 1, 2, 8, 9)  # DWARF numbers of rdi rsi rdx rcx r8 r9


@dataclass
class FakeScope:
    """The arguments of a prototype, in their registers."""

    prototype: FunctionType
    space: ir.Space = ir.Space.KERNEL

    def lookup(self, name: str) -> Root:
        if name == "return":
            return Root(ir.Field("retval"), self.prototype.result.get())
        for i, (known, ctype) in enumerate(self.prototype.parameters):
            if known == name:
                return Root(ir.Reg(_REGISTERS[i], self.space), ctype.get(), writable=True)
        known_names = [n for n, _ in self.prototype.parameters]
        raise Unresolved(f"unable to find local '{name}'", known_names)

    def names(self, kind: Kind) -> tuple[str, ...]:
        return () if kind == "locals" else tuple(n for n, _ in self.prototype.parameters)

    def result(self) -> CType | None:
        return self.prototype.result.get()


class FakeDebugInfo:
    """Two functions, a few types, one variable."""

    def __init__(self) -> None:
        self.types: dict[str, CType] = {"struct file": FILE, "struct inode": INODE, "long": LONG, "struct path": PATH}
        self.types["enum color"] = COLOR

    def functions(self, pattern: str) -> Iterator[Function]:
        for name, prototype in (("vfs_read", READ), ("vfs_write", WRITE)):
            if fnmatchcase(name, pattern):
                yield Function(name, prototype=prototype, address=0x1000)

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        if fnmatchcase("sched_switch", pattern.rpartition(":")[2]):
            yield Tracepoint("sched", "sched_switch", (("preempt", INT), ("prev", pointer(FILE))))

    def type(self, name: str) -> CType:
        if name not in self.types:
            raise Unresolved(f"no type {name}")
        return self.types[name]

    def variable(self, name: str, unit: str | None = None) -> Root:
        if name != "jiffies_64":
            raise Unresolved(f"unable to find global '{name}'")
        return Root(ir.SymbolAddress(name), ULONG, in_memory=True)

    def enumerator(self, name: str) -> int | None:
        return dict(COLOR.values).get(name)

    def scope(self, function: Function) -> Scope:
        known = function.prototype or next(f.prototype for f in self.functions(function.name))
        assert known is not None
        return FakeScope(known)

    def statements(self, where: str) -> Iterator[Address]:
        return iter(())


@dataclass
class FakeTarget:
    """A kernel that has what FakeDebugInfo knows."""

    release: str = "6.1.0-fake"
    info: FakeDebugInfo = field(default_factory=FakeDebugInfo)

    def symbols(self) -> SymbolTable:
        return SymbolTable.of([KernelSymbol(n, 0x1000 * i, "T") for i, n in enumerate(FUNCTIONS, 1)])

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        return self.info.tracepoints(pattern)

    def dwarf(self, module: str | None = None) -> None:
        return None

    def demand_dwarf(self, module: str | None = None) -> None:
        return None

    def modules(self, pattern: str) -> list[str]:
        return []

    module_names = modules
    debuginfo_advice = "install the debug-info package"
    exports: dict[str, str] = field(default_factory=dict)
    kconfig: dict[str, str] = field(default_factory=lambda: {"CONFIG_UPROBES": "y"})
    header_types = None

    def has_config(self, name: str) -> bool:
        return self.kconfig.get(f"CONFIG_{name.removeprefix('CONFIG_')}") in ("y", "m")

    def kernel_info(self) -> FakeDebugInfo:
        return self.info

    def module_info(self, name: str) -> FakeDebugInfo:
        raise Unresolved(f"no module {name}")


TAPSET = {
    "context.stp": """
        function execname:string() %{ /* pure */ /* unprivileged */ %}
        function pid:long() %{ /* pure */ %}
        function pp:string() %{ /* pure */ /* stable */ %}
        """,
    "exit.stp": """
        function exit() %{ /* unprivileged */ %}
        function error(m:string) %{ %}
        function panic(m:string) %{ /* guru */ %}
        """,
    "string.stp": "function strlen:long(s:string) %{ /* pure */ %}",
    "counter.stp": """
        private global hidden = 3
        global shared_total
        function bump(by) { hidden += by; return hidden }
        function total() { shared_total++ return shared_total }
        """,
    "c.stp": """
        %{ #define ANSWER 42 %}
        function uses_c:long() %{ STAP_RETVALUE = ANSWER; %}
        function near_c() { return 1 }
        """,
    "watch.stp": "global watched  function watch() { watched++ } probe never { if (watched) watched = 0 }",
    "vfs.stp": """
        probe vfs.read = kernel.function("vfs_read").call { name = "vfs.read"  count = $count  file = $file }
        probe vfs.write = kernel.function("vfs_write").call { name = "vfs.write"  count = $len }
        probe vfs.read.return = kernel.function("vfs_read").return { name = "vfs.read" ret = $return }
        """,
}


class FakeLibrary:
    """The tapset above, with the lookups of library.Library."""

    def __init__(self, files: dict[str, str] | None = None, context: PreprocessContext | None = None) -> None:
        self.context = context or PreprocessContext()
        diagnostics = Diagnostics()
        self._files = {
            name: parse(SourceFile(f"tapset/{name}", text, is_user=False), self.context, None, diagnostics)
            for name, text in (TAPSET if files is None else files).items()
        }
        assert not diagnostics.failed, diagnostics.items

    def file(self, key: str) -> ast.File:
        return self._files[key]

    def functions(self, name: str) -> list[str]:
        return self._with(ast.Function, name)

    def globals(self, name: str) -> list[str]:
        return self._with(ast.Global, name)

    def function_names(self) -> list[str]:
        return [i.name for f in self._files.values() for i in f.items if isinstance(i, ast.Function)]

    def alias_families(self, glob: str) -> list[str]:
        return sorted({f for f, _ in self._aliases() if fnmatchcase(f, glob)})

    def aliases(self, family: str) -> list[str]:
        return list(dict.fromkeys(key for f, key in self._aliases() if f == family))

    def _aliases(self) -> Iterator[tuple[str, str]]:
        for key, file in self._files.items():
            for item in file.items:
                if isinstance(item, ast.Alias):
                    for name in item.names:
                        yield name.components[0].name, key

    def _with(self, kind: type[ast.Function] | type[ast.Global], name: str) -> list[str]:
        return [k for k, f in self._files.items() if any(isinstance(i, kind) and i.name == name for i in f.items)]


def forget_debuginfo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels have no debug-info of which their targets know."""
    of = Target.of

    def without(*arguments: object) -> Target:
        target = of(*arguments)  # type: ignore[arg-type]
        target.debuginfo = None
        return target

    monkeypatch.setattr(Target, "of", without)
