"""Pass 3: ir.Module -> the C of a kernel module, as files in memory. Decides no semantics and runs no programs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pystap import __version__
from pystap.codegen import bodies, names
from pystap.codegen.builds import build_information, build_lines, known_builds
from pystap.codegen.descriptors import descriptor_lines
from pystap.codegen.environment import render
from pystap.codegen.frames import Depth, Storage, depth
from pystap.codegen.lines import line_lines
from pystap.codegen.macros import global_macros, key_strings
from pystap.codegen.objects import NEEDS as OBJECT_NEEDS
from pystap.codegen.objects import known_objects, object_lines
from pystap.codegen.unit import Unit
from pystap.codegen.writer import BACK_TO_C, Writer
from pystap.ir import locks as ir_locks
from pystap.ir import nodes as ir
from pystap.source import Span

if TYPE_CHECKING:
    from pystap.options import Options

__all__ = ["ModuleSource", "translate"]

_OPTIONAL = (
    "pretty",
    "regex",
    "histogram",
    "symbols",
    "lines",
    "stack",
    "objects",
    "ustack",
    "ustate",
)  # runtime parts that only some scripts need, in this order
_STRING_LIMIT = 512  # MAXSTRINGLEN's default on 64-bit machines


@dataclass(frozen=True, slots=False, eq=False)
class ModuleSource:
    """The text of a module."""

    name: str
    files: dict[str, str]
    line_map: dict[int, Span]  # line of module.c, from 1 -> the script's position

    @cached_property
    def digest(self) -> str:
        """Changes with the text."""
        digest = hashlib.sha256()
        for name, text in sorted(self.files.items()):
            digest.update(f"{name}\0{len(text)}\0".encode())
            digest.update(text.encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class EngineSite:
    """A row of an engine's table."""

    index: int  # in stap_probes[]
    site: Any
    probe: ir.Probe


@dataclass(frozen=True, slots=True)
class _Section:
    title: str
    text: str


def translate(module: ir.Module, options: Options, target: object = None) -> ModuleSource:
    """The C of a module; `module.c` is the file that is compiled."""
    unit = Unit(module, options.number("MAXSTRINGLEN", _STRING_LIMIT))
    handlers = Writer()
    held = _handlers(unit, handlers)
    functions = Writer()
    for function in module.functions:
        functions.append(bodies.function(unit, function))
    conditions = _conditions(module)
    unit.needs |= unit.tables.parts
    unit.needs |= {need for probe in module.probes for need in getattr(probe.site, "needs", ())}
    lines = line_lines(unit.tables, module, options, target) if "lines" in unit.needs else []
    builds = known_builds(module, unit.tables, target)
    lines += build_lines(builds)
    _need_what_these_need(unit, module, options, bool(conditions), len(builds) > 1)
    engines = _engines(module)
    needed = depth(held, unit.storages, unit.recursive)
    config = render("config.h.j2", defines=_defines(unit, options, needed))
    text = Writer()
    text.raw(_head(unit, module))
    _titled(text, "Functions", functions)
    _titled(text, "Probe bodies", handlers)
    text.raw(_condition_lines(unit, conditions))
    text.raw(_probe_table(module, conditions))
    for template, sites in engines:
        text.raw(render(template, sites=sites).rstrip("\n") + "\n")
    text.raw("\n".join([*lines, ""]))
    text.raw(_tail(unit, [template.rpartition("/")[2].partition(".")[0] for template, _ in engines]))
    text.raw("\n".join([*_guest_needs(module, unit.tables.object_paths), *build_information(builds)]))
    text.raw("\n".join(_information(options)))
    spelt = [f'#line {n + 2} "module.c"' if line == BACK_TO_C else line for n, line in enumerate(text.lines)]
    files = {"module.c": "\n".join(spelt) + "\n", "config.h": config}
    return ModuleSource(options.module_name or "stap", files, {at + 1: span for at, span in text.spans.items()})


