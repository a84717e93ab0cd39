"""Numbers of a program's tables that runtime/objects.h has no room for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pystap.codegen.objects import _line, object_lines


def test_a_function_of_more_than_four_gigabytes(tmp_path: Path) -> None:
    """What its symbol says of its length, where nothing is so long."""
    (tmp_path / "x.s").write_text(".text\n.globl f\n.type f, @function\nf: nop\n.size f, 0x123456789abcdef\n")
    subprocess.run(["gcc", "-shared", "-nostdlib", "-o", tmp_path / "x", tmp_path / "x.s"], check=True)
    lines = object_lines([str(tmp_path / "x")], {"usymbols"})
    at = lines.index("static const u32 stap_symbol_sizes_0[] = {")
    assert lines[at + 1] == "4294967295,"


def test_lines_and_files_that_do_not_fit() -> None:
    assert _line(4095, 0xFFFFF) == 0xFFFFFFFF
    assert _line(4096, 1) == 0
    assert _line(0, 1 << 20) == 0
