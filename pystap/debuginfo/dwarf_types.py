"""DWARF type entries -> CTypes, lazily: the twin of btf.py's decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pystap.debuginfo import dw
from pystap.debuginfo.ctype import (
    MOST_LAYERS,
    VOID,
    Array,
    CType,
    Enum,
    Float,
    FunctionType,
    Int,
    Lazy,
    Member,
    Pointer,
    Qualified,
    Struct,
    Typedef,
)
from pystap.debuginfo.die import Die
from pystap.debuginfo.lines import LineTable
from pystap.debuginfo.sections import Sections, uleb

_DW_ATE_FLOATS = frozenset((0x03, 0x04))
_DW_ATE_BOOLEAN, _DW_ATE_SIGNED, _DW_ATE_SIGNED_CHAR, _DW_ATE_UNSIGNED_CHAR = 0x02, 0x05, 0x06, 0x08
_CHARACTERS = {_DW_ATE_SIGNED_CHAR: "char", _DW_ATE_UNSIGNED_CHAR: "char", 0x10: "utf"}
_QUALIFIERS = {
    dw.CONST_TYPE: "const", dw.VOLATILE_TYPE: "volatile", dw.RESTRICT_TYPE: "restrict", dw.ATOMIC_TYPE: "_Atomic",
}  # fmt: skip
_DW_CC_PASS_BY_REFERENCE = 4
_RECORDS = {dw.STRUCTURE_TYPE: "struct", dw.UNION_TYPE: "union", dw.CLASS_TYPE: "class"}
Complete = Callable[[str, str], "CType | None"]  # (struct, name) -> the defined type of a declared one


class Types:
    """The types of one file."""

    def __init__(self, dwarf: Sections, complete: Complete = lambda kind, name: None) -> None:
        self._dwarf = dwarf
        self._complete = complete
        self._known: dict[tuple[str, int], CType] = {}
        self._lines: dict[tuple[str, int], LineTable] = {}

    def of(self, die: Die) -> CType:
        """The type that DW_AT_type of a DIE (or of its origin) names; void where there is none."""
        found = die.inherited(dw.TYPE)
        if found is None:
            return VOID
        target = found[0].reference(dw.TYPE)
        return VOID if target is None else self.at(target)

    def at(self, die: Die) -> CType:
        """The type that a type DIE defines."""
        if dw.SIGNATURE in die.attributes:
            die = die.reference(dw.SIGNATURE) or die
        where = die.unit.dwarf.name, die.offset
        known = self._known.get(where)
        if known is None:
            known = self._known[where] = self._read(die)
        return known

    def function(self, die: Die) -> FunctionType:
        """The prototype of a subprogram or subroutine type."""
        parameters, variadic = [], False
        for child in die.origin().children():
            if child.tag == dw.FORMAL_PARAMETER:
                parameters.append((child.name, self._lazy_of(child)))
            elif child.tag == dw.UNSPECIFIED_PARAMETERS:
                variadic = True
        return FunctionType(self._lazy_of(die), tuple(parameters), variadic)

    def declared(self, die: Die) -> str:
        """`file:line` of a declaration; "" where it is not known."""
        file, line = die.inherited(dw.DECL_FILE), die.inherited(dw.DECL_LINE)
        if file is None or line is None:
            return ""
        return f"{self.file(file[0], file[0].number(dw.DECL_FILE))}:{line[0].number(dw.DECL_LINE) or 0}"

    def file(self, die: Die, number: int | None) -> str:
        """A file's path by its number in the die's unit."""
        return self.lines(die).file(number)

    def lines(self, die: Die) -> LineTable:
        """The line table of a DIE's unit, read once."""
        where = die.unit.dwarf.name, die.unit.offset
        table = self._lines.get(where)
        if table is None:
            table = self._lines[where] = LineTable(die.unit)
        return table

    def _lazy_of(self, die: Die) -> Lazy:
        return Lazy(lambda: self.of(die))

    def _read(self, die: Die) -> CType:
        tag = die.tag
        if tag in _RECORDS:
            return self._record(die)
        if tag in _QUALIFIERS:
            return Qualified(_QUALIFIERS[tag], self._lazy_of(die))
        reader = _READERS.get(tag)
        return VOID if reader is None else reader(self, die)

    def _base(self, die: Die) -> CType:
        encoding, size = die.number(dw.ENCODING) or 0, die.number(dw.BYTE_SIZE) or 0
        if encoding in _DW_ATE_FLOATS:
            return Float(die.name, size)
        if encoding == _DW_ATE_BOOLEAN:
            return Int(die.name, size, False, "bool")
        return Int(die.name, size, encoding in (_DW_ATE_SIGNED, _DW_ATE_SIGNED_CHAR), _CHARACTERS.get(encoding, "int"))

    def _pointer(self, die: Die) -> CType:
        reference = {dw.REFERENCE_TYPE: "&", dw.RVALUE_REFERENCE_TYPE: "&&"}.get(die.tag, "")
        return Pointer(self._lazy_of(die), die.number(dw.BYTE_SIZE) or die.unit.address_size, reference)

    def _typedef(self, die: Die) -> CType:
        return Typedef(die.name, self._lazy_of(die))

    def _subroutine(self, die: Die) -> CType:
        return self.function(die)

    def _array(self, die: Die) -> CType:
        counts = [_count(c) for c in die.children() if c.tag == dw.SUBRANGE_TYPE] or [None]
        element = self._lazy_of(die)
        for count in reversed(counts[1:]):
            element = Lazy.of(Array(element, count))
        return Array(element, counts[0])

    def _enum(self, die: Die) -> CType:
        values = []
        for child in die.children():
            if child.tag == dw.ENUMERATOR:
                values.append((child.name, child.number(dw.CONST_VALUE) or 0))
        signed = any(v < 0 for _, v in values)
        return Enum(die.name, die.number(dw.BYTE_SIZE) or 4, signed, tuple(values))

    def _record(self, die: Die) -> CType:
        kind, name = _RECORDS[die.tag], die.name
        if die.get(dw.DECLARATION):
            full = self._complete(kind, name) if name else None
            return full or Struct(kind, name, 0, tuple, complete=False)
        size = die.number(dw.BYTE_SIZE) or 0
        by_reference = die.number(dw.CALLING_CONVENTION) == _DW_CC_PASS_BY_REFERENCE
        return Struct(
            kind, name, size, lambda: tuple(self._members(die)), self.declared(die), by_reference=by_reference
        )

    def _members(self, die: Die) -> Iterator[Member]:
        for child in die.children():
            if child.tag == dw.MEMBER and not child.get(dw.EXTERNAL):
                offset, bits = _place(child)
                made = child.get(dw.ARTIFICIAL) is not None
                yield Member(child.name, self._lazy_of(child), offset, bits, artificial=made)
            elif child.tag == dw.INHERITANCE:
                virtual = _virtual(child)
                offset = 0 if virtual else _place(child)[0]
                yield Member("", self._lazy_of(child), offset, base=True, virtual=virtual)


