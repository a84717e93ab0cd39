"""kernel.trace("[system:]name"): the kernel's and its modules' tracepoints, with the arguments that BTF knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pystap.debuginfo.abi import TracepointScope
from pystap.debuginfo.api import Tracepoint
from pystap.debuginfo.ctype import Float, size_of, strip
from pystap.diagnostics import Unresolved
from pystap.providers.base import Request, Resolved

_MOST_ARGUMENTS = 12  # the engine's largest callback


@dataclass(frozen=True, slots=True)
class TracepointSite:
    """A tracepoint by name; `arity` chooses the engine's callback."""

    name: str
    arity: int
    module: str | None = None
    engine: ClassVar[str] = "tracepoint"


class KernelTrace:
    """kernel.trace("sched:sched_switch"), with globs."""

    patterns: ClassVar[tuple[str, ...]] = ("kernel.trace(str)",)

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """All tracepoints that match; raises Unresolved where there is none that can be probed."""
        pattern = str(request.arguments[0])
        found = list(request.target.tracepoints(pattern))
        usable = [t for t in found if not _refusal(t)]
        if usable:
            return _resolved(usable)
        if found:
            raise Unresolved(_refusal(found[0]))
        raise Unresolved("no match")


def _resolved(tracepoints: list[Tracepoint]) -> Iterator[Resolved]:
    for t in tracepoints:
        name = f"{t.system}:{t.name}" if t.system else t.name
        site = TracepointSite(t.name, len(t.arguments), t.module)
        texts = (("$name", t.name), ("$system", t.system))
        point = f'kernel.trace("{name}")'
        yield Resolved(site, TracepointScope(name, t.arguments), point, context="kernel", texts=texts)


def _refusal(tracepoint: Tracepoint) -> str:
    """Why the tracepoint can not be probed: its arguments must be words, as the engine passes them on."""
    if len(tracepoint.arguments) > _MOST_ARGUMENTS:
        return f"tracepoint '{tracepoint.name}' has more than {_MOST_ARGUMENTS} arguments"
    for name, ctype in tracepoint.arguments:
        plain = strip(ctype)
        if isinstance(plain, Float) or size_of(plain) > 8:
            return f"tracepoint '{tracepoint.name}' takes '{name}' by value, which is larger than a register"
    return ""
