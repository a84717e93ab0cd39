"""Modules of scripts that were compiled before, found again with nothing imported that compiling needs.

An entry maps what decides a script's module to that module, to the messages of its passes and to the programs that
were looked at.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pystap import kept, paths
from pystap.options import Options
from pystap.source import SourceFile

if TYPE_CHECKING:
    from pystap.target import Target

# Where a script says process without a path, or asks for names or stacks of programs: the -c or -x matters.
_OF_TARGET = re.compile(r"\bprocess\s*[.,{?!]|u(?:backtrace|caller|stack|sym)")


def script_key(options: Options, scripts: list[SourceFile], target: Target) -> str:
    """What decides a script's module: its text, the options that matter, the kernel, the library, and pystap itself."""
    neutral = replace(
        options, script=None, expression=None, verbose=(0,) * 5, output=None, command=None, pid=None, timeout=None,
        globals=(), vm=None, color="", last_pass=5, suppress_warnings=False, buffer_mb=None,
        sign_module=None, extra={},
    )  # fmt: skip
    digest = hashlib.sha256(repr(neutral).encode("utf-8", "surrogateescape"))
    for script in scripts:
        digest.update(f"{script.name}\0{script.text}\0".encode("utf-8", "surrogateescape"))
    digest.update(f"{target.release}\0{target.build_tree}\0{target.build_id}\0{target.debuginfo}\0".encode())
    digest.update(repr([paths.identity(name) for name in options.objects]).encode())
    digest.update(os.fsencode(_programs_key(options, scripts)))
    for folder in (paths.PACKAGE, paths.tapsets(), *options.tapset_dirs):
        digest.update(_folder_identity(folder).encode())
    return digest.hexdigest()[:40]


def _programs_key(options: Options, scripts: list[SourceFile]) -> str:
    """What the names of programs depend on, for scripts that have some: where one is, and the -c or -x."""
    texts = [script.text for script in scripts]
    bare = any(_OF_TARGET.search(text) for text in texts)
    if not bare and not any("process" in text for text in texts):
        return ""
    target = f"{options.pid}\0{(options.command or '').split()[:1]}" if bare else ""
    numbers = {n for text in texts for n in re.findall(r"process\s*\(\s*(\d+)\s*\)", text)}
    numbers |= {str(options.pid)} if bare and options.pid else set()
    running = [f"{n}:{_link(f'/proc/{n}/exe')}" for n in sorted(numbers)]
    return f"{target}\0{running}\0{os.getcwd()}\0{os.environ.get('PATH')}"


def _link(path: str) -> str:
    """Where a symbolic link leads; "" where there is none."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _folder_identity(folder: Path) -> str:
    """A folder's files by path, size and time."""
    parts: list[str] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f != "__pycache__")
        for name in sorted(names):
            stat = os.stat(os.path.join(root, name))
            parts.append(f"{root}/{name}:{stat.st_size}:{stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def find(key: str, options: Options) -> tuple[Path, str] | None:
    """The module of a script that was compiled before, and the messages of its passes."""
    if not options.use_cache or options.poison_cache or options.keep or options.dump or options.warnings_are_errors:
        return None
    known = kept.read(_entry(key))
    if known is None:
        return None
    entry = json.loads(known)
    module = Path(entry["module"])
    files: dict[str, str] = entry["files"]
    if not kept.whole_elf(module) or any(paths.identity(path) != state for path, state in files.items()):
        return None
    return module, entry["messages"]


def remember(key: str, module: Path, messages: str, programs: dict[str, str]) -> None:
    """Keeps a script's module under its key, with the identities of the programs that were looked at."""
    known = {"module": str(module), "messages": messages, "files": programs}
    kept.write(_entry(key), json.dumps(known).encode())


def _entry(key: str) -> Path:
    return paths.cache("scripts", key[:2]) / key
