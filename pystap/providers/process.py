"""process*.begin, .end, .thread.*, .syscall*: the lives of processes and threads, and their system calls."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pystap.debuginfo.api import Kind, Root
from pystap.debuginfo.ctype import CType, Int
from pystap.debuginfo.user import note_opened
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Field, Space
from pystap.providers.base import Request, Resolved
from pystap.providers.objects import processes, programs

_LONG = Int("long", 8, True)
_FORMS = ("begin", "end", "thread.begin", "thread.end", "syscall", "syscall.return")


@dataclass(frozen=True, slots=True)
class ProcessSite:
    """A kind of event, and in which processes: those that run `program`, one by number, the target's, or all."""

    kind: str  # of _FORMS
    program: str | None = None
    process: int = 0
    targets: bool = False
    engine: ClassVar[str] = "process"

    @property
    def event(self) -> str:
        """The kind, as runtime/engines/process.h names it."""
        return f"STAP_PROCESS_{self.kind.replace('.', '_').upper()}"


class ProcessScope:
    """$syscall, its arguments $arg1 to $arg6, and after a system call $return."""

    space = Space.USER

    def __init__(self, returns: bool) -> None:
        self._returns = returns

    def lookup(self, name: str) -> Root:
        """One of them."""
        if name == "return" and self._returns:
            return Root(Field("retval"), _LONG)
        names = self.names("vars")
        if name not in names:
            raise Unresolved(f"unknown variable '${name}' of a process probe", [*names, *self._result_names()])
        return Root(Field("arg", names.index(name)), _LONG)

    def names(self, kind: Kind) -> tuple[str, ...]:
        """All are parameters."""
        return () if kind == "locals" else ("syscall", *(f"arg{k}" for k in range(1, 7)))

    def result(self) -> CType | None:
        """What a system call returns."""
        return _LONG if self._returns else None

    def _result_names(self) -> tuple[str, ...]:
        return ("return",) if self._returns else ()


class ProcessPoints:
    """process.begin, process("PATH").syscall, process(PID).end and their kin."""

    patterns: ClassVar[tuple[str, ...]] = tuple(
        f"{head}.{form}" for head in ("process", "process(str)", "process(num)") for form in _FORMS
    )
    unprivileged: ClassVar[tuple[str, ...]] = patterns  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """One site for each program that is meant."""
        kind = ".".join(c.name for c in request.point.components[1:])
        for prefix, site in _sites(request, kind):
            scope = ProcessScope(kind == "syscall.return")
            yield Resolved(site, scope, f"{prefix}.{kind}", context="user", home=site.program or "kernel")


def _sites(request: Request, kind: str) -> Iterator[tuple[str, ProcessSite]]:
    argument = request.point.components[0].argument
    among = processes(request)
    if isinstance(argument, str):
        for path in programs(argument):
            if not os.access(path, os.X_OK):
                raise Unresolved(f"'{path}' is not an executable")
            note_opened(path)
            yield f'process("{path}")', ProcessSite(kind, path)
        return
    if isinstance(argument, int):
        if not os.path.exists(f"/proc/{argument}"):
            raise Unresolved(f"cannot probe pid {argument}: No such process")
        yield f"process({argument})", ProcessSite(kind, process=argument)
        return
    attached = request.options.pid
    if attached is not None and not os.path.exists(f"/proc/{attached}"):
        raise Unresolved(f"cannot probe pid {attached}: No such process")
    yield "process", ProcessSite(kind, targets=among.targets)
