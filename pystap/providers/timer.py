"""timer.*: handlers that run at intervals, on whichever CPU took the timer's interrupt (profile.tick: on each CPU)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved

_NS = {
    "s": 10**9, "sec": 10**9, "ms": 10**6, "msec": 10**6, "us": 10**3, "usec": 10**3, "ns": 1, "nsec": 1,
}  # fmt: skip
_SHORTEST_NS = 100_000
_LONGEST_NS = 86_400 * 10**9
_MAX_JIFFIES = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class TimerSite:
    """A timer; `interval` and `randomize` are nanoseconds, or jiffies where `kind` says so."""

    kind: str  # hrtimer, jiffies, tick
    interval: int
    randomize: int = 0
    engine: ClassVar[str] = "timer"

    @property
    def mode(self) -> str:
        """The kind as runtime/engines/timer.h names it."""
        return f"STAP_TIMER_{self.kind.upper()}"


class Timer:
    """timer.UNIT(N).randomize(M), timer.hz(N), timer.jiffies(N), timer.profile.tick."""

    patterns: ClassVar[tuple[str, ...]] = (
        "timer.s|sec|ms|msec|us|usec|ns|nsec(num)[.randomize(num)]",
        "timer.jiffies(num)[.randomize(num)]",
        "timer.hz(num)",
        "timer.profile.tick",
    )
    unprivileged: ClassVar[tuple[str, ...]] = patterns[:3]  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one timer that the point names; raises Unresolved for intervals out of range."""
        unit = request.point.components[1].name
        numbers = [n for n in request.arguments if isinstance(n, int)]
        match unit:
            case "profile":
                site = TimerSite("tick", 0)
            case "hz":
                site = _hertz(numbers[0])
            case "jiffies":
                site = _jiffies(numbers[0], numbers[1] if len(numbers) > 1 else 0)
            case _:
                site = _period(unit, numbers[0], numbers[1] if len(numbers) > 1 else 0)
        yield Resolved(site, NoScope(), str(request.point), context="kernel" if unit == "profile" else "")


def _period(unit: str, count: int, randomize: int) -> TimerSite:
    scale = _NS[unit]
    low, high = max(1, _SHORTEST_NS // scale), _LONGEST_NS // scale
    if not low <= count <= high:
        raise Unresolved(f"interval value out of range ({low}, {high})")
    if not 0 <= randomize <= count:
        raise Unresolved("randomization value out of range")
    return TimerSite("hrtimer", count * scale, randomize * scale)


def _jiffies(count: int, randomize: int) -> TimerSite:
    if not 1 <= count <= _MAX_JIFFIES:
        raise Unresolved("interval value out of range")
    if not 0 <= randomize <= count:
        raise Unresolved("randomization value out of range")
    return TimerSite("jiffies", count, randomize)


def _hertz(frequency: int) -> TimerSite:
    if frequency <= 0:
        raise Unresolved("frequency must be greater than 0")
    interval = 10**9 // frequency
    if not _SHORTEST_NS <= interval <= _LONGEST_NS:
        raise Unresolved(f"interval value out of range ({_SHORTEST_NS}, {_LONGEST_NS})")
    return TimerSite("hrtimer", interval)
