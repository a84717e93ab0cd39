"""The guest's first file system: files of this machine -> a cpio archive (newc), as the kernel unpacks it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

TRAILER = "TRAILER!!!"
LINKS = 40
MERGED = ("bin", "sbin", "lib", "lib64")  # links to the directories of the same name in /usr, as on today's systems


@dataclass(slots=True)
class Initramfs:
    """Collects files, directories and links; parents of what is added appear by themselves."""

    base: bool = True  # with the links that every guest has; else it adds to such a one
    _entries: dict[str, tuple[int, bytes | Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in MERGED if self.base else ():
            self.directory(f"/usr/{name}")
            self._entries[name] = (stat.S_IFLNK | 0o777, f"usr/{name}".encode())

    def __contains__(self, path: str | Path) -> bool:
        return _name(str(path)) in self._entries

    def __bool__(self) -> bool:
        return bool(self._entries)

    def directory(self, path: str | Path, mode: int = 0o755) -> None:
        """Adds a directory."""
        self._add(str(path), stat.S_IFDIR | mode, b"")

    def link(self, path: str | Path, target: str) -> None:
        """Adds a symbolic link."""
        self._add(str(path), stat.S_IFLNK | 0o777, target.encode())

    def text(self, path: str | Path, content: str) -> None:
        """Adds a file with this text."""
        self.data(path, content.encode())

    def data(self, path: str | Path, content: bytes, mode: int = 0o644) -> None:
        """Adds a file with these bytes."""
        self._add(str(path), stat.S_IFREG | mode, content)

    def device(self, path: str | Path, mode: int) -> None:
        """Adds the console's device node, which the kernel opens before anything is mounted."""
        self._add(str(path), stat.S_IFCHR | mode, b"")

    def file(self, path: str | Path, source: Path, mode: int | None = None) -> None:
        """Adds a file of this machine (what a link points at, not the link)."""
        found = source.stat()
        self._add(str(path), stat.S_IFREG | (stat.S_IMODE(found.st_mode) if mode is None else mode), source)

    def host(self, path: str | Path) -> None:
        """Adds a file of this machine at its own path, with every symbolic link on the way to it."""
        pending = str(path)
        for _ in range(LINKS):
            link = _first_link(pending)
            if link is None:
                break
            target = os.readlink(link)
            self.link(link, target)
            rest = pending[len(link) :]
            pending = os.path.normpath(os.path.join(os.path.dirname(link), target)) + rest
        self.file(pending, Path(pending))

    def content(self) -> bytes:
        """The archive."""
        out = bytearray()
        for number, (name, (mode, content)) in enumerate(self._entries.items(), start=1):
            data = content.read_bytes() if isinstance(content, Path) else content
            out += _header(number, name, mode, len(data))
            out += _padded(data)
        out += _header(0, TRAILER, 0, 0)
        return bytes(out)

    def _add(self, path: str, mode: int, content: bytes | Path) -> None:
        name = _name(path)
        if not name or name in MERGED:
            return
        for parent in reversed(PurePosixPath(name).parents):
            if str(parent) not in (".", "/") and str(parent) not in self._entries:
                self._entries[str(parent)] = (stat.S_IFDIR | 0o755, b"")
        self._entries[name] = (mode, content)


def _name(path: str) -> str:
    """The path as the archive spells it: below /usr where the top level is a link."""
    name = os.path.normpath("/" + path).lstrip("/")
    return f"usr/{name}" if name.split("/")[0] in MERGED and "/" in name else name


def _first_link(path: str) -> str | None:
    """The first part of a path that is a symbolic link."""
    for parent in [*reversed(Path(path).parents), Path(path)]:
        if parent.is_symlink():
            return str(parent)
    return None


def _header(inode: int, name: str, mode: int, size: int) -> bytes:
    encoded = os.fsencode(name) + b"\0"
    device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)
    fields = (inode, mode, 0, 0, 1, 0, size, 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(head + encoded)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
