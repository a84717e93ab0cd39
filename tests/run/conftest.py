"""The guests and the hand-written module that the tests of pass 5 share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernels import SERIES, Guests, available, build_module, can_boot

MODULE = Path(__file__).parent / "module"


@pytest.fixture(scope="session")
def guests() -> Iterator[Guests]:
    reason = can_boot()
    if reason:
        pytest.skip(reason)
    made = Guests()
    yield made
    made.close()


@pytest.fixture(scope="session", params=SERIES)
def series(request: pytest.FixtureRequest) -> str:
    """Each kernel that there is."""
    wanted: str = request.param
    if available(wanted) is None:
        pytest.skip(f"no kernel {wanted}: pystap-prep {wanted}")
    return wanted


@pytest.fixture(scope="session")
def module(series: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernel = available(series)
    assert kernel is not None
    return build_module(MODULE, tmp_path_factory.mktemp(f"fake-{series}"), kernel)
