"""SDT marks (.note.stapsdt): a program's static probe points, with where their arguments are.

An argument is written as the assembler wrote the operand: `-4@%edi`, `8@16(%rsp,%rax,8)`, `4@$5`, `8@var(%rip)`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pystap.debuginfo.api import Root
from pystap.debuginfo.ctype import Int
from pystap.debuginfo.damage import reading, text_of
from pystap.debuginfo.elf import notes
from pystap.debuginfo.user import UserObject
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Const, Expr, Load, Reg, Space, SymbolAddress

_LONG = Int("long", 8, True)
_ARGUMENT = re.compile(r"(?:(?P<size>-?\d+)(?P<float>f)?@)?(?P<operand>(?:[^ ()]|\([^)]*\))+)")
_MEMORY = re.compile(r"(?P<offset>[^()]*)\((?P<base>%\w+)?(?:,\s*(?P<index>%\w+)?(?:,\s*(?P<scale>\d+))?)?\)$")
_SUM = re.compile(r"[+-]?[^+-]+")


@dataclass(frozen=True, slots=True)
class Mark:
    """One place of a mark; a name may have several."""

    provider: str
    name: str
    address: int  # link-time
    semaphore: int  # link-time; 0: none
    arguments: tuple[str, ...]


def marks(program: UserObject) -> Iterator[Mark]:
    """The marks of a file; addresses are those of the file as it is, prelinked or not."""
    with reading(program.path, "its static probes"):
        yield from _marks(program)


def _marks(program: UserObject) -> Iterator[Mark]:
    section = program.elf.section(".stapsdt.base")
    for owner, kind, text in notes(program.elf.contents(".note.stapsdt") or b""):
        if owner != b"stapsdt\0" or kind != 3:
            continue
        pc, base, semaphore = struct.unpack_from("<QQQ", text)
        moved = section.address - base if section is not None and base else 0
        provider, name, arguments = text[24:].split(b"\0")[:3]
        yield Mark(
            text_of(provider),
            text_of(name),
            pc + moved,
            semaphore + moved if semaphore else 0,
            tuple(m[0] for m in _ARGUMENT.finditer(text_of(arguments))),
        )


def argument(program: UserObject, text: str) -> Root:
    """The value of an argument; raises Unresolved for operands that are not understood."""
    found = _ARGUMENT.fullmatch(text)
    if found is None:
        raise Unresolved(f"the mark's argument '{text}' is not understood")
    size = int(found["size"] or -8)
    if found["float"] or found["operand"].startswith("%xmm"):
        raise Unresolved(f"the mark's argument '{text}' is a floating-point value")
    value = _operand(program, found["operand"], abs(size), size < 0)
    return Root(value, _LONG)


def _operand(program: UserObject, text: str, size: int, signed: bool) -> Expr:
    if text.startswith("$"):
        return _narrow(Const(_number(text[1:])), size, signed)
    if text.startswith("%"):
        return _register(text, size, signed)
    if size not in (1, 2, 4, 8):
        raise Unresolved(f"the mark's argument '{text}' has {size} bytes")
    return Load(_address(program, text), size, signed, Space.USER)


def _address(program: UserObject, text: str) -> Expr:
    found = _MEMORY.match(text)
    if found is None:
        return _symbol(program, text)
    if found["base"] == "%rip":
        return _symbol(program, found["offset"])
    offset = _offset(program, found["offset"])
    value: Expr = _register(found["base"], 8, True) if found["base"] else Const(0)
    if found["index"]:
        index = _register(found["index"], 8, True)
        scale = int(found["scale"] or 1)
        value = Binary("+", value, Binary("*", index, Const(scale)) if scale != 1 else index)
    return Binary("+", value, offset) if offset != Const(0) else value


def _offset(program: UserObject, text: str) -> Expr:
    if not text.strip():
        return Const(0)
    try:
        return Const(_number(text))
    except Unresolved:
        return _symbol(program, text)


def _symbol(program: UserObject, text: str) -> Expr:
    """`name`, `name+8`, `8+name`: where a variable of the object is."""
    total, name = 0, ""
    for part in _SUM.findall(text.replace(" ", "")):
        try:
            total += _number(part.lstrip("+"))
        except Unresolved:
            name = part.lstrip("+")
    for symbol in (s for table in (".symtab", ".dynsym") for s in program.elf.symbols(table)):
        if symbol.name == name and symbol.section:
            return SymbolAddress("", symbol.value + total, program.path)
    raise Unresolved(f"the mark's argument refers to '{name or text}', which the symbol table does not have")


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise Unresolved(f"'{text}' is no number") from None


def _register(name: str, size: int, signed: bool) -> Expr:
    known = _REGISTERS.get(name)
    if known is None:
        raise Unresolved(f"the mark's argument is in register {name}, which is not known")
    number, width, shift = known
    return _narrow(Reg(number, Space.USER), min(size, width), signed, shift)


def _narrow(value: Expr, size: int, signed: bool, shift: int = 0) -> Expr:
    if isinstance(value, Const):
        masked = value.value & ((1 << 8 * size) - 1)
        return Const(masked - (1 << 8 * size) if signed and masked >> (8 * size - 1) else _wrapped(masked))
    return value if size >= 8 else Bits(value, shift, 8 * size, signed)


def _wrapped(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _registers() -> dict[str, tuple[int, int, int]]:
    """Name -> (DWARF number, bytes, shift)."""
    table: dict[str, tuple[int, int, int]] = {"%rip": (16, 8, 0)}
    for number, name in enumerate(("ax", "dx", "cx", "bx", "si", "di", "bp", "sp")):
        table |= {f"%r{name}": (number, 8, 0), f"%e{name}": (number, 4, 0), f"%{name}": (number, 2, 0)}
        low = name[0] + "l" if name[1] == "x" else name + "l"
        table[f"%{low}"] = (number, 1, 0)
        if name[1] == "x":
            table[f"%{name[0]}h"] = (number, 1, 8)
    for number in range(8, 16):
        sizes = (("", 8), ("d", 4), ("w", 2), ("b", 1))
        table |= {f"%r{number}{suffix}": (number, size, 0) for suffix, size in sizes}
    return table


_REGISTERS = _registers()
