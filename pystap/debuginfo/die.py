"""DWARF's tree of entries (DIEs) in .debug_info, versions 4 and 5: decoded one by one, where they are asked for.

Plain Python over a memory map, no library: pyelftools takes half a second to open a kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pystap.debuginfo import dw
from pystap.debuginfo.damage import MALFORMED, Damaged, damaged, reading, text_of
from pystap.debuginfo.sections import Sections, sleb, uleb
from pystap.diagnostics import StapError

_U32 = struct.Struct("<I").unpack_from
Value = Any  # int, bytes (blocks and expressions), str


@dataclass(frozen=True, slots=True)
class Abbrev:
    """One shape of DIE."""

    tag: int
    children: bool
    specs: tuple[tuple[int, int, int], ...]  # attribute, form, implicit constant
    size: int | None  # of all attributes; None: it varies
    sibling: int | None  # where the sibling's reference stands, when it can be known


class Unit:
    """One compile unit."""

    def __init__(self, dwarf: Sections, offset: int) -> None:
        self.dwarf = dwarf
        self.offset = offset
        with reading(dwarf.name, f"debug-info at {offset:#x}"):
            self._read_header(dwarf, offset)

    def _read_header(self, dwarf: Sections, offset: int) -> None:
        data = dwarf.info
        length, version = struct.unpack_from("<IH", data, offset)
        if length >= 0xFFFFFFF0:
            raise StapError(f"{dwarf.name}: 64-bit DWARF is not supported")
        self.data = data
        self.end: int = min(offset + 4 + length, len(data))
        self.version: int = version
        self.kind = 1  # DW_UT_compile
        if version >= 5:
            self.kind, self.address_size, abbrev = struct.unpack_from("<BBI", data, offset + 6)
            self.first = offset + 12 + {1: 0, 3: 0, 2: 12, 6: 12, 4: 8, 5: 8}.get(self.kind, 0)
        elif version >= 2:
            abbrev, self.address_size = struct.unpack_from("<IB", data, offset + 6)
            self.first = offset + 11
        else:
            raise StapError(f"{dwarf.name}: DWARF version {version} is not supported")
        self.abbrevs = dwarf_abbrevs(dwarf, abbrev)

    @cached_property
    def root(self) -> Die:
        """The unit's own DIE."""
        return self.die(self.first)

    @cached_property
    def low_pc(self) -> int:
        """The base of its ranges and location lists."""
        found = self.root.attributes.get(dw.LOW_PC)
        return self.address(*found) if found else 0

    def die(self, offset: int) -> Die:
        """The DIE at an offset of .debug_info."""
        try:
            code, at = uleb(self.data, offset)
            return Die(self, offset, self.abbrevs[code], at)
        except MALFORMED:
            raise self.damaged(offset) from None

    def damaged(self, offset: int) -> Damaged:
        """What is to be raised where an entry makes no sense."""
        return damaged(self.dwarf.name, f"debug-info at {offset:#x}")

    def attributes(self, abbrev: Abbrev, at: int) -> tuple[dict[int, tuple[int, Value]], int]:
        """attribute -> (form, raw value), and where the DIE ends."""
        out: dict[int, tuple[int, Value]] = {}
        data = self.data
        try:
            for name, form, constant in abbrev.specs:
                if form == dw.F_IMPLICIT_CONST:
                    out[name] = (form, constant)
                else:
                    value, at, form = read_form(data, at, form)
                    out[name] = (form, value)
        except MALFORMED:
            raise self.damaged(at) from None
        return out, at

    def string(self, form: int, value: Value) -> str:
        """The text of a string attribute."""
        if form == dw.F_STRP:
            return self.dwarf.text(value)
        if form == dw.F_LINE_STRP:
            return self.dwarf.line_text(value)
        if form == dw.F_STRING:
            return str(value)
        if form in (dw.F_GNU_STRP_ALT, dw.F_STRP_SUP):
            return self.dwarf.shared.text(value)
        with reading(self.dwarf.name, "its .debug_str_offsets"):
            base = int(self.root.attributes.get(dw.STR_OFFSETS_BASE, (0, 8))[1])
            offsets = self.dwarf.section(".debug_str_offsets")
            return self.dwarf.text(struct.unpack_from("<I", offsets, base + 4 * value)[0])

    def address(self, form: int, value: Value) -> int:
        """The address of an attribute, direct or by .debug_addr."""
        if not isinstance(value, int):
            raise self.damaged(self.offset)
        return value if form == dw.F_ADDR else self.indexed_address(value)

    def indexed_address(self, index: int) -> int:
        """An entry of .debug_addr."""
        with reading(self.dwarf.name, "its .debug_addr"):
            base = int(self.root.attributes.get(dw.ADDR_BASE, (0, 8))[1])
            return int(struct.unpack_from("<Q", self.dwarf.section(".debug_addr"), base + 8 * index)[0])


