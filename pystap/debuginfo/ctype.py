"""C types as pystap sees them, whether they come from BTF or from DWARF.

Sizes and offsets are in bytes unless a name says bits. Types refer to each other lazily (`Lazy`), so that a
`struct task_struct *` does not pull in half the kernel. Names are without `struct `/`union `/`enum ` prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Union

from pystap.debuginfo.damage import damaged


class Lazy:
    """A type that is looked up at the first use."""

    __slots__ = ("_resolve", "_type")

    def __init__(self, resolve: Callable[[], CType]) -> None:
        self._resolve: Callable[[], CType] | None = resolve
        self._type: CType | None = None

    @classmethod
    def of(cls, ctype: CType) -> Lazy:
        """An already known type."""
        return cls(lambda: ctype)

    def get(self) -> CType:
        """The type itself."""
        if self._type is None:
            assert self._resolve is not None
            self._type = self._resolve()
            self._resolve = None
        return self._type


@dataclass(frozen=True, slots=True)
class Void:
    pass


@dataclass(frozen=True, slots=True)
class Int:
    name: str  # "unsigned int", "char", "_Bool"
    size: int
    signed: bool
    kind: str = "int"  # int, char, utf (char16_t and its kin), bool


@dataclass(frozen=True, slots=True)
class Float:
    name: str
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class Pointer:
    target: Lazy
    size: int = 8
    reference: str = ""  # & or &&: a C++ reference


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    element: Lazy
    count: int | None  # None: flexible ([]), or length not known


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    name: str  # "" for an anonymous struct or union, and for a base class
    type: Lazy
    offset_bits: int
    bit_size: int = 0  # 0: not a bitfield
    base: bool = False  # a base class
    virtual: int = 0  # of a virtual base: how far before the vtable's address its offset stands
    artificial: bool = False  # made by the compiler: a pointer to the vtable


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """A struct, union or class; incomplete ones have size 0 and no members."""

    kind: str  # struct, union, class
    name: str  # "" for an anonymous one
    size: int
    _members: Callable[[], tuple[Member, ...]]
    declared: str = ""  # "file.h:12" where debug-info says it
    complete: bool = True
    by_reference: bool = False  # a class that is never passed in registers: it has a copy constructor of its own
    _cache: list[tuple[Member, ...]] = field(default_factory=list, repr=False)

    @property
    def members(self) -> tuple[Member, ...]:
        if not self._cache:
            self._cache.append(self._members())
        return self._cache[0]


@dataclass(frozen=True, slots=True, eq=False)
class Enum:
    name: str
    size: int
    signed: bool
    values: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Typedef:
    name: str
    target: Lazy


@dataclass(frozen=True, slots=True, eq=False)
class Qualified:
    qualifier: str  # const, volatile, restrict, _Atomic
    target: Lazy


@dataclass(frozen=True, slots=True, eq=False)
class FunctionType:
    result: Lazy
    parameters: tuple[tuple[str, Lazy], ...]  # names may be ""
    variadic: bool = False


CType = Union[Void, Int, Float, Pointer, Array, Struct, Enum, Typedef, Qualified, FunctionType]

VOID = Void()
MOST_LAYERS = 1000  # typedefs and qualifiers around a type: more are a type that is defined by itself


def strip(ctype: CType) -> CType:
    """The type without typedefs and qualifiers."""
    for _ in range(MOST_LAYERS):
        if not isinstance(ctype, (Typedef, Qualified)):
            return ctype
        ctype = ctype.target.get()
    raise damaged("debug-info", "a type that is defined by itself")


def size_of(ctype: CType) -> int:
    """sizeof: 0 for void, functions, incomplete and flexible types."""
    ctype = strip(ctype)
    match ctype:
        case Int() | Float() | Pointer() | Struct() | Enum():
            return ctype.size
        case Array(count=None):
            return 0
        case Array(element=element, count=count):
            return size_of(element.get()) * (count or 0)
        case _:
            return 0


def spell(ctype: CType) -> str:
    """The type as stap -L spells it: `struct file*`, `char const*`, `char[]`, `int (*) (int, char*)`."""
    return _declare(ctype, "")


def _declare(ctype: CType, inner: str) -> str:
    """Every layer goes before what the layers above it wrote; lengths of arrays are not shown."""
    match ctype:
        case Pointer(target=target) if getattr(target.get(), "name", "") == "__va_list_tag":
            return f"va_list{inner}"  # as a parameter it is what remains of va_list, an array of one
        case Pointer(target=target, reference=reference):
            return _declare(target.get(), (reference or "*") + inner)
        case Array(element=element):
            below = element.get()
            return _declare(below, inner if isinstance(below, Array) else f"[]{inner}")
        case FunctionType(result=result, parameters=parameters, variadic=variadic):
            names = [spell(p.get()) for _, p in parameters] + (["..."] if variadic else [])
            declarator = f" ({inner})" if inner else ""
            return f"{spell(result.get())}{declarator} ({', '.join(names) or 'void'})"
        case Qualified(qualifier=qualifier, target=target):
            return _declare(target.get(), f" {qualifier}{inner}")
        case Struct(kind=kind, name=name):
            return f"{kind} {name or '{...}'}{inner}"
        case Enum(name=name):
            return f"enum {name or '{...}'}{inner}"
        case Typedef(name=name) | Int(name=name) | Float(name=name):
            return f"{name}{inner}"
        case Void():
            return f"void{inner}"


def find_member(struct: Struct, name: str) -> tuple[Member, ...] | None:
    """The way to a member by name: through anonymous members, then base classes; the member itself is the last."""
    for member in struct.members:
        if member.name == name:
            return (member,)
    for member in sorted(struct.members, key=lambda m: m.base):
        inner = strip(member.type.get()) if not member.name else None
        if isinstance(inner, Struct):
            found = find_member(inner, name)
            if found is not None:
                return (member, *found)
    return None


def offset_of(way: tuple[Member, ...]) -> int:
    """Bits from a struct's start to the member that a way leads to."""
    return sum(m.offset_bits for m in way)


def shown_members(struct: Struct) -> Iterator[tuple[tuple[Member, ...], Member]]:
    """What is printed of a struct, as stap does: its own members, then those of its base classes, level by level.

    Each with the base classes that lead to it; of several with one name the first is shown.
    """
    pending: list[tuple[tuple[Member, ...], Struct]] = [((), struct)]
    seen: set[str] = set()
    for way, each in pending:
        for member in each.members:
            inner = strip(member.type.get()) if member.base else None
            if isinstance(inner, Struct):
                pending.append(((*way, member), inner))
            elif not member.base and not member.artificial and member.name not in seen:
                seen.update((member.name,) if member.name else ())
                yield way, member


def member_names(struct: Struct) -> tuple[str, ...]:
    """All names that `->` can take, through anonymous members."""
    names: list[str] = []
    for member in struct.members:
        inner = strip(member.type.get()) if not member.name else None
        if isinstance(inner, Struct):
            names.extend(member_names(inner))
        elif member.name:
            names.append(member.name)
    return tuple(names)
