"""Where a function's arguments are in their places: at its first instruction, or past what stores them on the stack.

gcc says in its units which options it was given; of other compilers' code it is told by where the variables are.
"""

from __future__ import annotations

from bisect import bisect_right

from pystap.debuginfo import dw
from pystap.debuginfo.die import Die
from pystap.debuginfo.lines import LineTable
from pystap.debuginfo.location import locations
from pystap.debuginfo.ranges import ranges_of

_ASSEMBLERS = (0x8001, 0x31)  # DW_LANG_Mips_Assembler, DW_LANG_Assembly
_REGISTERS = [bytes([code]) for code in range(0x50, 0x70)]  # DW_OP_reg0 to reg31


def unoptimized(function: Die) -> bool:
    """Whether a function was compiled without optimization, so that its arguments are stored on the stack first."""
    root = function.unit.root
    found = root.attributes.get(dw.PRODUCER)
    producer = root.unit.string(*found) if found else ""
    if root.number(dw.LANGUAGE) in _ASSEMBLERS or producer.startswith("GNU AS"):
        return False
    if producer.startswith("GNU ") and " -" in producer:
        return " -O" not in producer or " -O0" in producer
    return _on_the_stack(function)


def prologue_end(table: LineTable, function: Die, pc: int) -> int:
    """Where the compiler says that the prologue ends, or the second row of lines, where gcc's does."""
    rows = table.sorted_rows
    end = max((high for low, high in ranges_of(function) if low <= pc < high), default=pc)
    start = bisect_right(rows, pc, key=lambda r: r.address)
    later = [r for r in rows[start : bisect_right(rows, end - 1, key=lambda r: r.address)] if not r.end]
    marked = [r.address for r in later if r.prologue_end]
    return marked[0] if marked else later[0].address if later else pc


def _on_the_stack(function: Die) -> bool:
    """Whether no parameter is in a register: it was stored before it can be read, by whatever code does that."""
    found = [d for d in function.children() if d.tag == dw.FORMAL_PARAMETER and dw.LOCATION in d.attributes]
    return bool(found) and not any(_in_register(d) for d in found)


def _in_register(parameter: Die) -> bool:
    place = parameter.get(dw.LOCATION)
    if not isinstance(place, bytes):
        place = next((expression for _, _, expression in locations(parameter)), b"")
    return place[:1] in _REGISTERS