@dataclass(slots=True, eq=False)
class Die:
    """One entry. Equality is by offset: compare `offset`."""

    unit: Unit
    offset: int
    abbrev: Abbrev
    _at: int
    _attributes: dict[int, tuple[int, Value]] | None = field(default=None, repr=False)
    _end: int = 0

    @property
    def tag(self) -> int:
        return self.abbrev.tag

    @property
    def attributes(self) -> dict[int, tuple[int, Value]]:
        """attribute -> (form, raw value)."""
        if self._attributes is None:
            self._attributes, self._end = self.unit.attributes(self.abbrev, self._at)
        return self._attributes

    @property
    def end(self) -> int:
        """Past its attributes: where its first child, or what follows, begins."""
        if not self._end:
            if self.abbrev.size is not None:
                self._end = self._at + self.abbrev.size
            else:
                assert self.attributes is not None
        return self._end

    def get(self, attribute: int) -> Value | None:
        """An attribute's raw value."""
        found = self.attributes.get(attribute)
        return None if found is None else found[1]

    def number(self, attribute: int) -> int | None:
        """An attribute's value as a number; None where it is none (an expression)."""
        value = self.get(attribute)
        return value if isinstance(value, int) else None

    def reference(self, attribute: int) -> Die | None:
        """The DIE that an attribute refers to."""
        found = self.attributes.get(attribute)
        if found is None:
            return None
        form, value = found
        if not isinstance(value, int):
            raise self.unit.damaged(self.offset)
        if form in dw.UNIT_REFERENCES:
            return self.unit.die(self.unit.offset + value)
        if form == dw.F_REF_ADDR:
            return self.unit.dwarf.die(value)
        if form in dw.SHARED_REFERENCES:
            return self.unit.dwarf.shared.die(value)
        if form == dw.F_REF_SIG8:
            return self.unit.dwarf.type_at(value)
        return None

    def origin(self) -> Die:
        """The DIE that declares it: through abstract origins and specifications."""
        die = self
        for _ in range(8):
            upper = die.reference(dw.ABSTRACT_ORIGIN) or die.reference(dw.SPECIFICATION)
            if upper is None:
                break
            die = upper
        return die

    def inherited(self, attribute: int) -> tuple[Die, tuple[int, Value]] | None:
        """An attribute of its own or of its origins, with the DIE that has it."""
        die: Die | None = self
        for _ in range(8):
            if die is None:
                break
            found = die.attributes.get(attribute)
            if found is not None:
                return die, found
            die = die.reference(dw.ABSTRACT_ORIGIN) or die.reference(dw.SPECIFICATION)
        return None

    @property
    def name(self) -> str:
        """Its name, also through its origins; "" where it has none."""
        found = self.inherited(dw.NAME)
        return found[0].unit.string(*found[1]) if found else ""

    def children(self) -> Iterator[Die]:
        """Its direct children."""
        if not self.abbrev.children:
            return
        at, data, end = self.end, self.unit.data, self.unit.end
        while at < end and data[at]:
            child = self.unit.die(at)
            yield child
            at = child.past()

    def past(self) -> int:
        """Where the entry after it and its children begins."""
        if not self.abbrev.children:
            return self.end
        if self.abbrev.sibling is not None:  # walks pass over most of what they meet: nothing else of it is decoded
            try:
                after: int = self.unit.offset + _U32(self.unit.data, self._at + self.abbrev.sibling)[0]
            except struct.error:
                raise self.unit.damaged(self.offset) from None
        elif dw.SIBLING in self.attributes:
            after = self.unit.offset + (self.number(dw.SIBLING) or 0)
        else:
            return self._past_children()
        if after <= self.offset:  # else whoever walks over it would never end
            raise self.unit.damaged(self.offset)
        return after

    def _past_children(self) -> int:
        """The same where no reference leads there: past the end of each list of children."""
        unit, at, depth = self.unit, self.end, 1
        while depth:
            if at >= unit.end:
                raise unit.damaged(self.offset)
            if not unit.data[at]:
                at, depth = at + 1, depth - 1
                continue
            die = unit.die(at)
            opened = die.abbrev.children and die.abbrev.sibling is None and dw.SIBLING not in die.attributes
            at, depth = (die.end, depth + 1) if opened else (die.past(), depth)
        return at


