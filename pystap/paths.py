"""Where pystap's own files and its cache lie, in a source tree and in an installed wheel alike.

What is in the cache ends up in a kernel: it is used only where nobody but its user (and root) can have written it.
"""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from pathlib import Path

from pystap.diagnostics import StapError

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
    """The cache directory, or a path inside it; made when it does not exist, refused where others can write."""
    root = _cache_root()
    path = root.joinpath(*parts)
    path.mkdir(mode=0o755, parents=True, exist_ok=True)
    _check_way_to(root)
    for part in (path, *path.parents)[: len(path.parts) - len(root.parts)]:
        _check(part)
    return path


def foreign(path: Path) -> str:
    """Why somebody else might decide what is at a path; "" where only this user and root can."""
    found = os.lstat(path)
    # The owner of / is root, or what a user namespace shows of it.
    if found.st_uid not in (0, os.geteuid(), os.stat("/").st_uid):
        return f"belongs to another user (uid {found.st_uid})"
    mode = found.st_mode
    if stat.S_ISLNK(mode) or (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return ""  # in a sticky folder nobody touches what is another's
    group = mode & stat.S_IWGRP and found.st_gid not in (0, os.getegid())  # a group of the user's own is usual
    return "can be written by other users" if mode & stat.S_IWOTH or group else ""


def temporary() -> Path:
    """The folder for temporary files of this user ($TMPDIR), refused where others can change what is put there."""
    root = Path(tempfile.gettempdir())
    _check_way_to(root, "temporary folder", "TMPDIR")
    return root


def _check(path: Path, what: str = "cache", variable: str = "PYSTAP_CACHE") -> None:
    reason = foreign(path)
    if reason:
        remedy = f"set {variable} to a folder of your own (with sudo: sudo -H)"
        raise StapError(f"the {what} is not used, since {path} {reason}\n  {remedy}, or mend it: chown, chmod go-w")


@functools.cache
def _check_way_to(root: Path, what: str = "cache", variable: str = "PYSTAP_CACHE") -> None:
    """Every folder and link from / to there: whoever owns one of them can put another folder in its place."""
    spelt = Path(os.path.abspath(root))
    for path in dict.fromkeys((*reversed(spelt.parents), spelt, *reversed(spelt.resolve().parents), spelt.resolve())):
        _check(path, what, variable)


def _cache_root() -> Path:
    own = os.environ.get("PYSTAP_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pystap"


def identity(path: str) -> str:
    """Changes when a file does; "" where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return ""
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}"
