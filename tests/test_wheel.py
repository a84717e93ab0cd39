"""The wheel carries everything: tapsets, runtime, templates, grammar, the runner's sources."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return set(zipfile.ZipFile(wheel).namelist())


def test_every_file_of_the_package_is_in_the_wheel(names: set[str]) -> None:
    kept = [p for p in (ROOT / "pystap").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    missing = {str(p.relative_to(ROOT)) for p in kept} - names
    assert not missing


def test_the_library_is_in_the_wheel(names: set[str]) -> None:
    ours = {f"pystap/share/tapsets/{p.relative_to(ROOT / 'tapsets')}" for p in (ROOT / "tapsets").rglob("*.stp*")}
    assert ours
    assert ours <= names
