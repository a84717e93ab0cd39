"""Programs and shared libraries: a path -> symbols, DWARF (in the file or in its debug file), and offsets in the file.

Whatever names an address uses the link-time one; `file_offset` says where it is in the file, which is where uprobes go.
"""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from pystap import paths
from pystap.debuginfo import dw
from pystap.debuginfo.api import Address, DebugInfo, Function, Root, Scope, Tracepoint
from pystap.debuginfo.ctype import CType
from pystap.debuginfo.damage import Damaged, reading, text_of
from pystap.debuginfo.demangle import demangle, fits
from pystap.debuginfo.dwarf import Covering, Dwarf
from pystap.debuginfo.elf import ET_EXEC, PT_INTERP, PT_LOAD, SHF_EXECINSTR, STT_FUNC, STT_OBJECT, Elf, Symbol, notes
from pystap.debuginfo.index import FORMAT, index_in_memory, open_index
from pystap.debuginfo.locate import build_id_paths, debuglink_paths
from pystap.debuginfo.ranges import entry_pc
from pystap.debuginfo.sections import Data, Sections
from pystap.debuginfo.user_dwarf import UserDwarf
from pystap.diagnostics import StapError, Unresolved

DEBUG_ROOTS = (Path("/usr/lib/debug"), Path("/usr/local/lib/debug"))
_DERIVED = ("dwarf", "functions", "demangled", "_by_address", "_aliases", "_is_split", "sorted_functions")
_DT_NEEDED = 1
_WORTH_CACHING = 1 << 20  # bytes of .debug_info

_opened: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class UserFunction:
    """A function of a symbol table."""

    name: str
    address: int  # link-time
    size: int
    external: bool
    order: int = 0  # in the symbol tables


def distinct(functions: Iterable[UserFunction]) -> list[UserFunction]:
    """For each address one: of aliases the first in the symbol tables, as SystemTap takes it."""
    first: dict[int, UserFunction] = {}
    for function in sorted(functions, key=lambda f: f.order):
        first.setdefault(function.address, function)
    return list(first.values())


