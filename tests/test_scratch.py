"""Temporary folders: those of killed programs go, those of living ones and of others stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pystap import scratch

MAKES_ONE = "from pystap import scratch; print(scratch.make('pystap-test-').path, flush=True); input()"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(scratch, "_FRESH_SECONDS", 0.0)


def test_a_killed_program_leaves_nothing_for_long(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", MAKES_ONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    (theirs / "file").write_text("x")
    mine = scratch.make("pystap-test-")
    assert theirs.exists()  # its maker lives
    other.kill()
    other.communicate()
    (tmp_path / "pystap-test-link").symlink_to(tmp_path)
    (tmp_path / "pystap-other").mkdir()
    third = scratch.make("pystap-test-")
    assert not theirs.exists()
    assert mine.path.exists()
    assert (tmp_path / "pystap-other").exists()
    assert (tmp_path / "pystap-test-link").is_symlink()
    for made in (mine, third):
        made.remove()
        assert not made.path.exists()


def test_a_fresh_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_FRESH_SECONDS", 60.0)
    (tmp_path / "pystap-test-new").mkdir()
    scratch.make("pystap-test-").remove()
    assert (tmp_path / "pystap-test-new").exists()
