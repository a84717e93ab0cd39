"""CPUs that go and come while a session runs, or were away when it started."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, available, can_boot

pytestmark = pytest.mark.vm

WATCHED = """
    global writes, samples, armed
    probe timer.ms(1) { if (!armed++) println("armed") }
    probe kernel.data("panic_timeout").write { writes[cpu()]++ }
    probe perf.sw.cpu_clock.sample(100000) { samples[cpu()]++ }
    probe end { println(writes[1], " ", samples[1] > 0) }
"""
ONLINE = "/sys/devices/system/cpu/cpu1/online"
WRITES = "for i in 1 2 3 4 5; do taskset 2 sh -c 'echo 1 > /proc/sys/kernel/panic'; done"
COMES_BACK = f"{WRITES}; echo 0 > {ONLINE}; echo 1 > {ONLINE}; {WRITES}"
COMES = f"echo 1 > {ONLINE}; {WRITES}"


def test_memory_is_watched_by_cpus_that_come(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available(series)
    if can_boot() or kernel is None:
        pytest.skip(can_boot() or f"no kernel {series}")
    status = cli.main(["-p4", "-w", "-r", series, "-e", WATCHED])
    built = capsys.readouterr()
    assert status == 0, built.err
    files = {RUNNER: binaries.runner(), "/tmp/watched.ko": Path(built.out.strip())}
    run = f"{RUNNER} /tmp/watched.ko > /tmp/seen & p=$!; until grep -qs armed /tmp/seen; do sleep 0.05; done"
    end = "kill $p; wait $p; tail -n 1 /tmp/seen; rm /tmp/seen"
    with Guest(kernel, files=files, cpus=2) as guest:
        done = guest.sh(f"{run}; {COMES_BACK}; {end}; echo 0 > {ONLINE}; {run}; {COMES}; {end}", timeout=120)
        assert (done.stdout, done.stderr) == (b"10 1\n5 1\n", b"")
        assert guest.sh("dmesg | grep -E 'WARNING|BUG|Call Trace'").stdout == b""
