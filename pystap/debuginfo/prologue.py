"""Where a function's arguments are in their places: at its first instruction, or past what stores them on the stack.

gcc says in its units which options it was given; of other compilers' code it is told by where the variables are.
"""

from __future__ import annotations

from bisect import bisect_right

from pystap.debuginfo import dw
from pystap.debuginfo.die import Die
from pystap.debuginfo.lines import LineTable
from pystap.debuginfo.ranges import ranges_of

_ASSEMBLERS = (0x8001, 0x31)  # DW_LANG_Mips_Assembler, DW_LANG_Assembly
_DW_OP_FBREG = 0x91


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
    """Whether all parameters are in the frame from the first instruction to the last: optimized code moves them."""
    found = [d.get(dw.LOCATION) for d in function.children() if d.tag == dw.FORMAL_PARAMETER]
    return bool(found) and all(isinstance(place, bytes) and place[:1] == bytes([_DW_OP_FBREG]) for place in found)
