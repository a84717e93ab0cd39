"""Where a variable is: DWARF expressions and location lists -> ir.Expr, or the reason why it is nowhere."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from pystap.arch import X86_64, Arch
from pystap.debuginfo import dw
from pystap.debuginfo.abi import register
from pystap.debuginfo.damage import reading
from pystap.debuginfo.die import Die, Unit
from pystap.debuginfo.sections import Data, sleb, uleb
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Compare, Const, Expr, Field, Load, Reg, Select, Space, Unary

_SIGN = 1 << 63
_MASK = (1 << 64) - 1
_BRA = 0x28
_MOST_BRANCHES = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a value that is scattered; `value` None: that part is optimized out."""

    value: Expr | None
    in_memory: bool
    size: int
    points: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The result: the value itself, its address, or its parts.

    `points`: it is a pointer that was optimized out, to what a DIE (by its offset) describes, and so many bytes in.
    """

    value: Expr
    in_memory: bool
    pieces: tuple[Piece, ...] = ()
    points: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What expressions are relative to at one pc of one function."""

    pc: int
    space: Space
    at_entry: bool
    cfa: Callable[[], Expr]
    base: Callable[[], Expr]  # the function's frame base
    address: Callable[[int], Expr]  # link-time address -> where it is at run time
    arch: Arch = X86_64
    thread_local: Callable[[Expr], Expr] | None = None  # offset in the file's block -> where it is in this thread

    def register(self, number: int) -> Expr:
        """A register as a place."""
        return register(number, self.arch, self.space)


def location_at(die: Die, pc: int, attribute: int = dw.LOCATION) -> bytes:
    """The expression that says where a variable is at a pc; raises Unresolved where it is nowhere."""
    found = die.inherited(attribute) if attribute != dw.LOCATION else _own(die, attribute)
    if found is None:
        raise Unresolved(f"'{die.name}' was optimized out")
    owner, (form, value) = found
    if form in (dw.F_EXPRLOC, dw.F_BLOCK, dw.F_BLOCK1, dw.F_BLOCK2, dw.F_BLOCK4):
        return bytes(value)
    elsewhere = []
    for low, high, expression in _entries(owner.unit, form, value):
        if low <= pc < high and expression:
            return expression
        elsewhere.append((low, high))
    raise Unresolved(
        f"not accessible at this address (pc: {pc:#x}) [man error::dwarf]", hint=_where_else(die.name, elsewhere)
    )


def _where_else(name: str, ranges: list[tuple[int, int]]) -> str:
    listed = ", ".join(f"[{low:#x},{high:#x}]" for low, high in ranges)
    return f"'{name}' is optimized out here; alternative locations: {listed}" if listed else f"'{name}' is nowhere kept"


def locations(die: Die) -> Iterator[tuple[int, int, bytes]]:
    """(first address, past the last, expression) of a variable that is in different places."""
    form, value = die.attributes[dw.LOCATION]
    return _entries(die.unit, form, value)


def _own(die: Die, attribute: int) -> tuple[Die, tuple[int, Any]] | None:
    found = die.attributes.get(attribute)
    return None if found is None else (die, found)


def _entries(unit: Unit, form: int, value: int) -> Iterator[tuple[int, int, bytes]]:
    with reading(unit.dwarf.name, "its location lists"):
        yield from _list_at(unit, form, value)


def _list_at(unit: Unit, form: int, value: int) -> Iterator[tuple[int, int, bytes]]:
    if unit.version < 5:
        yield from _old_list(unit, value)
        return
    data = unit.dwarf.section(".debug_loclists")
    if form == dw.F_LOCLISTX:
        base = int(unit.root.attributes.get(dw.LOCLISTS_BASE, (0, 12))[1])
        value = base + int(struct.unpack_from("<I", data, base + 4 * value)[0])
    yield from _loclist(unit, data, value)


def _loclist(unit: Unit, data: Data, at: int) -> Iterator[tuple[int, int, bytes]]:
    base = unit.low_pc
    while True:
        kind = data[at]
        at += 1
        if kind == 0:
            return
        if kind == 6:  # base_address
            base, at = int(struct.unpack_from("<Q", data, at)[0]), at + 8
        elif kind == 1:  # base_addressx
            index, at = uleb(data, at)
            base = unit.indexed_address(index)
        elif kind == 9:  # GNU view pair
            _, at = uleb(data, at)
            _, at = uleb(data, at)
        else:
            low, high, at = _bounds(unit, data, at, kind, base)
            size, at = uleb(data, at)
            yield low, high, bytes(data[at : at + size])
            at += size


