"""Debug-info from a debuginfod server through debuginfod-find, where DEBUGINFOD_URLS is set: said, then asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_FINDER = "debuginfod-find"


def fetch(build_id: str | None, what: str) -> Path | None:
    """The file with the DWARF of a build-id, fetched where it is not at hand; None where nobody has it."""
    urls = os.environ.get("DEBUGINFOD_URLS", "").split()
    if not urls or not build_id:
        return None
    if shutil.which(_FINDER) is None:
        print(f"DEBUGINFOD_URLS is set, but {_FINDER} is not installed (apt install debuginfod)", file=sys.stderr)
        return None
    print(f"asking {' '.join(urls)} for the debug-info of {what}, build-id {build_id}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [_FINDER, "debuginfo", build_id], capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL
    )
    path = Path(done.stdout.strip())
    if done.returncode == 0 and path.is_file():
        return path
    print(f"{_FINDER}: {done.stderr.strip() or f'exit status {done.returncode}'}", file=sys.stderr)
    return None
