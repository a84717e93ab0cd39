"""What the runner makes of records: printf's fields and histogram charts, to the byte."""

from __future__ import annotations

import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pystap import paths

HERE = Path(__file__).parent
PRINT, TEXT, HISTOGRAM, ERROR, WARNING, SYSTEM = range(1, 7)
LOG, LINEAR = 1, 2
Argument = int | bytes


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("records") / "records"
    runner = paths.runner_sources()
    sources = [HERE / "records.c", runner / "format.c", runner / "output.c", runner / "limits.c"]
    flags = ["-g", "-fsanitize=address,undefined", "-Wall", "-Wextra", "-Wno-sign-compare", "-Werror"]
    subprocess.run(
        [
            "gcc",
            *flags,
            "-iquote",
            str(runner),
            "-iquote",
            str(paths.runtime()),
            "-o",
            str(program),
            *map(str, sources),
        ],
        check=True,
    )
    return program


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def argument(value: Argument) -> bytes:
    if isinstance(value, int):
        return struct.pack("<Q", value & 0xFFFFFFFFFFFFFFFF)
    return padded(struct.pack("<I", len(value)) + value)


def item(kind: int, value: int, body: bytes = b"") -> bytes:
    return struct.pack("<II", kind, value) + padded(body)


def record(items: bytes) -> bytes:
    return struct.pack("<IHHQ", len(items), 0x5953, 0, 1) + items


def histogram(kind: int, counts: Sequence[int], low: int = 0, high: int = 0, step: int = 0, width: int = 0) -> bytes:
    head = struct.pack("<qqqIHH", low, high, step, len(counts), width, 0)
    return item(HISTOGRAM, kind, head + struct.pack(f"<{len(counts)}q", *counts))


def show(harness: Path, tmp_path: Path, items: bytes, *formats: str) -> subprocess.CompletedProcess[bytes]:
    strings = tmp_path / "formats"
    strings.write_bytes(b"".join(f.encode() + b"\0" for f in formats))
    return subprocess.run([harness, strings], input=record(items), capture_output=True, check=False)


def printed(harness: Path, tmp_path: Path, format_string: str, *arguments: Argument) -> bytes:
    items = item(PRINT, 0) + b"".join(argument(a) for a in arguments)
    done = show(harness, tmp_path, items, format_string)
    assert done.stderr == b""
    return done.stdout


LEAST = -(1 << 63)


@pytest.mark.parametrize(
    ("format_string", "arguments", "expected"),
    [
        ("[%d][%5d][%-5d][%05d][%+d][% d][%ld][%i]", [42] * 7 + [-42], b"[42][   42][42   ][00042][+42][ 42][42][-42]"),
        ("[%u][%x][%X][%#x][%#X]", [-1, 255, 255, 255, 255], b"[18446744073709551615][ff][FF][0xff][0XFF]"),
        ("[%08x][%o][%#o][%p]", [255, 8, 8, 0xFFFFFFFF81000000], b"[000000ff][10][010][0xffffffff81000000]"),
        ("[%.3d][%8.3d][%-8.3d][%*d][%-*d]", [7, 7, 7, 6, 9, 6, 9], b"[007][     007][007     ][     9][9     ]"),
        ("[%d][%d][%x]", [(1 << 63) - 1, LEAST, -1], b"[9223372036854775807][-9223372036854775808][ffffffffffffffff]"),
        ("%%|%c|%#c|%c|%3c|", [65, 7, 0x42, 0x43], b"%|A|\\a|B|  C|"),
        ("%#c %#c %#c", [0, 9, 42], b"\\000 \\t *"),
        ("[%p][%#x][%#o]", [0, 0, 0], b"[0x0][0x0][0]"),
        ("[%08d][%-08d][%+05d]", [-42, -42, 42], b"[-0000042][-42     ][+0042]"),
        ("[%s][%10s][%-10s][%.3s][%10.3s]", [b"hello"] * 5, b"[hello][     hello][hello     ][hel][       hel]"),
        ("[%*s][%.*s][%*s]", [8, b"hi", 2, b"hello", -4, b"x"], b"[      hi][he][x   ]"),
        ("[%#s]", [b'tab\there "q" back\\slash \x01\x80'], b'[tab\there "q" back\\slash \x01\x80]'),
        ("%b%1b%2b%4b%8b", [65, 66, 0x4443, 0x48474645, 0x504F4E4D4C4B4A49], b"A\0\0\0\0\0\0\0BCDEFGHIJKLMNOP"),
        ("[%4m][%6.2M][%M]", [b"ab", b"\x01\xfe", b"z"], b"[  ab][  01fe][7a]"),
        ("100%% of %s", [b""], b"100% of "),
        ("", [], b""),
    ],
)
def test_fields(harness: Path, tmp_path: Path, format_string: str, arguments: list[Argument], expected: bytes) -> None:
    assert printed(harness, tmp_path, format_string, *arguments) == expected


def test_a_field_longer_than_the_output_buffer(harness: Path, tmp_path: Path) -> None:
    assert printed(harness, tmp_path, "%900000d|", 5) == b" " * 899999 + b"5|"


def log_counts(values: list[int]) -> list[int]:
    counts = [0] * 128
    for v in values:
        counts[64 + (v.bit_length() if v >= 0 else -(-v).bit_length())] += 1
    return counts


