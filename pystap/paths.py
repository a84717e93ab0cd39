"""Where pystap's own files and its cache lie, in a source tree and in an installed wheel alike."""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def runtime() -> Path:
    """The C headers that are compiled into every module."""
    return PACKAGE / "runtime"


def templates() -> Path:
    """The Jinja templates of the generated C."""
    return PACKAGE / "codegen" / "templates"


def grammar() -> Path:
    """The lark grammar files."""
    return PACKAGE / "grammar"


def runner_sources() -> Path:
    """The C sources of pystap-run and of the guest's first process."""
    return PACKAGE / "run" / "runner"


def tapsets() -> Path:
    """The tapset library: inside the package when installed from a wheel, beside it in a source tree."""
    installed = PACKAGE / "share" / "tapsets"
    return installed if installed.is_dir() else PACKAGE.parent / "tapsets"


def cache(*parts: str) -> Path:
    """The cache directory, or a path inside it; made when it does not exist."""
    root = _cache_root()
    path = root.joinpath(*parts)
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    return path


def _cache_root() -> Path:
    own = os.environ.get("PYSTAP_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pystap"
