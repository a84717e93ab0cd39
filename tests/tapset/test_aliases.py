"""The tapset library's probe aliases: each that there should be resolves, with its variables and their types."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import available

WANTED = {
    name: set(variables)
    for name, *variables in (
        line.split() for line in Path(__file__).with_name("aliases.txt").read_text().splitlines() if line[0] != "#"
    )
}
PATTERNS = sorted({re.sub(r"(?<=\.)\w+", "*", n) if ".return" not in n else re.sub(r"(?<=\.)(?!return)\w+", "*", n)
                   for n in WANTED})  # fmt: skip
LINE = re.compile(r"(\S+)((?: \w+:(?:long|string))*)")
IN_ORDER = {
    "vfs.read": "file pathname pos buf bytes_to_read dev devname ino name argstr",
    "vfs.writev": "file pathname dev devname ino pos vlen vec bytes_to_write name argstr",
    "vm.kfree": "call_site caller_function ptr name",
    "scheduler.migrate": "cpu_to name task pid priority cpu_from",
    "signal.wakeup": "resume state_mask name sig_pid pid_name",
    "tcp.disconnect": "name sock family flags saddr daddr sport dport",
}
TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_aliases_have_their_variables(pattern: str) -> None:
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    command = [sys.executable, "-m", "pystap", "-r", kernel.release, "-L", pattern]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    found = {m[1]: set(m[2].split()) for m in map(LINE.match, done.stdout.splitlines()) if m}
    shape = re.compile(re.escape(pattern).replace(r"\*", r"\w+") + "$")
    wanted = {n: v for n, v in WANTED.items() if shape.match(n)}
    assert {n: v - found.get(n, set()) for n, v in wanted.items() if n not in found or v - found[n]} == {}


def test_system_calls_are_as_their_table_says() -> None:
    done = subprocess.run([sys.executable, str(TOOLS / "syscalls.py"), "--check"], check=False)
    assert done.returncode == 0, "run tools/syscalls.py"


def test_variables_are_in_the_order_of_systemtaps_listing() -> None:
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    command = [sys.executable, "-m", "pystap", "-r", kernel.release, "-L", ", ".join(IN_ORDER)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    found = {m[1]: re.findall(r"(\w+):", m[2]) for m in map(LINE.match, done.stdout.splitlines()) if m}
    assert found == {name: variables.split() for name, variables in IN_ORDER.items()}
