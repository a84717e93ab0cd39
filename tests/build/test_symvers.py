"""Symbol versions and dependencies, as modpost would write them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pystap.build import symvers
from pystap.diagnostics import StapError


def make_object(tmp_path: Path, text: str) -> bytes:
    (tmp_path / "x.c").write_text(text)
    subprocess.run(["gcc", "-c", "-o", "x.o", "x.c"], cwd=tmp_path, check=True)
    return (tmp_path / "x.o").read_bytes()


def test_undefined_symbols_of_an_object(tmp_path: Path) -> None:
    elf = make_object(tmp_path, "extern int a(void); extern int b; int c(void) { return a() + b; }")
    assert sorted(s for s in symvers.imported(elf) if not s.startswith("_")) == ["a", "b"]


def test_not_an_object() -> None:
    with pytest.raises(StapError, match="not a 64-bit ELF"):
        symvers.imported(b"junk")


def tree_with(tmp_path: Path) -> Path:
    rows = ["0x00000012\tkfree\tvmlinux\tEXPORT_SYMBOL\t", "0xab\tnf_x\tnet/netfilter/nf-nat\tEXPORT_SYMBOL_GPL\t"]
    (tmp_path / "Module.symvers").write_text("\n".join(rows) + "\n")
    return tmp_path


def test_versions_and_dependencies(tmp_path: Path) -> None:
    table = symvers.exports(tree_with(tmp_path), {"kfree", "nf_x"})
    text = symvers.assembly(["nf_x", "kfree"], table, versions=True)
    assert '.quad 0x12\n.ascii "kfree"\n.zero 51\n' in text
    assert '.asciz "depends=nf_nat"' in text


def test_a_symbol_that_is_not_exported(tmp_path: Path) -> None:
    table = symvers.exports(tree_with(tmp_path), {"secret"})
    with pytest.raises(StapError, match="does not export secret"):
        symvers.assembly(["secret"], table, versions=True)
