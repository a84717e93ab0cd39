"""Call frames (.eh_frame, .debug_frame) of a program or library -> a table by address of how to get to the caller.

x86-64 alone. What a row can not express (rare: hand-written assembly) has no row, and the walk ends there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from pystap.debuginfo.damage import MALFORMED
from pystap.debuginfo.elf import EM_X86_64, Elf
from pystap.debuginfo.sections import Data, sleb, text_at, uleb

_RBP, _RSP, _RA = 6, 7, 16
KEPT = (_RA, 3, _RBP, 12, 13, 14, 15)  # the return address, then what callees preserve, in the order of Rule.saved
SAME = -0x8000  # not saved: the caller's is the callee's
UNDEFINED = -0x7FFF  # of the return address: there is no caller
_DEBUG_CIE = 0xFFFFFFFF
_FORMATS = {0x00: "<Q", 0x02: "<H", 0x03: "<I", 0x04: "<Q", 0x0A: "<h", 0x0B: "<i", 0x0C: "<q"}
_INTERRUPTED = 40  # from the stack pointer of a signal handler's return to the registers that the kernel saved
# rsp + 8 + ((rip & 15) >= N) * 8: a stub of the procedure linkage table, which pushes a number half-way
_PLT = (b"\x77\x08\x80\x00\x3f\x1a", b"\x2a\x33\x24\x22")


class Rule(NamedTuple):
    """How a frame's caller is found; offsets are from the CFA, or from rbp where the bit in `by_rbp` says so."""

    kind: str  # register: CFA = register + offset; memory: CFA = *(register + offset); plt; signal: all registers there
    register: int
    offset: int
    saved: tuple[int, ...]  # of KEPT
    by_rbp: int = 0


class Row(NamedTuple):
    """From `start` on (link-time); rule None: nothing is known."""

    start: int
    rule: Rule | None


@dataclass(slots=True)
class _Cie:
    code_align: int
    data_align: int
    program: bytes
    encoding: int
    augmented: bool
    signal: bool
    initial: _State | None = None


@dataclass(slots=True)
class _State:
    kind: str = "register"
    register: int = _RSP
    offset: int = 8
    saved: dict[int, int] = field(default_factory=dict)
    by_rbp: int = 0

    def copy(self) -> _State:
        return _State(self.kind, self.register, self.offset, dict(self.saved), self.by_rbp)

    def rule(self) -> Rule | None:
        if self.kind == "unknown" or self.register > _RA or not -(2**31) <= self.offset < 2**31:
            return None
        return Rule(self.kind, self.register, self.offset, tuple(self.saved.get(r, SAME) for r in KEPT), self.by_rbp)


def rows(elf: Elf, debug_frame: Data = b"") -> list[Row]:
    """The table of a file, by address, each row unlike the one before it; `debug_frame`: what its debug-info adds."""
    if elf.machine != EM_X86_64:
        return []
    section = elf.section(".eh_frame")
    readers = [] if section is None else [_Reader(elf.bytes_of(section), section.address)]
    if len(debug_frame):
        readers.append(_Reader(bytes(debug_frame)))
    found = sorted((f for r in readers for f in r.functions()), key=lambda f: f[0])
    out: list[Row] = []
    for low, high, inside in found:
        if out and out[-1].start > low:
            continue  # overlapping descriptions: the first counts
        if out and out[-1].start == low and out[-1].rule is None:
            out.pop()
        out += inside
        out.append(Row(high, None))
    return _distinct(out)


def _distinct(table: list[Row]) -> list[Row]:
    out: list[Row] = []
    for row in table:
        if not out or out[-1].rule != row.rule:
            out.append(row)
    return out


