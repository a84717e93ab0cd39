"""Finds and opens the DWARF of a kernel or module, refusing another build's; keeps its index in the cache."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pystap import paths
from pystap.debuginfo.elf import SHF_EXECINSTR, Elf
from pystap.debuginfo.locate import (
    build_id_paths,
    debuglink_paths,
    kernel_debug_paths,
    module_debug_paths,
    module_name,
)
from pystap.diagnostics import StapError

if TYPE_CHECKING:
    from pystap.debuginfo.ctype import CType
    from pystap.debuginfo.dwarf import Covering, Dwarf
    from pystap.debuginfo.dwarf_types import Complete
    from pystap.debuginfo.index import Index
    from pystap.debuginfo.sections import Sections
    from pystap.target import Target


def open_kernel(target: Target) -> Dwarf | None:
    """The kernel's DWARF; None where no debug vmlinux is there. One of another build is an error that names both."""
    from pystap.debuginfo.dwarf import Covering, Dwarf
    from pystap.debuginfo.sections import Sections

    path = kernel_file(target)
    if path is None:
        return None
    sections = Sections.open(path)
    _require_same_build(path, sections.elf.build_id(), target.build_id, f"kernel {target.release}")
    symbols = target.symbols()

    def cover(pc: int) -> Covering | None:
        found = symbols.at(pc)
        if found is None:
            return None
        symbol, offset = found
        return Covering(
            symbol.name, offset, symbol.probeable, symbol.has_fentry, symbol.address, refused=symbol.refused
        )

    start = symbols.lookup("_stext")
    anchor = ("_stext", start.address) if start and start.address else None

    def is_symbol(name: str) -> bool:
        return symbols.lookup(name) is not None

    return Dwarf(
        sections, lambda: _index(sections), cover, None, complete=_completer(target), anchor=anchor, is_symbol=is_symbol
    )


def fetch_kernel(target: Target) -> Dwarf | None:
    """The kernel's DWARF from a debuginfod server, where one is to be asked and has it."""
    from pystap.debuginfo.debuginfod import fetch

    target.debuginfo = fetch(target.build_id, f"kernel {target.release}")
    return open_kernel(target) if target.debuginfo else None


def fetch_module(target: Target, path: Path, module: Elf) -> Dwarf | None:
    """A module's DWARF from a debuginfod server, where one is to be asked and has it."""
    from pystap.debuginfo.debuginfod import fetch

    found = fetch(module.build_id(), f"module {module_name(path)}")
    return open_module(target, path, module, (found,)) if found else None


def open_module(target: Target, path: Path, module: Elf, more: tuple[Path, ...] = ()) -> Dwarf | None:
    """A module's DWARF, in its own file or in a debug file of the same build; None where there is none."""
    from pystap.debuginfo.sections import Sections

    name = module_name(path)
    for candidate in (path, *more, *module_files(target, path, module)):
        if candidate != path and not candidate.is_file():
            continue
        elf = module if candidate == path else Elf.open(candidate)
        if elf.section(".debug_info") is None:
            continue
        if candidate != path:
            _require_same_build(candidate, elf.build_id(), module.build_id(), f"module {name}")
        sections = Sections(elf)
        return _module_dwarf(target, sections, name)
    return None


def _module_dwarf(target: Target, sections: Sections, name: str) -> Dwarf:
    from pystap.debuginfo.dwarf import Dwarf

    return Dwarf(sections, lambda: _index(sections), _Symbols(sections).cover, name, complete=_completer(target))


def kernel_file(target: Target) -> Path | None:
    """The kernel's debug vmlinux, where there is one."""
    if target.debuginfo is not None:
        return target.debuginfo
    return next((p for p in kernel_files(target) if p.is_file()), None)


def kernel_files(target: Target) -> list[Path]:
    """Where the kernel's debug vmlinux may be."""
    build_id = target.build_id
    by_id = build_id_paths(build_id, roots(target)) if build_id else iter(())
    return [*kernel_debug_paths(target.release, roots(target)), *by_id]


