"""process*.mark, .provider().mark: the static probe points that programs carry, with their semaphores and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import ClassVar

from pystap.debuginfo.api import Kind, Root
from pystap.debuginfo.ctype import CType
from pystap.debuginfo.sdt import Mark, argument, marks
from pystap.debuginfo.user import UserObject
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Space
from pystap.providers.base import Request, Resolved
from pystap.providers.objects import PREFIXES, Place, places
from pystap.providers.uprobe import site


class MarkScope:
    """$arg1 and its kin."""

    space = Space.USER

    def __init__(self, program: UserObject, mark: Mark) -> None:
        self._program = program
        self._mark = mark

    def lookup(self, name: str) -> Root:
        """The argument `argN`."""
        names = self.names("vars")
        if name not in names:
            if name.startswith("arg") and name[3:].isdigit():
                raise Unresolved(f"invalid argument number: mark '{self._mark.name}' has {len(names)} arguments", names)
            raise Unresolved(f"invalid target-symbol for SDT mark '{self._mark.name}': identifier '${name}'", names)
        return argument(self._program, self._mark.arguments[int(name[3:]) - 1])

    def names(self, kind: Kind) -> tuple[str, ...]:
        """All arguments; there are no locals."""
        return () if kind == "locals" else tuple(f"arg{k + 1}" for k in range(len(self._mark.arguments)))

    def result(self) -> CType | None:
        """Nothing is returned."""
        return None


class MarkPoints:
    """process("PATH").mark("m"), process("PATH").provider("p").mark("m")."""

    patterns: ClassVar[tuple[str, ...]] = tuple(
        p + form for p in PREFIXES for form in (".mark(str)", ".provider(str).mark(str)")
    )
    unprivileged: ClassVar[tuple[str, ...]] = patterns  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """Every place of every mark that matches; raises Unresolved where there is none."""
        found = [resolved for place in places(request) for resolved in _in_place(request, place)]
        if not found:
            raise Unresolved("no match", _known(request))
        return found


def _in_place(request: Request, place: Place) -> Iterator[Resolved]:
    named = {c.name: str(c.argument) for c in request.point.components}
    for mark in marks(place.object):
        if not fnmatchcase(mark.name.replace("__", "-"), named["mark"].replace("__", "-")):
            continue
        if not fnmatchcase(mark.provider, named.get("provider", "*")):
            continue
        where = site(place, mark.address)
        if where is None:
            continue
        semaphore = place.object.file_offset(mark.semaphore) if mark.semaphore else 0
        provider = f'.provider("{mark.provider}")' if "provider" in named else ""
        yield Resolved(
            replace(where, semaphore=semaphore or 0),
            MarkScope(place.object, mark),
            f'{place.prefix}{provider}.mark("{mark.name}")',
            context="user",
            texts=(("$name", mark.name), ("$provider", mark.provider)),
            home=place.object.path,
        )


def _known(request: Request) -> list[str]:
    return [] if request.tolerant else sorted({m.name for place in places(request) for m in marks(place.object)})[:10]
