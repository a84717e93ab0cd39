"""Storage layout: which temporaries and strings a body uses, and how deep calls can nest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

from pystap.codegen import names
from pystap.ir import nodes as ir
from pystap.source import Span

_FIELDS: dict[type, tuple[str, ...]] = {}


def _field_names(kind: type) -> tuple[str, ...]:
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(f.name for f in fields(kind) if f.name != "mark")
    return _FIELDS[kind]


def nodes(tree: Any) -> Iterator[Any]:
    """Every IR node in a body."""
    stack = [tree]
    while stack:
        at = stack.pop()
        if isinstance(at, tuple):
            stack.extend(at)
        elif hasattr(at, "__dataclass_fields__") and not isinstance(at, Span):
            yield at
            stack.extend(getattr(at, name) for name in _field_names(type(at)))


_TARGETS = ("place", "message", "old", "new", "keys", "value")


@dataclass(slots=True)
class Storage:
    """What a body needs room for. Strings live in the frame `S` that is pushed at entry."""

    longs: list[int] = field(default_factory=list)  # numbers of long temporaries
    slots: list[str] = field(default_factory=list)  # C names of strings in the frame
    assigned: set[str] = field(default_factory=set)  # string locals that are written
    calls: set[str] = field(default_factory=set)  # ids of functions
    charges: bool = False
    parameters: frozenset[str] = frozenset()
    extra: int = 0

    def local(self, name: str) -> str:
        """A string local; a parameter that is never written stays where the caller has it."""
        if name in self.parameters and name not in self.assigned:
            return names.argument(name)
        return f"S->{names.local(name)}"

    def temporary(self, number: int) -> str:
        """A string temporary."""
        return f"S->{names.temporary(number)}"

    def scratch(self) -> str:
        """One more string."""
        slot = f"x{self.extra}"
        self.extra += 1
        self.slots.append(slot)
        return f"S->{slot}"


def storage(body: ir.Block, strings: Iterable[str], parameters: Iterable[str] = ()) -> Storage:
    """Looks through a body once."""
    found = Storage(parameters=frozenset(parameters))
    longs: set[int] = set()
    texts: set[int] = set()
    for node in nodes(body):
        match node:
            case ir.Temp():
                longs.add(node.number)
            case ir.StrTemp():
                texts.add(node.number)
            case ir.Call():
                found.calls.update(node.functions)
            case ir.Charge():
                found.charges = True
            case _:
                pass
        _note_targets(node, found)
    found.longs = sorted(longs)
    copied = [p for p in parameters if p in found.assigned]
    found.slots = [names.local(n) for n in (*strings, *copied)] + [names.temporary(n) for n in sorted(texts)]
    return found


def _note_targets(node: Any, found: Storage) -> None:
    if isinstance(node, ir.SetStr | ir.Concat | ir.Call | ir.MapGet):
        targets: tuple[Any, ...] = (node.place,)
    elif isinstance(node, ir.Try):
        targets = (node.message,)
    elif isinstance(node, ir.MapForeach):
        targets = (*node.keys, node.value)
    else:
        return
    found.assigned.update(t.name for t in targets if isinstance(t, ir.StrLocal))


@dataclass(frozen=True, slots=True)
class Depth:
    """How much room calls need: `strings` of MAXSTRINGLEN, beside `per_nesting` for each level of recursion."""

    strings: int
    per_nesting: int
    levels: int  # of calls, without recursion


def recursive_functions(calls: dict[str, set[str]]) -> frozenset[str]:
    """Functions that can be reached from themselves."""
    return frozenset(name for name in calls if name in _reachable(calls, calls[name]))


def _reachable(calls: dict[str, set[str]], start: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    stack = list(start)
    while stack:
        name = stack.pop()
        if name not in seen:
            seen.add(name)
            stack.extend(calls[name])
    return seen


def depth(roots: Iterable[Storage], functions: dict[str, Storage], recursive: frozenset[str]) -> Depth:
    """The room that the deepest chain of calls takes."""
    chain = _deepest(functions, recursive, lambda s: len(s.slots))
    levels = _deepest(functions, recursive, lambda s: 1)
    strings = max((len(r.slots) + max((chain(c) for c in r.calls), default=0) for r in roots), default=0)
    per_nesting = max((len(functions[name].slots) for name in recursive), default=0)
    if recursive:  # what recursion calls is on top of it: each at most once
        strings += sum(len(s.slots) for name, s in functions.items() if name not in recursive)
    return Depth(strings, per_nesting, max((levels(name) for name in functions), default=0))


def heights(functions: dict[str, Storage], recursive: frozenset[str]) -> dict[str, int]:
    """How many levels of calls each function makes, itself included; those of a recursion count as one."""
    levels = _deepest(functions, recursive, lambda s: 1)
    return {name: levels(name) for name in functions}


def _deepest(
    functions: dict[str, Storage], recursive: frozenset[str], weight: Callable[[Storage], int]
) -> Callable[[str], int]:
    @cache
    def of(name: str) -> int:
        if name in recursive:
            return weight(functions[name])
        return weight(functions[name]) + max((of(called) for called in functions[name].calls), default=0)

    return of
