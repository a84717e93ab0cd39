"""Where a function's arguments are at its very first instruction, from its prototype and the C ABI alone."""

from __future__ import annotations

import re

from pystap.arch import Arch
from pystap.debuginfo.api import Kind, Part, Root
from pystap.debuginfo.ctype import CType, Enum, Float, FunctionType, Int, Struct, Void, size_of, strip
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Const, Expr, Field, Reg, Space

# clones whose arguments gcc rearranges or drops: their registers do not follow the prototype
_CLONES = re.compile(r"\.(isra|constprop|part|cold|lto_priv)\b")


def rearranged(symbol: str) -> bool:
    """Whether gcc changed the function's parameters, going by its symbol's name."""
    return _CLONES.search(symbol) is not None


class EntryScope:
    """The parameters of a function at its entry."""

    def __init__(self, name: str, prototype: FunctionType, arch: Arch, space: Space = Space.KERNEL) -> None:
        self.space = space
        self._name = name
        self._prototype = prototype
        self._roots = _assign(prototype, arch, space)

    def lookup(self, name: str) -> Root:
        """The parameter `name`."""
        found = self._roots.get(name)
        if found is None:
            raise Unresolved(
                f"unable to find local '{name}' in {self._name} {_alternatives(self._roots)}",
                self._roots,
                "only parameters are known without DWARF debug-info: locals need the kernel's debug-info package",
            )
        if isinstance(found, str):
            raise Unresolved(found)
        return found

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The parameters; there are no locals here."""
        return () if kind == "locals" else tuple(self._roots)

    def result(self) -> CType | None:
        """The function's result type."""
        ctype = self._prototype.result.get()
        return None if isinstance(strip(ctype), Void) else ctype


class UnknownScope:
    """The scope of a function of which no parameter can be placed; looking one up says why."""

    def __init__(self, reason: str, hint: str = "", result: CType | None = None, space: Space = Space.KERNEL) -> None:
        self.space = space
        self._reason = reason
        self._hint = hint
        self._result = result

    def lookup(self, name: str) -> Root:
        """Always raises, with the reason."""
        raise Unresolved(f"unable to find local '{name}': {self._reason}", hint=self._hint)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """None are known."""
        return ()

    def result(self) -> CType | None:
        """The result's type, where the prototype is known."""
        return self._result


class TracepointScope:
    """The arguments of a tracepoint's probe function, which the engine leaves in the context."""

    space = Space.KERNEL

    def __init__(self, name: str, arguments: tuple[tuple[str, CType], ...]) -> None:
        self._name = name
        self._arguments = arguments

    def lookup(self, name: str) -> Root:
        """The argument `name`."""
        for k, (known, ctype) in enumerate(self._arguments):
            if known == name:
                return Root(narrow(Field("arg", k), ctype), ctype)
        names = [known for known, _ in self._arguments]
        raise Unresolved(f"unable to find tracepoint variable '${name}' {_alternatives(names)}", names)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """The arguments."""
        return () if kind == "locals" else tuple(name for name, _ in self._arguments)

    def result(self) -> CType | None:
        """Tracepoints have no result."""
        return None


def narrow(value: Expr, ctype: CType) -> Expr:
    """The part of a whole register that a value of that type occupies: the ABI leaves the rest undefined."""
    plain = strip(ctype)
    size = size_of(plain)
    if not isinstance(plain, (Int, Enum)) or size not in (1, 2, 4):
        return value
    return Bits(value, 0, 8 * size, plain.signed)


def returned(ctype: CType, arch: Arch, space: Space) -> Root:
    """What a function has returned, when it is back at its caller."""
    plain = strip(ctype)
    value, size = Field("retval"), size_of(plain)
    if not isinstance(plain, Struct) or size <= arch.word:
        return Root(narrow(value, ctype), ctype)
    if size > 2 * arch.word:  # the caller gave it memory, of which the address comes back
        return Root(value, ctype, in_memory=True)
    if _has_float(plain):
        raise Unresolved("structs with floating-point members are returned in registers that a probe does not see")
    second = Reg(arch.second_result, space)
    return Root(Const(0), ctype, parts=(Part(0, arch.word, value), Part(arch.word, size - arch.word, second)))


def _has_float(struct: Struct) -> bool:
    inner = [strip(m.type.get()) for m in struct.members]
    return any(isinstance(t, Float) or (isinstance(t, Struct) and _has_float(t)) for t in inner)


def _alternatives(names: object) -> str:
    listed = " ".join(f"${n}" for n in names) if names else ""  # type: ignore[attr-defined]
    return f"(alternatives: {listed})" if listed else "(it has none)"


def _assign(prototype: FunctionType, arch: Arch, space: Space) -> dict[str, Root | str]:
    """Hands out registers, then stack slots, in the order of the parameters; text says why one cannot be read."""
    roots: dict[str, Root | str] = {}
    free = list(arch.arguments)
    stack = arch.stack_arguments
    for k, (name, lazy) in enumerate(prototype.parameters):
        ctype = lazy.get()
        plain = strip(ctype)
        size = size_of(plain)
        words = max(1, -(-size // arch.word))
        key = name or f"arg{k + 1}"
        if isinstance(plain, Struct) and words > 2 and arch.large_struct_by_reference:
            roots[key], stack = _scalar_place(free, stack, ctype, arch, space, by_reference=True)
        elif (isinstance(plain, Struct) and words > 2) or words > len(free):
            roots[key] = Root(_stack(stack, arch, space), ctype, in_memory=True, writable=True)
            stack += words * arch.word
        elif words == 2:
            halves = (Part(0, 8, Reg(free[0], space)), Part(8, size - 8, Reg(free[1], space)))
            del free[:2]
            roots[key] = Root(Const(0), ctype, parts=halves)
        else:
            roots[key] = Root(narrow(Reg(free.pop(0), space), ctype), ctype, writable=True)
    return roots


def _scalar_place(
    free: list[int], stack: int, ctype: CType, arch: Arch, space: Space, *, by_reference: bool
) -> tuple[Root, int]:
    if free:
        return Root(Reg(free.pop(0), space), ctype, in_memory=by_reference, writable=True), stack
    return Root(_stack(stack, arch, space), ctype, in_memory=True, writable=True), stack + arch.word


def _stack(offset: int, arch: Arch, space: Space) -> Expr:
    return Binary("+", Reg(arch.stack_pointer, space), Const(offset))
