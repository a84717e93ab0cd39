"""kernel.data("symbol") and kernel.data(ADDR): accesses to kernel memory, watched by the CPU's debug registers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.kprobe import ANCHOR

LENGTHS = (1, 2, 4, 8)
KERNEL_HALF = 1 << 63  # the lowest address of the kernel's half of memory; programs have the other


@dataclass(frozen=True, slots=True)
class DataSite:
    """Memory: at a symbol (`place` is its distance from ANCHOR) or, without one, at the address `place`."""

    symbol: str | None
    names: str  # all symbols of that place, between spaces: kernels show one of them
    place: int
    length: int
    writes_only: bool
    engine: ClassVar[str] = "hwbreakpoint"


class KernelData:
    """kernel.data().write and .rw."""

    patterns: ClassVar[tuple[str, ...]] = (
        "kernel.data(str)[.length(num)].write",
        "kernel.data(str)[.length(num)].rw",
        "kernel.data(num)[.length(num)].write",
        "kernel.data(num)[.length(num)].rw",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one place that the point names; raises Unresolved for symbols that are not there."""
        if not request.target.has_config("HAVE_HW_BREAKPOINT"):
            raise Unresolved("this kernel has no hardware breakpoints (CONFIG_HAVE_HW_BREAKPOINT)")
        names = [c.name for c in request.point.components]
        writes_only = names[-1] == "write"
        where = request.arguments[0]
        length = checked_length(request.arguments[1]) if "length" in names else None
        if isinstance(where, str):
            site = _at_symbol(request, where, length, writes_only)
        else:
            site = _at_address(where & 0xFFFFFFFFFFFFFFFF, length or 1, writes_only)
        yield Resolved(site, NoScope(), str(request.point), context="kernel")


def checked_length(length: int | str) -> int:
    """A length that debug registers can watch; raises Unresolved for others."""
    if length not in LENGTHS:
        raise Unresolved(f"length must be one of 1, 2, 4, 8, not {length}")
    return int(length)


def fitting_length(address: int, size: int) -> int:
    """How many bytes from the start of what is at `address` debug registers can watch at once."""
    return max(n for n in LENGTHS if n <= max(size, 1) and address % n == 0)


def _at_address(address: int, length: int, writes_only: bool) -> DataSite:
    if address < KERNEL_HALF:
        raise Unresolved(f"{address:#x} is not an address of the kernel's memory")
    require_aligned(address, length)
    return DataSite(None, "", address, length, writes_only)


def _at_symbol(request: Request, name: str, length: int | None, writes_only: bool) -> DataSite:
    table = request.target.symbols()
    symbol, anchor = table.lookup(name), table.lookup(ANCHOR)
    if symbol is None and table.lookup("_stext") is None:
        raise Unresolved(
            f"no addresses of variables: the symbol table in the image of kernel {request.target.release} "
            "has a layout that pystap does not know"
        )
    if symbol is None or anchor is None:
        raise Unresolved(f"no data symbol '{name}' in the kernel", table.similar(name, 5))
    if symbol.is_function:
        raise Unresolved(f"'{name}' is a function: kernel.function(\"{name}\") probes its calls")
    if not symbol.address or not anchor.address:
        raise Unresolved(f"the address of '{name}' is not known")
    if length is None:
        length = fitting_length(symbol.address, symbol.size)
    require_aligned(symbol.address, length)
    names = " ".join(sorted(s.name for s in table.symbols("*") if s.address == symbol.address))
    return DataSite(name, f" {names} ", (symbol.address - anchor.address) & 0xFFFFFFFFFFFFFFFF, length, writes_only)


def require_aligned(address: int, length: int) -> None:
    """Raises Unresolved for a place that debug registers cannot watch as a whole."""
    if address % length:
        raise Unresolved(f"a watched place of {length} bytes must be aligned to {length}, and {address:#x} is not")
