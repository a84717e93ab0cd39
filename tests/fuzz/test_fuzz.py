"""A part of what tests/fuzz/run.py tries."""

from __future__ import annotations

import pytest

from tests.fuzz.run import run


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_script_raises_or_hangs(seed: int) -> None:
    assert run(500, seed) == 0
