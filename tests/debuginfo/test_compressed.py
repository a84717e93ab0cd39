"""Unpacking: LZ4 in plain Python against the lz4 program, and what a kernel image wraps."""

from __future__ import annotations

import gzip
import lzma
import random
import shutil
import struct
import subprocess

import pytest

from pystap.debuginfo.compressed import decompress, kernel_image, lz4_block, lz4_legacy
from pystap.diagnostics import StapError

TEXT = b"".join(b"line %d of some text that repeats itself\n" % (k % 300) for k in range(40000))


def noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)


@pytest.mark.parametrize("data", [b"", b"x", b"ab" * 500, TEXT, noise(70000), TEXT[:100] + noise(300) + b"\0" * 70000])
def test_lz4_is_what_the_program_packed(data: bytes) -> None:
    if shutil.which("lz4") is None:
        pytest.skip("needs lz4 (apt install lz4)")
    packed = subprocess.run(["lz4", "-l", "-q", "-c"], input=data, capture_output=True, check=True).stdout
    assert lz4_legacy(packed) == data
    assert lz4_legacy(packed + struct.pack("<I", len(data))) == data, "the kernel appends the unpacked size"


def test_a_match_may_run_into_what_it_writes() -> None:
    assert lz4_block(bytes((0x3A,)) + b"abc" + bytes((3, 0))) == b"abc" + b"abc" * 4 + b"ab"


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_formats_by_their_magic(pack: object) -> None:
    assert decompress(pack(TEXT)) == TEXT  # type: ignore[operator]


def test_a_bzimage_holds_its_payload_where_the_header_says() -> None:
    payload = gzip.compress(b"\x7fELF" + TEXT)
    image = bytearray(4096)
    image[0x1F1] = 3
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<II", image, 0x248, 100, len(payload))
    image[4 * 512 + 100 :] = payload + b"trailing"
    assert kernel_image(bytes(image)).startswith(b"\x7fELFline 0")


def test_what_is_not_known_is_an_error() -> None:
    with pytest.raises(StapError, match="compression"):
        decompress(b"PK\3\4 zip is not used by kernels")
