"""The kernel that is compiled for: a release or build tree -> its configuration, exports, symbols, types and modules.

Nothing is read before it is asked for; what costs time to extract (symbols, BTF) is kept in the cache, by build-id.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pystap import paths
from pystap.arch import X86_64, Arch, by_machine, by_uname
from pystap.debuginfo.locate import ModuleTree, kernel_debug_paths, module_name
from pystap.diagnostics import StapError, Unresolved

# What a cached module needs is imported here; the readers of symbols and types are imported where they are used.
if TYPE_CHECKING:
    from pystap.debuginfo.api import DebugInfo, Tracepoint
    from pystap.debuginfo.btf import Btf
    from pystap.debuginfo.dwarf import Dwarf
    from pystap.debuginfo.layered import Layered
    from pystap.debuginfo.symtab import NameTable, SymbolTable

_FORMAT = "3"  # of the files in the cache: raise it when their layout changes


class KernelFiles(Protocol):
    """What the kernel store knows of a release; run/kernels.py's Kernel is one."""

    @property
    def release(self) -> str: ...
    @property
    def vmlinuz(self) -> Path | None: ...
    @property
    def modules_dir(self) -> Path | None: ...
    @property
    def build_tree(self) -> Path | None: ...
    @property
    def debuginfo(self) -> Path | None: ...


