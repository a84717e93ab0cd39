"""C snippets -> compiled objects and programs, each compiled once per session."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import scratch

_FOLDER = scratch.make("pystap-compiled-").path


def compile_c(source: str, *flags: str, name: str = "code.c", link: bool = True) -> Path:
    """A program (or, without `link`, an object file) of the source; skips the test where there is no compiler."""
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc (apt install gcc)")
    key = hashlib.sha1("\0".join((source, name, str(link), *flags)).encode()).hexdigest()[:16]
    folder = _FOLDER / key
    output = folder / ("code" if link else "code.o")
    if not output.exists():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        command = ["gcc", "-g", *flags, *([] if link else ["-c"]), "-o", str(output), name]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return output
