"""What tests/scripts/*-ko say of scripts is what stap says of them: the pass, and the first message with its place."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

RELEASE = "6.1.0-56-cloud-amd64"
SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
EVERY = 12  # of many scripts, to be quick
NUMBERED = re.compile(r".*_\d+$")  # these were chosen because both agree to the letter

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        shutil.which("stap") is None or not Path(f"/lib/modules/{RELEASE}/build").exists(),
        reason=f"needs stap and the headers of {RELEASE}",
    ),
]


def refused(path: Path) -> str:
    """What stap prints on standard error."""
    command = ["timeout", "20", "stap", "-w", "-r", RELEASE, "-p2", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 1
    return done.stderr


def numbered(folder: str) -> list[Path]:
    return [p for p in sorted((SCRIPTS / folder).glob("*.stp")) if NUMBERED.fullmatch(p.stem)][::EVERY]


@pytest.mark.parametrize("path", numbered("parse-ko"), ids=lambda p: p.stem)
def test_parse_errors(path: Path) -> None:
    where, _, message = path.read_text().splitlines()[0].removeprefix("# ").partition(" ")
    said = refused(path)
    assert said.count("Pass 1: parse failed.") == 1
    first = re.search(r"^parse error: (.*)$", said, re.MULTILINE)
    place = re.search(r"(?:saw|at): .*:(\d+:\d+)$", said, re.MULTILINE)
    assert first is not None
    assert first[1] == message
    assert place is None or place[1] == where  # at the end of a file stap names no place


@pytest.mark.parametrize("path", numbered("sem-ko"), ids=lambda p: p.stem)
def test_semantic_errors(path: Path) -> None:
    said = refused(path)
    assert said.count("Pass 2: analysis failed.") == 1
    assert "\nsemantic error: " in f"\n{said}"
