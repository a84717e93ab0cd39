"""Debug-info that is not here is asked for where DEBUGINFOD_URLS says so, once it is needed, and not without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from pystap.debuginfo import opening
from pystap.debuginfo.elf import Elf
from tests.support.fakes import forget_debuginfo
from tests.support.kernels import available

pytestmark = pytest.mark.headers

SERIES = "6.1"
STATEMENT = 'kernel.statement("vfs_read@fs/read_write.c:451")'


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A debuginfod-find that notes what it is asked for and has the kernel's; no debug-info is found elsewhere."""
    kernel = available(SERIES)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {SERIES}: pystap-prep --debuginfo {SERIES}")
    notes = tmp_path / "asked"
    finder = tmp_path / "debuginfod-find"
    finder.write_text(f'#!/bin/sh\necho "$@" >> {notes}\n[ -z "$REFUSE" ] || {{ echo "not found" >&2; exit 1; }}\n'
                      f"echo {kernel.debuginfo}\n")  # fmt: skip
    finder.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("DEBUGINFOD_URLS", "https://debuginfod.example/")
    forget_debuginfo(monkeypatch)
    monkeypatch.setattr(opening, "kernel_file", lambda target: target.debuginfo)
    return notes


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["-r", SERIES, *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_a_statement_is_worth_asking_for(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "-l", STATEMENT)
    assert (status, out) == (0, STATEMENT + "\n"), err
    build_id = _build_id()
    assert asked.read_text() == f"debuginfo {build_id}\n"
    assert err.startswith("asking https://debuginfod.example/ for the debug-info of kernel 6.1"), err
    assert build_id in err


def test_what_symbols_answer_is_not(asked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "-p2", "-e", 'probe kernel.function("vfs_read") { println($count) }')
    assert (status, asked.exists()) == (0, False), err


def test_nobody_is_asked_without_the_variable(
    asked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEBUGINFOD_URLS")
    status, _, err = run(capsys, "-p2", "-e", f"probe {STATEMENT} {{ }}")
    assert (status, asked.exists()) == (1, False)
    assert "known to DWARF debug-info only" in err


def test_a_server_that_does_not_have_it(
    asked: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUSE", "1")
    status, _, err = run(capsys, "-p2", "-e", f"probe {STATEMENT} {{ }}")
    assert status == 1
    assert "debuginfod-find: not found" in err
    assert "known to DWARF debug-info only" in err
    assert len(asked.read_text().splitlines()) == 1, "asked once"


def _build_id() -> str:
    kernel = available(SERIES)
    assert kernel is not None
    assert kernel.debuginfo is not None
    return Elf.open(kernel.debuginfo).build_id() or ""
