"""process*.function, .statement, .plt: places in programs and libraries, from DWARF where there is some, or symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from pystap.debuginfo.abi import UnknownScope
from pystap.debuginfo.api import Address, Scope
from pystap.debuginfo.second_names import PART
from pystap.debuginfo.spec import Spec, parse
from pystap.debuginfo.user import UserFunction, distinct, entry_of
from pystap.debuginfo.user_dwarf import UserDwarf
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Space
from pystap.providers import returns
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.callees import called, extent
from pystap.providers.objects import PREFIXES, Place, Processes, places, processes, require_uprobes
from pystap.providers.scopes import LazyScope, ReturnScope

_FORMS = (
    ".function(str)[.call|.exported|.inline|.return|.label(str)]",
    ".function(str).callee(str)[.call|.return]",
    ".function(str).callees",
    ".function(str).callees(num)",
    ".function(num)[.call|.exported|.return]",
    ".statement(str)[.nearest]",
    ".statement(num)[.nearest]",
    ".plt[.return]",
    ".plt(str)[.return]",
)
_MASK = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class UprobeSite:
    """An instruction of a file, and in which processes it counts."""

    path: str
    offset: int  # in the file
    address: int  # link-time
    program: str | None = None  # only in processes that run it
    process: int = 0  # only in that one
    targets: bool = False  # only in the session's target and its children
    semaphore: int = 0  # in the file: the counter that arms an SDT mark
    caller_low: int = 0  # only when called from that code (link-time)
    caller_high: int = 0
    is_return: bool = False
    unwinders: tuple[returns.Unwinder, ...] = ()  # what must not find the return's probe
    engine: ClassVar[str] = "uprobe"


class Uprobe:
    """process("PATH").function("f") and its kin."""

    patterns: ClassVar[tuple[str, ...]] = (
        *(prefix + form for prefix in PREFIXES for form in _FORMS),
        "process(num).statement(num).absolute[.return]",
    )
    unprivileged: ClassVar[tuple[str, ...]] = patterns  # stapusr may use these

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """All places that the point means; raises Unresolved where there is none."""
        names = [c.name for c in request.point.components]
        if "absolute" in names:
            return [_absolute(request)]
        found: list[Resolved] = []
        failure: Unresolved | None = None
        for place in places(request):
            if "return" in names:
                returns.refuse_go(place.object)
            try:
                found += _safe(place, _in_place(request, place, names))
            except Unresolved as error:
                failure = failure or error
        if not found:
            raise failure or Unresolved("no match")
        return found


def _safe(place: Place, found: list[Resolved]) -> list[Resolved]:
    """Without the returns that would break the program; raises Unresolved where nothing else was asked for."""
    if not any(r.is_return for r in found):
        return found
    unsafe = returns.unsafe(place.object)
    kept = [r for r in found if not (r.is_return and isinstance(r.site, UprobeSite) and r.site.address in unsafe)]
    if found and not kept:
        site = found[0].site
        assert isinstance(site, UprobeSite)
        raise Unresolved(f"a probe of this return would break the program: {unsafe[site.address]}")
    return [_unwound(place, r) for r in kept]


def _unwound(place: Place, resolved: Resolved) -> Resolved:
    """With what exceptions that pass it need."""
    where = resolved.site
    if not (resolved.is_return and isinstance(where, UprobeSite)):
        return resolved
    unwinders = returns.unwinders(place.object, place.among.program or place.object.path)
    if not unwinders:
        return replace(resolved, caution=returns.caution_of_hidden(place.object))
    caution = returns.caution(place.object.path, unwinders)
    return replace(resolved, site=replace(where, unwinders=unwinders), caution=caution)


def site(place: Place, address: int, is_return: bool = False, caller: tuple[int, int] = (0, 0)) -> UprobeSite | None:
    """What the engine registers for a link-time address; None where the file holds no such byte."""
    offset = place.object.file_offset(address)
    if offset is None:
        return None
    among = place.among
    return UprobeSite(
        place.object.path, offset, address, among.program, among.process, among.targets, 0, *caller, is_return
    )


def _in_place(request: Request, place: Place, names: list[str]) -> list[Resolved]:
    if "plt" in names:
        return list(_plt(request, place))
    argument = next(c.argument for c in request.point.components if c.name in ("function", "statement"))
    dwarf = place.object.dwarf
    if isinstance(argument, int):
        return _by_number(request, place, argument & _MASK)
    spec = parse(str(argument))
    if dwarf is None and (_needs_dwarf(spec, names) or not any(place.object.matching(spec.function))):
        dwarf = place.object.demanded
    if dwarf is not None:
        whole = "function" in names and not {"label", "callee", "callees", "inline"}.intersection(names)
        known = spec if whole and not spec.file else dwarf.aliased(spec)
        found = list(_by_dwarf(request, _Part(place, dwarf, _suffix(request)), known, names))
        if not whole or spec.file:
            return found
        return found + _beyond(request, place, spec, found)
    _refuse_what_needs_dwarf(place, spec, names)
    return _by_symbols(request, place, spec)


# --- with DWARF --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    place: Place
    dwarf: UserDwarf
    suffix: str

    def resolved(
        self, address: Address, point: str, is_return: bool = False, caller: tuple[int, int] = (0, 0)
    ) -> Iterator[Resolved]:
        """The place, its scope and its spelling."""
        pc = entry_of(self.dwarf, address) if is_return else address.address
        where = site(self.place, pc, is_return, caller)
        if where is None:
            return

        def scope() -> Scope:
            if is_return:
                return ReturnScope(self.dwarf.entry_scope(address))
            return self.dwarf.scope_at(address)

        yield Resolved(
            where,
            LazyScope(scope, Space.USER),
            point,
            is_return,
            context="user",
            inlined=address.inlined,
            home=self.place.object.path,
            extra=(("pc", f"{where.offset:#x}"),),
        )

    def spelt(self, form: str, address: Address) -> str:
        """process("/bin/x").function("f@/src/x.c:12")"""
        where = f"@{address.file}:{address.line}" if address.file else ""
        function = address.function.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.place.prefix}.{form}("{function}{where}")'


def _by_dwarf(request: Request, part: _Part, spec: Spec, names: list[str]) -> Iterator[Resolved]:
    if "statement" in names:
        yield from _statements(request, part, spec, "nearest" in names)
    elif "label" in names:
        for address in part.dwarf.labels(spec, _argument(request, "label")):
            yield from part.resolved(address, f'{part.spelt("function", address)}.label("{address.label}")')
    elif "callee" in names or "callees" in names:
        yield from _callees(request, part, spec, names)
    else:
        yield from _entries(part, spec, names)


def _entries(part: _Part, spec: Spec, names: list[str]) -> Iterator[Resolved]:
    real = {"call", "return", "exported"}.intersection(names)
    found = part.dwarf.entries(spec, calls="inline" not in names, inlined=not real)
    for address in found:
        if "exported" not in names or _exported(part, address):
            yield from part.resolved(address, part.spelt("function", address) + part.suffix, "return" in names)


def _exported(part: _Part, address: Address) -> bool:
    """Whether other files can call a function: a hidden one is external in DWARF, and local among the symbols."""
    pc = entry_of(part.dwarf, address)
    return any(f.external for f in part.place.object.functions_at(pc))


def _statements(request: Request, part: _Part, spec: Spec, nearest: bool) -> Iterator[Resolved]:
    found = part.dwarf.statements(spec, nearest)
    failure = part.dwarf.no_lines(spec) if spec.lines and not found else None
    if failure is not None:
        raise failure
    listed = nearest and request.options.list_points is not None
    for address in found:
        shown = replace(address, line=spec.asked_line(address.line)) if listed else address
        yield from part.resolved(address, part.spelt("statement", shown) + (".nearest" if listed else ""))


def _callees(request: Request, part: _Part, spec: Spec, names: list[str]) -> Iterator[Resolved]:
    """Inlined copies where they stand; called functions at their entry, when it is the caller that they return to."""
    real = "".join(f".{name}" for name in names if name in ("return", "call"))
    for caller, callee in called(request, part.dwarf, spec):
        where = (0, 0) if callee.inlined else extent(part.dwarf, caller)
        text = f"{callee.function}@{callee.file}:{callee.line}"
        point = f'{part.spelt("function", caller)}.callee("{text}"){real}'
        yield from part.resolved(callee, point, "return" in names, where)


# --- from symbols ------------------------------------------------------------------------------------------


def _needs_dwarf(spec: Spec, names: list[str]) -> str:
    """What of a point symbols do not tell; nothing where they do."""
    needed = {"inline", "label", "callee", "callees", "nearest", "statement"}.intersection(names)
    return "source files and lines are" if spec.file else f".{min(needed)} is" if needed else ""


def _refuse_what_needs_dwarf(place: Place, spec: Spec, names: list[str]) -> None:
    if what := _needs_dwarf(spec, names):
        raise Unresolved(f"{what} known to DWARF debug-info only", hint=place.object.advice)


def _by_symbols(request: Request, place: Place, spec: Spec) -> list[Resolved]:
    suffix = _suffix(request)
    found = [
        resolved
        for function in distinct(place.object.matching(spec.function))
        if ".exported" not in suffix or function.external
        for resolved in _by_symbol(place, function, suffix)
    ]
    if not found:
        similar = place.object.similar(spec.function)
        stripped = place.object.elf.section(".symtab") is None
        text = f"no match (similar functions: {', '.join(similar)})" if similar else "no match"
        raise Unresolved(text, hint=place.object.advice if stripped else "")
    return found


def _by_symbol(place: Place, function: UserFunction, suffix: str, why: str = "") -> Iterator[Resolved]:
    is_return = suffix.endswith(".return")
    where = site(place, function.address, is_return)
    if where is None or not place.object.is_code(function.address):
        return

    def scope() -> Scope:
        dwarf = None if why else place.object.demanded
        if dwarf is not None and (known := dwarf.function_at(function.address)) is not None:
            return ReturnScope(dwarf.entry_scope(known)) if is_return else dwarf.scope_at(known)
        unknown = UnknownScope(
            why or f"{place.object.path} has no DWARF debug-info", "" if why else place.object.advice, None, Space.USER
        )
        return ReturnScope(unknown) if is_return else unknown

    point = f'{place.prefix}.function("{function.name}"){suffix}'
    home = place.object.path
    yield Resolved(where, LazyScope(scope, Space.USER), point, is_return, context="user", home=home)


def _beyond(request: Request, place: Place, spec: Spec, found: list[Resolved]) -> list[Resolved]:
    """What DWARF does not name: aliases of functions that it does name (malloc is __libc_malloc), and other code."""
    known = {r.site.address for r in found if isinstance(r.site, UprobeSite)}
    suffix = _suffix(request)
    out: list[Resolved] = []
    dwarf = place.object.dwarf
    assert dwarf is not None
    for function in distinct(place.object.matching(spec.function)):
        if function.address in known or (".exported" in suffix and not function.external):
            continue
        if PART in function.name and PART not in spec.function:
            continue
        part = _Part(place, dwarf, suffix)
        named = dwarf.function_at(function.address)
        if named is None:
            out += _by_symbol(place, function, suffix, f"no DWARF debug-info covers {function.name}")
        elif entry_of(dwarf, named) == function.address and not _same(named, found):
            if PART in function.name:  # the name of what it was split off is another function's
                named = replace(named, function=function.name, file="")
            out += part.resolved(named, part.spelt("function", named) + suffix, suffix.endswith(".return"))
        known.add(function.address)
    if not found and not out:
        similar = place.object.similar(spec.function)
        raise Unresolved(f"no match (similar functions: {', '.join(similar)})" if similar else "no match")
    return out


def _same(named: Address, found: list[Resolved]) -> bool:
    return any(isinstance(r.site, UprobeSite) and r.site.address == named.address for r in found)


# --- numbers, stubs, raw addresses -------------------------------------------------------------------------


def _by_number(request: Request, place: Place, address: int) -> list[Resolved]:
    names = [c.name for c in request.point.components]
    suffix, is_return = _suffix(request), "return" in names
    dwarf = place.object.dwarf
    form = "function" if "function" in names else "statement"
    if dwarf is not None:
        found = dwarf.function_at(address) if form == "function" else dwarf.at(address)
        if found is not None:
            part = _Part(place, dwarf, suffix)
            return list(part.resolved(found, part.spelt(form, found) + suffix, is_return))
    function = place.object.function_at(address)
    if form == "function" and function is not None:
        return list(_by_symbol(place, function, suffix))
    where = site(place, address, is_return)
    if where is None or not place.object.is_code(address):
        raise Unresolved(f"no code of {place.object.path} lies at {address:#x}")
    point = f"{place.prefix}.{form}({address:#x}){suffix}"
    return [Resolved(where, NoScope(), point, is_return, context="user", home=place.object.path)]


def _plt(request: Request, place: Place) -> Iterator[Resolved]:
    from fnmatch import fnmatchcase

    wanted = next((c.argument for c in request.point.components if c.name == "plt"), None) or "*"
    is_return = request.point.components[-1].name == "return"
    suffix = ".return" if is_return else ""
    for name, address in place.object.plt():
        where = site(place, address, is_return)
        if where is not None and fnmatchcase(name, str(wanted)):
            point = f'{place.prefix}.plt("{name}"){suffix}'
            scope: Scope = UnknownScope("a stub has none", space=Space.USER)
            scope = ReturnScope(scope) if is_return else scope
            texts = (("$name", name),)
            yield Resolved(where, scope, point, is_return, context="user", texts=texts, home=place.object.path)


def _absolute(request: Request) -> Resolved:
    """process(PID).statement(ADDR).absolute: the file and offset that are mapped there now."""
    require_uprobes(request)
    among = processes(request)
    address = next(c.argument for c in request.point.components if c.name == "statement")
    assert isinstance(address, int)
    is_return = request.point.components[-1].name == "return"
    path, offset = _mapped(among, address & _MASK)
    where = UprobeSite(path, offset, address & _MASK, process=among.process, is_return=is_return)
    return Resolved(where, NoScope(), str(request.point), is_return, context="user")


def _mapped(among: Processes, address: int) -> tuple[str, int]:
    try:
        with open(f"/proc/{among.process}/maps", encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                words = line.split(None, 5)
                low, high = (int(n, 16) for n in words[0].split("-"))
                if low <= address < high and len(words) == 6 and words[5].startswith("/"):
                    return words[5].rstrip("\n").removesuffix(" (deleted)"), address - low + int(words[2], 16)
    except OSError:
        raise Unresolved(f"cannot probe pid {among.process}: No such process") from None
    raise Unresolved(f"no file is mapped at {address:#x} of process {among.process}")


def _suffix(request: Request) -> str:
    names = [c.name for c in request.point.components]
    at = max(i for i, name in enumerate(names) if name in ("function", "statement", "plt"))
    return "".join(f".{c}" for c in request.point.components[at + 1 :] if c.name != "nearest")


def _argument(request: Request, name: str) -> str:
    return next(str(c.argument) for c in request.point.components if c.name == name)
