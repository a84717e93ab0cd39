"""The scripts that Debian ships with SystemTap, where they are installed, on the kernels 6.1 (stock.tsv) and 6.12."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import available

ROOT = Path("/usr/share")
TABLE = Path(__file__).with_name("stock.tsv")
SERIES = "6.1"
LATER = "6.12"
GONE = {  # what the later kernel has no more
    "hugepage_clear_delays": "clear_huge_page is folio_zero_user since 6.11",
    "hugepage_cow_delays": "copy_user_huge_page is copy_user_large_folio since 6.5",
}


@dataclass(frozen=True)
class Row:
    script: Path
    words: tuple[str, ...]
    reason: str  # why it does not reach pass 4; empty: it does
    program: str  # what must be installed

    @property
    def name(self) -> str:
        return self.script.stem


def rows() -> list[Row]:
    lines = [line.split("\t") for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    return [_row(*words) for words in lines]


def _row(script: str, words: str, reached: str, remark: str = "") -> Row:
    bad = reached == "-"
    return Row(ROOT / script, tuple(shlex.split(words)), remark if bad else "", "" if bad else remark)


GOOD = [r for r in rows() if not r.reason]
BAD = [r for r in rows() if r.reason]


@pytest.fixture(autouse=True)
def _debug_info() -> None:
    needs(SERIES)


def needs(series: str) -> None:
    """Skips a test where a kernel or its debug-info is not there."""
    kernel = available(series)
    if kernel is None:
        pytest.skip(f"no kernel {series}: pystap-prep {series}")
    if kernel.debuginfo is None:
        pytest.skip(f"no debug-info of {kernel.release}: pystap-prep --debuginfo {series}")


def reached(row: Row, upto: int, monkeypatch: pytest.MonkeyPatch, series: str = SERIES) -> bool:
    if not row.script.exists():
        pytest.skip("the packages systemtap and systemtap-doc are not installed (apt-get install systemtap-doc)")
    if row.program and shutil.which(row.program) is None:
        pytest.skip(f"{row.program} is not installed")
    monkeypatch.chdir(row.script.parent)
    return cli.main([f"-p{upto}", "-w", "-r", series, *row.words]) == 0


def test_most_reach_pass_4() -> None:
    assert len(GOOD) >= 170
    assert all(r.reason for r in BAD)


@pytest.mark.parametrize("row", GOOD, ids=lambda r: r.name)
def test_resolves(row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert reached(row, 2, monkeypatch), capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("row", GOOD, ids=lambda r: r.name)
def test_compiles(row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert reached(row, 4, monkeypatch), capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("row", GOOD, ids=lambda r: r.name)
def test_compiles_for_the_later_kernel(
    row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needs(LATER)
    assert reached(row, 4, monkeypatch, LATER) != (row.name in GONE), GONE.get(row.name) or capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("row", BAD, ids=lambda r: r.name)
def test_reason_still_holds(row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert not reached(row, 4, monkeypatch), f"it reaches pass 4 now: {row.reason}"
    assert "mistake of its own" not in capsys.readouterr().err
