"""The kernel's own symbol table (kallsyms) out of a stripped vmlinux: the only full list of names in a Debian image.

Layouts: before 6.4 the offsets come before the names, from 6.4 on after the token tables. Newer kernels (7.3) align all
of it to 4 instead of 8, and an offset is relative to where it stands itself.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

_DIGITS = b"".join(bytes((48 + k, 0)) for k in range(10))


@dataclass(frozen=True, slots=True)
class _Tables:
    count: int
    count_at: int  # where kallsyms_num_syms stands
    names: int
    tokens: list[bytes]
    after: int  # past kallsyms_token_index


def decode(rodata: bytes, anchor: int, place: int = 0) -> list[tuple[int, str, str]] | None:
    """(address, type letter, name) of every symbol, or None where no layout fits.

    `anchor` is _text's address, `place` that of `rodata`.
    """
    tables = _find_tables(rodata)
    if tables is None:
        return None
    names = _names(rodata, tables)
    own_offsets = _own_offsets(rodata, tables.after, tables.count, place)
    based = (_addresses(rodata, start, base_at, tables.count) for start, base_at in _offset_candidates(tables))
    for addresses in (own_offsets, *based):
        if addresses is not None and _plausible(names, addresses, anchor):
            return [(address, *name) for address, name in zip(addresses, names, strict=True)]
    return None


def _find_tables(data: bytes) -> _Tables | None:
    """The token table holds the ten digits as tokens of their own, one after the other, in every kernel."""
    at = data.find(_DIGITS)
    while at >= 0:
        start = _token_table_start(data, at)
        if start is not None:
            tables = _before_tokens(data, start)
            if tables is not None:
                return tables
        at = data.find(_DIGITS, at + 1)
    return None


def _token_table_start(data: bytes, digits: int) -> int | None:
    """Goes back over the 48 tokens before '0'."""
    at = digits
    for _ in range(ord("0")):
        at = data.rfind(b"\0", 0, at - 1) + 1
    # tokens of one byte or more; the table is aligned after padding of NULs
    while at % 4 and data[at - 1] != 0 and digits - at < 4096:
        at -= 1
    return at if at % 4 == 0 else None


def _before_tokens(data: bytes, start: int) -> _Tables | None:
    tokens, end = [], start
    for _ in range(256):
        stop = data.index(b"\0", end)
        tokens.append(data[end:stop])
        end = stop + 1
    index = _token_index(data, end, len(tokens[0]) + 1)
    if index is None:
        return None
    for begin, count in (*_markers(data, start), *_markers_before_sequences(data, start)):
        found = _names_before(data, begin, count)
        if found is not None:
            return _Tables(found[1], found[0] - found[2], found[0], tokens, index + 512)
    return None


def _token_index(data: bytes, end: int, second: int) -> int | None:
    """Where the positions of the tokens stand, the second of which is known, behind the tokens."""
    for index in ((end + 7) & ~7, (end + 3) & ~3):
        if struct.unpack_from("<HH", data, index) == (0, second):
            return index
    return None


def _names_before(data: bytes, begin: int, count: int) -> tuple[int, int, int] | None:
    """The names that `count` markers at `begin` are about: (start, number of symbols, bytes of that number)."""
    (last,) = struct.unpack_from("<I", data, begin + 4 * (count - 1))
    for names in range((begin - last) & ~3, max(begin - last - 256 * 600, 8), -4):
        for width in (8, 4):
            (symbols,) = struct.unpack_from("<I", data, names - width)
            if (symbols + 255) // 256 == count and _ends_at(data, names, last, symbols - 256 * (count - 1), begin):
                return names, symbols, width
    return None


def _markers(data: bytes, end: int) -> Iterator[tuple[int, int]]:
    """The marker table that ends at `end` (or one word of padding before): (start, length)."""
    for stop in (end, end - 4):
        at = stop - 4
        (value,) = struct.unpack_from("<I", data, at)
        while value:
            (below,) = struct.unpack_from("<I", data, at - 4)
            if below >= value:
                break
            at, value = at - 4, below
        if value == 0 and stop - at > 64:
            yield at, (stop - at) // 4


def _markers_before_sequences(data: bytes, end: int) -> Iterator[tuple[int, int]]:
    """The same where kallsyms_seqs_of_names (three bytes per symbol) stands between: 6.2 and its backports."""
    for stop in range(end - 8, max(end - (3 << 21), 1 << 16), -8):
        count = ((end - stop) // 3 + 255) // 256
        start = stop - ((4 * count + 7) & ~7)
        if start < 0 or count < 4:
            continue
        zero, first, second = struct.unpack_from("<III", data, start)
        if zero == 0 and 512 <= first < 256 * 600 and first < second < 2 * 256 * 600:
            yield start, count
            yield start, count - 1


def _ends_at(data: bytes, names: int, last: int, left: int, end: int) -> bool:
    at = names + last
    for _ in range(left):
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        at += length
        if at > end:
            return False
    return (at + 7) & ~7 == end or (at + 3) & ~3 == end


def _names(data: bytes, tables: _Tables) -> list[tuple[str, str]]:
    tokens = [t.decode("latin-1") for t in tables.tokens]
    at = tables.names
    out = []
    for _ in range(tables.count):
        length = data[at]
        at += 1
        if length & 0x80:
            length = length & 0x7F | data[at] << 7
            at += 1
        text = "".join([tokens[b] for b in data[at : at + length]])
        at += length
        out.append((text[0], text[1:]))
    return out


def _offset_candidates(tables: _Tables) -> list[tuple[int, int]]:
    """(start of kallsyms_offsets, position of kallsyms_relative_base) before 6.4, and from 6.4 on."""
    size = (4 * tables.count + 7) & ~7
    base_before = tables.count_at - 8
    return [(base_before - size, base_before), (tables.after, tables.after + size)]


def _addresses(data: bytes, start: int, base_at: int, count: int) -> list[int] | None:
    if start < 0 or base_at + 8 > len(data):
        return None
    (base,) = struct.unpack_from("<Q", data, base_at)
    if base < 1 << 47:
        return None
    offsets = array("i", data[start : start + 4 * count])
    if sum(1 for k in offsets if k < 0) > count // 2:  # CONFIG_KALLSYMS_ABSOLUTE_PERCPU: negative ones are relative
        return [k if k >= 0 else base - 1 - k for k in offsets]
    return [base + (k & 0xFFFFFFFF) for k in offsets]


def _own_offsets(data: bytes, start: int, count: int, place: int) -> list[int] | None:
    """Addresses where each offset counts from its own place."""
    offsets = array("i", data[start : start + 4 * count])
    if len(offsets) < count:
        return None
    return [place + start + 4 * k + offset for k, offset in enumerate(offsets)]


def _plausible(names: list[tuple[str, str]], addresses: list[int], anchor: int) -> bool:
    return any(
        address == anchor for address, (_, name) in zip(addresses, names, strict=True) if name in ("_text", "_stext")
    )
