"""What the user's side of a run gives to the script: standard input, the time zone, other namespaces."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pystap import cli
from tests.support.kernels import available, can_boot

pytestmark = pytest.mark.vm


def pystap(series: str, script: str, *options: str, typed: str = "", zone: str = "UTC") -> str:
    reason = can_boot() or ("" if available(series) else f"no kernel {series}: pystap-prep {series}")
    if reason:
        pytest.skip(reason)
    command = [sys.executable, "-m", "pystap", f"--vm={series}", "-T", "60", *options, "-e", script]
    environment = {**os.environ, "TZ": zone}
    done = subprocess.run(command, input=typed.encode(), capture_output=True, env=environment, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


def test_what_is_typed(series: str) -> None:
    """A character at a time, those of UTF-8 in one piece, and whole lines."""
    script = """
        global n
        probe input.char { printf("%s|", char); n++ }
        probe input.line { printf("<%s>", line); if (line == "cd\u00e9\\n") exit() }
        probe end { println(n) }
    """
    assert pystap(series, script, typed="ab\ncd\u00e9\n") == "a|b|\n|<ab\n>c|d|\u00e9|\n|<cd\u00e9\n>7\n"


def test_a_command_keeps_its_input(series: str) -> None:
    script = 'probe input.char { printf("%s|", char) }'
    assert pystap(series, script, "-c", "cat", typed="mine\n") == "mine\n"


def test_time_zone(series: str) -> None:
    """The user's, not the guest's."""
    script = 'probe oneshot { printf("%s %d\\n", tz_ctime(0), tz_gmtoff()) }'
    assert pystap(series, script, zone="XYZ-5:30") == "Thu Jan  1 05:30:00 1970 XYZ -19800\n"


def test_target_namespaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--target-namespaces=x", "-p1", "-e", "probe begin {}"]) == 1
    assert "Invalid process ID number for target namespaces." in capsys.readouterr().err
