"""begin, end, error and never: the session's own moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.providers.base import NoScope, Request, Resolved

# What the engine compares the session's state with, by kind of point.
STATES = {"begin": "STAP_STATE_STARTING", "end": "STAP_STATE_STOPPING", "error": "STAP_STATE_ERROR"}


@dataclass(frozen=True, slots=True)
class BeginSite:
    """A moment of the session; probes of one kind run in the order of their priority, then of the script."""

    kind: str  # begin, end, error
    priority: int = 0
    engine: ClassVar[str] = "begin"

    @property
    def state(self) -> str:
        """The session's state in which the probe runs, as runtime/state.h names it."""
        return STATES[self.kind]


@dataclass(frozen=True, slots=True)
class NeverSite:
    """Nowhere: the handler is checked and compiled, and never runs."""

    engine: ClassVar[str] = "never"


class Begin:
    """begin(N), end(N), error(N)."""

    patterns: ClassVar[tuple[str, ...]] = ("begin", "begin(num)", "end", "end(num)", "error", "error(num)")
    unprivileged: ClassVar[tuple[str, ...]] = patterns  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one moment that the point names."""
        kind = request.point.components[0].name
        priority = request.arguments[0] if request.arguments else 0
        assert isinstance(priority, int)
        yield Resolved(BeginSite(kind, priority), NoScope(), str(request.point))


class Never:
    """never: a probe that is only compiled."""

    patterns: ClassVar[tuple[str, ...]] = ("never",)
    unprivileged: ClassVar[tuple[str, ...]] = patterns  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one place that is never reached."""
        yield Resolved(NeverSite(), NoScope(), "never")
