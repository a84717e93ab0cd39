"""The hand-written module that the tests of pass 5 share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kernels import available, build_module

MODULE = Path(__file__).parent / "module"


@pytest.fixture(scope="session")
def module(series: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    kernel = available(series)
    assert kernel is not None
    return build_module(MODULE, tmp_path_factory.mktemp(f"fake-{series}"), kernel)
