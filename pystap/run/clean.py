"""--clean-cache: empties the cache (but keeps fetched kernels) and takes off modules that lost their runner."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path

from pystap import paths

KEPT = ("kernels",)
PROC = Path("/proc/systemtap")


def clean_cache() -> None:
    """Removes what pystap can make again; fetched kernels stay, since fetching them needs the network."""
    for entry in paths.cache().iterdir():
        if entry.name in KEPT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    remove_orphans()


def remove_orphans() -> list[str]:
    """Unloads inert modules of killed runs; one that is in use is held by its runner and stays."""
    removed: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    for name in os.listdir(PROC) if PROC.is_dir() else []:
        if libc.syscall(176, name.encode(), os.O_NONBLOCK) == 0:  # delete_module of x86-64
            removed.append(name)
    return removed