def _bounds(unit: Unit, data: Data, at: int, kind: int, base: int) -> tuple[int, int, int]:
    if kind == 5:  # default_location
        return 0, 1 << 64, at
    if kind == 4:  # offset_pair
        low, at = uleb(data, at)
        high, at = uleb(data, at)
        return base + low, base + high, at
    if kind == 7:  # start_end
        low, high = struct.unpack_from("<QQ", data, at)
        return low, high, at + 16
    if kind == 8:  # start_length
        (low,) = struct.unpack_from("<Q", data, at)
        length, at = uleb(data, at + 8)
        return low, low + length, at
    if kind not in (2, 3):
        raise ValueError("an entry of no known kind")
    first, at = uleb(data, at)  # startx_endx, startx_length
    second, at = uleb(data, at)
    low = unit.indexed_address(first)
    return low, unit.indexed_address(second) if kind == 2 else low + second, at


def _old_list(unit: Unit, at: int) -> Iterator[tuple[int, int, bytes]]:
    data, base = unit.dwarf.section(".debug_loc"), unit.low_pc
    while True:
        low, high = struct.unpack_from("<QQ", data, at)
        at += 16
        if low == 0 and high == 0:
            return
        if low == _MASK:
            base = high
            continue
        (size,) = struct.unpack_from("<H", data, at)
        yield base + low, base + high, bytes(data[at + 2 : at + 2 + size])
        at += 2 + size


def evaluate(expression: bytes, frame: Frame, unit: Unit, initial: Expr | None = None) -> Place:
    """What a location expression says."""
    machine = _Machine(expression, frame, unit)
    if initial is not None:
        machine.stack.append(initial)
    with reading(unit.dwarf.name, "a location expression"):
        return machine.run()


