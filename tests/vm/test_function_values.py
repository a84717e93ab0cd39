"""The functions that read a program's memory, arguments and stack: tests/tapset/user_values.stp."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm
SCRIPT = Path(__file__).resolve().parent.parent / "tapset" / "user_values.stp"


def test_values_of_a_program(bench: Bench) -> None:
    """Each line of a result is followed in the script by what it must be."""
    script = SCRIPT.read_text()
    wanted = re.findall(r"^\s*# => (.*)$", script, re.MULTILINE)
    done = bench.finish(script, "sh -c 'PYSTAP_KNOWN=yes PROGRAMS/values'")
    assert done.stdout.decode().replace(str(bench.programs), "PROGRAMS").splitlines() == wanted, done.stderr