def _need_what_these_need(unit: Unit, module: ir.Module, options: Options, conditions: bool, builds: bool) -> None:
    """Parts of the runtime that others, or the script's tables, ask for."""
    unit.needs |= {need for need, wanted in (("conditions", conditions), ("builds", builds)) if wanted}
    if unit.tables.uses_symbols or unit.needs & {"unwind", "lines"}:
        unit.needs |= {"symbols"}
    if "unwind" in unit.needs:
        unit.needs |= {"stack"}
    if unit.needs & OBJECT_NEEDS:
        unit.needs |= {"ustack"}
        for path in known_objects(module, options):
            unit.tables.object(path)
    if unit.tables.object_paths or unit.needs & OBJECT_NEEDS:
        unit.needs |= {"objects"}


_MODULE_FILE = re.compile(r'module\("([^"]*/[^"]*)"\)')


def _guest_needs(module: ir.Module, objects: Iterable[str]) -> list[str]:
    """Kernel modules and files that --vm must bring into the guest for these probes; read from the module itself."""
    by_path = {m[1] for p in module.probes if (m := _MODULE_FILE.match(p.point))}
    by_name = {getattr(p.site, "module", None) or "" for p in module.probes}
    stems = {path.rpartition("/")[2].partition(".ko")[0].replace("-", "_") for path in by_path}
    kernel_modules = sorted((by_name - stems - {""}) | by_path)
    named = {str(getattr(p.site, key, None) or "") for p in module.probes for key in ("path", "program")}
    files = sorted({*named, *objects} - {""})
    lists = (("stap_modules", kernel_modules), ("stap_files", files))
    return [f"MODULE_INFO({key}, {names.c_string(','.join(values))});" for key, values in lists if values]


def _information(options: Options) -> list[str]:
    """--modinfo NAME=VALUE."""
    pairs = [pair.partition("=") for pair in options.modinfo]
    return [f"MODULE_INFO({names.identifier(name)}, {names.c_string(value)});" for name, _, value in pairs]


def _handlers(unit: Unit, handlers: Writer) -> list[Storage]:
    titles: list[list[str]] = [[] for _ in unit.module.handlers]
    for probe in unit.module.probes:
        titles[probe.handler].append(f"probe {probe.point}")
        if probe.entry is not None:
            titles[probe.entry].append(f"entry of {probe.point}")
    held = []
    for index, handler in enumerate(unit.module.handlers):
        shown = titles[index][:8] + (["..."] if len(titles[index]) > 8 else [])
        writer, storage = bodies.handler(unit, index, handler, shown)
        handlers.append(writer)
        held.append(storage)
    return held


def _titled(text: Writer, title: str, part: Writer) -> None:
    if part.lines:
        text.raw(f"/* --- {title} {'-' * (98 - len(title))} */\n")
        text.append(part)


def _head(unit: Unit, module: ir.Module) -> str:
    """Everything that bodies refer to."""
    parts = [
        f"/* Made by pystap {__version__}. */",
        '#pragma GCC diagnostic ignored "-Wdeclaration-after-statement"',
        '#pragma GCC diagnostic ignored "-Wunused-function"  /* the runtime offers more than a script uses */',
        '#include "config.h"',
        '#include "stap.h"',
        *(f'#include "{part}.h"' for part in _OPTIONAL if part in unit.needs),
        "",
        *unit.tables.literal_lines(),
        "",
        *unit.variables.kind_lines(),
    ]
    if unit.variables.shapes:
        parts.append(render("map.h.j2", shapes=unit.variables.shapes))
    parts += [*unit.variables.definition_lines(), *unit.variables.parameter_lines(), ""]
    parts += _global_macros(unit, module)
    if module.descriptors and "pretty" in unit.needs:
        parts += descriptor_lines(module.descriptors)
    for index, dfa in enumerate(module.regexes):
        parts.append(render("regex.h.j2", index=index, dfa=dfa, table=dfa.table))
    parts += [f"{bodies.prototype(f)};" for f in module.functions]
    for code, mark in module.embedded:
        parts += [f"#line {mark.span.line} {names.c_string(mark.span.file.name)}", code, BACK_TO_C]
    return "\n".join(parts) + "\n"