class _Reader:
    def __init__(self, data: bytes, address: int | None = None) -> None:
        self._data = data
        self._debug = address is None  # .debug_frame
        self._address = address or 0
        self._cies: dict[int, _Cie] = {}

    def functions(self) -> Iterator[tuple[int, int, list[Row]]]:
        """(first address, past the last, rows) of each description, as far as they can be read."""
        with suppress(*MALFORMED):  # the file is damaged
            yield from self._functions()

    def _functions(self) -> Iterator[tuple[int, int, list[Row]]]:
        data, at = self._data, 0
        while at + 8 <= len(data):
            (length,) = struct.unpack_from("<I", data, at)
            if length == 0:
                at += 4  # a terminator; linkers leave some in between
                continue
            if length >= 0xFFFFFFF0:
                return
            (back,) = struct.unpack_from("<I", data, at + 4)
            if back != (_DEBUG_CIE if self._debug else 0):
                yield self._function(at, at + 4 + length, self._cie(back if self._debug else at + 4 - back))
            at += 4 + length

    def _function(self, at: int, end: int, cie: _Cie) -> tuple[int, int, list[Row]]:
        low, after = self._pointer(at + 8, cie.encoding)
        size, after = self._pointer(after, cie.encoding & 0x0F)
        if cie.augmented:
            length, after = uleb(self._data, after)
            after += length
        if cie.signal:
            return low, low + size, [Row(low, Rule("signal", _RSP, _INTERRUPTED, (SAME,) * len(KEPT)))]
        if cie.initial is None:
            machine = _Machine(cie, _State())
            machine.run(cie.program, 0)
            cie.initial = machine.state
        machine = _Machine(cie, cie.initial.copy())
        machine.run(self._data[after:end], low)
        return low, low + size, machine.finish(low, low + size)

    def _pointer(self, at: int, encoding: int) -> tuple[int, int]:
        form = _FORMATS[encoding & 0x0F]
        (value,) = struct.unpack_from(form, self._data, at)
        if encoding & 0x70 == 0x10:
            value += self._address + at
        return value & 0xFFFFFFFFFFFFFFFF, at + struct.calcsize(form)

    def _cie(self, at: int) -> _Cie:
        known = self._cies.get(at)
        if known is None:
            known = self._cies[at] = self._read_cie(at)
        return known

    def _read_cie(self, start: int) -> _Cie:
        data = self._data
        end = start + 4 + int(struct.unpack_from("<I", data, start)[0])
        augmentation = text_at(data, start + 9)
        at = start + 9 + len(augmentation) + 1 + (2 if data[start + 8] >= 4 else 0)
        code_align, at = uleb(data, at)
        data_align, at = sleb(data, at)
        _, at = uleb(data, at) if data[start + 8] >= 3 else (0, at + 1)
        encoding = 0
        if augmentation.startswith("z"):
            size, at = uleb(data, at)
            encoding = self._encoding(at, augmentation[1:])
            at += size
        return _Cie(
            code_align, data_align, data[at:end], encoding, augmentation.startswith("z"), "S" in augmentation
        )

    def _encoding(self, at: int, letters: str) -> int:
        for letter in letters:
            if letter == "R":
                return self._data[at]
            if letter == "P":
                at += 1 + {2: 2, 3: 4, 4: 8, 10: 2, 11: 4, 12: 8, 0: 8}[self._data[at] & 0x0F]
            elif letter == "L":
                at += 1
        return 0


