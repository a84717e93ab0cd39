"""Pages that a program does not get, since whoever has to bring them does not answer: no handler waits for good."""

from __future__ import annotations

import pytest

from pystap.run.kernels import find, module_content
from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm

SCRIPT = """
    probe process("PROGRAMS/held").function("look").call {
        try { println(user_string($text)) } catch (m) { println(m) }
        println(user_string2($text, "nothing"), " ", $number)
    }
    probe process("PROGRAMS/held").function("look").return { println($$parms$, " ", $return) }
"""


def check(lines: list[str]) -> None:
    """The program's own line says how long the call took."""
    assert [line for line in lines if line.startswith("user string copy fault")]
    assert [line for line in lines if line == "nothing 41"]
    (took,) = (line for line in lines if line.startswith("42 "))
    assert int(took.split()[1]) <= 5
    assert [line for line in lines if line.endswith(" 42")]


@pytest.mark.parametrize("way", ["nobody", "late"])
def test_userfaultfd(bench: Bench, way: str) -> None:
    if bench.guest().sh("test -e /proc/sys/vm/unprivileged_userfaultfd").status:
        pytest.skip("this kernel has no userfaultfd")
    check(bench.run(SCRIPT, f"PROGRAMS/held {way}"))


def test_fuse(bench: Bench) -> None:
    """A server that leaves all reading without an answer."""
    file = find(bench.series).module("fuse")
    if file is None:
        pytest.skip("this kernel has no FUSE")
    bench.guest().put("/tmp/fuse.ko", module_content(file))
    bench.guest().sh("insmod /tmp/fuse.ko")
    try:
        check(bench.run(SCRIPT, "PROGRAMS/held server"))
    finally:
        bench.guest().sh("killall -9 held; umount -l /tmp/unanswered")