def linear_counts(values: list[int], low: int, high: int, step: int) -> list[int]:
    counts = [0] * ((high - low) // step + 3)
    for v in values:
        counts[0 if v < low else len(counts) - 1 if v > high else (v - low) // step + 1] += 1
    return counts


def chart(text: str) -> bytes:
    """A chart as it is written below: without its blanks at line ends, which end the bars' room."""
    return text.encode()


def check_chart(harness: Path, tmp_path: Path, item_bytes: bytes, expected: str) -> None:
    done = show(harness, tmp_path, item_bytes)
    assert done.stderr == b""
    assert done.stdout.decode() == expected.lstrip("\n") + "\n"


def test_log_histogram(harness: Path, tmp_path: Path) -> None:
    check_chart(
        harness,
        tmp_path,
        histogram(LOG, log_counts([i * i for i in range(20)])),
        """
value |-------------------------------------------------- count
    0 |@                                                  1
    1 |@                                                  1
    2 |                                                   0
    4 |@                                                  1
    8 |@                                                  1
   16 |@@                                                 2
   32 |@@                                                 2
   64 |@@@@                                               4
  128 |@@@@                                               4
  256 |@@@@                                               4
  512 |                                                   0
 1024 |                                                   0
""",
    )


def test_log_histogram_below_zero_with_a_gap(harness: Path, tmp_path: Path) -> None:
    values = [i * 7 for i in range(-9, 10)] + [0, 1000000]
    check_chart(
        harness,
        tmp_path,
        histogram(LOG, log_counts(values)),
        """
  value |-------------------------------------------------- count
   -128 |                                                   0
    -64 |                                                   0
    -32 |@@@@@                                              5
    -16 |@@                                                 2
     -8 |@                                                  1
     -4 |@                                                  1
     -2 |                                                   0
     -1 |                                                   0
      0 |@@                                                 2
      1 |                                                   0
      2 |                                                   0
      4 |@                                                  1
      8 |@                                                  1
     16 |@@                                                 2
     32 |@@@@@                                              5
     64 |                                                   0
    128 |                                                   0
        ~
 131072 |                                                   0
 262144 |                                                   0
 524288 |@                                                  1
1048576 |                                                   0
2097152 |                                                   0
""",
    )


def test_log_histogram_of_one_value(harness: Path, tmp_path: Path) -> None:
    check_chart(
        harness,
        tmp_path,
        histogram(LOG, log_counts([5])),
        """
value |-------------------------------------------------- count
    1 |                                                   0
    2 |                                                   0
    4 |@                                                  1
    8 |                                                   0
   16 |                                                   0
""",
    )


def test_linear_histogram(harness: Path, tmp_path: Path) -> None:
    values = [i * 37 % 50 for i in range(100)]
    bars = "".join(f"{v:5} |@@@@@@@@@@                                         10\n" for v in range(0, 50, 5))
    check_chart(
        harness,
        tmp_path,
        histogram(LINEAR, linear_counts(values, 0, 50, 5), 0, 50, 5),
        "value |-------------------------------------------------- count\n"
        + bars
        + "   50 |                                                    0\n",
    )


def test_linear_histogram_outliers_and_gap(harness: Path, tmp_path: Path) -> None:
    check_chart(
        harness,
        tmp_path,
        histogram(LINEAR, linear_counts([-5, 3, 12, 12, 99, 250], 0, 100, 10), 0, 100, 10),
        """
value |-------------------------------------------------- count
   <0 |@                                                  1
    0 |@                                                  1
   10 |@@                                                 2
   20 |                                                   0
   30 |                                                   0
      ~
   70 |                                                   0
   80 |                                                   0
   90 |@                                                  1
  100 |                                                   0
 >100 |@                                                  1
""",
    )


def test_bars_are_scaled_to_the_width(harness: Path, tmp_path: Path) -> None:
    done = show(harness, tmp_path, histogram(LINEAR, linear_counts([1] * 101 + [11] * 7, 0, 20, 10), 0, 20, 10))
    marks = [line.count("@") for line in done.stdout.decode().splitlines()]
    assert marks == [0, 33, 2, 0, 0]
    done = show(harness, tmp_path, histogram(LINEAR, linear_counts([1] * 30, 0, 20, 10), 0, 20, 10, width=10))
    assert b"|---------- count\n    0 |@@@@@@@@@@ 30\n" in done.stdout


def test_messages(harness: Path, tmp_path: Path) -> None:
    items = b"".join(
        (
            item(TEXT, 3, b"one"),
            item(WARNING, 4, b"look"),
            item(WARNING, 4, b"look"),
            item(SYSTEM, 4, b"true"),
            item(ERROR, 3, b"bad"),
        )
    )
    done = show(harness, tmp_path, items)
    assert done.stderr == b"WARNING: look\nERROR: bad\n"
    assert done.stdout == b"onesystem: true\n"
    assert done.returncode == 1


@pytest.mark.parametrize(
    "items",
    [
        item(PRINT, 0),  # its argument is missing
        item(PRINT, 9),  # no such format
        item(TEXT, 4000, b"short"),
        item(99, 0),
        item(PRINT, 0) + struct.pack("<II", 0xFFFFFFFF, 0),  # a string longer than its record
        item(HISTOGRAM, LOG, struct.pack("<qqqIHH", 0, 0, 0, 1 << 30, 0, 0)),
    ],
)
def test_a_damaged_record_is_reported(harness: Path, tmp_path: Path, items: bytes) -> None:
    done = show(harness, tmp_path, items, "%s")
    assert re.search(rb"a record of the module cannot be read", done.stderr)
    assert done.returncode == 1
