"""The functions that read and change a program's memory, arguments and stack: tests/tapset/{user,set}_values.stp."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm
SCRIPTS = Path(__file__).resolve().parent.parent / "tapset"


@pytest.mark.parametrize(("name", "options"), [("user_values", ()), ("set_values", ("-g",))])
def test_values_of_a_program(name: str, options: tuple[str, ...], bench: Bench) -> None:
    """Each line of a result is followed in the script by what it must be."""
    script = (SCRIPTS / f"{name}.stp").read_text()
    wanted = re.findall(r"^\s*# => (.*)$", script, re.MULTILINE)
    done = bench.finish(script, "sh -c 'PYSTAP_KNOWN=yes PROGRAMS/values'", *options)
    assert done.stdout.decode().replace(str(bench.programs), "PROGRAMS").splitlines() == wanted, done.stderr