_READERS: dict[int, Callable[[Types, Die], CType]] = {
    dw.BASE_TYPE: Types._base,
    dw.POINTER_TYPE: Types._pointer,
    dw.REFERENCE_TYPE: Types._pointer,
    dw.RVALUE_REFERENCE_TYPE: Types._pointer,
    dw.TYPEDEF: Types._typedef,
    dw.ARRAY_TYPE: Types._array,
    dw.ENUMERATION_TYPE: Types._enum,
    dw.SUBROUTINE_TYPE: Types._subroutine,
}


def _count(subrange: Die) -> int | None:
    """A subrange's length; None for flexible arrays and those of a length known only at run time."""
    count = subrange.number(dw.COUNT)
    if count is not None:
        return count
    found = subrange.attributes.get(dw.UPPER_BOUND)
    if found is None or found[0] in dw.UNIT_REFERENCES or not isinstance(found[1], int):
        return None
    return found[1] + 1 if found[1] != (1 << 64) - 1 else None


def _place(member: Die) -> tuple[int, int]:
    """(offset in bits, size in bits or 0) of a member."""
    bits = member.number(dw.BIT_SIZE) or 0
    total = member.number(dw.DATA_BIT_OFFSET)
    if total is not None:
        return total, bits
    start = _byte_offset(member) * 8
    from_top = member.number(dw.BIT_OFFSET)  # DWARF 3: counted from the storage unit's highest bit
    if not bits or from_top is None:
        return start, bits
    unit = member.number(dw.BYTE_SIZE) or _storage(member)
    return start + 8 * unit - from_top - bits, bits


def _virtual(base: Die) -> int:
    """How far before its vtable's address a class keeps a virtual base's offset; 0 for other bases.

    Compilers say: DW_OP_dup, DW_OP_deref, a constant, DW_OP_minus, DW_OP_deref, DW_OP_plus.
    """
    value = base.get(dw.DATA_MEMBER_LOCATION)
    if not isinstance(value, bytes) or value[:2] != b"\x12\x06" or value[-3:] != b"\x1c\x06\x22":
        return 0
    constant = value[2:-3]
    if len(constant) == 1:  # DW_OP_lit0 and up
        return constant[0] - 0x30
    return uleb(constant, 1)[0] if constant[0] == 0x10 else int.from_bytes(constant[1:], "little")


def _byte_offset(member: Die) -> int:
    value = member.get(dw.DATA_MEMBER_LOCATION)
    if isinstance(value, bytes):  # DW_OP_plus_uconst N
        return uleb(value, 1)[0] if value[:1] == b"\x23" else 0
    return value if isinstance(value, int) else 0


def _storage(member: Die) -> int:
    target = member.reference(dw.TYPE)
    for _ in range(MOST_LAYERS):
        if target is None or dw.BYTE_SIZE in target.attributes:
            break
        target = target.reference(dw.TYPE)
    return (target.number(dw.BYTE_SIZE) or 4) if target is not None else 4
