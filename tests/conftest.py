"""What tests of several folders share: the guests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.kernels import SERIES, Guests, available, can_boot
from tests.support.quiet import check_quiet_if_watched


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
