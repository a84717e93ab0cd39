"""kernel.* and module("m").* where DWARF is there: files and lines, inlined copies, statements, labels, callees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pystap.debuginfo.api import Address, Scope
from pystap.debuginfo.second_names import PART
from pystap.debuginfo.spec import Spec, parse
from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.breakpoints import fatal_return, unsafe
from pystap.providers.callees import called, extent, pattern_of
from pystap.providers.kprobe import ANCHOR, KprobeSite
from pystap.providers.left_out import left_out
from pystap.providers.scopes import LazyScope, ReturnScope

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf

_WILD = frozenset("*?[")
_REAL = frozenset(("call", "return", "exported"))
_INSIDE = frozenset(("label", "callee", "callees"))
_MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Part:
    """The kernel or a module, as points spell it, with its DWARF."""

    prefix: str
    dwarf: Dwarf
    module: str | None
    anchor: int | None  # the kernel's: the link-time address that sites are measured from

    @classmethod
    def of(cls, request: Request, dwarf: Dwarf, prefix: str) -> Part:
        """The part that a request is about."""
        anchor = request.target.symbols().lookup(ANCHOR) if dwarf.module is None else None
        return cls(prefix, dwarf, dwarf.module, anchor.address if anchor else None)

    def site(
        self, address: Address, is_return: bool = False, maxactive: int = 0, caller: tuple[int, int] = (0, 0)
    ) -> KprobeSite:
        """What the kprobe engine registers for an address; `caller`: the code that it has to be called from."""
        where = self.dwarf.covering(address.address)
        assert where is not None
        distance: int | None = where.place
        if self.module is None:
            distance = where.place - self.anchor if self.anchor is not None else None
        return KprobeSite(
            where.symbol,
            module=self.module,
            offset=where.offset,
            distance=distance,
            fentry=where.fentry and where.offset == 0 and not caller[1],
            is_return=is_return,
            maxactive=maxactive,
            caller=caller[0] - (address.address - where.offset) if caller[1] else 0,
            caller_size=caller[1] - caller[0],
        )

    def resolved(
        self,
        address: Address,
        point: str,
        is_return: bool = False,
        maxactive: int = 0,
        caller: tuple[int, int] = (0, 0),
    ) -> Resolved:
        """The place, its scope and its spelling."""

        def scope() -> Scope:
            found = self.dwarf.scope_at(address)
            return ReturnScope(found, self.dwarf.arch) if is_return else found

        return Resolved(
            self.site(address, is_return, maxactive, caller),
            LazyScope(scope),
            point,
            is_return,
            context="kernel",
            inlined=address.inlined,
            home=self.module or "kernel",
            extra=(("pc", self.dwarf.shown_pc(address)),),
        )


def resolve(request: Request, part: Part, suffix: str, is_return: bool, maxactive: int) -> Iterator[Resolved]:
    """All places that the point means in that part; raises Unresolved where a line has no code."""
    names = [c.name for c in request.point.components]
    argument = request.point.components[1].argument
    if isinstance(argument, int):
        yield from _by_address(part, names[1], argument, suffix, is_return, maxactive)
        return
    spec = parse(str(argument))
    if names[1] == "statement":
        yield from _statements(request, part, spec, "nearest" in names, suffix)
    elif "label" in names:
        yield from _labels(request, part, spec, _argument(request, "label"))
    elif "callee" in names or "callees" in names:
        yield from _callees(request, part, spec, suffix, is_return)
    else:
        for address in _functions(request, part, spec, names, is_return):
            yield part.resolved(address, _spelt(part, "function", address) + suffix, is_return, maxactive)


def _functions(request: Request, part: Part, spec: Spec, names: list[str], is_return: bool) -> Iterable[Address]:
    options = request.options
    real = not _REAL.isdisjoint(names)
    just_names = options.list_points is not None and not options.list_vars
    for a in part.dwarf.entries(spec, calls="inline" not in names, inlined=not real, one_each=just_names):
        if ("exported" not in names or a.external) and _safe(request, part, spec, a, is_return):
            yield a


def _safe(request: Request, part: Part, spec: Spec, address: Address, is_return: bool) -> bool:
    """Whether a wildcard may mean the place: what is named in full is left to the kernel to refuse.

    Listings have all that SystemTap's have; what the kernel is known to refuse, or to die of, is left out of probes.
    """
    where = part.dwarf.covering(address.address) if request.options.list_points is None else None
    if where is not None and (where.refused or (is_return and fatal_return(address.function))):
        return False
    if request.options.guru or _WILD.isdisjoint(spec.function):
        return True
    if left_out(address.function, address.file, is_return):
        return False
    return where is None or (where.fentry and not where.offset) or not unsafe(where.symbol)


def _statements(request: Request, part: Part, spec: Spec, nearest: bool, suffix: str) -> Iterator[Resolved]:
    found = part.dwarf.statements(spec, nearest)
    if not found and spec.lines:
        raise part.dwarf.no_lines(spec) or Unresolved("no match")
    for address in found:
        if _safe(request, part, spec, address, False):
            listed = nearest and request.options.list_points is not None
            shown = replace(address, line=spec.asked_line(address.line)) if listed else address
            yield part.resolved(address, _spelt(part, "statement", shown) + suffix)


def _labels(request: Request, part: Part, spec: Spec, pattern: str) -> Iterator[Resolved]:
    for address in part.dwarf.labels(spec, pattern):
        if not _safe(request, part, spec, address, False):
            continue
        yield part.resolved(address, f'{_spelt(part, "function", address)}.label("{address.label}")')


def _callees(request: Request, part: Part, spec: Spec, suffix: str, is_return: bool) -> Iterator[Resolved]:
    """Inlined callees are places of their own; called ones count when it is the caller that they return to."""
    wanted = pattern_of(request, spec)
    for caller, callee in called(request, part.dwarf, spec):
        if not _safe(request, part, wanted, callee, is_return):
            continue
        where = (0, 0) if callee.inlined else extent(part.dwarf, caller)
        text = f"{callee.function}@{callee.file}:{callee.line}"
        point = f'{_spelt(part, "function", caller)}.callee("{text}"){_after_callee(suffix)}'
        yield part.resolved(callee, point, is_return, caller=where)


def only_listed(request: Request, part: Part, suffix: str, is_return: bool) -> Iterator[Resolved]:
    """What wildcards of listings have besides: code that has a symbol and no debug-info."""
    names = {c.name for c in request.point.components}
    pattern = str(request.point.components[1].argument)
    if request.options.list_points is None or "function" not in names or names & _INSIDE:
        return
    if "@" in pattern or _WILD.isdisjoint(pattern):
        return
    for a in part.dwarf.without_debuginfo(pattern):
        if not left_out(a.symbol, "", is_return):
            site, point = KprobeSite(a.symbol, part.module), f'{part.prefix}.function("{a.symbol}"){suffix}'
            facts = (("pc", part.dwarf.shown_pc(a)),)
            yield Resolved(site, NoScope(), point, is_return, context="kernel", extra=facts)


def _after_callee(suffix: str) -> str:
    return next((k for k in (".call", ".return") if suffix.endswith(k)), "")


def _by_address(part: Part, form: str, number: int, suffix: str, is_return: bool, maxactive: int) -> Iterator[Resolved]:
    address = part.dwarf.at(number & _MASK)
    if address is None:
        raise Unresolved("no match")
    if form == "function" and PART in address.symbol:  # known by its address alone
        address = part.dwarf.at(address.address - address.offset) or address
    elif form == "function":
        spec = Spec(address.function)
        address = min(part.dwarf.entries(spec), key=lambda a: abs(a.address - (number & _MASK)), default=address)
    yield part.resolved(address, f"{part.prefix}.{form}({number & _MASK:#x}){suffix}", is_return, maxactive)


def _argument(request: Request, name: str) -> str:
    return next(str(c.argument) for c in request.point.components if c.name == name)


def _spelt(part: Part, form: str, address: Address) -> str:
    where = f"{address.file}:{address.line}" if address.file else "<unknown source>"
    return f'{part.prefix}.{form}("{address.function}@{where}")'