@dataclass(slots=True)
class _Machine:
    code: bytes
    frame: Frame
    unit: Unit
    stack: list[Expr] = field(default_factory=list)
    register: Expr | None = None  # the location is that register itself
    value: bool = False  # the stack's top is the value, not its address
    points: tuple[int, int] | None = None
    pieces: list[Piece] = field(default_factory=list)
    at: int = 0
    branches: int = 0

    def run(self) -> Place:
        while self.at < len(self.code):
            op = self.code[self.at]
            self.at += 1
            if op == _BRA:
                return self._branch()
            self._step(op)
        if self.pieces:
            return Place(Const(0), False, tuple(self.pieces))
        return self._finish()

    def _branch(self) -> Place:
        """Both ways to the end of the expression: the value is chosen at run time."""
        condition = Compare("!=", self._pop(), Const(0))
        target = self._target()
        if self.branches == _MOST_BRANCHES:
            raise Unresolved("its location expression branches too often")
        ways = []
        for at in (target, self.at):
            way = replace(self, stack=list(self.stack), pieces=list(self.pieces), at=at, branches=self.branches + 1)
            ways.append(way.run())
        taken, passed = ways
        scattered = taken.pieces or passed.pieces or taken.points or passed.points
        if scattered or taken.in_memory != passed.in_memory:
            raise Unresolved("it is in different kinds of places, by a condition")
        return Place(Select(condition, taken.value, passed.value), taken.in_memory)

    def _target(self) -> int:
        """Where a branch or skip leads: only forward, so that evaluation ends."""
        distance = int.from_bytes(self._take(2), "little", signed=True)
        if distance < 0:
            raise Unresolved("its location expression loops")
        return self.at + distance

    def _skip(self) -> None:
        self.at = self._target()

    def _finish(self) -> Place:
        if self.register is not None:
            return Place(self.register, False)
        if self.points is not None:
            return Place(Const(0), False, points=self.points)
        return Place(self._pop(), not self.value)

    def _step(self, op: int) -> None:
        if 0x30 <= op <= 0x4F:
            self.stack.append(Const(op - 0x30))
        elif 0x50 <= op <= 0x6F:
            self.register = self.frame.register(op - 0x50)
        elif 0x70 <= op <= 0x8F:
            self._push_register(op - 0x70)
        elif op in _CONSTANTS:
            width, signed = _CONSTANTS[op]
            self.stack.append(_const(int.from_bytes(self._take(width), "little", signed=signed)))
        elif op in _BINARY:
            right, left = self._pop(), self._pop()
            self.stack.append(_fold(_BINARY[op], left, right))
        elif op in _COMPARE:
            right, left = self._pop(), self._pop()
            self.stack.append(Compare(_COMPARE[op], left, right))
        else:
            self._other(op)

    def _other(self, op: int) -> None:
        handler = _OTHERS.get(op)
        if handler is None:
            raise Unresolved(f"its location uses DW_OP {op:#x}, which pystap does not evaluate")
        handler(self)

    def _push_register(self, number: int) -> None:
        offset = self._sleb()
        self.stack.append(_fold("+", Reg(number, self.frame.space), _const(offset)))

    def _take(self, count: int) -> bytes:
        self.at += count
        return self.code[self.at - count : self.at]

    def _uleb(self) -> int:
        value, self.at = uleb(self.code, self.at)
        return value

    def _sleb(self) -> int:
        value, self.at = sleb(self.code, self.at)
        return value

    def _pop(self) -> Expr:
        if not self.stack:
            raise Unresolved("its location expression is damaged")
        return self.stack.pop()

    # --- the rarer operations ---

    def _address(self) -> None:
        self.stack.append(self.frame.address(int.from_bytes(self._take(8), "little")))

    def _addrx(self) -> None:
        self.stack.append(self.frame.address(self.unit.indexed_address(self._uleb())))

    def _constx(self) -> None:
        self.stack.append(_const(self.unit.indexed_address(self._uleb())))

    def _constu(self) -> None:
        self.stack.append(_const(self._uleb()))

    def _consts(self) -> None:
        self.stack.append(_const(self._sleb()))

    def _deref(self) -> None:
        self.stack.append(Load(self._pop(), 8, False, self.frame.space))

    def _deref_size(self) -> None:
        self.stack.append(Load(self._pop(), self._take(1)[0], False, self.frame.space))

    def _deref_type(self) -> None:
        size = self._take(1)[0]
        self._uleb()
        self.stack.append(Load(self._pop(), size, False, self.frame.space))

    def _dup(self) -> None:
        self.stack.append(self.stack[-1])

    def _drop(self) -> None:
        self._pop()

    def _over(self) -> None:
        self.stack.append(self.stack[-2])

    def _pick(self) -> None:
        self.stack.append(self.stack[-1 - self._take(1)[0]])

    def _swap(self) -> None:
        self.stack[-1], self.stack[-2] = self.stack[-2], self.stack[-1]

    def _rot(self) -> None:
        self.stack[-3:] = [self.stack[-1], self.stack[-3], self.stack[-2]]

    def _neg(self) -> None:
        self.stack.append(Unary("-", self._pop()))

    def _not(self) -> None:
        self.stack.append(Unary("~", self._pop()))

    def _abs(self) -> None:
        value = self._pop()
        self.stack.append(Select(Compare("<", value, Const(0)), Unary("-", value), value))

    def _plus_uconst(self) -> None:
        self.stack.append(_fold("+", self._pop(), _const(self._uleb())))

    def _regx(self) -> None:
        self.register = self.frame.register(self._uleb())

    def _bregx(self) -> None:
        self._push_register(self._uleb())

    def _fbreg(self) -> None:
        self.stack.append(_fold("+", self.frame.base(), _const(self._sleb())))

    def _call_frame_cfa(self) -> None:
        self.stack.append(self.frame.cfa())

    def _stack_value(self) -> None:
        self.value = True

    def _implicit_value(self) -> None:
        data = self._take(self._uleb())
        if len(data) > 8:
            self.pieces += constant_pieces(data)
            return
        self.stack.append(_const(int.from_bytes(data, "little")))
        self.value = True

    def _entry_value(self) -> None:
        """The value that something had when the function was entered."""
        inner = self._take(self._uleb())
        if not self.frame.at_entry:
            if len(inner) != 1 or not 0x50 <= inner[0] <= 0x6F:
                raise Unresolved("only a value that was in memory at the function's entry leads to it")
            self.stack.append(Field("entered", inner[0] - 0x50))  # elaborate/entered.py keeps it at the entry
            return
        place = evaluate(inner, self.frame, self.unit)
        self.stack.append(place.value)

    def _convert(self) -> None:
        """To a base type: the DIE's offset in the unit, 0 for the generic one."""
        offset = self._uleb()
        if offset:
            die = self.unit.die(self.unit.offset + offset)
            size, encoding = die.number(dw.BYTE_SIZE) or 8, die.number(dw.ENCODING) or 7
            if size < 8:
                self.stack.append(Bits(self._pop(), 0, 8 * size, encoding in (5, 6)))

    def _const_type(self) -> None:
        self._uleb()
        self.stack.append(_const(int.from_bytes(self._take(self._take(1)[0]), "little")))

    def _regval_type(self) -> None:
        self.stack.append(self.frame.register(self._uleb()))
        self._convert()

    def _piece(self) -> None:
        size = self._uleb()
        if self.register is None and not self.stack and self.points is None:
            self.pieces.append(Piece(None, False, size))
        else:
            place = self._finish()
            self.pieces.append(Piece(place.value, place.in_memory, size, place.points))
        self.register, self.value, self.points = None, False, None
        self.stack.clear()

    def _nop(self) -> None:
        pass

    def _implicit_pointer(self) -> None:
        die = int.from_bytes(self._take(4), "little")
        self.points = die, self._sleb()

    def _tls(self) -> None:
        if self.frame.thread_local is None:
            raise Unresolved("thread-local variables cannot be read")
        self.stack.append(self.frame.thread_local(self._pop()))