class UserObject:
    """One ELF file of user space. Make it with `open_object`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.elf = Elf.open(Path(path))
        self._loads = [s for s in self.elf.segments() if s.kind == PT_LOAD]

    # --- addresses ---

    def file_offset(self, address: int) -> int | None:
        """Where a link-time address is in the file; None where the file holds nothing of it."""
        for s in self._loads:
            if s.address <= address < s.address + s.file_size:
                return address - s.address + s.offset
        return None

    def is_loaded(self, address: int) -> bool:
        """Whether a link-time address is one of the object's own, in memory."""
        return any(s.address <= address < s.address + s.memory_size for s in self._loads)

    @property
    def code_start(self) -> int:
        """Where the first segment with code begins, link-time: the kernel's mm->start_code, less where it is loaded."""
        return min((s.address for s in self._loads if s.flags & 1), default=0)

    @cached_property
    def text_bias(self) -> int:
        """Link-time address minus file offset of the code's segment."""
        for s in self._loads:
            if s.flags & 1:
                return s.address - s.offset
        return 0

    def is_code(self, address: int) -> bool:
        """Whether an address is in an executable section."""
        starts, sections = self._code
        at = bisect_right(starts, address) - 1
        return at >= 0 and address < sections[at][1]

    @cached_property
    def _code(self) -> tuple[list[int], list[tuple[int, int]]]:
        found = sorted((s.address, s.address + s.size) for s in self.elf.sections if s.flags & SHF_EXECINSTR)
        return [low for low, _ in found], found

    def cover(self, address: int) -> Covering | None:
        """The symbol that holds an address; code without one is probed all the same."""
        function = self.function_at(address)
        if function is not None:
            return Covering(function.name, address - function.address, True)
        return Covering("", address, self.is_code(address)) if self.file_offset(address) is not None else None

    # --- symbols ---

    @cached_property
    def functions(self) -> dict[str, list[UserFunction]]:
        """Functions by name, from .symtab (or the debug file's) and .dynsym, sorted."""
        found: dict[tuple[str, int], UserFunction] = {}
        for order, symbol in enumerate(self._symbols()):
            name = symbol.name.partition("@")[0]
            if symbol.kind == STT_FUNC and symbol.section and symbol.value:
                known = UserFunction(name, symbol.value, symbol.size, symbol.binding != 0, order)
                found.setdefault((name, symbol.value), known)
        table: dict[str, list[UserFunction]] = {}
        for (name, _), function in sorted(found.items()):
            table.setdefault(name, []).append(function)
        return table

    def data_symbols(self, name: str) -> list[Symbol]:
        """The variables of that name in the symbol tables; those of threads, which lie elsewhere in each, are none."""
        return [s for s in self._symbols() if s.kind == STT_OBJECT and s.section and s.name.partition("@")[0] == name]

    def similar_data(self, name: str) -> list[str]:
        """Names of variables near one that is not there."""
        from difflib import get_close_matches

        return get_close_matches(name, {s.name for s in self._symbols() if s.kind == STT_OBJECT}, 5)

    def exports(self, name: str) -> bool:
        """Whether other files can call a function by that name."""
        return any(f.external for f in self.functions.get(name, ()))

    def functions_at(self, address: int) -> list[UserFunction]:
        """The functions that begin at an address: one under all its names."""
        return self._aliases.get(address, [])

    @cached_property
    def _aliases(self) -> dict[int, list[UserFunction]]:
        table: dict[int, list[UserFunction]] = {}
        for functions in self.functions.values():
            for function in functions:
                table.setdefault(function.address, []).append(function)
        return table

    @cached_property
    def demangled(self) -> dict[str, str]:
        """The names that mangled symbols stand for."""
        return demangle(self.functions)

    def matching(self, pattern: str) -> Iterator[UserFunction]:
        """Functions of the symbol tables by glob: as they are spelt there, else as in the source."""
        if not set("*?[").intersection(pattern) and pattern in self.functions:
            yield from self.functions[pattern]
            return
        expression = re.compile(_glob(pattern))
        for symbol, functions in self.functions.items():
            name = self.demangled.get(symbol)
            if expression.match(symbol):
                yield from functions
            elif name is not None and fits(name, pattern):
                yield from (replace(f, name=name) for f in functions)

    def similar(self, name: str) -> list[str]:
        """Names near one that is not there."""
        from difflib import get_close_matches

        return get_close_matches(name, list(dict.fromkeys(self.demangled.get(s, s) for s in self.functions)), 5)

    def function_at(self, address: int) -> UserFunction | None:
        """The function that covers an address."""
        starts, table = self._by_address
        at = bisect_right(starts, address) - 1
        if at < 0:
            return None
        function = table[at]
        inside = address < function.address + (function.size or 1)
        return function if inside else None

    @cached_property
    def _by_address(self) -> tuple[list[int], list[UserFunction]]:
        every = {f.address: f for fs in self.functions.values() for f in sorted(fs, key=lambda f: (f.external, f.size))}
        table = [every[k] for k in sorted(every)]
        return sorted(every), table

    @cached_property
    def sorted_functions(self) -> list[UserFunction]:
        """One function for each address that has some, by address; those without a size reach to the next."""
        table = self._by_address[1]
        following = [f.address for f in table[1:]] + [f.address + 1 for f in table[-1:]]
        return [f if f.size else replace(f, size=end - f.address) for f, end in zip(table, following, strict=True)]

    def _symbols(self) -> Iterator[Symbol]:
        for elf in (self.elf, self._debug_elf):
            if elf is not None:
                yield from elf.symbols(".symtab")
        yield from self.elf.symbols(".dynsym")

    # --- DWARF ---

    @cached_property
    def dwarf(self) -> UserDwarf | None:
        """The DWARF of the file or of its debug file; None where there is none."""
        elf = self._debug_elf if self.elf.section(".debug_info") is None else self.elf
        if elf is None or elf.section(".debug_info") is None or self._is_split:
            return None
        sections = Sections(elf, whole_paths=True)
        build_id = self.elf.build_id()
        if build_id and len(sections.info) > _WORTH_CACHING:
            return UserDwarf(self, sections, open_index(sections, build_id, paths.cache("dwarf", f"{FORMAT}-user-3")))
        return UserDwarf(self, sections, index_in_memory(sections))

    @cached_property
    def debug_frame(self) -> Data:
        """The call frames that its debug-info describes: of code that has no .eh_frame."""
        holders = [elf for elf in (self.elf, self._debug_elf) if elf is not None and elf.section(".debug_frame")]
        return Sections(holders[0]).section(".debug_frame") if holders else b""

    @cached_property
    def demanded(self) -> UserDwarf | None:
        """As `dwarf`; where it is not here and DEBUGINFOD_URLS is set, from there."""
        if self.dwarf is None:
            from pystap.debuginfo.debuginfod import fetch

            found = fetch(self.elf.build_id(), self.path)
            if found is not None:
                self._debug_elf = self._of_this_build(found)
                for known in _DERIVED:
                    self.__dict__.pop(known, None)
        return self.dwarf

    @cached_property
    def _is_split(self) -> bool:
        """Whether what its units say is in .dwo files (-gsplit-dwarf), which are not read: only skeletons are here."""
        elf = self._debug_elf if self.elf.section(".debug_info") is None else self.elf
        if elf is None or elf.section(".debug_info") is None:
            return False
        sections = Sections(elf)
        roots = (sections.unit(offset).root for offset in sections.unit_offsets)
        return bool(sections.unit_offsets) and all(
            dw.DWO_NAME in r.attributes or dw.GNU_DWO_NAME in r.attributes for r in roots
        )

    @cached_property
    def _debug_elf(self) -> Elf | None:
        """The separate debug file, by build-id or debuglink; it must be of this build."""
        there = (path for path in self._debug_files() if path.is_file() and not path.samefile(self.path))
        return next((elf for path in there if (elf := self._of_this_build(path))), None)

    def _debug_files(self) -> list[Path]:
        build_id = self.elf.build_id()
        candidates = list(build_id_paths(build_id, DEBUG_ROOTS)) if build_id else []
        if link := self.elf.debuglink():
            candidates += debuglink_paths(Path(self.path), link, DEBUG_ROOTS)
        return candidates

    def _of_this_build(self, path: Path) -> Elf | None:
        elf = Elf.open(path)
        if self.elf.build_id() not in (None, elf.build_id()):
            return None
        note_opened(str(path))
        return elf

    @property
    def info(self) -> DebugInfo:
        """Its types and variables; asking raises Unresolved with what to install where there is no DWARF."""
        return self.demanded or NoDwarf(self)

    @property
    def advice(self) -> str:
        """The command that brings its debug-info, and where it was looked for."""
        if self._is_split:
            return f"debug-info of {self.path}: it is in .dwo files, which are not read; compile without -gsplit-dwarf"
        from pystap.debuginfo.missing import looked_for

        package = _package_of(self.path)
        what = f"apt install {package}-dbgsym" if package else "compile it with -g"
        where = looked_for([Path(self.path), *self._debug_files()], DEBUG_ROOTS)
        return f"debug-info of {self.path}: {what}; {where}"

    # --- what it is ---

    @cached_property
    def is_go(self) -> bool:
        """Whether Go's runtime moves its stacks."""
        return self.elf.section(".note.go.buildid") is not None or self.elf.section(".gopclntab") is not None

    @property
    def entry(self) -> int:
        """Where the kernel or the loader begins it: the link-time address of _start; 0 in a library without one."""
        return self.elf.entry

    def plt(self) -> Iterator[tuple[str, int]]:
        """(function, address of its stub) of the procedure linkage table."""
        from pystap.debuginfo.plt import stubs

        return stubs(self.elf)

    def is_program(self) -> bool:
        """Whether it can be executed: it names an interpreter, or is linked to a fixed address."""
        return self.elf.type == ET_EXEC or any(s.kind == PT_INTERP for s in self.elf.segments())