class Target:
    """One kernel. Make it with `Target.of`."""

    def __init__(
        self,
        release: str,
        *,
        build_tree: Path | None = None,
        vmlinuz: Path | None = None,
        modules_dir: Path | None = None,
        debuginfo: Path | None = None,
        arch: Arch | None = None,
    ) -> None:
        self.release = release
        self.build_tree = build_tree
        self.vmlinuz = vmlinuz
        self.debuginfo = debuginfo
        self.module_tree = ModuleTree(modules_dir)
        self.arch = arch or by_uname(os.uname().machine) or X86_64
        self.header_types: Callable[[str], Btf] | None = None  # of "kernel<linux/x.h>"; set by who may compile
        self._module_infos: dict[str, Layered] = {}
        self._module_builds: dict[str, str | None] = {}

    @classmethod
    def of(cls, release: str | None, find: Callable[[str], KernelFiles] | None = None) -> Target:
        """The kernel of a release, of a build tree (a path), or the running one; `find` asks the kernel store."""
        if release and "/" in release:
            return cls._of_tree(Path(release))
        wanted = release or os.uname().release
        if find is None:
            return cls._installed(wanted)
        files = find(wanted)
        return cls(
            files.release,
            build_tree=files.build_tree,
            vmlinuz=files.vmlinuz,
            modules_dir=files.modules_dir,
            debuginfo=files.debuginfo,
        )

    @classmethod
    def _installed(cls, release: str) -> Target:
        stored = paths.cache("kernels") / release
        roots = [stored, Path("/")]
        return cls(
            release,
            build_tree=_first(
                Path("/lib/modules", release, "build"), stored / "usr/src" / f"linux-headers-{release}", key="Makefile"
            ),
            vmlinuz=_first(
                *(r / "boot" / f"vmlinuz-{release}" for r in roots),
                *(r / "lib/modules" / release / "vmlinuz" for r in roots),
            ),
            modules_dir=_first(*(r / "lib/modules" / release for r in roots), key="kernel"),
            debuginfo=_first(*kernel_debug_paths(release, [r / "usr/lib/debug" for r in roots])),
        )

    @classmethod
    def _of_tree(cls, tree: Path) -> Target:
        # Debian writes another version into kernel.release than the one that its kernels give themselves
        generated = re.search(r'UTS_RELEASE "([^"]+)"', _read(tree / "include/generated/utsrelease.h") or "")
        text = generated[1] if generated else _read(tree / "include/config/kernel.release")
        if text is None:
            raise StapError(
                f"{tree} is no configured kernel build tree: it has no include/config/kernel.release"
                f" (in a source tree, run: make -C {tree} modules_prepare)"
            )
        target = cls._installed(text.strip())
        target.build_tree = tree
        if (tree / "vmlinux").exists():
            target.vmlinuz = tree / "vmlinux"
            from pystap.debuginfo.elf import Elf

            described = Elf.open(tree / "vmlinux").section(".debug_info") is not None
            target.debuginfo = tree / "vmlinux" if described else target.debuginfo
        return target

    # --- configuration and headers ---

    @cached_property
    def kconfig(self) -> Mapping[str, str]:
        """CONFIG_X -> "y", "m", a number or a string without its quotes; what is not set is not there."""
        for candidate in self._config_files():
            text = _read(candidate)
            if text is not None:
                pairs = re.findall(r"^(CONFIG_\w+)=(.*)$", text, re.MULTILINE)
                return {name: value.strip('"') for name, value in pairs}
        return {}

    def has_config(self, name: str) -> bool:
        """Whether an option is y or m; `name` with or without CONFIG_."""
        key = name if name.startswith("CONFIG_") else f"CONFIG_{name}"
        return self.kconfig.get(key) in ("y", "m")

    @cached_property
    def exports(self) -> Mapping[str, str]:
        """Symbols that modules can use -> EXPORT_SYMBOL or EXPORT_SYMBOL_GPL, from Module.symvers."""
        text = _read(self.build_tree / "Module.symvers") if self.build_tree else None
        rows = (line.split("\t") for line in (text or "").splitlines())
        return {row[1]: row[3] for row in rows if len(row) > 3}

    @property
    def exported(self) -> Mapping[str, str]:
        """The same as `exports`."""
        return self.exports

    def _config_files(self) -> Iterator[Path]:
        if self.build_tree:
            yield self.build_tree / ".config"
            yield self.build_tree / "include/config/auto.conf"
        if self.vmlinuz:
            yield self.vmlinuz.parent / f"config-{self.release}"
        if self.module_tree.root:
            yield self.module_tree.root / "config"
        yield Path(f"/boot/config-{self.release}")

    # --- the kernel itself ---

    @cached_property
    def running(self) -> bool:
        """Whether this is the kernel that pystap runs on."""
        return self.release == os.uname().release

    @cached_property
    def build_id(self) -> str | None:
        """The kernel's build-id in hexadecimal; None where no image is at hand."""
        if self.running:
            from pystap.debuginfo.elf import NT_GNU_BUILD_ID, notes

            try:
                data = Path("/sys/kernel/notes").read_bytes()
            except OSError:
                data = b""
            for owner, kind, text in notes(data):
                if owner == b"GNU\0" and kind == NT_GNU_BUILD_ID:
                    return text.hex()
        image = self._extract()
        return image.name if image else None

    def symbols(self) -> SymbolTable:
        """The kernel's symbols; raises Unresolved where no image is at hand."""
        return self._symbols

    def kernel_info(self) -> Layered:
        """Functions, types and tracepoints of the kernel."""
        return self._kernel_info

    def dwarf(self, module: str | None = None) -> Dwarf | None:
        """The DWARF of the kernel or of a module; None where it is not installed."""
        return (self.module_info(module) if module else self.kernel_info()).dwarf

    def demand_dwarf(self, module: str | None = None) -> Dwarf | None:
        """As `dwarf`; where it is not installed and DEBUGINFOD_URLS is set, from there."""
        return (self.module_info(module) if module else self.kernel_info()).demanded

    @cached_property
    def btf(self) -> Btf | None:
        """The kernel's BTF; None where it has none."""
        folder = self._extract()
        if folder is None or not (folder / "btf").exists():
            return None
        from pystap.debuginfo.btf import Btf, load_index
        from pystap.debuginfo.symtab import NameTable

        index = load_index((folder / "btf.offsets").read_bytes(), NameTable.open(folder / "btf.names"))
        return Btf((folder / "btf").read_bytes(), index=index, name=f"kernel {self.release}")

    @cached_property
    def _symbols(self) -> SymbolTable:
        folder = self._extract()
        if folder is None:
            raise Unresolved(
                f"the symbols of kernel {self.release} are not known: {self._no_image}", hint=self._image_advice
            )
        from pystap.debuginfo.symtab import SymbolTable

        return SymbolTable.open(folder / "symbols")

    @cached_property
    def _kernel_info(self) -> Layered:
        folder = self._extract()
        from pystap.debuginfo.layered import Layered
        from pystap.debuginfo.opening import fetch_kernel, open_kernel
        from pystap.debuginfo.symbolic import SymbolicInfo
        from pystap.debuginfo.symtab import NameTable

        systems = NameTable.open(folder / "systems") if folder else NameTable(b"")
        symbolic = SymbolicInfo(
            self._symbols, self.btf, self.arch, self._system_of(systems), None, lambda: self.debuginfo_advice
        )
        return Layered(symbolic, lambda: open_kernel(self), search_types=False, fetch=lambda: fetch_kernel(self))

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        """Tracepoints of the kernel and of its modules by glob of `name` or `system:name`."""
        own = list(self.kernel_info().tracepoints(pattern))
        yield from own
        if own and not set("*?[").intersection(pattern):
            return
        system, _, name = pattern.rpartition(":")
        places = (payload.split("\t") for _, payload in self._module_tracepoints.glob(name))
        for module in sorted({where for known, where in places if fnmatchcase(known, system or "*")}):
            yield from self.module_info(module).tracepoints(pattern)

    @cached_property
    def _module_tracepoints(self) -> NameTable:
        """tracepoint TAB system TAB module, of every module of the tree; made once per state of the tree."""
        from pystap.debuginfo.image import module_tracepoints
        from pystap.debuginfo.symtab import NameTable

        root = self.module_tree.root
        if root is None:
            return NameTable(b"")
        store = paths.cache("images", _FORMAT)
        return NameTable.open(module_tracepoints(root, self.module_tree.paths(), store))

    def _system_of(self, table: NameTable) -> Callable[[str], str]:
        """Bare tracepoints (DECLARE_TRACE) have no event that names their system: headers do."""

        def system(name: str) -> str:
            found = table.find(name)
            return found[0] if found else self._declared_systems.get(name, "")

        return system

    @cached_property
    def _declared_systems(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for tree in self.source_trees():
            for header in sorted((tree / "include/trace/events").glob("*.h")):
                text = _read(header) or ""
                system = re.search(r"^#define\s+TRACE_SYSTEM\s+(\w+)", text, re.MULTILINE)
                if system:
                    names = re.findall(r"^\s*DECLARE_TRACE(?:_CONDITION)?\(\s*(\w+)", text, re.MULTILINE)
                    found |= {name: system.group(1) for name in names}
        return found

    def source_trees(self) -> Iterator[Path]:
        """The headers' two halves: what was generated for this kernel, and what its makefile includes."""
        if self.build_tree:
            yield self.build_tree
            makefile = _read(self.build_tree / "Makefile") or ""
            yield from (Path(p) for p in re.findall(r"^include\s+(/\S+)/Makefile", makefile, re.MULTILINE))
            source = self.build_tree.parent / "source"
            if source.exists():
                yield source

    # --- modules ---

    def modules(self, pattern: str) -> list[str]:
        """Modules of this kernel by glob, sorted."""
        return self.module_tree.glob(pattern)

    def module_path(self, name: str) -> Path:
        """The file of a module, by name or by path; raises Unresolved saying where it was looked for."""
        if "/" in name:
            path = Path(name)
            if not path.is_file():
                raise Unresolved(f"no module at {path}")
            return path
        found = self.module_tree.paths().get(name.replace("-", "_"))
        if found is None:
            from difflib import get_close_matches

            where = (
                str(self.module_tree.root)
                if self.module_tree.root
                else f"/lib/modules/{self.release} (there is no such directory)"
            )
            near = get_close_matches(name.replace("-", "_"), list(self.module_tree.paths()), 5)
            raise Unresolved(f"no module '{name}' under {where}", near, self._remedy(name))
        return found

    def _remedy(self, name: str) -> str:
        root = self.module_tree.root
        builtin = _read(Path(root) / "modules.builtin") if root else None
        if re.search(rf"^(?:.*/)?{re.escape(name).replace('_', '[-_]')}\.ko$", builtin or "", re.MULTILINE):
            return f'{name} is built into this kernel: kernel.function(...) instead of module("{name}").function(...)'
        return "a module elsewhere can be given by its path"

    def module_info(self, name: str) -> Layered:
        """Functions and types of a module, found by name under /lib/modules/RELEASE or given by path."""
        known = self._module_infos.get(name)
        if known is None:
            path = self.module_path(name)
            known = self._module_infos[name] = self._open_module(path)
            if "/" in name:  # what its own probes look up by its name is in that file, not in one of the tree
                self._module_infos[module_name(path)] = known
        return known

    def module_build_id(self, name: str) -> str | None:
        """The build-id of a module that was looked into, by its own name."""
        return self._module_builds.get(name)

    def _open_module(self, path: Path) -> Layered:
        from pystap.debuginfo.btf import Btf
        from pystap.debuginfo.elf import Elf
        from pystap.debuginfo.image import module_systems
        from pystap.debuginfo.layered import Layered
        from pystap.debuginfo.opening import fetch_module, open_module
        from pystap.debuginfo.symbolic import SymbolicInfo
        from pystap.debuginfo.symtab import SymbolTable, module_symbols

        elf = Elf.open(path)
        self._module_builds[module_name(path)] = elf.build_id()
        blob = elf.contents(".BTF")
        btf = Btf(blob, self.btf, name=str(path)) if blob and self.btf else None
        symbols = SymbolTable.of(module_symbols(elf))
        systems = module_systems(elf)

        @cache
        def advice() -> str:
            return "" if made.dwarf is not None else self.module_advice(str(path))

        symbolic = SymbolicInfo(
            symbols, btf, self.arch, lambda n: systems.get(n, ""), module_name(path), advice
        )
        made = Layered(
            symbolic, lambda: open_module(self, path, elf), search_types=True,
            fetch=lambda: fetch_module(self, path, elf),
        )  # fmt: skip
        return made

    # --- user space ---

    def user_info(self, path: str) -> DebugInfo:
        """Types and variables of a program or library."""
        from pystap.debuginfo.user import open_object

        return open_object(path).info

    # --- what is missing, and how to get it ---

    @cached_property
    def debuginfo_advice(self) -> str:
        """The command that brings this kernel's DWARF debug-info, and where it was looked for."""
        from pystap.debuginfo.missing import kernel_advice

        return kernel_advice(self)

    def module_advice(self, name: str) -> str:
        """The same for a module, by name or path."""
        from pystap.debuginfo.elf import Elf
        from pystap.debuginfo.missing import module_advice

        path = self.module_path(name)
        return module_advice(self, path, Elf.open(path))

    @property
    def _no_image(self) -> str:
        return f"neither /boot/vmlinuz-{self.release} nor a debug vmlinux is there"

    @property
    def _image_advice(self) -> str:
        return f"pystap-prep {self.release}, or apt install linux-image-{self.release}"

    # --- the cache ---

    def _extract(self) -> Path | None:
        return self._extracted

    @cached_property
    def _extracted(self) -> Path | None:
        from pystap.debuginfo.extracted import extract

        store = paths.cache("images", _FORMAT)
        source = self._image_source()
        if source is None:
            return None
        folder = extract(source, store)
        machine = _read(folder / "machine")
        self.arch = by_machine(int(machine)) or self.arch if machine else self.arch
        return folder

    def _image_source(self) -> Path | None:
        """The image that describes this kernel: its boot image, its debug vmlinux, or the running kernel itself."""
        for path in (self.vmlinuz, self.debuginfo):
            if path is not None and path.exists():
                return path
        return Path("/sys/kernel") if self.running and os.path.exists("/sys/kernel/btf/vmlinux") else None


def _first(*candidates: Path, key: str = "") -> Path | None:
    return next((p for p in candidates if (p / key if key else p).exists()), None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None
