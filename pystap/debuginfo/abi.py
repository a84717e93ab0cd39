"""Where a function's arguments are at its very first instruction, from its prototype and the C ABI alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from pystap.arch import Arch
from pystap.debuginfo.api import Kind, Part, Root
from pystap.debuginfo.ctype import (
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Member,
    Struct,
    Void,
    size_of,
    strip,
)
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Const, Expr, Field, Load, Reg, Space

# clones whose arguments gcc rearranges or drops: their registers do not follow the prototype
_CLONES = re.compile(r"\.(isra|constprop|part|cold|lto_priv)\b")


def rearranged(symbol: str) -> bool:
    """Whether gcc changed the function's parameters, going by its symbol's name."""
    return _CLONES.search(symbol) is not None


class EntryScope:
    """The parameters of a function at its entry."""

    def __init__(
        self, name: str, prototype: FunctionType, arch: Arch, space: Space = Space.KERNEL,
        advice: Callable[[], str] = lambda: "",
    ) -> None:  # fmt: skip
        self.space = space
        self._advice = advice  # what brings the debug-info that knows more
        self._name = name
        self._prototype = prototype
        self._roots = _assign(prototype, arch, space)

    def lookup(self, name: str) -> Root:
        """The parameter `name`."""
        found = self._roots.get(name)
        if found is None:
            hint = ": ".join(filter(None, ("only parameters are known without DWARF debug-info", self._advice())))
            raise Unresolved(
                f"unable to find local '{name}' in {self._name} {_alternatives(self._roots)}", self._roots, hint
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


def _alternatives(names: object) -> str:
    listed = " ".join(f"${n}" for n in names) if names else ""  # type: ignore[attr-defined]
    return f"(alternatives: {listed})" if listed else "(it has none)"


def register(number: int, arch: Arch, space: Space) -> Expr:
    """A register by DWARF's number; a program's vector registers are not among those that the kernel saves first."""
    if space is Space.USER and number in arch.vectors:
        return Field("vector", number - arch.vectors.start)
    return Reg(number, space)


def returned(ctype: CType, arch: Arch, space: Space) -> Root:
    """What a function has returned, when it is back at its caller; raises Unresolved where pystap cannot read it."""
    first = Field("retval")
    classes = eightbytes(ctype)
    if classes is None:
        if isinstance(strip(ctype), Struct):  # in memory that the caller gave, of which the address comes back
            return Root(first, ctype, in_memory=True)
        raise Unresolved("$return is kept in a register of the x87 unit, which cannot be read")
    numbers, vectors = list(arch.results), list(arch.vectors)
    values = tuple(register((vectors if c == "sse" else numbers).pop(0), arch, space) for c in classes)
    return _in_registers(tuple(first if v == Reg(arch.results[0], space) else v for v in values), ctype)


def _in_registers(values: tuple[Expr, ...], ctype: CType) -> Root:
    match values:
        case ():
            return Root(Const(0), ctype)
        case (value,):
            return Root(narrow(value, ctype), ctype, writable=True)
        case _:
            size = size_of(ctype)
            parts = tuple(Part(8 * k, min(8, size - 8 * k), v) for k, v in enumerate(values))
            return Root(Const(0), ctype, parts=parts)


Class = Literal["integer", "sse"]


def eightbytes(ctype: CType) -> tuple[Class, ...] | None:
    """In which kind of register each 8 bytes of a value are passed and returned; None: it is in memory.

    System V ABI for AMD64, 3.2.3.
    """
    size = size_of(ctype)
    found: dict[int, Class] = {}
    if (size > 16 and isinstance(strip(ctype), (Struct, Array))) or not _classify(ctype, 0, found):
        return None
    return tuple(found[k] for k in sorted(found))


def _classify(ctype: CType, offset: int, found: dict[int, Class]) -> bool:
    """Notes the class of each 8 bytes that a value at an offset touches; False: it is passed in memory."""
    plain = strip(ctype)
    size = size_of(plain)
    match plain:
        case Struct():
            return not plain.by_reference and all(_classify_member(m, offset, found) for m in plain.members)
        case Array(element=element, count=count):
            inner = element.get()
            step = size_of(inner)
            return all(_classify(inner, offset + k * step, found) for k in range(min(count or 0, 16)))
        case Float():
            if size > 8 or offset % size:
                return False
            found.setdefault(offset // 8, "sse")
        case _:
            if size and offset % min(size, 8):  # a member of a packed struct
                return False
            for k in range(offset // 8, (offset + max(size, 1) + 7) // 8):
                found[k] = "integer"
    return True


def _classify_member(member: Member, offset: int, found: dict[int, Class]) -> bool:
    if not member.bit_size:
        return _classify(member.type.get(), offset + member.offset_bits // 8, found)
    low = 8 * offset + member.offset_bits
    for k in range(low // 64, (low + member.bit_size - 1) // 64 + 1):
        found[k] = "integer"
    return True


def _assign(prototype: FunctionType, arch: Arch, space: Space) -> dict[str, Root | str]:
    """Hands out registers, then stack slots, in the order of the parameters; text says why one cannot be read."""
    roots: dict[str, Root | str] = {}
    free = {"integer": list(arch.arguments), "sse": list(arch.vectors[:8])}
    stack = arch.stack_arguments
    for k, (name, lazy) in enumerate(prototype.parameters):
        ctype = lazy.get()
        key = name or f"arg{k + 1}"
        plain = strip(ctype)
        if isinstance(plain, Struct) and (plain.by_reference or (plain.size > 16 and arch.large_struct_by_reference)):
            roots[key], stack = _referred(free["integer"], stack, ctype, arch, space)
            continue
        classes = eightbytes(ctype)
        if classes is not None and all(classes.count(c) <= len(free[c]) for c in classes):
            values = tuple(register(free[c].pop(0), arch, space) for c in classes)
            roots[key] = _in_registers(values, ctype)
            continue
        if isinstance(plain, Float) and plain.size == 16:
            stack += -(stack - arch.stack_arguments) % 16
        roots[key] = Root(_stack(stack, arch, space), ctype, in_memory=True, writable=True)
        stack += -(-size_of(plain) // arch.word) * arch.word
    return roots


def _referred(free: list[int], stack: int, ctype: CType, arch: Arch, space: Space) -> tuple[Root, int]:
    """A struct of which the address is passed."""
    if free:
        return Root(Reg(free.pop(0), space), ctype, in_memory=True, writable=True), stack
    address = Load(_stack(stack, arch, space), arch.word, False, space)
    return Root(address, ctype, in_memory=True, writable=True), stack + arch.word


def _stack(offset: int, arch: Arch, space: Space) -> Expr:
    return Binary("+", Reg(arch.stack_pointer, space), Const(offset))
