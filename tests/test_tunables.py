"""The table of -D tunables is the runtime's: the same names, the same defaults; what cannot be is refused by name."""

from __future__ import annotations

import re

import pytest

from pystap import cli, paths
from pystap.tunables import TUNABLES, checked

DEFAULTS = dict(re.findall(r"#ifndef (\w+)\n#define \1 (\S+)", (paths.runtime() / "limits.h").read_text()))
DERIVED = {"STAP_FRAME_BYTES", "STAP_LARGEST_FRAME", "STAP_LARGEST_ITEM", "STAP_BUCKETS"}  # codegen's and the build's


def test_defaults_are_the_runtime_s() -> None:
    table = {t.name: t.default for t in TUNABLES}
    same = {name: value.rstrip("UL") for name, value in DEFAULTS.items() if name not in DERIVED}
    assert set(same) <= set(table)
    for name, value in same.items():
        if value.isdigit() and name != "MAXNESTING":
            assert table[name] == value, name


def test_each_is_read_by_the_runtime() -> None:
    text = "\n".join(path.read_text() for path in paths.runtime().rglob("*.h"))
    assert [t.name for t in TUNABLES if not re.search(rf"\b{t.name}\b", text)] == []


@pytest.mark.parametrize(
    ("given", "taken"),
    [("", "1"), ("7", "7"), ("010", "8"), ("0x10", "16"), ("00", "0"), ("9LL", "9"), ("0x1fuL", "31")],
)
def test_numbers_as_c_reads_them(given: str, taken: str) -> None:
    assert checked([("MAXTRYLOCK", given)]) == (("MAXTRYLOCK", taken),)


@pytest.mark.parametrize("given", ["MAXSTRINGLEN=abc", "MAXSTRINGLEN=4", "MAXMAPENTRIES=-5", "MAXACTION=99999999999",
                                   "MAXERRORS=08", "MAXTRYLOCK=-"])  # fmt: skip
def test_what_cannot_be_is_refused(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p1", "-D", given, "-e", "probe begin { }"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"ERROR: -D {given}: expected a number from ") or "Safety pattern mismatch" in said
    assert "Traceback" not in said


def test_other_names_are_the_script_s_own() -> None:
    assert checked([("ANYTHING", "x"), ("SWITCH", "")]) == (("ANYTHING", "x"), ("SWITCH", "1"))
