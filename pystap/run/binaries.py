"""pystap's own small C programs (the runner, the guest's first process): sources -> static executables, cached."""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from pystap import kept, paths
from pystap.build.explain import exhausted
from pystap.diagnostics import StapError

FLAGS = ("-std=gnu11", "-O2", "-static", "-s", "-Wall", "-Wextra", "-Wno-sign-compare")
GUEST_SOURCES = ("guest.c",)
RUNNER_SOURCES = (
    "main.c", "options.c", "module.c", "control.c", "relay.c", "format.c", "child.c", "output.c", "limits.c", "trust.c",
    "input.c",
)  # fmt: skip


@functools.cache
def runner() -> Path:
    """The pystap-run executable."""
    return _compiled("pystap-run", RUNNER_SOURCES)


@functools.cache
def guest() -> Path:
    """The first process of a guest."""
    return _compiled("pystap-guest", GUEST_SOURCES)


def _compiled(name: str, sources: tuple[str, ...]) -> Path:
    directory = paths.runner_sources()
    target = paths.cache("bin") / f"{name}-{_digest(directory)}"
    if kept.whole_elf(target):
        return target
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise StapError(f"no C compiler to build {name} with; install one: apt-get install gcc libc6-dev")
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        made = Path(work) / name
        command = [
            compiler,
            *FLAGS,
            "-iquote",
            str(paths.runtime()),
            "-o",
            str(made),
            *(str(directory / s) for s in sources),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StapError(exhausted(done.stderr) or f"cannot compile {name}:\n{done.stderr.strip()}")
        os.replace(made, target)
    return target


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    headers = (paths.runtime() / name for name in ("protocol.h", "format.h", "histogram.h"))
    for path in sorted([*directory.glob("*.[ch]"), *headers]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    digest.update(" ".join(FLAGS).encode())
    return digest.hexdigest()[:16]