def roots(target: Target) -> list[Path]:
    """The directories that are laid out like /usr/lib/debug; the one that holds the debug vmlinux comes first."""
    found = [Path("/usr/lib/debug"), paths.cache("kernels") / target.release / "usr/lib/debug"]
    if target.debuginfo is not None:
        found.insert(0, target.debuginfo.parent.parent)
    return found


def module_files(target: Target, path: Path, module: Elf) -> Iterator[Path]:
    """Where a module's debug file may be, besides its own."""
    folders = roots(target)
    build_id, link = module.build_id(), module.debuglink()
    if build_id:
        yield from build_id_paths(build_id, folders)
    yield from module_debug_paths(path, target.release, target.module_tree.root, folders)
    if link:
        yield from debuglink_paths(path, link, folders)


def _require_same_build(path: Path, found: str | None, wanted: str | None, what: str) -> None:
    if found and wanted and found != wanted:
        raise StapError(f"{path} is debug-info of another build: its build-id is {found}, that of {what} is {wanted}")


def _completer(target: Target) -> Complete:
    """Structs that a unit only declares are defined in BTF."""

    @cache
    def complete(kind: str, name: str) -> CType | None:
        btf = target.btf
        ids = btf.ids(name, "u" if kind == "union" else "s") if btf else []
        return btf.by_id(ids[0]) if btf and ids else None

    return complete


def _index(sections: Sections) -> Index:
    """Kept by build-id; small files without one are walked each time."""
    from pystap.debuginfo import index

    build_id = sections.elf.build_id()
    if build_id is None or len(sections.info) < index.WORTH_KEEPING:
        return index.index_in_memory(sections)
    return index.open_index(sections, build_id, paths.cache(index.FORMAT))


class _Row(NamedTuple):
    start: int
    size: int
    name: str
    value: int
    probeable: bool
    section: int
    data: bool


class _Symbols:
    """The functions and variables of an object file by address, in the layout that its Sections gave it."""

    def __init__(self, sections: Sections) -> None:
        elf = sections.elf
        rows: list[_Row] = []
        for s in elf.symbols():
            if (
                0 < s.section < len(elf.sections)
                and s.kind in (0, 1, 2)
                and not s.name.startswith((".L", "__UNIQUE_ID"))
            ):
                section = elf.sections[s.section]
                code = bool(section.flags & SHF_EXECINSTR)
                if code and s.kind != 2:
                    continue
                gone = code and section.name.startswith(".noinstr")
                start = sections.bases.get(s.section, 0) + s.value
                rows.append(_Row(start, s.size, s.name, s.value, not gone, s.section, not code))
        self._rows = sorted(rows)
        self._starts = [row.start for row in self._rows]
        self._counts = Counter(row.name for row in rows)
        self._per_cpu = next((s.index for s in elf.sections if s.name == ".data..percpu"), 0)

    def cover(self, pc: int) -> Covering | None:
        """The symbol that holds an address; of data, one that is the only of its name."""
        from pystap.debuginfo.dwarf_file import Covering

        for row in reversed(self._rows[max(0, bisect_right(self._starts, pc) - 4) : bisect_right(self._starts, pc)]):
            if row.start <= pc < row.start + max(row.size, 1):
                named = self._only(row) if row.data else row
                if named is None:
                    continue
                per_cpu = row.section == self._per_cpu
                refused = not row.probeable
                return Covering(named.name, pc - named.start, row.probeable, True, row.value, per_cpu, refused)
        return None

    def _only(self, row: _Row) -> _Row | None:
        """The symbol, where the kernel can tell it by its name, else the nearest such one of its section."""
        if self._counts[row.name] == 1:
            return row
        others = (r for r in self._rows if r.section == row.section and self._counts[r.name] == 1 and r.data)
        return min(others, key=lambda r: abs(r.start - row.start), default=None)
