"""BTF, the kernel's compact type information: raw .BTF bytes -> CTypes by name, function prototypes, tracepoints.

Nothing is decoded before it is asked for: two small tables (offsets by id, ids by name) are computed once per kernel.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pystap.debuginfo.ctype import (
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
from pystap.debuginfo.damage import MALFORMED, damaged, reading, text_of
from pystap.debuginfo.symtab import NameTable
from pystap.diagnostics import StapError, Unresolved

_MAGIC = 0xEB9F
_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT = range(1, 12)
_FUNC, _PROTO, _VAR, _DATASEC, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64 = range(12, 20)
# bytes after the 12 of every type: fixed ones, and for each of the vlen members
_FIXED = (0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0)
_EACH = (0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12)
# the letter under which a name is indexed
_LETTERS = {
    _INT: "i", _FLOAT: "i", _STRUCT: "s", _UNION: "u", _ENUM: "e", _ENUM64: "e", _TYPEDEF: "t", _FUNC: "f", _VAR: "v",
    _FWD: "w",
}  # fmt: skip
_KINDS = {"struct": "s", "union": "u", "enum": "e", "class": "s"}
_QUALIFIERS = {_VOLATILE: "volatile", _CONST: "const", _RESTRICT: "restrict"}


@dataclass(frozen=True, slots=True)
class Index:
    """What is computed once per blob: where each type stands, and which ids a name has."""

    offsets: array[int]  # by id - first id
    names: NameTable  # name TAB letter id


class Btf:
    """One BTF blob, on top of the kernel's when it is a module's."""

    def __init__(
        self, blob: bytes, base: Btf | None = None, index: Index | None = None, name: str = "the kernel"
    ) -> None:
        self._blob = blob
        self._name = name
        self.base = base
        types, strings, end = _sections(blob)
        self._strings = strings
        self._first = base.end if base else 1
        self._first_string = base.string_size if base else 0
        with reading(name, "its BTF"):
            self._index = index or Index(*_build_index(blob, types, strings, end, self._first, self._string))
        self.end: int = self._first + len(self._index.offsets)
        self.string_size: int = self._first_string + (len(blob) - strings)
        self._types: dict[int, CType] = {0: VOID}
        self._enumerators: dict[str, int] | None = None

    def index_files(self) -> tuple[bytes, bytes]:
        """The index as two files' bytes, for `load_index`."""
        return self._index.offsets.tobytes(), bytes(self._index.names._data)

    # --- look-ups by name ---

    def type(self, name: str) -> CType:
        """A type by `struct x`, `union x`, `enum x`, or the name of a typedef, a base type, or a struct."""
        kind, _, rest = name.strip().rpartition(" ")
        if kind in _KINDS:
            found = self.ids(rest, _KINDS[kind])
        else:
            found = self.ids(name, "t") or self.ids(_canonical(name), "i") or self.ids(name, "s") or self.ids(name, "u")
            found = found or self.ids(name, "e")
        if not found:
            raise Unresolved(f"type definition '{name}' not found", self._similar_types(rest or name))
        return self.by_id(found[0])

    def has_type(self, name: str) -> bool:
        """Whether `type` would find it."""
        try:
            self.type(name)
        except Unresolved:
            return False
        return True

    def function(self, name: str) -> FunctionType | None:
        """The prototype of a function; None where BTF does not know it, or knows several that differ."""
        found = self.ids(name, "f")
        if not found:
            return None
        prototype = self.by_id(found[0])
        assert isinstance(prototype, FunctionType)
        return prototype

    def functions(self, pattern: str) -> list[str]:
        """Names of functions by glob, of this blob only."""
        return sorted({name for name, payload in self._index.names.glob(pattern) if payload[0] == "f"})

    def tracepoints(self, pattern: str) -> Iterator[tuple[str, FunctionType]]:
        """(name, prototype of its probe functions, leading void * included) by glob, of this blob only."""
        for name, payload in self._index.names.glob("btf_trace_" + pattern):
            if payload[0] != "t":
                continue
            pointer = self._target_of(int(payload[1:]))
            if isinstance(pointer, Pointer) and isinstance(prototype := pointer.target.get(), FunctionType):
                short = name.removeprefix("btf_trace_")
                yield short, self._named(short, prototype)

    def _named(self, tracepoint: str, prototype: FunctionType) -> FunctionType:
        """The prototype with names of parameters, which only the function that calls the probes has."""
        iterator = self.function(f"__traceiter_{tracepoint}") or self.function(f"__bpf_trace_{tracepoint}")
        if iterator is None or len(iterator.parameters) != len(prototype.parameters):
            return prototype
        return iterator

    def variable(self, name: str) -> CType | None:
        """The type of a variable that BTF knows (per-cpu ones)."""
        found = self.ids(name, "v")
        return self.by_id(found[0]) if found else None

    def enumerators(self) -> dict[str, int]:
        """Every enumerator of this blob, for @enum."""
        out: dict[str, int] = {}
        for k in range(len(self._index.offsets)):
            ident = self._first + k
            if self._kind(ident) in (_ENUM, _ENUM64):
                ctype = self.by_id(ident)
                assert isinstance(ctype, Enum)
                out.update(dict(ctype.values))
        return out

    def enumerator(self, name: str) -> int | None:
        """The value of an enumerator, of this blob or its base; None where there is none of that name."""
        if self._enumerators is None:
            self._enumerators = self.enumerators()
        found = self._enumerators.get(name)
        return self.base.enumerator(name) if found is None and self.base else found

    def ids(self, name: str, letters: str) -> list[int]:
        """Ids of the types with that name and of one of those kinds: this blob's first, then the base's."""
        own = sorted(int(p[1:]) for p in self._index.names.find(name) if p[0] in letters)
        return own + (self.base.ids(name, letters) if self.base else [])

    # --- types by id ---

    def by_id(self, ident: int) -> CType:
        """The type with that id; functions and variables give what they are of."""
        if ident < self._first and self.base:
            return self.base.by_id(ident)
        found = self._types.get(ident)
        if found is None:
            try:
                found = self._types[ident] = self._decode(ident)
            except MALFORMED:
                raise damaged(self._name, f"type {ident} of its BTF") from None
        return found

    def _lazy(self, ident: int) -> Lazy:
        return Lazy(lambda: self.by_id(ident))

    def _target_of(self, ident: int) -> CType:
        ctype = self.by_id(ident)
        return ctype.target.get() if isinstance(ctype, Typedef) else ctype

    def _kind(self, ident: int) -> int:
        return self._blob[self._index.offsets[ident - self._first] + 7] & 0x1F

    def _decode(self, ident: int) -> CType:
        if ident < self._first:
            raise IndexError(ident)
        at = self._index.offsets[ident - self._first]
        name_at, info, size = struct.unpack_from("<III", self._blob, at)
        kind = info >> 24 & 0x1F
        name = self._string(name_at)
        reader = _READERS.get(kind)
        if reader is not None:
            return reader(self, at + 12, name, info, size)
        if kind in _QUALIFIERS:
            return Qualified(_QUALIFIERS[kind], self._lazy(size))
        if kind in (_TYPE_TAG, _FUNC, _VAR, _DECL_TAG):
            return self.by_id(size)
        return VOID

    def _read_int(self, at: int, name: str, info: int, size: int) -> CType:
        (encoding,) = struct.unpack_from("<I", self._blob, at)
        bits = encoding >> 24
        kind = "char" if bits & 2 or name in ("char", "signed char", "unsigned char") else "bool" if bits & 4 else "int"
        return Int(name, size, bool(bits & 1), kind)

    def _read_float(self, at: int, name: str, info: int, size: int) -> CType:
        return Float(name, size)

    def _read_pointer(self, at: int, name: str, info: int, size: int) -> CType:
        return Pointer(self._lazy(size))

    def _read_typedef(self, at: int, name: str, info: int, size: int) -> CType:
        return Typedef(name, self._lazy(size))

    def _read_array(self, at: int, name: str, info: int, size: int) -> CType:
        element, _, count = struct.unpack_from("<III", self._blob, at)
        return Array(self._lazy(element), count or None)

    def _read_struct(self, at: int, name: str, info: int, size: int) -> CType:
        kind = "struct" if info >> 24 & 0x1F == _STRUCT else "union"
        return Struct(kind, name, size, lambda: self._members(at, info & 0xFFFF, bool(info >> 31)))

    def _read_forward(self, at: int, name: str, info: int, size: int) -> CType:
        """A declared struct is the defined one of that name, where there is one."""
        kind = "union" if info >> 31 else "struct"
        full = self.ids(name, _KINDS[kind])
        return self.by_id(full[0]) if full else Struct(kind, name, 0, tuple, complete=False)

    def _read_enum(self, at: int, name: str, info: int, size: int) -> CType:
        signed = bool(info >> 31)
        pairs = struct.iter_unpack("<II", self._blob[at : at + 8 * (info & 0xFFFF)])
        # before 6.0 the flag was not set: then values are what a C int holds
        values = [(self._string(n), v - (1 << 32) if v >> 31 else v) for n, v in pairs]
        return Enum(name, size, signed or any(v < 0 for _, v in values), tuple(values))

    def _read_enum64(self, at: int, name: str, info: int, size: int) -> CType:
        signed = bool(info >> 31)
        triples = struct.iter_unpack("<III", self._blob[at : at + 12 * (info & 0xFFFF)])
        values = [(self._string(n), low | high << 32) for n, low, high in triples]
        return Enum(name, size, signed, tuple((n, v - (1 << 64) if signed and v >> 63 else v) for n, v in values))

    def _read_prototype(self, at: int, name: str, info: int, size: int) -> CType:
        pairs = list(struct.iter_unpack("<II", self._blob[at : at + 8 * (info & 0xFFFF)]))
        variadic = bool(pairs) and pairs[-1] == (0, 0)
        parameters = tuple((self._string(n), self._lazy(t)) for n, t in (pairs[:-1] if variadic else pairs))
        return FunctionType(self._lazy(size), parameters, variadic)

    def _members(self, at: int, count: int, bitfields: bool) -> tuple[Member, ...]:
        with reading(self._name, "members of its BTF"):
            return self._read_members(at, count, bitfields)

    def _read_members(self, at: int, count: int, bitfields: bool) -> tuple[Member, ...]:
        out = []
        for name, ident, offset in struct.iter_unpack("<III", self._blob[at : at + 12 * count]):
            if bitfields:
                out.append(Member(self._string(name), self._lazy(ident), offset & 0xFFFFFF, offset >> 24))
            else:
                out.append(Member(self._string(name), self._lazy(ident), offset))
        return tuple(out)

    def _string(self, at: int) -> str:
        if at < self._first_string and self.base:
            return self.base._string(at)
        start = self._strings + at - self._first_string
        return text_of(self._blob[start : self._blob.index(b"\0", start)])

    def _similar_types(self, name: str) -> list[str]:
        """Near names, among those that start alike (the whole list is too long for a fuzzy search)."""
        candidates = (
            {n for n, p in self._index.names.glob(name[:2] + "*") if p[0] in "stue"} if len(name) > 1 else set()
        )
        return get_close_matches(name, sorted(candidates), 5, 0.7)