class NoDwarf:
    """The DebugInfo of an object without DWARF: symbols, and reasons."""

    def __init__(self, owner: UserObject) -> None:
        self._owner = owner

    def functions(self, pattern: str) -> Iterator[Function]:
        """Functions by glob."""
        for f in self._owner.matching(pattern):
            yield Function(f.name, self._owner.path, f.address, external=f.external)

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """None in user space."""
        return iter(())

    def type(self, name: str) -> CType:
        """Not known."""
        raise Unresolved(f"type definition '{name}' not found in '{self._owner.path}'", hint=self._owner.advice)

    def variable(self, name: str, unit: str | None = None) -> Root:
        """Not known."""
        text = f"unable to find global '{name}' in '{self._owner.path}': it has no DWARF debug-info"
        raise Unresolved(text, hint=self._owner.advice)

    def scope(self, function: Function) -> Scope:
        """Not known."""
        raise Unresolved(f"{self._owner.path} has no DWARF debug-info", hint=self._owner.advice)


def entry_of(dwarf: Dwarf, address: Address) -> int:
    """The first instruction of the function that a place belongs to."""
    return entry_pc(dwarf.sections.die(address.die)) or address.address


@lru_cache(maxsize=64)
def open_object(path: str) -> UserObject:
    """The ELF file at a path; raises Damaged, which is Unresolved too, where it is none."""
    try:
        # a process's own link leads to its program even when no path does any more
        found = UserObject(path if path.startswith("/proc/") else os.path.realpath(path))
    except Damaged:
        raise
    except StapError as error:
        raise Damaged(str(error)) from None
    note_opened(found.path)
    return found