def read_form(data: Any, at: int, form: int) -> tuple[Value, int, int]:
    """(value, past it, form): the form is another one where it was indirect."""
    size = dw.FIXED_SIZES.get(form)
    if size is not None:
        if form == dw.F_FLAG_PRESENT:
            return 1, at, form
        return int.from_bytes(data[at : at + size], "little"), at + size, form
    if form in (dw.F_EXPRLOC, dw.F_BLOCK):
        length, at = uleb(data, at)
        return bytes(data[at : at + length]), at + length, form
    if form in (dw.F_UDATA, dw.F_REF_UDATA, dw.F_STRX, dw.F_ADDRX, dw.F_LOCLISTX, dw.F_RNGLISTX):
        value, at = uleb(data, at)
        return value, at, form
    if form == dw.F_SDATA:
        value, at = sleb(data, at)
        return value, at, form
    return _read_rare(data, at, form)


def _read_rare(data: Any, at: int, form: int) -> tuple[Value, int, int]:
    if form == dw.F_STRING:
        end = at
        while data[end]:
            end += 1
        return text_of(bytes(data[at:end])), end + 1, form
    if form == dw.F_INDIRECT:
        real, at = uleb(data, at)
        if real == dw.F_INDIRECT:
            raise ValueError("a form that says itself")
        return read_form(data, at, real)
    width = {dw.F_BLOCK1: 1, dw.F_BLOCK2: 2, dw.F_BLOCK4: 4}.get(form)
    if width is None:
        raise StapError(f"DWARF form {form:#x} is not known to pystap")
    length = int.from_bytes(data[at : at + width], "little")
    return bytes(data[at + width : at + width + length]), at + width + length, form


def dwarf_abbrevs(dwarf: Sections, offset: int) -> dict[int, Abbrev]:
    """The table of abbreviations at an offset of .debug_abbrev, decoded once."""
    known = dwarf.abbrevs.get(offset)
    if known is None:
        with reading(dwarf.name, "its .debug_abbrev"):
            known = dwarf.abbrevs[offset] = _read_abbrevs(dwarf.section(".debug_abbrev"), offset)
    return known


def _read_abbrevs(data: Any, at: int) -> dict[int, Abbrev]:
    table: dict[int, Abbrev] = {}
    while True:
        code, at = uleb(data, at)
        if code == 0:
            return table
        tag, at = uleb(data, at)
        children = data[at] == 1
        at += 1
        specs, at = _read_specs(data, at)
        table[code] = Abbrev(tag, children, specs, _fixed_size(specs), _sibling_at(specs))


def _read_specs(data: Any, at: int) -> tuple[tuple[tuple[int, int, int], ...], int]:
    specs: list[tuple[int, int, int]] = []
    while True:
        name, at = uleb(data, at)
        form, at = uleb(data, at)
        constant = 0
        if form == dw.F_IMPLICIT_CONST:
            constant, at = sleb(data, at)
        if name == 0 and form == 0:
            return tuple(specs), at
        specs.append((name, form, constant))


def _fixed_size(specs: tuple[tuple[int, int, int], ...]) -> int | None:
    sizes = [dw.FIXED_SIZES.get(form) for _, form, _ in specs]
    return None if None in sizes else sum(s for s in sizes if s is not None)


def _sibling_at(specs: tuple[tuple[int, int, int], ...]) -> int | None:
    for k, (name, form, _) in enumerate(specs):
        if name == dw.SIBLING and form == dw.F_REF4:
            return _fixed_size(specs[:k])
    return None