_Reader = Callable[[Btf, int, str, int, int], CType]
_READERS: dict[int, _Reader] = {
    _INT: Btf._read_int,
    _FLOAT: Btf._read_float,
    _PTR: Btf._read_pointer,
    _TYPEDEF: Btf._read_typedef,
    _ARRAY: Btf._read_array,
    _STRUCT: Btf._read_struct,
    _UNION: Btf._read_struct,
    _FWD: Btf._read_forward,
    _ENUM: Btf._read_enum,
    _ENUM64: Btf._read_enum64,
    _PROTO: Btf._read_prototype,
}


def load_index(offsets: bytes, names: NameTable) -> Index:
    """The index from what `index_files` gave."""
    numbers: array[int] = array("I")
    numbers.frombytes(offsets)
    return Index(numbers, names)


def _sections(blob: bytes) -> tuple[int, int, int]:
    """Where types and strings start, and where types end."""
    if len(blob) < 24:
        raise StapError("the BTF data is cut short")
    magic, version, _, header, type_at, type_size, string_at, string_size = struct.unpack_from("<HBBIIIII", blob)
    if magic != _MAGIC or version != 1 or header + string_at + string_size > len(blob):
        raise StapError("the BTF data is damaged, or of a version that pystap does not know")
    return header + type_at, header + string_at, header + type_at + type_size


def _build_index(
    blob: bytes, at: int, strings: int, end: int, first: int, string: Callable[[int], str]
) -> tuple[array[int], NameTable]:
    offsets: array[int] = array("I")
    names: list[str] = []
    unpack = struct.Struct("<II").unpack_from
    ident = first
    while at < end:
        name_at, info = unpack(blob, at)
        kind = info >> 24 & 0x1F
        if kind >= len(_FIXED) or kind == 0:
            raise StapError(f"the BTF data holds a type of kind {kind}, which pystap does not know")
        offsets.append(at)
        if name_at and kind in _LETTERS:
            names.append(f"{string(name_at)}\t{_LETTERS[kind]}{ident}")
        at += 12 + _FIXED[kind] + _EACH[kind] * (info & 0xFFFF)
        ident += 1
    return offsets, NameTable(NameTable.build(names))


_WORDS = {
    "unsigned": "unsigned int", "long": "long int", "unsigned long": "long unsigned int", "long long": "long long int",
    "unsigned long long": "long long unsigned int", "short": "short int", "unsigned short": "short unsigned int",
    "bool": "_Bool",
}  # fmt: skip


def _canonical(name: str) -> str:
    """A base type's name as the compiler writes it."""
    return _WORDS.get(name, name)
