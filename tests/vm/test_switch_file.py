"""switch_file(): the script itself has its output go on in the next file."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm
SCRIPT = """
probe begin { println("first") }
probe timer.ms(400) { if (!n++) switch_file() }
probe timer.ms(1500) { println("second"); exit() }
global n
"""


def test_the_next_file(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed before is in one file, what is printed after in the next."""
    assert cli.main(["-p4", "-w", "-g", "-r", series, "-e", SCRIPT]) == 0
    module = Path(capsys.readouterr().out.strip())
    guests.sh(series, "rm -rf /tmp/switched; mkdir /tmp/switched")
    done = guests.run(series, module, options=("-S", "1", "-o", "/tmp/switched/out"))
    assert (done.stdout, done.stderr, done.status) == (b"", b"", 0)
    seen = guests.sh(series, "cd /tmp/switched && for f in *; do echo $f $(cat $f); done").stdout.decode()
    assert seen.splitlines() == ["out.0 first", "out.1 second"]
