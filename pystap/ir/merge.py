"""Equal handlers become one: the same ops from the same places of the script, so that errors name the right place."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pystap.ir import nodes as ir


def merge(module: ir.Module) -> ir.Module:
    """The module with each distinct handler once, in the order of first use."""
    seen: dict[tuple[ir.Handler, tuple[ir.Mark, ...]], int] = {}
    new_index: list[int] = []
    kept: list[ir.Handler] = []
    for handler in module.handlers:
        key = (handler, tuple(marks(handler.body)))
        if key not in seen:
            seen[key] = len(kept)
            kept.append(handler)
        new_index.append(seen[key])
    if len(kept) == len(module.handlers):
        return module
    probes = tuple(_moved(p, new_index) for p in module.probes)
    return replace(module, handlers=tuple(kept), probes=probes)


def _moved(probe: ir.Probe, new_index: list[int]) -> ir.Probe:
    entry = None if probe.entry is None else new_index[probe.entry]
    return replace(probe, handler=new_index[probe.handler], entry=entry)


def marks(value: Any) -> list[ir.Mark]:
    """All marks in ops and values, in order."""
    found: list[ir.Mark] = []
    _collect(value, found)
    return found


def _collect(value: Any, found: list[ir.Mark]) -> None:
    if isinstance(value, tuple):
        for item in value:
            _collect(item, found)
    elif isinstance(value, ir.Mark):
        found.append(value)
    elif type(value).__module__ == ir.__name__ and hasattr(value, "__dataclass_fields__"):
        for f in fields(value):
            _collect(getattr(value, f.name), found)