_CONSTANTS = {
    0x08: (1, False), 0x09: (1, True), 0x0A: (2, False), 0x0B: (2, True), 0x0C: (4, False), 0x0D: (4, True),
    0x0E: (8, False), 0x0F: (8, True),
}  # fmt: skip
_BINARY = {
    0x1A: "&", 0x1B: "/", 0x1C: "-", 0x1D: "%", 0x1E: "*", 0x21: "|", 0x22: "+", 0x24: "<<", 0x25: ">>>", 0x26: ">>",
    0x27: "^",
}  # fmt: skip
_COMPARE = {0x29: "==", 0x2A: ">=", 0x2B: ">", 0x2C: "<=", 0x2D: "<", 0x2E: "!="}
_OTHERS: dict[int, Callable[[_Machine], None]] = {
    0x03: _Machine._address, 0x06: _Machine._deref, 0x10: _Machine._constu, 0x11: _Machine._consts,
    0x12: _Machine._dup, 0x13: _Machine._drop, 0x14: _Machine._over, 0x15: _Machine._pick, 0x16: _Machine._swap,
    0x17: _Machine._rot, 0x19: _Machine._abs, 0x1F: _Machine._neg, 0x20: _Machine._not, 0x23: _Machine._plus_uconst,
    0x90: _Machine._regx, 0x91: _Machine._fbreg, 0x92: _Machine._bregx, 0x93: _Machine._piece,
    0x94: _Machine._deref_size, 0x96: _Machine._nop, 0x2F: _Machine._skip, 0x9B: _Machine._tls, 0xE0: _Machine._tls,
    0x9C: _Machine._call_frame_cfa, 0x9E: _Machine._implicit_value, 0x9F: _Machine._stack_value,
    0xA0: _Machine._implicit_pointer, 0xF2: _Machine._implicit_pointer, 0xA1: _Machine._addrx, 0xA2: _Machine._constx,
    0xFB: _Machine._addrx, 0xFC: _Machine._constx, 0xA3: _Machine._entry_value, 0xF3: _Machine._entry_value,
    0xA4: _Machine._const_type, 0xF4: _Machine._const_type, 0xA5: _Machine._regval_type, 0xF5: _Machine._regval_type,
    0xA6: _Machine._deref_type, 0xF6: _Machine._deref_type, 0xA8: _Machine._convert, 0xF7: _Machine._convert,
    0xA9: _Machine._convert, 0xF9: _Machine._convert,
}  # fmt: skip


def constant_pieces(data: bytes) -> list[Piece]:
    """A constant of any size, eight bytes at a time."""
    chunks = (data[at : at + 8] for at in range(0, len(data), 8))
    return [Piece(_const(int.from_bytes(chunk, "little")), False, len(chunk)) for chunk in chunks]


def _const(value: int) -> Const:
    """As a signed 64-bit number, which is what the IR counts in."""
    value &= _MASK
    return Const(value - (1 << 64) if value & _SIGN else value)


def _fold(operator: str, left: Expr, right: Expr) -> Expr:
    """Sums with constants are folded, so that `reg + 8 + 16` is one addition."""
    if operator not in "+-" or not isinstance(right, Const):
        return Binary(operator, left, right)
    amount = right.value if operator == "+" else -right.value
    if amount == 0:
        return left
    if isinstance(left, Const):
        return _const(left.value + amount)
    if isinstance(left, Binary) and left.operator == "+" and isinstance(left.right, Const):
        return _fold("+", left.left, Const(left.right.value + amount))
    return Binary("+", left, Const(amount))
