"""kprobe.*: probes by symbol alone. KprobeSite is also what kernel.function and .statement resolve to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.breakpoints import fatal_return, unsafe

if TYPE_CHECKING:
    from pystap.target import Target

# An exported function of every kernel: sites are given by their distance from it, which the running kernel's random
# placement does not change. The engine checks the name that it finds there.
ANCHOR = "sprint_symbol"

_SYSTEM_CALL = re.compile(r"__(x64|ia32|ia32_compat)_sys_")


@dataclass(frozen=True, slots=True)
class KprobeSite:
    """An instruction of the kernel or of a module: the symbol's, `offset` bytes in, or a raw `address`."""

    symbol: str
    module: str | None = None
    offset: int = 0
    address: int | None = None  # absolute, of kprobe.statement(ADDR).absolute
    distance: int | None = None  # of the kernel's symbol from ANCHOR; of a module's from the start of its section
    fentry: bool = False  # the symbol begins with an ftrace call
    is_return: bool = False
    maxactive: int = 0  # 0: the engine's default
    caller: int = 0  # only when called from code that begins so many bytes from the symbol
    caller_size: int = 0  # 0: from anywhere
    engine: ClassVar[str] = "kprobe"

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional parts of the runtime that the site needs."""
        return ("callers", "unwind") if self.caller_size else ()

    @property
    def kind(self) -> str:
        """How the engine finds the place, as runtime/engines/kprobe.h names it."""
        if self.address is not None:
            return "STAP_PLACE_ADDRESS"
        if self.distance is None:
            return "STAP_PLACE_NAME"
        return "STAP_PLACE_MODULE" if self.module else "STAP_PLACE_DISTANCE"

    @property
    def place(self) -> int:
        """The number that belongs to `kind`, as unsigned 64 bits."""
        number = self.address if self.address is not None else self.distance
        return (number or 0) & 0xFFFFFFFFFFFFFFFF


class Kprobe:
    """kprobe.function("f"), kprobe.module("m").function("f"), kprobe.statement(ADDR).absolute."""

    patterns: ClassVar[tuple[str, ...]] = (
        "kprobe.function(str)[.call|.return[.maxactive(num)]]",
        "kprobe.module(str).function(str)[.call|.return[.maxactive(num)]]",
        "kprobe.statement(num).absolute",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """One site for each symbol that matches; raises Unresolved where none does."""
        if request.pattern.startswith("kprobe.statement"):
            return [_absolute(request)]
        if request.pattern.startswith("kprobe.module"):
            return list(_in_modules(request))
        return list(_in_kernel(request))


def suffixes(request: Request) -> tuple[str, bool, int]:
    """Of the written point: what follows function(...), whether it is a return probe, and its maxactive."""
    names = [c.name for c in request.point.components]
    at = max(i for i, name in enumerate(names) if name in ("function", "statement"))
    rest = request.point.components[at + 1 :]
    maxactive = next((c.argument for c in rest if c.name == "maxactive"), 0)
    assert isinstance(maxactive, int)
    if maxactive < 0 or any(c.name == "maxactive" and not c.argument for c in rest):
        raise Unresolved("maxactive must be greater than 0")
    return "".join(f".{c}" for c in rest), any(c.name == "return" for c in rest), maxactive


def kernel_sites(target: Target, pattern: str, is_return: bool = False, maxactive: int = 0) -> Iterator[KprobeSite]:
    """The sites of the kernel functions that match a glob: one for each address, even where statics share a name."""
    table = target.symbols()
    anchor = table.lookup(ANCHOR)
    for symbol in table.symbols(pattern):
        if not symbol.is_function or not symbol.probeable or _no_function(symbol.name, pattern):
            continue
        if not symbol.has_fentry and symbol.name != pattern and unsafe(symbol.name):
            continue
        if is_return and fatal_return(symbol.name):
            continue
        placed = anchor is not None and anchor.address and symbol.address
        yield KprobeSite(
            symbol.name,
            distance=symbol.address - anchor.address if anchor is not None and placed else None,
            fentry=symbol.has_fentry,
            is_return=is_return,
            maxactive=maxactive,
        )


def _no_function(name: str, pattern: str) -> bool:
    """Labels of assembly code, padding, and the unlikely halves of functions, unless they are asked for by name."""
    return name != pattern and (name.startswith((".", "__pfx_", "__cfi_", "__SCT__")) or ".cold" in name)


def module_sites(
    target: Target, module: str, pattern: str, is_return: bool = False, maxactive: int = 0
) -> Iterator[KprobeSite]:
    """The sites of a module's functions; the kernel finds them by name when the module is there."""
    for function in target.module_info(module).functions(pattern):
        if _no_function(function.name, pattern):
            continue
        yield KprobeSite(
            function.name,
            function.module,
            distance=function.address,
            fentry=True,  # most of a module's functions; the engine finds out
            is_return=is_return,
            maxactive=maxactive,
        )


def _absolute(request: Request) -> Resolved:
    address = request.arguments[0]
    assert isinstance(address, int)
    if not request.options.guru:
        raise Unresolved("absolute statement probe in unprivileged script; need stap -g")
    return Resolved(KprobeSite("", address=address), NoScope(), str(request.point), context="kernel")


def _in_kernel(request: Request) -> Iterator[Resolved]:
    pattern = str(request.arguments[0])
    suffix, is_return, maxactive = suffixes(request)
    site = None
    for site in kernel_sites(request.target, pattern, is_return, maxactive):
        point = f'kprobe.function("{site.symbol}"){suffix}'
        yield Resolved(site, NoScope(hint=_instead(site.symbol)), point, is_return, context="kernel")
    if site is None:
        raise Unresolved("no match", () if request.tolerant else request.target.symbols().similar(pattern, 5))


def _instead(symbol: str) -> str:
    """What to write for a $variable: older scripts have those of system calls."""
    if not _SYSTEM_CALL.match(symbol):
        return f'kernel.function("{symbol}") has $variables, kprobe.function has none: int_arg(1), returnval()'
    return "a system call's arguments are variables without $ (-L with its alias lists them), its result is retval"


def _in_modules(request: Request) -> Iterator[Resolved]:
    module_pattern, pattern = (str(a) for a in request.arguments[:2])
    suffix, is_return, maxactive = suffixes(request)
    found = False
    for module in request.target.modules(module_pattern) or [module_pattern]:
        for site in module_sites(request.target, module, pattern, is_return, maxactive):
            found = True
            point = f'kprobe.module("{site.module}").function("{site.symbol}"){suffix}'
            yield Resolved(site, NoScope(), point, is_return, context="kernel")
    if not found:
        raise Unresolved("no match")
