"""The DWARF of a program or library: addresses are the object's own, names may lie in namespaces and classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from pystap.debuginfo import dw
from pystap.debuginfo.abi import EntryScope
from pystap.debuginfo.api import Address, Root, Scope
from pystap.debuginfo.cfa import Frames
from pystap.debuginfo.ctype import CType, FunctionType, Lazy, Struct, strip
from pystap.debuginfo.demangle import scoped
from pystap.debuginfo.die import Die
from pystap.debuginfo.dwarf import Dwarf, is_type
from pystap.debuginfo.index import Entry, Index
from pystap.debuginfo.prologue import unoptimized
from pystap.debuginfo.ranges import entry_pc, ranges_of
from pystap.debuginfo.scopes import around, lies_in, members, spelt
from pystap.debuginfo.sections import Sections
from pystap.debuginfo.spec import Spec
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Expr, Space, SymbolAddress

if TYPE_CHECKING:
    from pystap.debuginfo.user import UserObject

_DW_OP_DEREF = b"\x06"


class UserDwarf(Dwarf):
    """A program's DWARF: addresses are those of the object, which lies elsewhere in every process."""

    def __init__(self, owner: UserObject, sections: Sections, index: Index) -> None:
        super().__init__(sections, lambda: index, owner.cover, owner.path, Space.USER)
        self._frames = Frames(Sections(owner.elf))  # a debug file has no contents of .eh_frame
        self._owner = owner

    def run_time(self, address: int) -> Expr:
        """Where a link-time address is at run time: found by the object and its place in it."""
        return SymbolAddress("", address, self._owner.path)

    def thread_local(self, offset: Expr) -> Expr:
        """Where a thread-local variable is in the current thread."""
        from pystap.debuginfo.tls import thread_local

        return thread_local(self._owner.elf, offset, self.run_time)

    def function_at(self, pc: int) -> Address | None:
        """The function, as compiled, whose code holds an address."""
        unit = self._unit_at(pc)
        if unit is None:
            return None
        for body in self._bodies_of(self.sections.unit(unit))[1]:
            if any(low <= pc < high for low, high in ranges_of(body)):
                entry = entry_pc(body) or pc
                file, _, line = self.types.declared(body).rpartition(":")
                external = bool(body.get(dw.EXTERNAL))
                made = Entry(body.name, "f", file, int(line or 0), external, body.offset, entry)
                return self._address(made, self._entry_address(made), file, int(line or 0))
        return None

    def line_rows(self) -> list[tuple[int, str, int]]:
        """(address, file, line) by address, for all code; line 0 where a stretch of code ends."""
        found: list[tuple[int, bool, str, int]] = []
        for offset in self.sections.unit_offsets:
            root = self.sections.unit(offset).root
            if dw.STMT_LIST not in root.attributes:
                continue
            table = self.types.lines(root)
            paths: dict[int, str] = {}
            for row in table.rows:
                if row.file not in paths:
                    paths[row.file] = table.file(row.file)
                found.append((row.address, not row.end, paths[row.file], 0 if row.end else row.line))
        rows: list[tuple[int, str, int]] = []
        for address, _, file, line in sorted(found):
            if rows and rows[-1][0] == address:
                rows.pop()
            if address and (not rows or rows[-1][1:] != (file, line)):
                rows.append((address, file, line))
        return rows

    def entry_scope(self, address: Address) -> Scope:
        """The variables at a function's first instruction, where unoptimized code has not stored its arguments yet."""
        die = self.sections.die(address.die)
        if not unoptimized(die):
            return self.scope_at(replace(address, address=entry_pc(die) or address.address))
        parameters = tuple((d.name, self._passed(d)) for d in die.children() if d.tag == dw.FORMAL_PARAMETER)
        prototype = FunctionType(Lazy.of(self.types.of(die)), parameters)
        return EntryScope(address.function, prototype, self.arch, Space.USER)

    def _passed(self, parameter: Die) -> Lazy:
        """A parameter's type; of a class with a copy constructor of its own, the address is passed."""
        ctype = self.types.of(parameter)
        struct = strip(ctype)
        location = parameter.get(dw.LOCATION)
        if isinstance(struct, Struct) and isinstance(location, bytes) and location[-1:] == _DW_OP_DEREF:
            return Lazy.of(replace(struct, by_reference=True))
        return Lazy.of(ctype)

    def _entries(self, spec: Spec) -> Iterator[Entry]:
        """Code of several names (kill, __kill) counts once: by a name that other files know it by, if there is one."""
        found = list(self._named(spec))
        bodies: dict[int, Entry] = {}
        for entry in found:
            if entry.kind == "f":
                known = bodies.setdefault(entry.pc, entry)
                if not self._owner.exports(known.name) and self._owner.exports(entry.name):
                    bodies[entry.pc] = entry
        return (e for e in found if e.kind != "f" or bodies[e.pc] is e)

    def _named(self, spec: Spec) -> Iterator[Entry]:
        scopes, name = scoped(spec.function)
        for entry in self.index.functions(name):
            if spec.file and not spec.in_file(entry.file) and not spec.in_file(self._full(entry.file, entry.die)):
                continue
            if self._is_part(entry):
                continue
            around = self._scopes(entry.die)[-len(scopes) :] if scopes else []
            if len(around) == len(scopes) and all(map(fnmatchcase, around, scopes)):
                yield entry._replace(name="::".join([*around, entry.name]))

    def _scopes(self, offset: int) -> list[str]:
        """The namespaces and classes around a function's declaration, outermost first."""
        return [scope.name for scope in around(self.sections.die(offset).origin())]

    def type(self, name: str) -> CType:
        """A type by name, which may say its namespaces and classes."""
        try:
            return super().type(name)
        except Unresolved:
            kind, _, short = name.strip().rpartition(" ")
            for die in members(self.sections, *scoped(short)):
                if is_type(die, kind):
                    return self.types.at(die)
            raise

    def _variables(self, name: str) -> list[Entry]:
        """The variables that a name means: of namespaces and classes too; before these, those that are in none."""
        wanted, short = scoped(name)
        found = [(e, around(self.sections.die(e.die).origin())) for e in self.index.variables(short)]
        outermost = [e for e, scopes in found if not scopes]
        return outermost if outermost and not wanted else [e for e, scopes in found if lies_in(scopes, wanted)]

    def _similar_variables(self, name: str) -> list[str]:
        short = scoped(name)[1]
        found = [(e, around(self.sections.die(e.die).origin())) for e in self.index.variables(short)]
        return sorted({"::".join([*spelt(scopes), e.name]) for e, scopes in found})

    def _declared(self, name: str) -> Root | None:
        """A static member that is a constant and nowhere in memory."""
        for die in members(self.sections, *scoped(name)) if "::" in name else ():
            if dw.CONST_VALUE in die.attributes and die.tag in (dw.VARIABLE, dw.MEMBER):
                return self.root_of(die, self._no_frame())
        return None

    def _alike(self, spec: Spec) -> Iterator[Iterator[Entry]]:
        return (iter((entry,)) for entry in self._entries(spec))

    def aliased(self, spec: Spec) -> Spec:
        """The same, of the function that DWARF knows under another name: malloc is __libc_malloc."""
        if set("*?[:").intersection(spec.function) or any(self.index.functions(spec.function)):
            return spec
        for function in self._owner.matching(spec.function):
            known = self.function_at(function.address)
            if known is not None:
                return replace(spec, function=known.function)
        return spec

    def _full(self, file: str, die: int) -> str:
        """A path as the compiler could have been given it: from the root."""
        if not file or file.startswith("/"):
            return file
        root = self.sections.unit_of(die).root
        found = root.attributes.get(dw.COMP_DIR)
        folder = root.unit.string(*found) if found else ""
        return os.path.normpath(os.path.join(folder, file)) if folder.startswith("/") else os.path.join(folder, file)
