"""kernel.* and module("m").* by function: entries and returns, from the symbol table and BTF.

What needs line numbers, inlined copies or locals needs DWARF and is refused with the command that brings it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pystap.debuginfo.api import DebugInfo, Function, Scope
from pystap.diagnostics import Unresolved
from pystap.providers import kernel_dwarf
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.kernel_dwarf import Part
from pystap.providers.kprobe import KprobeSite, kernel_sites, module_sites, suffixes
from pystap.providers.scopes import LazyScope, ReturnScope

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf

_FORMS = (
    ".function(str)[.call|.exported|.inline|.return[.maxactive(num)]|.label(str)]",
    ".function(str).callee(str)[.call|.return]",
    ".function(str).callees",
    ".function(str).callees(num)",
    ".function(num)[.call|.exported|.return[.maxactive(num)]]",
    ".statement(str)[.nearest]",
    ".statement(num)[.nearest]",
)
_NEEDS_DWARF = frozenset(("inline", "label", "callee", "callees", "nearest"))


@dataclass(frozen=True, slots=True)
class _Place:
    """The kernel or one module: how its sites are found, who knows its types, and how points in it are spelt."""

    prefix: str  # kernel, module("ext4")
    info: Callable[[], DebugInfo]
    sites: Callable[[str, bool, int], Iterator[KprobeSite]]


class KernelFunction:
    """kernel.function("f"), module("m").function("f") and their kin."""

    patterns: ClassVar[tuple[str, ...]] = (
        *(prefix + rest for prefix in ("kernel", "module(str)") for rest in _FORMS),
        "kernel.statement(num).absolute",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """All functions that the point means; raises Unresolved where there is none or DWARF is needed."""
        if request.point.components[-1].name == "absolute":
            return [_absolute(request)]
        with_dwarf = _parts(request, request.target.dwarf)
        needing = _what_needs_dwarf(request)
        if needing and not with_dwarf:
            with_dwarf = _parts(request, request.target.demand_dwarf)
        if with_dwarf:
            return _by_dwarf(request, with_dwarf)
        if needing:
            raise Unresolved(f"{needing} known to DWARF debug-info only", hint=_advice(request))
        pattern = request.point.components[1].argument
        if isinstance(pattern, int):
            return [_at_address(request, pattern)]
        return _functions(request, str(pattern))


def _parts(request: Request, find: Callable[[str | None], Dwarf | None]) -> list[Part]:
    """The kernel or the modules that are meant, with their DWARF; none where one of them has none."""
    target = request.target
    if request.point.components[0].name == "kernel":
        dwarf = find(None)
        return [Part.of(request, dwarf, "kernel")] if dwarf else []
    wanted = str(request.arguments[0])
    parts = []
    for name in [wanted] if "/" in wanted else target.modules(wanted) or [wanted]:
        dwarf = find(name)
        if dwarf is None:
            return []
        parts.append(Part.of(request, dwarf, f'module("{name}")'))
    return parts


def _advice(request: Request) -> str:
    """What brings the debug-info that is not there."""
    target = request.target
    if request.point.components[0].name == "kernel":
        return target.debuginfo_advice
    wanted = str(request.arguments[0])
    names = [wanted] if "/" in wanted else target.modules(wanted) or [wanted]
    return next((target.module_advice(name) for name in names if target.dwarf(name) is None), "")


def _by_dwarf(request: Request, parts: list[Part]) -> Iterator[Resolved]:
    suffix, is_return, maxactive = suffixes(request)
    found = False
    for part in parts:
        for resolved in kernel_dwarf.resolve(request, part, suffix, is_return, maxactive):
            found = True
            yield resolved
        for resolved in kernel_dwarf.only_listed(request, part, suffix, is_return):
            found = True
            yield resolved
    if not found and _told_by_symbols(request):
        yield from _functions(request, str(request.point.components[1].argument))
    elif not found:
        pattern = str(request.point.components[1].argument).partition("@")[0]
        raise Unresolved(_no_match(request, pattern), hint=_renamed(request, pattern))


def _told_by_symbols(request: Request) -> bool:
    """Whether a point can be known to the symbol table alone, as second names of functions (system calls') are."""
    names = {c.name for c in request.point.components}
    pattern = request.point.components[1].argument
    return isinstance(pattern, str) and "@" not in pattern and "function" in names and not names & _NEEDS_DWARF


def _what_needs_dwarf(request: Request) -> str:
    """What of a point symbols and BTF do not know; "" where they do."""
    names = [c.name for c in request.point.components]
    pattern = request.point.components[1].argument
    if isinstance(pattern, str) and "@" in pattern:
        return "source files and lines are"
    if needed := _NEEDS_DWARF.intersection(names):
        return f".{min(needed)} is"
    if names[1] == "statement":
        return ".statement is"
    if isinstance(pattern, int) and names[0] != "kernel":
        return "functions of modules by address are"
    return ""


def _functions(request: Request, pattern: str) -> Iterator[Resolved]:
    suffix, is_return, maxactive = suffixes(request)
    exported = ".exported" in suffix
    found = False
    for place in _places(request):
        info: DebugInfo | None = None
        for site in place.sites(pattern, is_return, maxactive):
            if exported and site.symbol not in request.target.exports:
                continue
            info = info or place.info()
            found = True
            yield _resolved(place.prefix, suffix, info, site)
    if not found:
        raise Unresolved(_no_match(request, pattern), hint=_renamed(request, pattern))


def _resolved(prefix: str, suffix: str, info: DebugInfo, site: KprobeSite) -> Resolved:
    function = Function(site.symbol, site.module)

    def scope() -> Scope:
        found = info.scope(function)
        return ReturnScope(found) if site.is_return else found

    point = f'{prefix}.function("{site.symbol}"){suffix}'
    return Resolved(site, LazyScope(scope), point, site.is_return, context="kernel", home=site.module or "kernel")


def _places(request: Request) -> Iterator[_Place]:
    target = request.target
    if request.point.components[0].name == "kernel":
        yield _Place("kernel", target.kernel_info, lambda p, r, m: kernel_sites(target, p, r, m))
        return
    wanted = str(request.arguments[0])
    for name in [wanted] if "/" in wanted else target.modules(wanted) or [wanted]:
        yield _module(request, name)


def _module(request: Request, name: str) -> _Place:
    target = request.target
    return _Place(
        f'module("{name}")',
        lambda: target.module_info(name),
        lambda p, r, m: module_sites(target, name, p, r, m),
    )


def _no_match(request: Request, pattern: str) -> str:
    if request.tolerant or request.point.components[0].name != "kernel" or "*" in pattern:
        return "no match"
    similar = request.target.symbols().similar(pattern, 5)
    return f"no match (similar functions: {', '.join(similar)})" if similar else "no match"


def _renamed(request: Request, name: str) -> str:
    if request.tolerant or request.point.components[0].name != "kernel":
        return ""
    from pystap.providers.renamed import instead_of

    return instead_of(request.target, name)


def _absolute(request: Request) -> Resolved:
    address = request.arguments[0]
    assert isinstance(address, int)
    if not request.options.guru:
        raise Unresolved("absolute statement probe in unprivileged script; need stap -g")
    return Resolved(KprobeSite("", address=address), NoScope(), str(request.point), context="kernel")


def _at_address(request: Request, address: int) -> Resolved:
    """function(ADDR): the function that covers a link-time address of the kernel."""
    found = request.target.symbols().at(address & 0xFFFFFFFFFFFFFFFF)
    suffix, is_return, maxactive = suffixes(request)
    if found is None:
        raise Unresolved("no match")
    wanted = found[0].name
    for site in kernel_sites(request.target, wanted, is_return, maxactive):
        return _resolved("kernel", suffix, request.target.kernel_info(), site)
    raise Unresolved("no match")
