"""The kernels that pystap can boot or build for: installed ones, and those unpacked into the cache by pystap-prep.

Turns a release, or the prefix of one, into the paths of its image, its modules and its build tree.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pystap import paths
from pystap.debuginfo.locate import kernel_debug_paths
from pystap.diagnostics import StapError

DEFAULT_SERIES = "6.1"
REALTIME = "-rt"  # the flavour with PREEMPT_RT
DEBUG = "-debug"  # the one that scripts/debug-kernel builds


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel's files; what is not there is None."""

    release: str
    vmlinuz: Path | None
    modules_dir: Path | None  # .../lib/modules/RELEASE
    build_tree: Path | None
    debuginfo: Path | None = None

    @property
    def watched(self) -> bool:
        """Whether it checks its own locks and memory (scripts/debug-kernel): it takes more of both, and of time."""
        return f"{DEBUG}-" in self.release

    def module(self, name: str) -> Path | None:
        """The file of one of this kernel's modules."""
        if self.modules_dir is None:
            return None
        return _module_index(self.modules_dir).get(name.replace("-", "_"))


@functools.cache
def _module_index(modules_dir: Path) -> dict[str, Path]:
    """Module names as the kernel spells them -> files, at any depth (kernel, extra, updates)."""
    index: dict[str, Path] = {}
    for folder, _, names in os.walk(modules_dir):
        for name in names:
            if name.endswith((".ko", ".ko.xz", ".ko.zst", ".ko.gz")):
                index.setdefault(name.split(".ko")[0].replace("-", "_"), Path(folder, name))
    return index


def module_content(path: Path) -> bytes:
    """A module as the kernel reads it; some distributions compress them."""
    data = path.read_bytes()
    match path.suffix:
        case ".xz":
            import lzma

            return lzma.decompress(data)
        case ".gz":
            import gzip

            return gzip.decompress(data)
        case ".zst":
            return _unzstd(path)
        case _:
            return data


def _unzstd(path: Path) -> bytes:
    try:
        return subprocess.run(["zstd", "-dcq", str(path)], capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise StapError(f"{path.name} is compressed with zstd; install it: apt-get install zstd") from None


def store() -> Path:
    """The directory that pystap-prep unpacks kernels into, one per release."""
    return paths.cache("kernels")


def find(release: str = "") -> Kernel:
    """The kernel of that release; the newest one that starts so (6.1, 6.1-rt, 6.1-debug); by default the newest 6.1."""
    known = releases()
    wanted = release or DEFAULT_SERIES
    matching = [r for r in known if _matches(r, wanted)]
    if not release and not matching:
        matching = known
    if not known and not release:
        raise StapError("no kernel to boot; fetch one with: pystap-prep")
    if not matching:
        have = f" (there are: {', '.join(known)})" if known else ""
        raise StapError(f"no kernel {wanted} to boot{have}; fetch it with: pystap-prep {wanted}")
    return _describe(max(matching, key=lambda r: (_bootable(r), version_key(r))))


def releases() -> list[str]:
    """Every release of which an image or a build tree is there, oldest first."""
    found = {p.name.removeprefix("vmlinuz-") for p in Path("/boot").glob("vmlinuz-*")}
    found |= {p.parent.name for p in Path("/lib/modules").glob("*/build")}
    found |= {p.parent.name for p in Path("/lib/modules").glob("*/vmlinuz")}
    found |= {p.name for p in store().iterdir() if p.is_dir() and not p.name.startswith(".")}
    return sorted(found, key=version_key)


def version_key(release: str) -> tuple[tuple[int, str], ...]:
    """Orders releases as a person would: 6.1.0-9 before 6.1.0-56."""
    return tuple(
        (int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.+-]|(?<=\d)(?=\D)", release)
    )


def _matches(release: str, wanted: str) -> bool:
    """A series is that of its ordinary kernels, unless it ends in -rt or -debug."""
    if release == wanted:
        return True
    series = wanted
    for flavour in (REALTIME, DEBUG):
        series = series.removesuffix(flavour)
        if wanted.endswith(flavour) != (f"{flavour}-" in release):
            return False
    return release.startswith((series + ".", series + "-", series + "+"))


def _bootable(release: str) -> bool:
    return _describe(release).vmlinuz is not None


def _describe(release: str) -> Kernel:
    own = store() / release
    roots = (own, Path("/"))
    return Kernel(
        release=release,
        vmlinuz=_first(
            *(root / "boot" / f"vmlinuz-{release}" for root in roots),
            *(root / "lib/modules" / release / "vmlinuz" for root in roots),
        ),
        modules_dir=_first(
            own / "lib/modules" / release / "kernel", Path(f"/lib/modules/{release}/kernel"), parent=True
        ),
        build_tree=_build_tree(own, release),
        debuginfo=_first(*kernel_debug_paths(release, [root / "usr/lib/debug" for root in roots])),
    )


def _build_tree(own: Path, release: str) -> Path | None:
    """Headers installed with the system come first: their own absolute paths hold there."""
    system = Path(f"/lib/modules/{release}/build")
    if (system / "Makefile").is_file():
        return system
    return _first(own / "usr/src" / f"linux-headers-{release}")


def _first(*candidates: Path, parent: bool = False) -> Path | None:
    for path in candidates:
        if os.path.exists(path):
            return path.parent if parent else path
    return None
