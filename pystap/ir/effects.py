"""What an op or an expression touches: variables read and written, blocks inside, whether it can fail.

The one place that knows the fields of nodes by reflection; lowering, locks, budget and the checks ask here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args

from pystap.ir import nodes as ir

Resource = tuple[str, Union[str, int]]  # ("local", "x"), ("global", "g"), ("temp", 3), ("text", 3), ("memory", "")

MEMORY: Resource = ("memory", "")
_PLACES = ("place", "old", "new")
_OPS = frozenset(get_args(ir.Op))


_FIELDS: dict[type, tuple[str, ...]] = {}
_NODES: dict[type, bool] = {}


def _names(cls: type[Any]) -> tuple[str, ...]:
    known = _FIELDS.get(cls)
    if known is None:
        known = _FIELDS[cls] = tuple(f.name for f in fields(cls) if f.name != "mark")
    return known


def _is_node(cls: type) -> bool:
    known = _NODES.get(cls)
    if known is None:
        known = _NODES[cls] = cls.__module__ == ir.__name__ and is_dataclass(cls)
    return known


def blocks(op: ir.Op) -> Iterator[ir.Block]:
    """The blocks inside an op."""
    match op:
        case ir.If(then=then, otherwise=otherwise):
            yield then
            yield otherwise
        case ir.Loop(body=body, step=step):
            yield body
            yield step
        case ir.Try(body=body, handler=handler):
            yield body
            yield handler
        case ir.MapForeach(body=body) | ir.HistForeach(body=body):
            yield body
        case _:
            pass


def all_ops(block: ir.Block) -> Iterator[ir.Op]:
    """Every op of a block, those inside others included."""
    for op in block:
        yield op
        for inner in blocks(op):
            yield from all_ops(inner)


def nodes_of(value: Any) -> Iterator[Any]:
    """A node and the values inside it, not descending into blocks of ops."""
    if isinstance(value, tuple):
        for item in value:
            if type(item) not in _OPS:
                yield from nodes_of(item)
    elif _is_node(type(value)) and not isinstance(value, ir.Mark):
        yield value
        for name in _names(type(value)):
            yield from nodes_of(getattr(value, name))


def arguments(op: ir.Op) -> Iterator[Any]:
    """The values that an op reads: not the places it writes, not the ops inside."""
    for name in _names(type(op)):
        if name in _PLACES or (name in ("keys", "value") and isinstance(op, ir.MapForeach)):
            continue
        if name == "message":
            continue
        yield from nodes_of(getattr(op, name))


def resource(node: Any) -> Resource | None:
    """The variable that a value is, if it is one."""
    match node:
        case ir.Local(name=name) | ir.StrLocal(name=name):
            return "local", name
        case ir.GlobalValue(name=name) | ir.StrGlobal(name=name):
            return "global", name
        case ir.Temp(number=number):
            return "temp", number
        case ir.StrTemp(number=number):
            return "text", number
        case ir.Load() | ir.Reg() | ir.Field():
            return MEMORY
        case _:
            return None


def reads(value: Any) -> frozenset[Resource]:
    """What evaluating a value looks at."""
    return frozenset(r for r in map(resource, nodes_of(value)) if r is not None)


def can_fail(value: Any) -> bool:
    """Whether evaluating a value can set the error."""
    return any(
        isinstance(n, ir.Load) or (isinstance(n, ir.Binary) and n.operator in "/%" and not _nonzero(n.right))
        for n in nodes_of(value)
    )


def _nonzero(value: ir.Expr) -> bool:
    return isinstance(value, ir.Const) and value.value != 0


def places(op: ir.Op) -> Iterator[Any]:
    """The locals and temporaries that an op itself (not the ops inside it) writes."""
    for name in _names(type(op)):
        if name in _PLACES and getattr(op, name) is not None:
            yield getattr(op, name)
    if isinstance(op, ir.MapForeach):
        yield from op.keys
        if op.value is not None:
            yield op.value
    if isinstance(op, ir.Try) and op.message is not None:
        yield op.message


def global_written(op: ir.Op) -> str | None:
    """The global that an op itself writes (calls and embedded C aside)."""
    match op:
        case ir.SetGlobal(name=name) | ir.SetGlobalStr(name=name) | ir.AddGlobal(name=name):
            return name
        case ir.MapSet(name=name) | ir.MapUpdate(name=name) | ir.MapDelete(name=name) | ir.StatClear(name=name):
            return name
        case ir.StatAdd(stat=stat):
            return stat.name
        case _:
            return None


def own_writes(op: ir.Op) -> Iterator[Resource]:
    """Everything that an op itself writes, apart from what a called function does."""
    for place in places(op):
        found = resource(place)
        if found is not None:
            yield found
    name = global_written(op)
    if name is not None:
        yield "global", name
    if isinstance(op, (ir.Store, ir.SetReg, ir.SetField)):
        yield MEMORY