def _global_macros(unit: Unit, module: ir.Module) -> list[str]:
    """STAP_GLOBAL_GET_x and STAP_GLOBAL_SET_x for what embedded functions name."""
    named = sorted(_named_globals(module) & set(unit.variables.globals))
    return [line for name in named for line in global_macros(unit.variables, name)]


def _named_globals(module: ir.Module) -> set[str]:
    return {name for f in module.functions for name in (*f.reads, *f.writes)}


def _conditions(module: ir.Module) -> list[ir.Expr]:
    """The different ones."""
    found: list[ir.Expr] = []
    for probe in module.probes:
        if probe.condition is not None and probe.condition not in found:
            found.append(probe.condition)
    return found


def _condition_lines(unit: Unit, conditions: list[ir.Expr]) -> str:
    if not conditions:
        return ""
    lines = [line for i, e in enumerate(conditions) for line in bodies.condition(unit, i, e)]
    rows = [f"\t{{ .holds = stap_condition_{i} }}," for i in range(len(conditions))]
    count = f"static const unsigned int stap_condition_count = {len(conditions)};"
    return "\n".join([*lines, "static struct stap_condition stap_conditions[] = {", *rows, "};", count, ""])


def _probe_table(module: ir.Module, conditions: list[ir.Expr]) -> str:
    steering = ir_locks.steering(module) if conditions else frozenset()
    lines = ["static struct stap_probe stap_probes[] = {"]
    for index, probe in enumerate(module.probes):
        saved_strings = sum(kind == "string" for kind in probe.saved)
        interruptible = getattr(probe.site, "interruptible", probe.site.engine == "begin")
        members = [
            f".handler = {names.handler(probe.handler)}",
            f".index = {index}",
            f".point = {names.c_string(probe.point)}",
            f".written = {names.c_string(probe.written)}",
            f".position = {names.c_string(str(probe.mark.span))}",
            f".actions = {'MAXACTION_INTERRUPTIBLE' if interruptible else 'MAXACTION'}",
        ]
        if probe.derived:
            members.append(f".derived = {names.c_string(probe.derived)}")
        if probe.entry is not None:
            members.append(f".entry = {names.handler(probe.entry)}")
            members.append(f".saved_count = {len(probe.saved)}")
            members.append(f".saved_size = {8 * len(probe.saved)} + {saved_strings} * STAP_STRING_BYTES")
        if probe.condition is not None:
            condition = conditions.index(probe.condition)
            members.append(f".condition = stap_condition_{condition}, .armed_if = &stap_conditions[{condition}]")
        if probe.handler in steering or probe.entry in steering:
            members.append(".steers = true")
        lines.append(f"\t{{ {', '.join(members)} }},")
    return "\n".join(
        [*lines, "};", "static const unsigned int stap_probe_count __maybe_unused = ARRAY_SIZE(stap_probes);", ""]
    )


def _engines(module: ir.Module) -> list[tuple[str, list[EngineSite]]]:
    """Templates and rows of the engines that the module uses, in the order in which they start."""
    from pystap.providers import ENGINES

    rows: dict[str, list[EngineSite]] = {}
    for index, probe in enumerate(module.probes):
        rows.setdefault(probe.site.engine, []).append(EngineSite(index, probe.site, probe))
    return [(f"engines/{name}.c.j2", rows[name]) for name in ENGINES if name in rows]


