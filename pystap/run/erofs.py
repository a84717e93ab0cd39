"""Folders of this machine as a read-only EROFS image that is made while it is read: nothing is copied beforehand.

Each inode lies in a block of its own and gets its number when its folder is listed; what it holds is asked for, and
given its place behind all others, when that block is read. So the whole machine can be offered at no cost.
"""

from __future__ import annotations

import bisect
import functools
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

BLOCK = 4096
BLOCK_BITS = 12
BLOCKS = 1 << 31
FILES_KEPT_OPEN = 64

_SUPER_OFFSET = 1024
_SUPER = struct.Struct("<IIIBBHQQIIII16s16sI")
_MAGIC = 0xE0F5E1E2
_INODE = struct.Struct("<HHHHQIIIIQII16x")
_EXTENDED_PLAIN = 1
_ENTRY = struct.Struct("<QHBx")
_NUMBERS = BLOCK // 32  # inode numbers count in units of 32 bytes
_TYPES = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5, stat.S_IFSOCK: 6}
_LINK = 7


class _Extent(Protocol):
    """Some blocks of the image."""

    def read(self, offset: int, length: int) -> bytes:
        """What lies there; what is missing at its end reads as zeros."""


@dataclass(slots=True)
class _Bytes:
    data: bytes

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]


@dataclass(slots=True)
class _File:
    image: HostImage
    path: str

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.image.opened(self.path).number, length, offset)


@dataclass(slots=True)
class _Inode:
    image: HostImage
    path: str
    parent: int
    block: int
    record: bytes = b""

    def read(self, offset: int, length: int) -> bytes:
        if not self.record:
            self.record = self.image.describe(self.path, self.block, self.parent)
        return self.record[offset : offset + length]


def _opened(path: str) -> _Descriptor:
    return _Descriptor(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK))


@dataclass(slots=True)
class _Descriptor:
    number: int

    def __del__(self) -> None:
        os.close(self.number)


@dataclass(slots=True)
class HostImage:
    """The image of everything below a folder; one thread reads it."""

    root: str = "/"
    hidden: frozenset[str] = frozenset()  # paths that are not shown
    _starts: list[int] = field(default_factory=list)
    _extents: list[_Extent] = field(default_factory=list)
    _next: int = 0
    opened: Callable[[str], _Descriptor] = field(
        default_factory=lambda: functools.lru_cache(FILES_KEPT_OPEN)(_opened), repr=False
    )

    def __post_init__(self) -> None:
        self._place(_Bytes(bytes(_SUPER_OFFSET) + _super_block()), 1)
        self._place(_Inode(self, self.root, 1, 1), 1)

    def read(self, offset: int, length: int) -> bytes:
        """Any bytes of the image; OSError where a file of this machine cannot be read."""
        out = bytearray()
        while len(out) < length:
            out += self._part(offset + len(out), length - len(out))
        return bytes(out)

    def describe(self, path: str, block: int, parent: int) -> bytes:
        """The inode of a file, whose content gets its place here."""
        found = os.lstat(path)
        start, size = 0, found.st_size
        match stat.S_IFMT(found.st_mode):
            case stat.S_IFDIR:
                data = self._listing(path, block, parent)
                start, size = self._place(_Bytes(data), len(data) // BLOCK), len(data)
            case stat.S_IFLNK:
                target = os.fsencode(os.readlink(path))
                start, size = self._place(_Bytes(target), 1), len(target)
            case stat.S_IFREG:
                start = self._place(_File(self, path), -(-size // BLOCK)) if size else 0
            case _:
                size = 0
        seconds, rest = divmod(found.st_mtime_ns, 10**9)
        ownership = (block & 0xFFFFFFFF, found.st_uid, found.st_gid, max(seconds, 0), rest, found.st_nlink)
        return _INODE.pack(_EXTENDED_PLAIN, 0, found.st_mode, 0, size, start, *ownership)

    def _part(self, offset: int, length: int) -> bytes:
        """What one extent has of it, at least a byte."""
        block = offset // BLOCK
        at = bisect.bisect_right(self._starts, block) - 1
        end = self._starts[at + 1] if at + 1 < len(self._starts) else self._next
        if block >= end:
            return bytes(length)
        length = min(length, end * BLOCK - offset)
        return self._extents[at].read(offset - self._starts[at] * BLOCK, length).ljust(length, b"\0")

    def _place(self, extent: _Extent, blocks: int) -> int:
        """Gives an extent the next blocks, and returns the first one."""
        start = self._next
        if start + blocks > BLOCKS:
            raise OSError("too much for one image")
        self._next += blocks
        self._starts.append(start)
        self._extents.append(extent)
        return start

    def _listing(self, path: str, block: int, parent: int) -> bytes:
        """A folder's entries, each with the block of its inode; empty where it may not be read."""
        entries = [(b".", block, stat.S_IFDIR), (b"..", parent, stat.S_IFDIR)]
        try:
            names = os.listdir(path)
        except OSError:
            names = []
        for name in names:
            inside = os.path.join(path, name)
            if inside in self.hidden:
                continue
            try:
                kind = stat.S_IFMT(os.lstat(inside).st_mode)
            except OSError:
                continue
            place = self._place(_Inode(self, inside, block, self._next), 1)
            entries.append((os.fsencode(name), place, kind))
        return _folder(sorted(entries))


def _super_block() -> bytes:
    fields = (_MAGIC, 0, 0, BLOCK_BITS, 0, _NUMBERS, 0, 0, 0, BLOCKS, 0, 0, bytes(16), b"host", 0)
    return _SUPER.pack(*fields).ljust(128, b"\0")


def _folder(entries: list[tuple[bytes, int, int]]) -> bytes:
    """The blocks of a folder: in each some entries and then their names."""
    blocks = bytearray()
    some: list[tuple[bytes, int, int]] = []
    room = BLOCK
    for entry in entries:
        if len(entry[0]) + _ENTRY.size > room:
            blocks += _folder_block(some)
            some, room = [], BLOCK
        some.append(entry)
        room -= len(entry[0]) + _ENTRY.size
    return bytes(blocks + _folder_block(some))


def _folder_block(entries: list[tuple[bytes, int, int]]) -> bytes:
    heads, names = bytearray(), bytearray()
    first = len(entries) * _ENTRY.size
    for name, block, kind in entries:
        heads += _ENTRY.pack(block * _NUMBERS, first + len(names), _TYPES.get(kind, _LINK))
        names += name
    return bytes(heads + names).ljust(BLOCK, b"\0")
