"""Temporary folders of programs that may be killed: whoever makes one removes those that nobody holds any more."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

_FRESH_SECONDS = 60.0  # between its making and its lock a folder belongs to nobody


@dataclass(frozen=True, slots=True)
class Scratch:
    """A folder that is held for as long as this process lives, or until it is removed."""

    path: Path
    lock: int

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.lock)


def make(prefix: str) -> Scratch:
    """A new folder of the system's temporary ones; stale ones of that prefix go."""
    sweep(Path(tempfile.gettempdir()), prefix)
    path = Path(tempfile.mkdtemp(prefix=prefix))
    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return Scratch(path, lock)


def sweep(parent: Path, prefix: str) -> None:
    """Removes this user's folders that begin so and whose makers are gone."""
    for path in parent.glob(f"{prefix}*"):
        try:
            _remove_if_stale(path)
        except OSError:  # somebody else was faster, or holds it
            continue


def _remove_if_stale(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or time.time() - found.st_mtime < _FRESH_SECONDS:
            return
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(folder)
