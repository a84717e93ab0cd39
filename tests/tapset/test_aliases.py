"""The aliases of system calls are as their table says, and those by tracepoints have the variables of the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import available

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def test_system_calls_are_as_their_table_says() -> None:
    done = subprocess.run([sys.executable, str(TOOLS / "syscalls.py"), "--check"], check=False)
    assert done.returncode == 0, "run tools/syscalls.py"


@pytest.mark.parametrize("suffix", ["", ".return"])
def test_calls_by_tracepoints_have_the_same_variables(suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    cli.main(["-r", kernel.release, "-L", f"tp_syscall.*{suffix}, syscall.*{suffix}"])
    found = {}
    for line in capsys.readouterr().out.splitlines():
        name, *variables = line.split()
        found[name] = [v for v in variables if v[0] != "$" and v.endswith((":long", ":string"))]
    traced = {name.removeprefix("tp_"): variables for name, variables in found.items() if name.startswith("tp_")}
    assert len(traced) > 300
    assert {name: v for name, v in traced.items() if name in found and found[name] != v} == {}
    assert sum(name in found for name in traced) > 300
