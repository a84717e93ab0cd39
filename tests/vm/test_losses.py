"""Every cause for which hits are not served, caused in a guest: it is counted, and said with probe and remedy."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import cli
from pystap.run.kernels import DEBUG
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm

WRITES = "sh -c 'for i in 1 2 3 4 5 6; do echo x > /dev/null; done'"


@dataclass(frozen=True, slots=True)
class Loss:
    """A script, the command under which it loses hits, and what has to be said: lines of both outputs, as patterns."""

    script: str
    said: tuple[str, ...]
    defines: str = ""
    command: str = "true"
    only: str = ""  # the one kernel that has what the script needs


LARGE = """%{ static noinline int large(int n)
{ volatile char room[ROOM]; int i, sum = 0; for (i = 0; i < n; i++) sum += room[i] = i; return sum; } %}
function f:long() %{ STAP_RETVALUE = large(3); %}
global n probe kernel.function("vfs_write") { n += f() } probe end { println(n > 0) }"""


# Held for longer than the 100 ms that an emulated CPU runs before it is another's turn (TCG_KICK_PERIOD in QEMU's
# accel/tcg/tcg-accel-ops-rr.c), now and then, so that the command gets on.
HOLDS = """global a, n function hold() %{ mdelay(150); %}
        probe timer.ms(300) { a = n++; hold() } probe kernel.trace("sys_enter") { a = 1 }"""
LISTS = "ls -R /sys/kernel > /dev/null"

LOSSES = {
    "a probe that its own handler hits": Loss(
        """global n, m probe kernel.function("vfs_write") { n += user_int8($buf) }
        probe kernel.function("copy_from_user_nofault") { m++ } probe end { println(n > 0, m) }""",
        (r"10", r"  \d+ hits inside of handlers were passed over"),
        command=WRITES,
    ),
    "the same hit, with -t": Loss(
        """global n, m probe kernel.function("vfs_write") { n += user_int8($buf) }
        probe kernel.function("copy_from_user_nofault") { m++ } probe end { println(n > 0, m) }""",
        (
            r"WARNING: Skipped due to reentrancy: \d+",
            r"WARNING: Skipped due to reentrancy on 'kernel.function\(\"copy_from_user_nofault[^']*': \d+",
        ),
        defines="-t",
        command=WRITES,
    ),
    "a breakpoint inside of a breakpoint's handler": Loss(
        """global n, m probe kernel.statement("vfs_write@fs/read_write.c:*") { n += user_int8($buf) }
        probe kernel.statement("copy_from_user_nofault@mm/maccess.c:*") { m++ } probe end { println(n > 0) }""",
        (r"1", r"WARNING: Skipped due to missed kprobe on 'kernel.statement\(\"copy_from_user_nofault[^']*': \d+"),
        defines="-t",
        command=WRITES,
        only="6.1",
    ),
    "a return's breakpoint inside of a breakpoint's handler": Loss(
        """global n, m probe kernel.statement("vfs_write@fs/read_write.c:*") { n += user_int8($buf) }
        probe kprobe.function("copy_user_generic_unrolled").return ?,
        kprobe.function("copy_user_generic_string").return ?,
        kprobe.function("copy_user_enhanced_fast_string").return ? { m++ } probe end { println(n > 0) }""",
        (r"1", r"WARNING: Skipped due to missed kretprobe/2 on 'kprobe.function\(\"copy_user_[^']*': \d+"),
        defines="-t",
        command=WRITES,
        only="6.1",
    ),
    "a global that another CPU has locked": Loss(
        HOLDS,
        (
            r"WARNING: Skipped due to lock timeout on '[^']*': \d+",
            r"WARNING: Number of errors: 0, skipped probes: \d+",
            r"  \d+ hits found a global variable locked for too long: -DMAXTRYLOCK=N waits longer.*",
        ),
        defines="-g -DMAXTRYLOCK=1 -DTRYLOCKDELAY=1 -DMAXSKIPPED=100000000 -DSTP_NO_OVERLOAD",
        command=f"sh -c '{LISTS} & {LISTS}; wait'",
    ),
    "the same, with -t": Loss(
        HOLDS,
        (r"WARNING: Skipped due to global 'a' lock timeout: \d+",),
        defines="-g -t -DMAXTRYLOCK=1 -DTRYLOCKDELAY=1 -DMAXSKIPPED=100000000 -DSTP_NO_OVERLOAD",
        command=f"sh -c '{LISTS} & {LISTS}; wait'",
    ),
    "too little stack": Loss(
        'global n probe kernel.function("vfs_write") { n++ } probe end { println("never") }',
        (
            r"WARNING: Skipped due to low stack: \d+",
            r"WARNING: Skipped due to low stack on 'kernel.function\(\"vfs_write[^']*': \d+",
            r"  \d+ hits had too little kernel stack left: see -DMINSTACKSPACE=BYTES",
        ),
        defines="-t -DMINSTACKSPACE=100000 -DMAXSKIPPED=100000",
        command=WRITES,
    ),
    "too little stack for the largest function": Loss(
        LARGE.replace("ROOM", "6000"),
        (r"  \d+ hits had too little kernel stack left: see -DMINSTACKSPACE=BYTES",),
        defines="-g -DMINSTACKSPACE=9500 -DMAXSKIPPED=100000",
        command=WRITES,
    ),
    "enough stack for it": Loss(
        LARGE.replace("ROOM", "1000"),
        (r"1",),
        defines="-g -DMINSTACKSPACE=9500",
        command=WRITES,
    ),
    "more calls under way than a return probe has room for": Loss(
        'global n probe kernel.function("do_nanosleep").return { n++ } probe end { println(n) }',
        (
            r"1",
            r"WARNING: Skipped due to missed kretprobe/1 on 'kernel.function\(\"do_nanosleep[^']*': 2",
            r"WARNING: Number of errors: 0, skipped probes: 2",
            r"  2 returns were missed, .*: \.maxactive\(N\) or -DKRETACTIVE=N keeps room for more",
        ),
        defines="-DKRETACTIVE=1",
        command="sh -c 'sleep 1 & sleep 1 & sleep 1 & wait'",
    ),
    "too many to go on": Loss(
        'global n probe kernel.function("do_nanosleep").return.maxactive(1) { n++ }',
        (r"ERROR: Skipped too many probes, check MAXSKIPPED or try again with stap -t for more details\.",),
        defines="-DMAXSKIPPED=1",
        command="sh -c 'sleep 1 & sleep 1 & sleep 1 & wait'",
    ),
    "more probes than are named": Loss(
        'global n probe kernel.function("vfs_*").call { n++ }',
        (r"(WARNING: Skipped due to low stack on '.*': \d+\n){5}WARNING: Skipped on \d+ more probes: -t names all",),
        defines="-DMINSTACKSPACE=100000 -DMAXSKIPPED=100000",
        command="sh -c 'ls -l / > /dev/null; echo x > /tmp/x; cat /tmp/x; mv /tmp/x /tmp/y; rm /tmp/y'",
    ),
}


@pytest.mark.parametrize("cause", LOSSES)
def test_what_is_lost_is_said(guests: Guests, series: str, capsys: pytest.CaptureFixture[str], cause: str) -> None:
    loss = LOSSES[cause]
    if loss.only not in ("", series):
        pytest.skip("needs debug-info")
    if "too little stack" in cause and series.endswith(DEBUG):
        pytest.skip("with KASAN stacks are twice as large: no frame that may be built fills them")
    status = cli.main(["-p4", "-w", "-r", series, *loss.defines.split(), "-e", loss.script])
    built = capsys.readouterr()
    assert status == 0, built.err
    done = guests.run(series, Path(built.out.split()[-1]), options=("-v", "-c", loss.command))
    said = (done.stdout + done.stderr).decode()
    for pattern in loss.said:
        assert re.search(f"^{pattern}$", said, re.MULTILINE), said


def test_a_program_that_is_not_there(
    guests: Guests, series: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = shutil.copy("/bin/true", tmp_path / "gone")
    status = cli.main(["-p4", "-w", "-r", series, "-e", f'probe process("{program}").begin {{ println(1) }}'])
    built = capsys.readouterr()
    assert status == 0, built.err
    done = guests.run(series, Path(built.out.split()[-1]), options=("-T", "0.2"))
    assert ": there is no such file where the script runs" in done.stderr.decode()
