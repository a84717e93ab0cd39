"""Handlers that end alike call one function for it: `probe syscall.* { long body }` is the body once, not 480 times.

An alias's own statements differ from probe to probe; what the user wrote follows them and is the same ops from the
same places of the script. Locals that the first part sets are handed over; the others move along.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from pystap.ir import nodes as ir
from pystap.ir.effects import Resource, all_ops, arguments, blocks, places, resource

TAG = "handler-tail"  # of the functions made here: a handler does nothing after it has called one
_FEWEST = 8  # handlers that a tail must be shared by
_SMALLEST = 5  # nodes that a tail must have
_STAYING = (ir.SaveEntry, ir.Embedded)  # ops that belong to a handler itself
_FIELDS: dict[type, tuple[str, ...]] = {}


@dataclass(slots=True)
class _Group:
    """Handlers, by index, that are equal in their last `length` ops."""

    members: list[int]
    length: int = 0


def share_tails(module: ir.Module) -> ir.Module:
    """The module with long common endings of many handlers as functions."""
    handlers = list(module.handlers)
    functions = list(module.functions)
    taken = {f.id for f in functions}
    for group in _groups(handlers):
        id = next(name for name in map("tail_{}".format, range(len(taken) + 1)) if name not in taken)
        taken.add(id)
        functions.append(_outlined(handlers, group, id))
    if len(functions) == len(module.functions):
        return module
    return replace(module, handlers=tuple(handlers), functions=tuple(functions))


def _groups(handlers: Sequence[ir.Handler]) -> Iterator[_Group]:
    written: defaultdict[ir.Mark, list[int]] = defaultdict(list)
    for k, handler in enumerate(handlers):
        written[handler.mark].append(k)
    for members in written.values():
        if len(members) >= _FEWEST:
            group = _longest(handlers, members)
            if group is not None:
                yield group


def _longest(handlers: Sequence[ir.Handler], members: list[int]) -> _Group | None:
    """Most of the handlers with what they have in common at their ends; None where that is not worth a function."""
    group = _Group(members)
    while True:
        at = group.length + 1
        keys = {k: _key(handlers[k].body[-at], {}) for k in group.members if len(handlers[k].body) >= at}
        common, count = Counter(keys.values()).most_common(1)[0] if keys else (None, 0)
        if common is None or count < _FEWEST or 2 * count < len(group.members):
            break
        if any(isinstance(op, _STAYING) for op in all_ops((handlers[next(iter(keys))].body[-at],))):
            break
        group = _Group([k for k, key in keys.items() if key == common], at)
    return _closed(handlers, group)


def _closed(handlers: Sequence[ir.Handler], group: _Group) -> _Group | None:
    """The group with a tail that needs no temporary from before it, numbered alike in each member."""
    while group.length:
        tails = {k: handlers[k].body[-group.length :] for k in group.members}
        common, _ = Counter(_key(tail, {}) for tail in tails.values()).most_common(1)[0]
        alike = [k for k, tail in tails.items() if _key(tail, {}) == common]
        if len(alike) < _FEWEST or _size(common) < _SMALLEST:
            return None
        if not any(kind in ("temp", "text") for kind, _ in _live(tails[alike[0]], set())):
            return _Group(alike, group.length)
        group = _Group(alike, group.length - 1)
    return None


def _outlined(handlers: list[ir.Handler], group: _Group, id: str) -> ir.Function:
    """The function; the handlers call it from now on."""
    first = handlers[group.members[0]]
    tail = first.body[-group.length :]
    used = _locals(tail)
    before = {k: _locals(handlers[k].body[: -group.length]) for k in group.members}
    given = used & frozenset().union(*before.values())
    longs = tuple(n for n in first.longs if n in given)
    strings = tuple(n for n in first.strings if n in given)
    call = ir.Call(None, (id,), (*map(ir.Local, longs), *map(ir.StrLocal, strings)))
    for k, kept in before.items():
        handler = handlers[k]
        handlers[k] = replace(
            handler,
            body=(*handler.body[: -group.length], call),
            longs=tuple(n for n in handler.longs if n in kept or n in given),
            strings=tuple(n for n in handler.strings if n in kept or n in given),
        )
    return ir.Function(
        id,
        "what several handlers end with",
        (*((n, "long") for n in longs), *((n, "string") for n in strings)),
        None,
        body=_returning(tail),
        longs=tuple(n for n in first.longs if n in used - given),
        strings=tuple(n for n in first.strings if n in used - given),
        tags=(TAG,),
        mark=first.mark,
    )


def _key(value: Any, numbers: dict[Any, int]) -> Any:
    """What a node is and where it was written, temporaries numbered by their first appearance."""
    if isinstance(value, tuple):
        return tuple([_key(item, numbers) for item in value])
    kind = type(value)
    if kind is ir.Temp or kind is ir.StrTemp:
        return kind, numbers.setdefault(value, len(numbers))
    if kind is ir.Mark or kind.__module__ != ir.__name__ or not hasattr(kind, "__dataclass_fields__"):
        return value
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(f.name for f in fields(kind))
    return kind, *(_key(getattr(value, name), numbers) for name in _FIELDS[kind])


def _size(key: Any) -> int:
    return 1 + sum(map(_size, key[1:])) if isinstance(key, tuple) and key and isinstance(key[0], type) else (
        sum(map(_size, key)) if isinstance(key, tuple) else 0
    )  # fmt: skip


def _live(block: ir.Block, known: set[Resource]) -> set[Resource]:
    """What a block reads that it has not written before for certain."""
    found: set[Resource] = set()
    for op in block:
        found |= {r for r in map(resource, arguments(op)) if r is not None} - known
        own = {r for r in map(resource, places(op)) if r is not None}
        for inner in blocks(op):
            found |= _live(inner, known | own)
        if not any(blocks(op)):
            known = known | own
    return found


def _locals(block: ir.Block) -> frozenset[str]:
    """The names of the locals that a block has to do with."""
    found: set[str] = set()
    for op in all_ops(block):
        for value in (*arguments(op), *places(op)):
            if isinstance(value, (ir.Local, ir.StrLocal)):
                found.add(value.name)
    return frozenset(found)


def _returning(block: ir.Block) -> ir.Block:
    """The block as a function's: what ended the handler ends the function."""
    return tuple(_inside(op) for op in block)


def _inside(op: ir.Op) -> ir.Op:
    match op:
        case ir.Next():
            return ir.Return()
        case ir.If():
            return replace(op, then=_returning(op.then), otherwise=_returning(op.otherwise))
        case ir.Try():
            return replace(op, body=_returning(op.body), handler=_returning(op.handler))
        case ir.Loop():
            return replace(op, body=_returning(op.body), step=_returning(op.step))
        case ir.MapForeach() | ir.HistForeach():
            return replace(op, body=_returning(op.body))
        case _:
            return op