def _tail(unit: Unit, engines: Iterable[str]) -> str:
    """What starts and stops: parts that allocate, engines, and the module itself."""
    from pystap.providers import REARMED

    maps = unit.variables.map_names()
    parts = ['{ "contexts", stap_contexts_load, stap_contexts_unload }']
    lines = []
    if maps:
        parts.append('{ "maps", stap_maps_load, stap_maps_unload }')
        lines += [f"static struct stap_map *const stap_maps[] = {{ {', '.join('&' + m for m in maps)} }};"]
        lines += ["static const unsigned int stap_map_count = ARRAY_SIZE(stap_maps);", '#include "map_load.h"', ""]
    if "builds" in unit.needs:
        parts.append('{ "builds", stap_builds_load, stap_builds_unload }')
    if "symbols" in unit.needs:
        parts.append('{ "symbols", stap_symbols_load, stap_symbols_unload }')
    if "symbols" in unit.needs:
        lines += unit.tables.symbol_lines()
    if "stack" in unit.needs:
        parts.append('{ "stack", stap_stack_load, stap_stack_unload }')
    if "objects" in unit.needs:
        parts.append('{ "objects", stap_objects_load, stap_objects_unload }')
        lines += object_lines(unit.tables.object_paths, unit.needs)
    lines += unit.tables.table_lines()
    lines += ["", "static const struct stap_part stap_parts[] = {", *(f"\t{p}," for p in parts), "};"]
    locks = ", ".join(f"&{name}" for name in unit.variables.lock_names()) or "NULL"
    lines += [f"static struct stap_lock *const stap_locks[] __maybe_unused = {{ {locks} }};"]
    lines += [f"static const unsigned int stap_lock_count __maybe_unused = {len(unit.variables.lock_names())};"]
    lines += ['#include "report.h"', "static const struct stap_engine stap_engines[] = {"]
    lines += ['\t{ "report", stap_report_start, stap_report_stop },']
    lines += [
        f'\t{{ "{e}", stap_{e}_start, stap_{e}_stop, {f"stap_{e}_rearm" if e in REARMED else "NULL"} }},'
        for e in engines
    ]
    return "\n".join([*lines, "};", "", "STAP_MODULE(stap_parts, stap_engines);", '#include "module_info.h"'])


def _defines(unit: Unit, options: Options, needed: Depth) -> list[tuple[str, str]]:
    """config.h: the user's -D first, then what the script needs."""
    defines: dict[str, str] = {}
    for name, value in options.defines:
        defines[name] = value
    if options.timing:
        defines.setdefault("STP_TIMING", "1")
    if options.suppress_handler_errors:
        defines.setdefault("STAP_SUPPRESS_HANDLER_ERRORS", "1")
    if options.suppress_time_limits:
        defines.setdefault("STAP_SUPPRESS_TIME_LIMITS_ENABLE", "1")
    if options.privilege == "stapusr":
        defines["STAP_ONLY_OWN"] = "1"
    defines.setdefault("MAXNESTING", str(needed.levels + (10 if unit.recursive else 0)))
    per_nesting = f" + MAXNESTING * {needed.per_nesting}" if needed.per_nesting else ""
    strings = needed.strings + key_strings(unit.variables, _named_globals(unit.module))
    defines["STAP_FRAME_BYTES"] = f"(({strings}{per_nesting}) * STAP_STRING_BYTES)"
    defines["STAP_LARGEST_ITEM"] = _largest(unit.item_sizes())
    defines["STAP_BUCKETS"] = str(max([1, *(unit.variables.bucket_count(name) for name in unit.variables.stats())]))
    defines["STAP_PERCPU_GLOBALS"] = " ".join(unit.variables.percpu_members())
    for need in sorted(unit.needs):
        defines[f"STAP_NEED_{names.identifier(need.upper())}"] = "1"
    return list(defines.items())


def _largest(sizes: list[str]) -> str:
    """The largest of them, as a union's size: nested comparisons would spell each twice as often as the one before."""
    members = " ".join(f"char item_{n}[{size}];" for n, size in enumerate(["STAP_STRING_BYTES + 64", *sizes]))
    return f"sizeof(union {{ {members} }})"
