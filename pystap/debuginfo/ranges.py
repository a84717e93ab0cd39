"""The addresses that a DIE covers: low and high pc, .debug_ranges, .debug_rnglists."""

from __future__ import annotations

import struct

from pystap.debuginfo import dw
from pystap.debuginfo.damage import reading
from pystap.debuginfo.die import Die, Unit
from pystap.debuginfo.sections import Data, uleb

Ranges = list[tuple[int, int]]  # (first, past the last)


def ranges_of(die: Die) -> Ranges:
    """A DIE's address ranges, in its order."""
    with reading(die.unit.dwarf.name, "its address ranges"):
        return _ranges_of(die)


def _ranges_of(die: Die) -> Ranges:
    low = die.attributes.get(dw.LOW_PC)
    high = die.attributes.get(dw.HIGH_PC)
    if low is not None and high is not None:
        start = die.unit.address(*low)
        end = die.unit.address(*high) if high[0] in (dw.F_ADDR, dw.F_ADDRX) else start + int(high[1])
        return [(start, end)] if end > start else []
    found = die.attributes.get(dw.RANGES)
    if found is None:
        return []
    form, value = found
    if die.unit.version >= 5:
        return _rnglist(die.unit, _rnglist_offset(die.unit, int(value)) if form == dw.F_RNGLISTX else int(value))
    return _ranges(die.unit, int(value))


def entry_pc(die: Die) -> int | None:
    """Where a function, or an inlined copy of it, is entered."""
    with reading(die.unit.dwarf.name, "its address ranges"):
        found = _entry_pc(die)
    return None if found is None else found & 0xFFFFFFFFFFFFFFFF


def _entry_pc(die: Die) -> int | None:
    for attribute in (dw.ENTRY_PC, dw.LOW_PC):
        found = die.attributes.get(attribute)
        if found is None:
            continue
        form, value = found
        if form in (dw.F_ADDR, dw.F_ADDRX, dw.F_ADDRX1, dw.F_ADDRX2, dw.F_ADDRX3, dw.F_ADDRX4):
            return die.unit.address(form, value)
        start = ranges_of(die)  # an offset from the first range (DWARF 5)
        return start[0][0] + int(value) if start else None
    found_ranges = ranges_of(die)
    return found_ranges[0][0] if found_ranges else None


def covers(die: Die, pc: int) -> bool:
    """Whether the address is inside the DIE."""
    return any(low <= pc < high for low, high in ranges_of(die))


def _rnglist_offset(unit: Unit, index: int) -> int:
    base = int(unit.root.attributes.get(dw.RNGLISTS_BASE, (0, 12))[1])
    data = unit.dwarf.section(".debug_rnglists")
    return base + int(struct.unpack_from("<I", data, base + 4 * index)[0])


def _rnglist(unit: Unit, at: int) -> Ranges:
    data: Data = unit.dwarf.section(".debug_rnglists")
    base = unit.low_pc
    out: Ranges = []
    while True:
        kind = data[at]
        at += 1
        if kind == 0:
            return out
        if kind == 5:
            base, at = int(struct.unpack_from("<Q", data, at)[0]), at + 8
        elif kind == 1:
            index, at = uleb(data, at)
            base = unit.indexed_address(index)
        else:
            pair, at = _range_entry(unit, data, at, kind, base)
            out.append(pair)


def _range_entry(unit: Unit, data: Data, at: int, kind: int, base: int) -> tuple[tuple[int, int], int]:
    if kind == 4:  # offset_pair
        low, at = uleb(data, at)
        high, at = uleb(data, at)
        return (base + low, base + high), at
    if kind == 6:  # start_end
        low, high = struct.unpack_from("<QQ", data, at)
        return (low, high), at + 16
    if kind == 7:  # start_length
        (low,) = struct.unpack_from("<Q", data, at)
        length, at = uleb(data, at + 8)
        return (low, low + length), at
    if kind not in (2, 3):
        raise ValueError("a range of no known kind")
    first, at = uleb(data, at)  # startx_endx, startx_length
    second, at = uleb(data, at)
    low = unit.indexed_address(first)
    return (low, unit.indexed_address(second) if kind == 2 else low + second), at


def _ranges(unit: Unit, at: int) -> Ranges:
    data = unit.dwarf.section(".debug_ranges")
    base = unit.low_pc
    out: Ranges = []
    while True:
        low, high = struct.unpack_from("<QQ", data, at)
        at += 16
        if low == 0 and high == 0:
            return out
        if low == 0xFFFFFFFFFFFFFFFF:
            base = high
        elif high > low:
            out.append((base + low, base + high))