class _Machine:
    """Runs call-frame instructions and collects the rows."""

    def __init__(self, cie: _Cie, state: _State) -> None:
        self._cie = cie
        self.state = state
        self._stack: list[_State] = []
        self._rows: list[Row] = []
        self._location = 0

    def run(self, code: bytes, location: int) -> None:
        """All instructions, from a location on."""
        self._location = location
        at = 0
        while at < len(code):
            op = code[at]
            at += 1
            match op & 0xC0:
                case 0x40:
                    self._advance(op & 0x3F)
                case 0x80:
                    offset, at = uleb(code, at)
                    self._save(op & 0x3F, offset * self._cie.data_align)
                case 0xC0:
                    self._restore(op & 0x3F)
                case _:
                    at = self._extended(op, code, at)

    def finish(self, low: int, high: int) -> list[Row]:
        """The rows, the last one included."""
        self._rows.append(Row(self._location, self.state.rule()))
        latest = {row.start: row for row in self._rows if low <= row.start < high}
        return [latest[start] for start in sorted(latest)]

    def _advance(self, delta: int) -> None:
        self._rows.append(Row(self._location, self.state.rule()))
        self._location += delta * self._cie.code_align

    def _save(self, register: int, offset: int, by_rbp: bool = False) -> None:
        if register not in KEPT:
            return
        if not -0x7000 < offset < 0x7FFF:
            self.state.kind = "unknown"
            return
        bit = 1 << KEPT.index(register)
        self.state.by_rbp = self.state.by_rbp | bit if by_rbp else self.state.by_rbp & ~bit
        self.state.saved[register] = offset

    def _restore(self, register: int) -> None:
        initial = self._cie.initial
        if initial is not None and register in initial.saved:
            self._save(register, initial.saved[register])
        else:
            self.state.saved.pop(register, None)

    def _extended(self, op: int, code: bytes, at: int) -> int:  # noqa: C901  (one arm per instruction)
        state, align = self.state, self._cie.data_align
        match op:
            case 0x02 | 0x03 | 0x04:
                width = 1 << (op - 2)
                self._advance(int.from_bytes(code[at : at + width], "little"))
                return at + width
            case 0x05 | 0x11:
                register, at = uleb(code, at)
                offset, at = uleb(code, at) if op == 0x05 else sleb(code, at)
                self._save(register, offset * align)
            case 0x06 | 0x08:
                register, at = uleb(code, at)
                if op == 0x06:
                    self._restore(register)
                else:
                    state.saved.pop(register, None)
            case 0x07:
                register, at = uleb(code, at)
                if register == _RA:
                    state.saved[_RA] = UNDEFINED
            case 0x0A:
                self._stack.append(state.copy())
            case 0x0B:
                self.state = self._stack.pop() if self._stack else state
            case 0x0C | 0x12:
                state.register, at = uleb(code, at)
                state.offset, at = uleb(code, at) if op == 0x0C else sleb(code, at)
                state.offset *= 1 if op == 0x0C else align
                state.kind = "register"
            case 0x0D:
                state.register, at = uleb(code, at)
                state.kind = "register"
            case 0x0E | 0x13:
                state.offset, at = uleb(code, at) if op == 0x0E else sleb(code, at)
                state.offset *= 1 if op == 0x0E else align
            case 0x0F:
                size, at = uleb(code, at)
                self._cfa_expression(code[at : at + size])
                at += size
            case 0x10 | 0x16:
                register, at = uleb(code, at)
                size, at = uleb(code, at)
                self._register_expression(register, code[at : at + size], op == 0x10)
                at += size
            case 0x2E:
                _, at = uleb(code, at)
            case 0x00 | 0x2D:
                pass
            case (
                _
            ):  # 0x09 (a register holds it), 0x14 (a value), 0x01: not met in compilers' output for these registers
                state.kind = "unknown"
                return len(code)
        return at

    def _cfa_expression(self, code: bytes) -> None:
        state = self.state
        if code.startswith(_PLT[0]) and code.endswith(_PLT[1]) and len(code) == 11:
            state.kind, state.register, state.offset = "plt", _RSP, code[6] - 0x30
            return
        if code and 0x70 <= code[0] <= 0x8F and code[-1] == 0x06:
            offset, end = sleb(code, 1)
            if end == len(code) - 1:
                state.kind, state.register, state.offset = "memory", code[0] - 0x70, offset
                return
        state.kind = "unknown"

    def _register_expression(self, register: int, code: bytes, is_address: bool) -> None:
        if register not in KEPT:
            return
        if is_address and code and code[0] == 0x70 + _RBP:
            offset, end = sleb(code, 1)
            if end == len(code):
                self._save(register, offset, by_rbp=True)
                return
        self.state.kind = "unknown"