def note_opened(path: str) -> None:
    """Remembers which state of a file was looked at."""
    _opened[path] = paths.identity(path)


def opened() -> dict[str, str]:
    """The files that this process has looked at, with their identities: what a kept result depends on."""
    return dict(_opened)


def is_elf(path: str) -> bool:
    """Whether a file is an ELF file of this machine's kind."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(20)
    except OSError:
        return False
    return start[:4] == b"\x7fELF" and len(start) == 20


def narrow_elf(path: str) -> bool:
    """Whether an ELF file is a 32-bit one."""
    with open(path, "rb") as stream:
        return stream.read(5)[4:5] == b"\x01"


def interpreter(path: str) -> str | None:
    """The program that a `#!` script is run by (`env`'s argument where it is env); None for other files."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(256)
    except OSError:
        return None
    if not start.startswith(b"#!"):
        return None
    words = os.fsdecode(start[2:].split(b"\n")[0]).split()
    if words and os.path.basename(words[0]) == "env":
        words = [w for w in words[1:] if not w.startswith("-") and "=" not in w]
    return words[0] if words else None


def needed_libraries(elf: Elf) -> list[str]:
    """The DT_NEEDED names."""
    return dynamic_texts(elf, (_DT_NEEDED,))


def dynamic_texts(elf: Elf, tags: tuple[int, ...]) -> list[str]:
    """What the dynamic section says under some tags that stand for texts."""
    dynamic = elf.section(".dynamic")
    if dynamic is None:
        return []
    with reading(elf.name, "its dynamic section"):
        strings = elf.bytes_of(elf.sections[dynamic.link])
        found = [value for tag, value in struct.iter_unpack("<QQ", elf.bytes_of(dynamic)) if tag in tags]
        return [text_of(strings[value : strings.index(b"\0", value)]) for value in found]


def stapsdt_notes(elf: Elf) -> list[bytes]:
    """The descriptions of the SDT notes."""
    return [text for owner, kind, text in notes(elf.contents(".note.stapsdt") or b"") if kind == 3]


def _glob(pattern: str) -> str:
    from fnmatch import translate

    return translate(pattern)


@lru_cache(maxsize=16)
def _package_of(path: str) -> str:
    """Debian's package that a file came with; merged-/usr paths are tried both ways."""
    import subprocess

    for candidate in dict.fromkeys((path, path.removeprefix("/usr"))):
        try:
            done = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True, check=False)
        except OSError:
            return ""
        if done.returncode == 0:
            return done.stdout.partition(":")[0].strip()
    return ""
