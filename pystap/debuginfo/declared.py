"""Variables that are declared everywhere and defined nowhere: symbols of linker scripts and of assembly (`jiffies`).

No index has them. Where a name stands in .debug_str tells which DIEs can have it: a few searches through .debug_info.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from pystap.debuginfo import dw
from pystap.debuginfo.die import Die
from pystap.debuginfo.sections import Sections

_UNITS = 40  # that mention the name, and are looked into


def declaration(sections: Sections, name: str) -> Die | None:
    """The declaration of a global variable; None where there is none."""
    for offset in _units_with(sections, name):
        for die in sections.unit(offset).root.children():
            if die.tag == dw.VARIABLE and die.name == name and die.get(dw.DECLARATION):
                return die
    return None


def _units_with(sections: Sections, name: str) -> Iterator[int]:
    """Where units begin that may mention a name, in the file's order."""
    texts = re.finditer(re.escape(name.encode()) + b"\0", sections.section(".debug_str"))  # a longer text's end will do
    places = [re.escape(struct.pack("<I", m.start())) for m in texts]
    if not places:
        return
    seen: set[int] = set()
    for found in re.finditer(b"|".join(places), sections.info):
        unit = sections.unit_of(found.start()).offset
        if unit not in seen:
            seen.add(unit)
            yield unit
        if len(seen) == _UNITS:
            return
