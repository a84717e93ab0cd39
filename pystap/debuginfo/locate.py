"""Build-ids, names and debuglinks -> files: debug files of kernels, modules and programs; a kernel's module tree."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

_SUFFIXES = (".ko", ".ko.xz", ".ko.zst", ".ko.gz")
_OUT_OF_TREE = ("updates", "extra", "weak-updates", "kernel")  # depmod's order of preference


def module_name(path: Path) -> str:
    """The name that a loaded module has: dashes are underscores."""
    return path.name.partition(".ko")[0].replace("-", "_")


def names_module(text: str) -> bool:
    """Whether what -d names is a module, by its name or its file, and not a program: those are given by their paths."""
    return "/" not in text or ".ko" in text.rpartition("/")[2]


class ModuleTree:
    """The modules under /lib/modules/RELEASE, at any depth."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._paths: dict[str, Path] | None = None

    def paths(self) -> dict[str, Path]:
        """name -> file; where a name occurs twice, `updates` and `extra` win as they do for modprobe."""
        if self._paths is None:
            found: dict[str, Path] = {}
            for path in sorted(_walk(self.root), key=self._preference):
                found.setdefault(module_name(path), path)
            self._paths = found
        return self._paths

    def glob(self, pattern: str) -> list[str]:
        """Names of modules by glob, sorted."""
        wanted = pattern.replace("-", "_")
        return sorted(name for name in self.paths() if fnmatchcase(name, wanted))

    def _preference(self, path: Path) -> tuple[int, str]:
        assert self.root is not None
        top = path.relative_to(self.root).parts[0]
        return (_OUT_OF_TREE.index(top) if top in _OUT_OF_TREE else 1, str(path))


def _walk(root: Path | None) -> Iterator[Path]:
    if root is None:
        return
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in ("build", "source")]
        for name in files:
            if name.endswith(_SUFFIXES):
                yield Path(folder, name)


def build_id_paths(build_id: str, roots: Iterable[Path]) -> Iterator[Path]:
    """Where distributions put the debug file of a build-id."""
    for root in roots:
        yield root / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"


def kernel_debug_paths(release: str, roots: Iterable[Path]) -> Iterator[Path]:
    """Where distributions put a kernel's debug vmlinux; `roots` are /usr/lib/debug and its like."""
    for root in roots:
        yield root / "boot" / f"vmlinux-{release}"
        yield root / "lib/modules" / release / "vmlinux"
        yield root / "usr/lib/modules" / release / "vmlinux"
        yield root / f"vmlinux-{release}"


def module_debug_paths(path: Path, release: str, tree: Path | None, roots: Iterable[Path]) -> Iterator[Path]:
    """Where the debug file of a module may be, besides by build-id."""
    plain = path.name.partition(".ko")[0] + ".ko"
    for root in roots:
        if tree is not None and path.is_relative_to(tree):
            folder = root / "lib/modules" / release / path.relative_to(tree).parent
            yield folder / plain
            yield folder / f"{plain}.debug"
        yield root / path.parent.relative_to("/") / f"{plain}.debug"
        yield root / path.parent.relative_to("/") / plain
    yield path.parent / f"{plain}.debug"
    yield path.parent / ".debug" / f"{plain}.debug"


def debuglink_paths(path: Path, link: str, roots: Iterable[Path]) -> Iterator[Path]:
    """Where gdb and its like look for a debuglink's file."""
    yield path.parent / link
    yield path.parent / ".debug" / link
    for root in roots:
        yield root / path.parent.relative_to("/") / link
