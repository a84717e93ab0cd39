"""DebugInfo for the kernel and its modules from symbols and BTF alone: functions, prototypes, types, tracepoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pystap.arch import Arch
from pystap.debuginfo.abi import EntryScope, UnknownScope, rearranged
from pystap.debuginfo.api import Function, Root, Scope, Tracepoint, of_this_cpu
from pystap.debuginfo.btf import Btf
from pystap.debuginfo.ctype import CType, FunctionType, Void
from pystap.debuginfo.symtab import SymbolTable
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import SymbolAddress

Systems = Callable[[str], str]  # a tracepoint's name -> its system ("sched")


class SymbolicInfo:
    """Symbols say what there is, BTF says of what type. Either may be missing."""

    def __init__(
        self,
        symbols: SymbolTable,
        btf: Btf | None,
        arch: Arch,
        systems: Systems,
        module: str | None = None,
        advice: Callable[[], str] = lambda: "",  # where debug-info is to be had
    ) -> None:
        self._symbols = symbols
        self._btf = btf
        self._arch = arch
        self._systems = systems
        self._module = module
        self._advice = advice

    @property
    def btf(self) -> Btf | None:
        """The BTF behind it."""
        return self._btf

    def functions(self, pattern: str) -> Iterator[Function]:
        """Functions by glob: those in the symbol table that a probe can be set on."""
        seen: set[str] = set()
        for symbol in self._symbols.symbols(pattern):
            if symbol.is_function and symbol.probeable and symbol.name not in seen:
                seen.add(symbol.name)
                yield Function(symbol.name, self._module, symbol.address, external=symbol.type.isupper())

    def prototype(self, name: str) -> FunctionType | None:
        """A function's prototype, where BTF knows it."""
        return self._btf.function(name) if self._btf else None

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """Tracepoints by glob of `name` or `system:name`."""
        if self._btf is None:
            return
        system, colon, name = pattern.rpartition(":")
        for found, prototype in self._btf.tracepoints(name):
            known = self._systems(found)
            if not colon or _matches(known, system):
                arguments = tuple((n or f"arg{k + 1}", t.get()) for k, (n, t) in enumerate(prototype.parameters[1:]))
                yield Tracepoint(known, found, arguments, self._module)

    def type(self, name: str) -> CType:
        """A type by name."""
        if self._btf is None:
            text = f"type definition '{name}' not found in '{self._where}': it has no BTF"
            raise Unresolved(text, hint=self._advice())
        try:
            return self._btf.type(name)
        except Unresolved as error:
            raise Unresolved(
                f"type definition '{name}' not found in '{self._where}'", error.similar, self._advice()
            ) from None

    def knows(self, name: str) -> bool:
        """Whether there is a symbol of that name."""
        return self._symbols.lookup(name) is not None

    def variable(self, name: str, unit: str | None = None) -> Root:
        """A global: its address from the symbols, its type from BTF (which knows only per-cpu ones)."""
        symbol = self._symbols.lookup(name)
        if symbol is None or symbol.is_function:
            raise Unresolved(
                f"unable to find global '{name}' in '{self._where}'", self._symbols.similar(name), self._advice()
            )
        ctype = self._btf.variable(name) if self._btf else None
        if ctype is None:
            raise Unresolved(f"the type of global '{name}' is known to DWARF debug-info only", hint=self._advice())
        return Root(of_this_cpu(SymbolAddress(name, 0, self._module)), ctype, in_memory=True, writable=True)

    def scope(self, function: Function) -> Scope:
        """The parameters at a function's entry, by prototype and ABI."""
        name = function.name
        if rearranged(name):
            reason = (
                f"the compiler rearranged the parameters of the clone {name}: they are known to DWARF debug-info only"
            )
            return UnknownScope(reason, self._advice(), self.returns(name.partition(".")[0]))
        prototype = function.prototype or self.prototype(name)
        if prototype is None:
            return UnknownScope(f"BTF has no prototype of {name}", self._advice())
        return EntryScope(name, prototype, self._arch, advice=self._advice)

    def returns(self, name: str) -> CType | None:
        """What a function returns; None for void or unknown."""
        prototype = self.prototype(name)
        result = prototype.result.get() if prototype else None
        return None if isinstance(result, Void) else result

    @property
    def _where(self) -> str:
        return self._module or "kernel"


def _matches(text: str, pattern: str) -> bool:
    from fnmatch import fnmatchcase

    return fnmatchcase(text, pattern)
