"""perf.type(N).config(N): samples of CPUs or of a program's tasks, whenever a counter of the kernel's perf events
overflows; and counters that are only read, by @perf("NAME")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.objects import programs, target_program

_DEFAULT_PERIOD = 1_000_000
_LARGEST = 2**64 - 1


@dataclass(frozen=True, slots=True)
class PerfSite:
    """A counter, sampled every `period` events, or `frequency` times a second."""

    type: int
    config: int
    period: int = 0
    frequency: int = 0
    engine: ClassVar[str] = "perf"


@dataclass(frozen=True, slots=True)
class TaskPerfSite:
    """A counter of each task that runs a program: sampled, or with a name only read where a handler says so."""

    type: int
    config: int
    program: str | None  # None until it is known whose probes read it
    counter: str = ""
    period: int = 0
    frequency: int = 0
    engine: ClassVar[str] = "perf_task"

    @property
    def key(self) -> int:
        """By what the module knows the name."""
        return crc32(self.counter.encode("utf-8", "surrogateescape"))

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional parts of the runtime that the site needs."""
        return ("counters",) if self.counter else ()


class Perf:
    """perf.type().config() with .sample() or .hz(), of CPUs or of a program's tasks, and named counters."""

    patterns: ClassVar[tuple[str, ...]] = (
        "perf.type(num).config(num)[.sample(num)|.hz(num)|.counter(str)]",
        "perf.type(num).config(num).process",
        "perf.type(num).config(num).process(str)[.counter(str)]",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one counter that the point names, of each program that it names."""
        given = {c.name: c.argument for c in request.point.components}
        if not request.target.has_config("PERF_EVENTS"):
            raise Unresolved("this kernel was built without CONFIG_PERF_EVENTS")
        kind, config = _number(given["type"], 0), _number(given["config"], 0) & _LARGEST
        if "counter" in given or "process" in given:
            yield from _of_tasks(kind, config, given, request)
            return
        frequency = _number(given.get("hz"), 0)
        period = 0 if "hz" in given else _number(given.get("sample"), _DEFAULT_PERIOD)
        if not (frequency or period):
            raise Unresolved(f"invalid perf {'frequency' if 'hz' in given else 'sample period'} of 0")
        site = PerfSite(kind, config, period, frequency)
        yield Resolved(site, NoScope(), str(request.point), context="kernel")


def _of_tasks(kind: int, config: int, given: Mapping[str, object], request: Request) -> Iterator[Resolved]:
    counter = str(given.get("counter", ""))
    period = 0 if counter else _DEFAULT_PERIOD
    sampled = f"perf.type({kind}).config({config}).sample({period})"
    named = f'.counter("{counter}")' if counter else ""
    for program in _programs(given, request):
        among = f'.process("{program}")' if program else ""
        site = TaskPerfSite(kind, config, program, counter, period)
        yield Resolved(site, NoScope(), sampled + among + named, context="kernel", home=program or "kernel")


def _programs(given: Mapping[str, object], request: Request) -> list[str | None]:
    if "process" not in given:
        return [None]
    if isinstance(given["process"], str):
        return [*programs(given["process"])]
    program = target_program(request.options)
    if program is None:
        raise Unresolved("unspecified process probe is invalid without a -c COMMAND [man stapprobes]")
    return [program]


def _number(value: object, default: int) -> int:
    if value is None:
        return default
    assert isinstance(value, int)
    if value < 0:
        raise Unresolved("perf probes take no negative numbers")
    return value
