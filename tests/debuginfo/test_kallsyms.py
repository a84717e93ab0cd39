"""The kernel's symbol table out of its image: a table packed here in each layout that there was is read back."""

from __future__ import annotations

import struct

import pytest

from pystap.debuginfo.kallsyms import decode

TEXT = 0xFFFFFFFF81000000


def symbols(count: int) -> list[tuple[int, str, str]]:
    named = [(TEXT, "T", "_text"), (TEXT, "T", "_stext")]
    more = [(TEXT + 16 * k, "tTdD"[k % 4], f"some_{k % 97}_function_{k}" + "_x" * (k % 5)) for k in range(1, count - 1)]
    more[700] = (*more[700][:2], "long_" + "n" * 200)  # longer than 127 bytes: its length takes two
    return named + more


def align(data: bytes, to: int = 8) -> bytes:
    return data + b"\0" * (-len(data) % to)


def pack(table: list[tuple[int, str, str]], layout: str) -> bytes:
    """Tokens are the single characters: a table without compression, which is legal."""
    tokens = b"".join(bytes((k or 1, 0)) for k in range(256))
    index = struct.pack("<256H", *range(0, 512, 2))
    names, markers = bytearray(), []
    for k, (_, letter, name) in enumerate(table):
        if k % 256 == 0:
            markers.append(len(names))
        text = (letter + name).encode()
        names += bytes((len(text),)) if len(text) < 128 else bytes((len(text) & 0x7F | 0x80, len(text) >> 7))
        names += text
    strings = align(tokens) + align(index)
    if layout == "7.3":
        return pack_small(names, markers, strings, table)
    offsets = struct.pack(f"<{len(table)}i", *(TEXT - 1 - address for address, _, _ in table))
    places = align(offsets) + struct.pack("<Q", TEXT)
    count = struct.pack("<Q", len(table))
    marks = align(struct.pack(f"<{len(markers)}I", *markers))
    body = count + align(bytes(names)) + marks
    if layout == "sequences":
        body += align(bytes(3 * len(table)))
    whole = body + strings + places if layout == "6.4" else places + body + strings
    return BEFORE + whole + bytes(4096)


BEFORE = bytes(range(1, 256)) * 600 + bytes(120)
PLACE = TEXT + 0x1200000


def pack_small(names: bytes, markers: list[int], strings: bytes, table: list[tuple[int, str, str]]) -> bytes:
    """All aligned to 4 only, the number of symbols too, and offsets that count from where they stand."""
    body = BEFORE + struct.pack("<I", len(table)) + align(names, 4) + struct.pack(f"<{len(markers)}I", *markers)
    whole = body + strings
    start = PLACE + len(whole)
    offsets = (address - start - 4 * k for k, (address, _, _) in enumerate(table))
    return whole + struct.pack(f"<{len(table)}i", *offsets) + bytes(4096)


@pytest.mark.parametrize("layout", ["before 6.4", "sequences", "6.4", "7.3"])
def test_a_packed_table_is_read_back(layout: str) -> None:
    table = symbols(20000)
    assert decode(align(pack(table, layout)), TEXT, PLACE) == table


def test_what_is_no_table_is_none() -> None:
    assert decode(bytes(range(256)) * 1000, TEXT) is None


def test_a_table_for_another_address_is_refused() -> None:
    assert decode(align(pack(symbols(20000), "6.4")), TEXT + 0x1000) is None
