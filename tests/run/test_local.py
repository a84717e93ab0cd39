"""What pystap hands on to the runner on this machine. In the runner's place a script says what it hears."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

HEARS = """#!/bin/sh
for s in INT TERM HUP QUIT USR2; do trap "echo $s; exit 7" $s; done
echo ready; while :; do sleep 0.02; done
"""
RUNS = """
import sys
from pathlib import Path
from pystap.run import binaries, local
from pystap.run.options import RunOptions
binaries.runner = lambda: Path(sys.argv[1])
sys.exit(local.run(Path("/dev/null"), RunOptions()))
"""


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR2"])
def test_signals_are_handed_on(tmp_path: Path, name: str) -> None:
    """As `kill PID` sends them, to pystap alone; what the runner ends with is pystap's status."""
    runner = tmp_path / "runner"
    runner.write_text(HEARS)
    runner.chmod(0o755)
    command = [sys.executable, "-c", RUNS, str(runner)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(getattr(signal, f"SIG{name}"))
        assert process.stdout.read() == f"{name}\n"
    assert process.returncode == 7


def test_a_signal_while_the_runner_is_started(tmp_path: Path) -> None:
    """It does not end pystap alone: it is kept until there is somebody to tell, who may not have set a trap by then."""
    runner = tmp_path / "runner"
    runner.write_text(HEARS)
    runner.chmod(0o755)
    starts = """
        import os, signal, subprocess
        popen = subprocess.Popen
        def starts(*arguments, **options):
            os.kill(os.getpid(), signal.SIGQUIT)
            return popen(*arguments, **options)
        subprocess.Popen = starts
    """
    runs = RUNS.replace("sys.exit", textwrap.dedent(starts) + "sys.exit")
    done = subprocess.run([sys.executable, "-c", runs, str(runner)], capture_output=True, text=True, check=False)
    assert done.returncode in (7, 128 + signal.SIGQUIT), done.stderr
