"""process*.data("symbol") and process*.data(ADDR): accesses of a program to its memory, seen by debug registers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.debuginfo.user import UserObject
from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.hwbreakpoint import KERNEL_HALF, checked_length, fitting_length, require_aligned
from pystap.providers.objects import Place, places

_WORD = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class WatchSite:
    """Memory of a program's threads: at a link-time address, or (not `inside` the program) at a run-time one."""

    program: str
    address: int
    length: int
    writes_only: bool
    inside: bool
    base: int = 0  # where its code begins, link-time: the kernel says where that is at run time
    process: int = 0  # only in that one
    targets: bool = False  # only in the session's target and its children
    key: ClassVar[int] = 0
    type: ClassVar[int] = 5  # PERF_TYPE_BREAKPOINT
    config: ClassVar[int] = 0
    period: ClassVar[int] = 1
    frequency: ClassVar[int] = 0
    engine: ClassVar[str] = "perf_task"


class ProcessData:
    """process.data, process("PATH").data and process(PID).data, each with .write or .rw."""

    patterns: ClassVar[tuple[str, ...]] = tuple(
        f"{process}.data({where})[.length(num)].{access}"
        for process in ("process", "process(str)", "process(num)")
        for where in ("str", "num")
        for access in ("write", "rw")
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The place in each program that the point names; raises Unresolved for symbols that are not there."""
        for option in ("HAVE_HW_BREAKPOINT", "PERF_EVENTS"):
            if not request.target.has_config(option):
                raise Unresolved(f"this kernel has no hardware breakpoints (CONFIG_{option})")
        return [_watched(request, place) for place in places(request)]


def _watched(request: Request, place: Place) -> Resolved:
    given = {c.name: c.argument for c in request.point.components}
    where = given["data"]
    program = place.object
    if not program.is_program():
        raise Unresolved(f"{program.path} is a library: only programs' own memory is watched")
    asked = given.get("length")
    caution = ""
    if isinstance(where, str):
        address, size = _of_symbol(program, where)
        length = fitting_length(address, size) if asked is None else checked_length(asked)
        if length < size and asked is None:
            caution = f"of the {size} bytes of '{where}', debug registers watch the first {length}"
    else:
        assert isinstance(where, int)
        address, length = where & _WORD, 1 if asked is None else checked_length(asked)
        if address >= KERNEL_HALF:
            raise Unresolved(f"{address:#x} is not an address of a program's memory")
    require_aligned(address, length)
    among = place.among
    inside = program.is_loaded(address)
    base = program.code_start if inside else 0
    writes = "write" in given
    site = WatchSite(program.path, address, length, writes, inside, base, among.process, among.targets)
    text = f'"{where}"' if isinstance(where, str) else f"{where:#x}"
    given_length = f".length({length})" if "length" in given else ""
    point = f"{place.prefix}.data({text}){given_length}.{'write' if writes else 'rw'}"
    return Resolved(site, NoScope(), point, context="kernel", home=program.path, caution=caution)


def _of_symbol(program: UserObject, name: str) -> tuple[int, int]:
    """(link-time address, size)."""
    found = {(s.value, s.size) for s in program.data_symbols(name)}
    if not found:
        raise Unresolved(f"no data symbol '{name}' in {program.path}", program.similar_data(name))
    if len(found) > 1:
        known = ", ".join(f"{address:#x}" for address, _ in sorted(found))
        raise Unresolved(f"{program.path} has several '{name}'", hint=f"write the address of one: {known}")
    return found.pop()
