"""Call-frame tables against readelf's, row by row, of a small program and of the C library."""

from __future__ import annotations

import re
import shutil
import subprocess
from bisect import bisect_right
from pathlib import Path

import pytest

from pystap.debuginfo.elf import Elf
from pystap.debuginfo.unwind import KEPT, SAME, UNDEFINED, Rule, _Reader, rows

pytestmark = pytest.mark.skipif(shutil.which("readelf") is None, reason="needs readelf (apt-get install binutils)")
LIBC = Path("/usr/lib/x86_64-linux-gnu/libc.so.6")
_NAMES = {"ra": 16, "rbx": 3, "rbp": 6, "r12": 12, "r13": 13, "r14": 14, "r15": 15}
_NUMBERED = ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", *(f"r{n}" for n in range(8, 16)))
_REGISTERS = {name: number for number, name in enumerate(_NUMBERED)}


def interpreted(path: Path) -> list[tuple[int, str, dict[str, str]]]:
    """readelf's rows: (address, CFA, column -> rule)."""
    command = ["readelf", "-wNF", path]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: list[tuple[int, str, dict[str, str]]] = []
    columns: list[str] = []
    inside = False
    for line in out.splitlines():
        if re.match(r"[0-9a-f]{8} ", line):
            inside = " FDE " in line
        elif line.strip().startswith("LOC"):
            columns = line.split()[2:]
        elif inside and re.match(r"[0-9a-f]{16} ", line):
            words = line.split()
            found.append((int(words[0], 16), words[1], dict(zip(columns, words[2:], strict=False))))
    return found


def check(path: Path) -> int:
    """Compares; returns how many rows readelf has."""
    table = rows(Elf.open(path))
    starts = [row.start for row in table]
    expected = interpreted(path)
    for address, cfa, columns in expected:
        rule = table[bisect_right(starts, address) - 1].rule
        if any(text.startswith("r") for text in columns.values()):
            assert rule is None  # longjmp: the caller's registers are in registers
            continue
        if cfa == "exp":
            assert rule is None or rule.kind in ("plt", "memory", "signal")
            continue
        register, offset = re.fullmatch(r"(\w+?)\+(\d+)", cfa).groups()  # type: ignore[union-attr]
        assert rule is not None, hex(address)
        assert (rule.kind, rule.register, rule.offset) == ("register", _REGISTERS[register], int(offset)), hex(address)
        check_saved(rule, columns, address)
    return len(expected)


def check_saved(rule: Rule, columns: dict[str, str], address: int) -> None:
    for name, text in columns.items():
        if name not in _NAMES:
            continue
        kept = rule.saved[KEPT.index(_NAMES[name])]
        if text.startswith("c"):
            assert kept == int(text[1:]), (hex(address), name)
        elif text == "u":
            assert kept in (UNDEFINED, SAME)


def test_program(tmp_path: Path) -> None:
    source = tmp_path / "x.c"
    source.write_text(
        "#include <stdlib.h>\nint f(int *a, int n) { int b[n]; for (int i = 0; i < n; i++) b[i] = a[i] + rand();"
        " return f(b, n - 1) + b[0]; }\nint main(int c, char **v) { return f(&c, c); }\n"
    )
    subprocess.run(["gcc", "-O2", "-o", tmp_path / "x", source], check=True)
    assert check(tmp_path / "x") > 10


@pytest.mark.skipif(not LIBC.exists(), reason=f"needs {LIBC}")
def test_library() -> None:
    assert check(LIBC) > 10000


FRAMES = """.text
.globl f, g, h
f: .cfi_startproc
{}
 nop
 .cfi_endproc
"""


@pytest.mark.parametrize(
    "said",
    [
        ".cfi_def_cfa 44, 16",
        ".cfi_def_cfa 17, 16",
        ".cfi_def_cfa_register 200",
        ".cfi_def_cfa_offset 0x80000000",
        ".cfi_escape 0x0f, 0x03, 0x8f, 0x08, 0x06",
        ".cfi_escape 0x0f, 0x00",
    ],
)
def test_what_the_tables_do_not_hold(tmp_path: Path, said: str) -> None:
    """Registers beside the 17 that the walk knows, and offsets of more than 32 bits, are as if nothing was known."""
    (tmp_path / "x.s").write_text(FRAMES.format(said))
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", tmp_path / "x", tmp_path / "x.s"], check=True)
    assert [row.rule for row in rows(Elf.open(tmp_path / "x"))] == [None]


def test_damaged(tmp_path: Path) -> None:
    """A section that ends anywhere, or says anything, has the rows before that at most, and raises nothing."""
    (tmp_path / "x.s").write_text(FRAMES.format(".cfi_def_cfa_offset 16\n.cfi_offset 6, -16"))
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", tmp_path / "x", tmp_path / "x.s"], check=True)
    whole = _section(tmp_path / "x")
    assert list(_Reader(whole, 0).functions())
    for at in range(len(whole)):
        list(_Reader(whole[:at], 0).functions())
        for byte in (0, 1, 0x7F, 0x80, 0xFF):
            list(_Reader(whole[:at] + bytes([byte]) + whole[at + 1 :], 0).functions())


def _section(path: Path) -> bytes:
    elf = Elf.open(path)
    section = elf.section(".eh_frame")
    assert section is not None
    return bytes(elf.bytes_of(section))
