"""Handlers in NMI context: backtraces of all CPUs are printed from NMIs, through functions that are probed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm

SCRIPT = """
global nmis, others, by, sizes
probe kernel.function("show_regs").call, kernel.function("show_regs").return {
    if (%{ /* pure */ in_nmi() != 0 %}) nmis++ else others++
    by[cpu(), ppfunc()]++
    sizes <<< nmis
    printf("%s on %d\\n", ppfunc(), cpu())
}
probe timer.profile { by[cpu(), "profile"]++ sizes <<< nmis }
probe end { printf("nmis %d all %d\\n", nmis, @count(sizes)) }
"""
# CPUs that are idle say so without show_regs.
BUSY = "(while :; do :; done) & a=$!; (while :; do :; done) & b=$!"
COMMAND = f"{BUSY}; for i in 1 2 3 4 5 6 7 8; do echo l > /proc/sysrq-trigger; done; kill $a $b\n"


def test_handlers_run_in_nmis(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["-g", "-p4", "-w", "-r", series, "-DMAXSKIPPED=100000", "-e", SCRIPT])
    built = capsys.readouterr()
    assert status == 0, built.err
    guests.sh(series, "dmesg -c")
    guests.get(series).put("/tmp/nmi", COMMAND.encode())
    with guests.silent(series):
        done = guests.run(series, Path(built.out.split()[-1]), options=("-w", "-c", "sh /tmp/nmi"))
    assert (done.status, done.stderr) == (0, b"")
    count = int(done.stdout.rpartition(b"nmis ")[2].split()[0])
    assert count > 0
    said = guests.sh(series, "dmesg -c").stdout.decode()
    assert "NMI backtrace for cpu" in said
    for word in ("BUG", "Oops", "WARNING", "inconsistent lock state"):
        assert word not in said
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"
