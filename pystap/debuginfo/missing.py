"""What to say of debug-info that is not there: the command that brings it, and where it was looked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pystap.debuginfo.locate import module_name

if TYPE_CHECKING:
    from pystap.debuginfo.elf import Elf
    from pystap.target import Target


def kernel_advice(target: Target) -> str:
    """Of the kernel; nothing where it is there."""
    from pystap.debuginfo.opening import kernel_file, kernel_files, roots

    if kernel_file(target) is not None:
        return ""
    return f"{_package(target)}; {looked_for(kernel_files(target), roots(target))}"


def module_advice(target: Target, path: Path, module: Elf) -> str:
    """Of a module: the kernel's package has those that came with it, others are compiled with it or not."""
    from pystap.debuginfo.opening import module_files, roots

    tree = target.module_tree.root
    ours = tree is not None and path.is_relative_to(tree / "kernel")
    what = _package(target) if ours else f"debug-info of {module_name(path)}: compile it with -g"
    return f"{what}; {looked_for([path, *module_files(target, path, module)], roots(target))}"


def looked_for(files: Iterable[Path], folders: Iterable[Path]) -> str:
    """Files by the folders that are laid out like /usr/lib/debug, and what is in none of them."""
    below: dict[str, list[str]] = {}
    alone: list[str] = []
    known = list(dict.fromkeys(folders))
    for file in dict.fromkeys(files):
        folder = next((k for k in known if file.is_relative_to(k)), None)
        if folder is None:
            alone.append(str(file))
        else:
            below.setdefault(str(file.relative_to(folder)), []).append(str(folder))
    parts = ["in " + ", ".join(alone)] if alone else []
    if below:
        parts.append(f"under {' and '.join(map(str, known))} for {', '.join(below)}")
    return "looked " + "; ".join(parts)


def _package(target: Target) -> str:
    package = f"linux-image-{target.release}-dbg"
    return f"debug-info of this kernel: pystap-prep --debuginfo {target.release}, or apt install {package}"
