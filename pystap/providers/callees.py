"""Who is called by a function: what .callee and .callees of every family mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pystap.debuginfo.api import Address
from pystap.debuginfo.spec import Spec, parse
from pystap.providers.base import Request

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf


def called(request: Request, dwarf: Dwarf, spec: Spec) -> Iterator[tuple[Address, Address]]:
    """(caller, callee) as the point asks: inlined copies, and functions at their entry; level by level."""
    components = request.point.components
    named = next((str(c.argument) for c in components if c.name == "callee"), "*")
    depth = next((c.argument for c in components if c.name == "callees"), 1) or 1
    pattern = parse(named)
    real = any(c.name in ("return", "call") for c in components)
    level, seen = [spec], set()
    for _ in range(int(depth)):
        deeper: dict[str, Spec] = {}
        for one in level:
            for caller, callee in dwarf.callees(one, pattern.function):
                key = (caller.address, callee.address)
                if key in seen or not pattern.in_file(callee.file) or (real and callee.inlined):
                    continue
                seen.add(key)
                deeper[callee.function] = Spec(callee.function, callee.file)
                yield caller, callee
        level = list(deeper.values())


def extent(dwarf: Dwarf, caller: Address) -> tuple[int, int]:
    """The code of a function, for the addresses that its callees return to: first address and the one past it."""
    from pystap.debuginfo.ranges import ranges_of

    ranges = list(ranges_of(dwarf.sections.die(caller.die)))
    inside = [r for r in ranges if r[0] <= caller.address < r[1]] or ranges
    return (inside[0][0], inside[0][1]) if inside else (0, 0)


def pattern_of(request: Request, spec: Spec) -> Spec:
    """The callee's pattern, which decides whether it is named in full."""
    named = next((str(c.argument) for c in request.point.components if c.name == "callee"), "*")
    return replace(spec, function=parse(named).function)
