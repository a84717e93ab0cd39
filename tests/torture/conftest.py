"""Guests for tests that try to break a kernel: one for each test, which fails where the kernel has complained."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.kernels import REALTIME
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, SERIES, available, can_boot

# Every function, hundreds of kills: hours of emulation. Without it the tests take what a test suite can spare.
FULL = bool(os.environ.get("PYSTAP_TORTURE"))
COMPLAINTS = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|rcu.*stall|soft lockup|hard LOCKUP|corruption|use-after-free|unable to handle"
)
LOAD = Path(__file__).with_name("load.sh")


ALL_SERIES = (*SERIES, *(series + REALTIME for series in SERIES)) if FULL else SERIES


@pytest.fixture(params=ALL_SERIES, scope="session")
def series(request: pytest.FixtureRequest) -> str:
    """Each kernel that there is."""
    wanted: str = request.param
    if available(wanted) is None:
        pytest.skip(f"no kernel {wanted}: pystap-prep {wanted}")
    return wanted


@pytest.fixture
def guest(series: str) -> Iterator[Guest]:
    """A guest of two CPUs with pystap-run and /bin/load; its kernel must not have complained in the end."""
    reason = can_boot()
    kernel = available(series)
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}")
    with Guest(kernel, files={RUNNER: binaries.runner(), "/bin/load": LOAD}, cpus=2) as made:
        made.sh("dmesg -c", timeout=60)
        yield made
        check_quiet(made)


def check_quiet(guest: Guest) -> None:
    """No module of ours is there, nor its files, and the kernel's log holds no complaint."""
    log = guest.sh("dmesg", timeout=60).stdout.decode(errors="replace")
    found = [line for line in log.splitlines() if COMPLAINTS.search(line)]
    assert not found, "\n".join(log.splitlines()[-80:])
    left = guest.sh("grep ^stap /proc/modules; ls /proc/systemtap 2>/dev/null", timeout=60).stdout
    assert left == b""


def compiled(series: str, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> bytes:
    """The module of a script."""
    status = cli.main(["-p4", "-w", "-r", series, *options, "-e", text])
    done = capsys.readouterr()
    assert status == 0, done.err
    return Path(done.out.split()[-1]).read_bytes()
