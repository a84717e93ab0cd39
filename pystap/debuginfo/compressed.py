"""Compressed kernel images and modules -> their bytes: gzip, xz, bzip2, LZ4 and zstd, and the vmlinux in a vmlinuz."""

from __future__ import annotations

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib

from pystap.diagnostics import StapError

GZIP = b"\x1f\x8b\x08"
XZ = b"\xfd7zXZ\0"
BZIP2 = b"BZh"
LZ4_LEGACY = b"\x02\x21\x4c\x18"
ZSTD = b"\x28\xb5\x2f\xfd"
LZMA = b"\x5d\0\0\0"
MAGICS = (GZIP, XZ, BZIP2, LZ4_LEGACY, ZSTD)

_SETUP_SECTS = 0x1F1
_HEADER_MAGIC = 0x202
_PAYLOAD = 0x248  # offset and length of the compressed kernel, boot protocol 2.08 and later


def decompress(data: bytes) -> bytes:
    """The bytes behind one compressed stream; whatever follows the stream is not looked at."""
    if data.startswith(GZIP):
        return zlib.decompressobj(31).decompress(data)
    if data.startswith(XZ):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data)
    if data.startswith(LZMA):
        return lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data)
    if data.startswith(BZIP2):
        return bz2.BZ2Decompressor().decompress(data)
    if data.startswith(LZ4_LEGACY):
        return _lz4(data)
    if data.startswith(ZSTD):
        return _filter(["zstd", "-q", "-d", "-c"], data, "zstd")
    raise StapError("the compression of the file is not known to pystap")


def kernel_image(data: bytes) -> bytes:
    """The vmlinux (an ELF file) in a kernel image: a bzImage, a compressed Image, or an ELF file already."""
    if data.startswith(b"\x7fELF"):
        return data
    if data[_HEADER_MAGIC : _HEADER_MAGIC + 4] == b"HdrS":
        offset, length = struct.unpack_from("<II", data, _PAYLOAD)
        start = ((data[_SETUP_SECTS] or 4) + 1) * 512 + offset
        return decompress(data[start : start + length])
    return decompress(data)


def _filter(command: list[str], data: bytes, package: str) -> bytes:
    """Runs a decompressor; trailing bytes make some of them fail after all output is written, so output decides."""
    if shutil.which(command[0]) is None:
        raise StapError(f"unpacking needs the program {command[0]}: apt install {package}")
    result = subprocess.run(command, input=data, capture_output=True, check=False)
    if not result.stdout:
        raise StapError(f"{command[0]} cannot unpack the image: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout


def _lz4(data: bytes) -> bytes:
    if shutil.which("lz4"):
        return _filter(["lz4", "-q", "-d", "-c"], data, "lz4")
    return lz4_legacy(data)


def lz4_legacy(data: bytes) -> bytes:
    """An LZ4 legacy frame in plain Python: independent blocks, each of at most 8 MB unpacked."""
    blocks = []
    at = 4
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        at += 4
        if size == 0 or at + size > len(data):  # the kernel appends the unpacked size, which is no block
            break
        blocks.append(lz4_block(data[at : at + size]))
        at += size
    return b"".join(blocks)


def lz4_block(data: bytes) -> bytes:
    """One LZ4 block: sequences of literals and matches."""
    out = bytearray()
    at, end = 0, len(data)
    while at < end:
        token = data[at]
        literals, at = _length(data, at + 1, token >> 4)
        out += data[at : at + literals]
        at += literals
        if at >= end:
            break
        distance = data[at] | data[at + 1] << 8
        match, at = _length(data, at + 2, token & 15)
        _copy_match(out, distance, match + 4)
    return bytes(out)


def _length(data: bytes, at: int, nibble: int) -> tuple[int, int]:
    if nibble != 15:
        return nibble, at
    total = 15
    while True:
        byte = data[at]
        at += 1
        total += byte
        if byte != 255:
            return total, at


def _copy_match(out: bytearray, distance: int, count: int) -> None:
    start = len(out) - distance
    if distance >= count:
        out += out[start : start + count]
    else:  # the match runs into what it writes
        pattern = out[start:]
        out += (pattern * (count // distance + 1))[:count]
