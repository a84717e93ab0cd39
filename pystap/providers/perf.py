"""perf.type(N).config(N): a sample of each CPU, whenever a counter of the kernel's perf events overflows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved

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


class Perf:
    """perf.type().config() with .sample() or .hz()."""

    patterns: ClassVar[tuple[str, ...]] = (
        "perf.type(num).config(num)[.sample(num)|.hz(num)|.counter(str)]",
        "perf.type(num).config(num).process",
        "perf.type(num).config(num).process(str)[.counter(str)]",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one counter that the point names."""
        given = {c.name: c.argument for c in request.point.components}
        for name in ("process", "counter"):
            if name in given:
                raise Unresolved(f"perf probes with .{name} are not available: only whole CPUs are sampled")
        if not request.target.has_config("PERF_EVENTS"):
            raise Unresolved("this kernel was built without CONFIG_PERF_EVENTS")
        frequency = _number(given.get("hz"), 0)
        period = 0 if "hz" in given else _number(given.get("sample"), _DEFAULT_PERIOD)
        if not (frequency or period):
            raise Unresolved(f"invalid perf {'frequency' if 'hz' in given else 'sample period'} of 0")
        site = PerfSite(_number(given["type"], 0), _number(given["config"], 0) & _LARGEST, period, frequency)
        yield Resolved(site, NoScope(), str(request.point), context="kernel")


def _number(value: object, default: int) -> int:
    if value is None:
        return default
    assert isinstance(value, int)
    if value < 0:
        raise Unresolved("perf probes take no negative numbers")
    return value
