"""A command line of this machine -> the files that it needs elsewhere: programs, their libraries, named files."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

_OPERATORS = set(";|&(")
_OF_THE_KERNEL = ("/proc/", "/sys/", "/dev/")  # each kernel has its own
LARGEST_FILE = 64 << 20  # a file that a command merely names is not brought along beyond this


def files_of_command(command: str | None) -> list[str]:
    """The files to bring along for `-c COMMAND`; what the guest has itself (a shell, busybox) is found there."""
    if command is None:
        return []
    found: list[str] = []
    starts = True  # the next word names a program
    for word in _words(command):
        path = _resolve(word, executable=starts)
        if path is not None and path not in found:
            found += [path, *_needs(path)]
        starts = set(word) <= _OPERATORS
    return list(dict.fromkeys(found))


def _words(command: str) -> list[str]:
    """The words of a shell's command line; its operators are words of their own."""
    words = shlex.shlex(command, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    try:
        return list(words)
    except ValueError:
        return command.split()


def _resolve(word: str, executable: bool) -> str | None:
    """A word that names a file here; only the first is also looked up in PATH."""
    path = shutil.which(word) if executable else word
    if path is None or not os.path.isfile(path) or os.path.getsize(path) > LARGEST_FILE:
        return None
    path = os.path.abspath(path)
    return None if path.startswith(_OF_THE_KERNEL) else path


def _needs(path: str) -> list[str]:
    """The interpreter of a script, the libraries of a program."""
    with open(path, "rb") as file:
        start = file.read(256)
    if start.startswith(b"#!"):
        words = [_resolve(word, executable=True) for word in os.fsdecode(start[2:].split(b"\n")[0]).split()[:2]]
        return [f for word in words if word for f in (word, *_needs(word))]
    if not start.startswith(b"\x7fELF"):
        return []
    return libraries(path)


def libraries(path: str) -> list[str]:
    """The shared libraries of a program and its dynamic loader, as ld.so finds them."""
    done = subprocess.run(["ldd", path], capture_output=True, text=True, check=False)
    if done.returncode:
        return []
    return [p for p in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", done.stdout, re.MULTILINE) if Path(p).is_file()]
