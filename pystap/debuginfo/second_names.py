"""Names of functions that only the symbol table has: second names of what DWARF describes, and code that it does not.

The second are the unlikely halves of functions (.cold), trampolines, and what gcc folded into another function.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pystap.debuginfo import dw
from pystap.debuginfo.elf import SHF_EXECINSTR, STT_FUNC, Elf, Symbol
from pystap.debuginfo.symtab import NameTable

if TYPE_CHECKING:
    from pystap.debuginfo.sections import Sections

PART = ".part."  # in the symbol of what gcc split off a function, to inline the rest
_BOOTING = (".init", ".exit")


def build(dwarf: Sections, bodies: Iterable[tuple[str, int, int]], without_code: frozenset[str]) -> bytes:
    """The bytes of a table: name -> address, and DWARF's name of the function there ("" where it has none).

    A function in one piece is DWARF's whatever its symbol is named; of those in several, a symbol of another
    name is taken for a function of its own, as SystemTap takes it. What DWARF describes without code of its own
    (gcc found another function with the same code) is none.
    """
    known: dict[int, list[tuple[str, int]]] = {}
    for name, address, die in bodies:
        known.setdefault(address, []).append((name, die))
    lines = []
    for symbol, pc in _functions(dwarf.elf, dwarf.bases):
        here = known.get(pc, [])
        if any(name == symbol.name for name, _ in here):
            continue
        whole = next((name for name, die in here if dw.RANGES not in dwarf.die(die).attributes), "")
        if PART not in symbol.name if whole else symbol.name not in without_code:
            lines.append(f"{symbol.name}\t{pc:x}\t{whole}")
    return NameTable.build(lines)


def _functions(elf: Elf, bases: dict[int, int]) -> Iterator[tuple[Symbol, int]]:
    """The functions that stay after boot, and their addresses."""
    stays = {s.index for s in elf.sections if s.flags & SHF_EXECINSTR and not s.name.startswith(_BOOTING)}
    for symbol in elf.symbols():
        if symbol.kind == STT_FUNC and symbol.section in stays:
            yield symbol, bases.get(symbol.section, 0) + symbol.value
