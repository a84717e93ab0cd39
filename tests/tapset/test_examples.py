"""The examples: each is built for every kernel and run with the command that it names; what it prints must match."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pystap import paths
from tests.support.kernels import Guests, available

EXAMPLES = sorted((paths.tapsets().parent / "examples").glob("*.stp"))


def _header(example: Path, word: str) -> list[str]:
    return re.findall(rf"^# {word}: (.*)$", example.read_text(), re.MULTILINE)


@pytest.mark.vm
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example(guests: Guests, series: str, example: Path) -> None:
    kernel = available(series)
    assert kernel is not None
    command = [sys.executable, "-m", "pystap", "-p4", "-r", kernel.release, str(example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = _header(example, "run")
    finished = guests.run(series, Path(done.stdout.split()[-1]), options=tuple(shlex.split(run)))
    said = finished.stdout.decode(errors="replace")
    missing = [e for e in _header(example, "expect") if not re.search(e, said)]
    assert not missing, said + finished.stderr.decode(errors="replace")
