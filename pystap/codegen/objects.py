"""Programs and libraries that a module refers to -> the tables of runtime/objects.h: symbols, call frames, lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from pystap.codegen import names

if TYPE_CHECKING:
    from pystap.debuginfo.unwind import Rule
    from pystap.debuginfo.user import UserObject
    from pystap.ir import nodes as ir
    from pystap.options import Options
    from pystap.target import Target

NEEDS = frozenset(("usymbols", "uunwind", "ulines"))  # pragmas of tapset functions: what of the objects is wanted
_KINDS = {kind: f"STAP_UNWIND_{kind.upper()}" for kind in ("register", "memory", "plt", "signal")}
_NONE = 0xFFFF
_MOST = 0xFFFFFFFF
_FILES = 1 << 12  # of lines.h's numbers
_PER_LINE = 24


def known_objects(module: ir.Module, options: Options) -> list[str]:
    """The objects whose symbols and frames a script knows: probed ones, those of -c, -x, -d, with --ldd libraries."""
    from pystap.debuginfo.user import is_elf
    from pystap.providers.objects import libraries_of

    sites = [p.site for p in module.probes]
    named = [getattr(s, key, None) for s in sites for key in ("path", "program")]
    named += [os.path.realpath(name) for name in (*options.objects, *_of_target(options)) if is_elf(name)]
    paths = list(dict.fromkeys(p for p in named if p))
    if options.ldd:
        paths += [os.path.realpath(lib) for p in paths for lib in libraries_of(p).values()]
    return list(dict.fromkeys(paths))


def missing_objects(options: Options, target: Target) -> list[tuple[str, str]]:
    """The names of -d that are neither a program's or library's path nor a module of the kernel, sorted; and why."""
    return [(name, why) for name in sorted(set(options.objects)) if (why := _missing(name, target))]


def _missing(name: str, target: Target) -> str:
    from pystap.debuginfo.locate import names_module
    from pystap.debuginfo.user import is_elf

    if name in ("kernel", "vmlinux") or is_elf(name):
        return ""
    if "/" in name and not os.path.exists(name):
        return "there is no such file" + (", and patterns mean nothing here" if set("*?[").intersection(name) else "")
    if not names_module(name):
        return "it is not an ELF file of 64 bits"
    return _missing_module(name, target)


def _missing_module(name: str, target: Target) -> str:
    from pystap.diagnostics import Unresolved

    try:
        target.module_path(name)
    except Unresolved as failure:
        return "; ".join(filter(None, (failure.reason, failure.hint, "programs are given by their paths")))
    return ""


def _of_target(options: Options) -> Iterator[str]:
    """The program of -c or -x; one that is only in the guest is not known here."""
    from pystap.diagnostics import Unresolved
    from pystap.providers.objects import target_program

    with suppress(Unresolved):
        program = target_program(options)
        if program is not None:
            yield program


def object_lines(paths: Sequence[str], needs: Iterable[str]) -> list[str]:
    """The tables, in the order of the objects' numbers."""
    from pystap.debuginfo.user import open_object

    tables: list[str] = []
    rows = ["static struct stap_object stap_objects[] = {"]
    for number, path in enumerate(paths):
        found = open_object(path)
        members = {
            "path": names.c_string(path),
            "build_id": names.c_string(found.elf.build_id() or ""),
            "text_bias": f"{found.text_bias & 0xFFFFFFFFFFFFFFFF:#x}ULL",
        }
        for need, make in (("usymbols", _symbols), ("uunwind", _frames), ("ulines", _lines)):
            if need in needs:
                members |= make(found, number, tables)
        rows.append("\t{ " + ", ".join(f".{key} = {value}" for key, value in members.items()) + " },")
    return [*tables, *rows, "};", "static const unsigned int stap_object_count = ARRAY_SIZE(stap_objects);"]


def _numbers(ctype: str, name: str, numbers: Sequence[int]) -> list[str]:
    lines = [f"static const {ctype} {name}[] = {{"]
    lines += [",".join(map(str, numbers[k : k + _PER_LINE])) + "," for k in range(0, len(numbers), _PER_LINE)]
    return [*lines, "};"]


def _symbols(found: UserObject, number: int, tables: list[str]) -> dict[str, str]:
    table = [f for f in found.sorted_functions if f.address < 1 << 32]
    if not table:
        return {}
    offsets, texts, at = [], [], 0
    for function in table:
        offsets.append(at)
        name = found.demangled.get(function.name, function.name)
        texts.append(f'\t{names.c_string(name)} "\\0"')
        at += len(name.encode("utf-8", "surrogateescape")) + 1
    tables += _numbers("u32", f"stap_symbols_{number}", [f.address for f in table])
    tables += _numbers("u32", f"stap_symbol_sizes_{number}", [min(f.size, _MOST) for f in table])
    tables += _numbers("u32", f"stap_symbol_names_{number}", offsets)
    tables += [f"static const char stap_names_{number}[] =", *texts, ";"]
    return {
        "symbols": f"stap_symbols_{number}",
        "symbol_sizes": f"stap_symbol_sizes_{number}",
        "symbol_names": f"stap_symbol_names_{number}",
        "names": f"stap_names_{number}",
        "symbol_count": str(len(table)),
    }


def _frames(found: UserObject, number: int, tables: list[str]) -> dict[str, str]:
    from pystap.debuginfo.unwind import rows

    table = [row for row in rows(found.elf, found.debug_frame) if row.start < 1 << 32]
    if not table:
        return {}
    rules: dict[Rule, int] = {}
    indexes = [_NONE if row.rule is None else rules.setdefault(row.rule, len(rules)) for row in table]
    tables += _numbers("u32", f"stap_rows_{number}", [row.start for row in table])
    tables += _numbers("u16", f"stap_row_rules_{number}", [min(k, _NONE) for k in indexes])
    tables += [f"static const struct stap_unwind_rule stap_rules_{number}[] = {{", *map(_rule, rules), "};"]
    return {
        "rows": f"stap_rows_{number}",
        "row_rules": f"stap_row_rules_{number}",
        "rules": f"stap_rules_{number}",
        "row_count": str(len(table)),
    }


def _rule(rule: Rule) -> str:
    saved = ", ".join(map(str, rule.saved))
    return f"\t{{ {rule.offset}, {_KINDS[rule.kind]}, {rule.register}, {rule.by_rbp}, {{ {saved} }} }},"


def _lines(found: UserObject, number: int, tables: list[str]) -> dict[str, str]:
    dwarf = found.dwarf
    table = dwarf.line_rows() if dwarf is not None else []
    if not table:
        return {}
    files: dict[str, int] = {}
    numbers = [_line(files.setdefault(file, len(files)), line) if line else 0 for _, file, line in table]
    tables += _numbers("u32", f"stap_lines_{number}", [address for address, _, _ in table])
    tables += _numbers("u32", f"stap_line_numbers_{number}", numbers)
    texts = [f"\t{names.c_string(file)}," for file in files]
    tables += [f"static const char *const stap_files_{number}[] = {{", *texts, "};"]
    return {
        "lines": f"stap_lines_{number}",
        "line_numbers": f"stap_line_numbers_{number}",
        "files": f"stap_files_{number}",
        "line_count": str(len(table)),
    }


def _line(file: int, line: int) -> int:
    """Both in one number; 0, not known, where they do not fit."""
    return file << 20 | line if file < _FILES and line < 1 << 20 else 0
