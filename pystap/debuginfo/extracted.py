"""Where an image's facts lie in the cache: found without importing what reads images, since every start asks."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from pystap import kept


def extract(source: Path, store: Path) -> Path:
    """The folder of an image's facts, made when missing. `source` is a boot image, a vmlinux, or /sys/kernel."""
    known = store / f"by-file-{fingerprint(source)}"
    if known.exists() and kept.intact(known.resolve()):
        return known.resolve()
    from pystap.debuginfo import image  # all readers of formats: only where something is to be read

    folder = image.from_running(store) if source.is_dir() else image.from_image(source, store)
    link(known, folder)
    return folder


def fingerprint(source: Path) -> str:
    """Stands for a file without reading it."""
    if source.is_dir():
        return "running-" + hashlib.sha1(Path("/sys/kernel/notes").read_bytes()).hexdigest()
    stat = source.stat()
    return hashlib.sha1(f"{source.resolve()} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()


def link(known: Path, folder: Path) -> None:
    """Remembers the folder under another name."""
    with contextlib.suppress(FileExistsError):
        known.symlink_to(folder.name)
