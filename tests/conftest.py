"""What tests of several folders share: the guests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tests.support.kernels import SERIES, Guests, available, can_boot
from tests.support.quiet import check_quiet_if_watched


def pytest_configure() -> None:
    """What tests start hears its signals, also where a job in the background or nohup has them ignored."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def guests() -> Iterator[Guests]:
    reason = can_boot()
    if reason:
        pytest.skip(reason)
    made = Guests()
    try:
        yield made
        check_quiet_if_watched(made.running.values())
    finally:
        made.close()


@pytest.fixture(scope="session", params=SERIES)
def series(request: pytest.FixtureRequest) -> str:
    """Each kernel that there is."""
    wanted: str = request.param
    if available(wanted) is None:
        pytest.skip(f"no kernel {wanted}: pystap-prep {wanted}")
    return wanted
