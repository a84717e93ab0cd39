"""Guests for tests that try to break a kernel: they fail where it has complained; what each kernel went through."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.run import binaries, kernels
from pystap.run.kernels import REALTIME
from pystap.run.vm import Guest, LostGuest
from tests.support.kernels import RUNNER, SELECTED, SERIES, Guests, available, can_boot
from tests.support.quiet import Complained, check_quiet

# Every function, hundreds of kills: at least ten minutes of each kernel. Otherwise what a test suite can spare.
FULL = bool(os.environ.get("PYSTAP_TORTURE"))
# make torture-debug: the kernel that watches over its locks and memory, and is several times slower.
WATCHED = os.environ.get("PYSTAP_TORTURE") == "debug"
SECONDS_OF_EACH_KERNEL = 600
SECONDS = 4 if FULL else 1  # of one load
LOAD = Path(__file__).with_name("load.sh")
LOADER = Path("/lib64/ld-linux-x86-64.so.2")
ARMED = Path(__file__).with_name("armed.sh")


ALL_SERIES = (*SERIES, *(series + REALTIME for series in SERIES)) if FULL and not SELECTED else SERIES
if WATCHED:
    ALL_SERIES = (kernels.DEFAULT_SERIES + kernels.DEBUG,)


@dataclass(slots=True)
class Figures:
    """What one kernel has been through."""

    began: float = field(default_factory=time.monotonic)
    tests: int = 0
    failed: int = 0
    latest: str = ""  # test that failed, in whichever phase
    seconds: float = 0.0  # that guests of it were up
    guests: int = 0
    lost: int = 0  # guests that died or fell silent
    complaints: int = 0  # of the kernel's log and its watchers
    probes: int = 0  # armed, one after another or at once
    events: int = 0
    kills: int = 0  # runners, survived

    def line(self) -> str:
        """In words."""
        return (
            f"{time.monotonic() - self.began:.0f} s, {self.tests} tests ({self.failed} failed), "
            f"{self.seconds:.0f} s in {self.guests} guests; {self.probes} probes armed, {self.events} events, "
            f"{self.kills} kills survived; {self.lost} guests lost, {self.complaints} complaints of the kernel"
        )


FIGURES: dict[str, Figures] = {}


def of_series(series: str) -> Figures:
    """The figures of a kernel."""
    return FIGURES.setdefault(series, Figures())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Counts what became of the tests of each kernel."""
    report = yield
    series = getattr(item, "callspec", None) and item.callspec.params.get("series")
    if series and not report.skipped:
        figures = of_series(series)
        figures.tests += report.when == "call"
        if call.excinfo is not None and figures.latest != item.nodeid:
            figures.latest = item.nodeid
            figures.failed += 1
            figures.lost += call.excinfo.errisinstance(LostGuest)
            figures.complaints += call.excinfo.errisinstance(Complained)
            if FULL:
                print(f"\n{report.longreprtext}", flush=True)  # the others may take an hour
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of each kernel; those of long runs are kept in the cache."""
    if not FIGURES:
        return
    terminalreporter.section("torture")
    for series, figures in FIGURES.items():
        line = f"{kernels.find(series).release}: {figures.line()}"
        terminalreporter.line(line)
        if FULL:
            with open(paths.cache("torture") / "figures", "a") as kept:
                kept.write(f"{time.strftime('%F %T')} {line}\n")


@pytest.fixture
def figures(series: str) -> Figures:
    """To be added to."""
    return of_series(series)


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
    with checked(series, figures) as made:
        yield made


@contextmanager
def checked(series: str, figures: Figures, programs: tuple[str, ...] = (), memory: int = 0) -> Iterator[Guest]:
    """Such a guest, with these programs of this machine at their own paths, and so many MB."""
    reason = can_boot()
    kernel = available(series)
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}")
    files = {RUNNER: binaries.runner(), "/bin/load": LOAD, "/bin/armed": ARMED}
    if programs:
        files |= {str(LOADER): LOADER}
    with Guest(kernel, files=files, host_files=programs, cpus=2, memory=memory) as made:
        figures.guests += 1
        made.sh("dmesg -c", timeout=60)
        began = time.monotonic()
        try:
            yield made
            check_quiet(made)
        finally:
            figures.seconds += time.monotonic() - began


@pytest.fixture(scope="module")
def guests() -> Iterator[Guests]:
    """Guests that the tests of a file share: none of their kernels must have complained in the end."""
    if reason := can_boot():
        pytest.skip(reason)
    made = Guests()
    began = time.monotonic()
    try:
        yield made
        for series, guest in made.running.items():
            of_series(series).guests += 1
            of_series(series).seconds += time.monotonic() - began
            check_quiet(guest)
    finally:
        made.close()


def compiled(series: str, capsys: pytest.CaptureFixture[str], text: str, *options: str) -> bytes:
    """The module of a script."""
    status = cli.main(["-p4", "-w", "-r", series, *options, "-e", text])
    done = capsys.readouterr()
    assert status == 0, done.err
    return Path(done.out.split()[-1]).read_bytes()


def armed(guest: Guest) -> int:
    """How many probes /bin/armed has seen."""
    return int(guest.sh("cat /tmp/armed", timeout=60).stdout)
