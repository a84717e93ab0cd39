"""Source lines of kernel and module addresses -> the tables of runtime/lines.h, for scripts that ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import SymbolAddress
from pystap.target import Target

if TYPE_CHECKING:
    from pystap.codegen.tables import Tables
    from pystap.debuginfo.linemap import LineMap
    from pystap.ir import nodes as ir
    from pystap.options import Options


def line_lines(tables: Tables, module: ir.Module, options: Options, target: object) -> list[str]:
    """The tables of the kernel, of probed modules and of those of -d. Asks for symbols: before those are written."""
    maps = list(_maps(module, options, target)) if isinstance(target, Target) else []
    lines = [
        f"STAP_LINE_TABLE(stap_line_table_{number}, {names.c_string(str(found.path))});"
        for number, found in enumerate(maps)
    ]
    lines.append("static const struct stap_line_map stap_line_maps[] = {")
    for number, found in enumerate(maps):
        symbol = tables.symbol(SymbolAddress(found.symbol, 0, found.module))
        lines.append(f"\t{{ stap_line_table_{number}, {symbol}, {found.offset:#x}, {found.size:#x} }},")
    return [*lines, "};", "static const unsigned int stap_line_map_count = ARRAY_SIZE(stap_line_maps);"]


def _maps(module: ir.Module, options: Options, target: Target) -> Iterator[LineMap]:
    from pystap.debuginfo.linemap import kernel_line_map, module_line_maps

    of_kernel = kernel_line_map(target)
    if of_kernel is not None:
        yield of_kernel
    probed = {name for p in module.probes if (name := getattr(p.site, "module", None))}
    for name in dict.fromkeys([*sorted(probed), *_named(options, target)]):
        with suppress(Unresolved):
            yield from module_line_maps(target, name)


def _named(options: Options, target: Target) -> Iterable[str]:
    """The modules of -d, by their own names; programs may be named there, too."""
    from pystap.debuginfo.locate import module_name, names_module

    for name in options.objects:
        if names_module(name):
            with suppress(Unresolved):
                path = target.module_path(name)
                target.module_info(str(path))
                yield module_name(path)
