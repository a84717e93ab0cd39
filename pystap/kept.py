"""Files of the cache that can be made anew: a checksum, or their sizes, tell those that are not what was written.

A machine that lost power leaves files that are empty or end early, and disks fail; nobody should have to know that
there is a cache to get on.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
from binascii import crc32
from contextlib import suppress
from pathlib import Path

_SEAL = "sizes.json"
_SMALL = 1 << 16  # bytes: of such files the contents are compared too


def write(path: Path, data: bytes) -> None:
    """Keeps some data, with their checksum, whole or not at all; a cache that cannot be written is no error."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(struct.pack("<I", crc32(data)) + data)
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def read(path: Path) -> bytes | None:
    """What was kept; None where it is not there, or not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data[4:] if len(data) >= 4 and data[:4] == struct.pack("<I", crc32(data[4:])) else None


def seal(folder: Path) -> None:
    """Writes into a folder what its files are, as the last of them."""
    (folder / _SEAL).write_text(json.dumps({path.name: _state(path) for path in folder.iterdir()}))


def intact(folder: Path) -> bool:
    """Whether a folder is as it was sealed; one that is not is removed, so that it can be made again."""
    try:
        states = json.loads((folder / _SEAL).read_text())
        if all(_state(folder / name) == state for name, state in states.items()):
            return True
    except (OSError, ValueError, AttributeError):
        pass
    if folder.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
    return False


def whole_elf(path: Path) -> bool:
    """Whether a file is an ELF file whose table of sections, which linkers write last, lies in it."""
    try:
        with path.open("rb") as file:
            start, size = file.read(64), os.fstat(file.fileno()).st_size
    except OSError:
        return False
    if len(start) < 64 or not start.startswith(b"\x7fELF"):
        return False
    table, each, count = struct.unpack_from("<Q10xHH", start, 40)
    return bool(0 < table <= table + each * count <= size)


def _state(path: Path) -> list[int]:
    size = path.stat().st_size
    return [size, crc32(path.read_bytes()) if size <= _SMALL else 0]
