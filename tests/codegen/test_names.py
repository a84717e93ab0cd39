"""Script text in C: literals and comments that nothing can break out of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pystap.codegen import names


def test_c_string_survives_the_compiler(tmp_path: Path) -> None:
    text = "".join(map(chr, range(1, 128))) + '??/ ??) 1\0019 "*/ \udc80\udcff é'
    source = tmp_path / "t.c"
    source.write_text(f"#include <stdio.h>\nint main(void) {{ fputs({names.c_string(text)}, stdout); return 0; }}\n")
    subprocess.run(["gcc", "-trigraphs", "-w", "-o", str(tmp_path / "t"), str(source)], check=True)
    said = subprocess.run([str(tmp_path / "t")], capture_output=True, check=True).stdout
    assert said == text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("text", ["*/ int evil;", "a */*/ b", "/* open", "line\\\nnext", "nul\0 bell\a"])
def test_c_comment_stays_one(text: str) -> None:
    spelt = names.c_comment(text)
    assert "*/" not in spelt
    assert "/*" not in spelt
    assert "\\\n" not in spelt
    assert spelt.isprintable() or "\n" in spelt


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (0, "0LL"),
        (-1, "(-1LL)"),
        (2**63 - 1, "9223372036854775807LL"),
        (2**64 - 1, "(-1LL)"),
        (2**63, "(-9223372036854775807LL - 1)"),
    ],
)
def test_c_number_wraps_to_64_bits(value: int, spelt: str) -> None:
    assert names.c_number(value) == spelt


def test_identifiers_are_checked() -> None:
    with pytest.raises(AssertionError):
        names.variable("a; evil")
