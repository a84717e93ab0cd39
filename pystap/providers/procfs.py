"""procfs("path").read and .write: files under /proc/systemtap/MODULE/ whose text is a handler's $value."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from pystap.diagnostics import Unresolved
from pystap.providers.base import NoScope, Request, Resolved, TextValue

_DEFAULT_PATH = "command"
_LARGEST = 1 << 20
_OWN = ("cmd", "trace")  # files that every module has
_READ = TextValue("__procfs_value", "__procfs_set_value", "__procfs_add_value")
_WRITE = TextValue("__procfs_value")


@dataclass(frozen=True, slots=True)
class ProcfsSite:
    """One direction of one file; `size` 0 is STP_PROCFS_BUFSIZE."""

    file: str
    write: bool
    mode: int
    size: int = 0
    engine: ClassVar[str] = "procfs"
    interruptible: ClassVar[bool] = True


class Procfs:
    """procfs(path) with .umask, .read, .write and .maxsize."""

    patterns: ClassVar[tuple[str, ...]] = (
        "procfs.read[.maxsize(num)]",
        "procfs.write",
        "procfs.umask(num).read[.maxsize(num)]",
        "procfs.umask(num).write",
        "procfs(str).read[.maxsize(num)]",
        "procfs(str).write",
        "procfs(str).umask(num).read[.maxsize(num)]",
        "procfs(str).umask(num).write",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one file that the point names."""
        given = {c.name: c.argument for c in request.point.components}
        path = _path(given.get("procfs"))
        write = "write" in given
        size = _number(given.get("maxsize"), 0)
        if "maxsize" in given and not 0 < size <= _LARGEST:
            raise Unresolved(f"procfs maxsize must be from 1 to {_LARGEST}")
        mode = (0o222 if write else 0o444) & ~_number(given.get("umask"), 0o077)
        value = _WRITE if write else _READ
        yield Resolved(ProcfsSite(path, write, mode, size), NoScope(), str(request.point), values=(("value", value),))


def _path(given: object) -> str:
    if given is None:
        return _DEFAULT_PATH
    path = str(given)
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts):
        raise Unresolved(f"procfs path '{path}' must be relative, without empty, '.' or '..' parts")
    if path == _OWN[0] or (path.startswith(_OWN[1]) and path.removeprefix(_OWN[1]).isdigit()):
        raise Unresolved(f"procfs path '{path}' is taken by the module itself")
    return path


def _number(given: object, default: int) -> int:
    if given is None:
        return default
    assert isinstance(given, int)
    return given
