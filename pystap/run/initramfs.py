"""The guest's first file system: files of this machine -> a cpio archive (newc), as the kernel unpacks it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

TRAILER = "TRAILER!!!"


@dataclass(slots=True)
class Initramfs:
    """Collects files, directories and links; parents of what is added appear by themselves."""

    _entries: dict[str, tuple[int, bytes | Path]] = field(default_factory=dict)

    def __contains__(self, path: str | Path) -> bool:
        return str(path).lstrip("/") in self._entries

    def directory(self, path: str | Path, mode: int = 0o755) -> None:
        """Adds a directory."""
        self._add(str(path), stat.S_IFDIR | mode, b"")

    def link(self, path: str | Path, target: str) -> None:
        """Adds a symbolic link."""
        self._add(str(path), stat.S_IFLNK | 0o777, target.encode())

    def text(self, path: str | Path, content: str, mode: int = 0o644) -> None:
        """Adds a file with this content."""
        self._add(str(path), stat.S_IFREG | mode, content.encode())

    def device(self, path: str | Path, mode: int) -> None:
        """Adds the console's device node, which the kernel opens before anything is mounted."""
        self._add(str(path), stat.S_IFCHR | mode, b"")

    def file(self, path: str | Path, source: Path, mode: int | None = None) -> None:
        """Adds a file of this machine (what a link points at, not the link)."""
        found = source.stat()
        self._add(str(path), stat.S_IFREG | (stat.S_IMODE(found.st_mode) if mode is None else mode), source)

    def bytes(self) -> bytes:
        """The archive."""
        out = bytearray()
        for number, (name, (mode, content)) in enumerate(self._entries.items(), start=1):
            data = content.read_bytes() if isinstance(content, Path) else content
            out += _header(number, name, mode, len(data))
            out += _padded(data)
        out += _header(0, TRAILER, 0, 0)
        return bytes(out)

    def _add(self, path: str, mode: int, content: bytes | Path) -> None:
        name = os.path.normpath("/" + path).lstrip("/")
        for parent in reversed(PurePosixPath(name).parents):
            if str(parent) not in (".", "/") and str(parent) not in self._entries:
                self._entries[str(parent)] = (stat.S_IFDIR | 0o755, b"")
        if name:
            self._entries[name] = (mode, content)


def _header(inode: int, name: str, mode: int, size: int) -> bytes:
    encoded = os.fsencode(name) + b"\0"
    device = (5, 1) if stat.S_ISCHR(mode) else (0, 0)
    fields = (inode, mode, 0, 0, 1, 0, size, 0, 0, *device, len(encoded), 0)
    head = b"070701" + b"".join(b"%08X" % value for value in fields)
    return _padded(head + encoded)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
