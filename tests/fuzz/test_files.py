"""A part of what tests/fuzz/files.py tries, in a process of its own: its memory is bounded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pystap.debuginfo.damage import Damaged
from pystap.debuginfo.user import open_object
from tests.fuzz.files import SOURCE
from tests.support.kernels import available

ROOT = Path(__file__).resolve().parent.parent.parent


def tries(count: int, seed: int) -> None:
    if available("6.1") is None:
        pytest.skip("no kernel 6.1")
    command = [sys.executable, "-m", "tests.fuzz.files", str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
    assert done.stdout.count(" damages of seed ") > 5


def test_damaged_files_end_in_messages() -> None:
    tries(6, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [101, 102, 103])
def test_many_damaged_files_end_in_messages(seed: int) -> None:
    tries(300, seed)


def test_the_message_names_the_file_the_part_and_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    subprocess.run(["gcc", "-g", "-w", str(SOURCE), "-o", str(path)], check=True)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Damaged) as raised:
        open_object(str(path))
    assert str(raised.value) == f"{path} is damaged (its section headers): install or compile it again"
