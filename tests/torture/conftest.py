"""Guests for tests that try to break a kernel: one for each test, which fails where the kernel has complained."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries, kernels
from pystap.run.kernels import REALTIME
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, SERIES, available, can_boot

# Every function, hundreds of kills: at least ten minutes of each kernel. Otherwise what a test suite can spare.
FULL = bool(os.environ.get("PYSTAP_TORTURE"))
# make torture-debug: the kernel that watches over its locks and memory, and is several times slower.
WATCHED = os.environ.get("PYSTAP_TORTURE") == "debug"
SECONDS_OF_EACH_KERNEL = 600
COMPLAINTS = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|rcu.*stall|soft lockup|hard LOCKUP|corruption|use-after-free|unable to handle"
)
LOAD = Path(__file__).with_name("load.sh")
ARMED = Path(__file__).with_name("armed.sh")


ALL_SERIES = (*SERIES, *(series + REALTIME for series in SERIES)) if FULL else SERIES
if WATCHED:
    ALL_SERIES = (kernels.DEFAULT_SERIES + kernels.DEBUG,)


@dataclass(slots=True)
class Figures:
    """What one kernel has been through."""

    seconds: float = 0.0  # that guests of it were up
    guests: int = 0
    probes: int = 0  # armed, one after another or at once
    events: int = 0
    kills: int = 0  # runners, survived


FIGURES: dict[str, Figures] = {}


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of each kernel."""
    if not FIGURES:
        return
    terminalreporter.section("torture")
    for series, figures in FIGURES.items():
        terminalreporter.line(
            f"{kernels.find(series).release}: {figures.seconds:.0f} s in {figures.guests} guests, "
            f"{figures.probes} probes armed, {figures.events} events, {figures.kills} kills survived"
        )


@pytest.fixture
def figures(series: str) -> Figures:
    """To be added to."""
    return FIGURES.setdefault(series, Figures())


@pytest.fixture(params=ALL_SERIES, scope="session")
def series(request: pytest.FixtureRequest) -> str:
    """Each kernel that there is."""
    wanted: str = request.param
    if available(wanted) is None:
        pytest.skip(f"no kernel {wanted}: pystap-prep {wanted}")
    return wanted


@pytest.fixture
def guest(series: str, figures: Figures) -> Iterator[Guest]:
    """A guest of two CPUs with pystap-run and /bin/load; its kernel must not have complained in the end."""
    reason = can_boot()
    kernel = available(series)
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}")
    with Guest(kernel, files={RUNNER: binaries.runner(), "/bin/load": LOAD, "/bin/armed": ARMED}, cpus=2) as made:
        made.sh("dmesg -c", timeout=60)
        began = time.monotonic()
        yield made
        check_quiet(made)
        figures.seconds += time.monotonic() - began
        figures.guests += 1


def check_quiet(guest: Guest) -> None:
    """No module of ours is there, nor its files, and the kernel's log holds no complaint."""
    if guest.kernel.watched:
        check_watchers(guest)
    log = guest.sh("dmesg", timeout=60).stdout.decode(errors="replace")
    found = [line for line in log.splitlines() if COMPLAINTS.search(line)]
    assert not found, "\n".join(log.splitlines()[-80:])
    left = guest.sh("grep ^stap /proc/modules; ls /proc/systemtap 2>/dev/null", timeout=60).stdout
    assert left == b""


LEAKS = "mount -t debugfs none /sys/kernel/debug 2>/dev/null; cd /sys/kernel/debug; "
LEAKS += "sleep 6; echo scan > kmemleak; sleep 1; echo scan > kmemleak; cat kmemleak"  # none is younger than 5 s


def check_watchers(guest: Guest) -> None:
    """Lockdep has not given up, and no memory that was asked for by a module of ours, or through it, is lost."""
    locks = guest.sh("grep debug_locks: /proc/lockdep_stats", timeout=60).stdout.split()
    assert locks == [b"debug_locks:", b"1"], guest.sh("dmesg | tail -n 100").stdout.decode(errors="replace")
    leaks = guest.sh(LEAKS, timeout=300).stdout.decode(errors="replace").split("unreferenced object")[1:]
    ours = [leak for leak in leaks if "[stap" in leak or 'comm "pystap-run"' in leak or "fail_nth" in leak]
    assert not ours, ours[0]


def compiled(series: str, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> bytes:
    """The module of a script."""
    status = cli.main(["-p4", "-w", "-r", series, *options, "-e", text])
    done = capsys.readouterr()
    assert status == 0, done.err
    return Path(done.out.split()[-1]).read_bytes()


def armed(guest: Guest) -> int:
    """How many probes /bin/armed has seen."""
    return int(guest.sh("cat /tmp/armed", timeout=60).stdout)
