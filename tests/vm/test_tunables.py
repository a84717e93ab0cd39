"""What -D tunables change, seen from outside: those that no other test needs a value for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm


@dataclass(frozen=True, slots=True)
class Case:
    """A script, its options, and patterns of lines that it prints (`said`) or does not."""

    options: str
    script: str
    said: tuple[str, ...]
    never: tuple[str, ...] = ()


OFF = """function off:long() %{ STAP_RETVALUE = irqs_disabled(); %}
probe timer.ms(100) { println("tick") } probe kernel.function("ksys_read") { println("off ", off()) exit() }
"""
LOOP = "probe begin { for (i = 0; i < 3000; i++) n++ println(i) exit() } global n"
CASES = {
    "MAXSTRINGLEN cuts strings": Case(
        "-DMAXSTRINGLEN=16", 'probe begin { s = "0123456789" s .= s println(s, " ", strlen(s)) exit() }',
        ("012345678901234 15",),
    ),
    "MAXACTION_INTERRUPTIBLE is begin's": Case(
        "-DMAXACTION_INTERRUPTIBLE=100", LOOP, ("ERROR: MAXACTION exceeded near .* in probe begin",), ("3000",),
    ),
    "and ten times MAXACTION": Case("-DMAXACTION=800", LOOP, ("3000",), ("ERROR.*",)),
    "MAXBACKTRACE bounds stacks": Case(
        "-DMAXBACKTRACE=2",
        'probe timer.ms(200) { exit() } probe kernel.function("hrtimer_interrupt") { print_backtrace() exit() }',
        (r" ?0x[0-9a-f]+ : .*",), (r"(.*0x[0-9a-f]+ : .*\n){3}",),
    ),
    "INTERRUPTIBLE lets interrupts come": Case("-g -DSTP_TRACE_RUNNER", OFF, ("off 0",), ("off 1",)),
    "INTERRUPTIBLE=0 lets them wait": Case("-g -DSTP_TRACE_RUNNER -DINTERRUPTIBLE=0", OFF, ("off 1",), ("off 0",)),
    "MAPHASHBIAS keeps what arrays hold": Case(
        "-DMAPHASHBIAS=-6",
        "global a probe begin { for (i = 0; i < 900; i++) a[i] = i foreach (k in a) s += a[k] println(s) exit() }",
        ("404550",),
    ),
    "HIST_WIDTH and HIST_ELISION draw": Case(
        "-DHIST_WIDTH=10 -DHIST_ELISION=0",
        "global s probe begin { s <<< 1 s <<< 1 s <<< 200 print(@hist_linear(s, 0, 200, 20)) exit() }",
        (r"value \|-{10} count", r" +~"), (r" +\d+ \| +0",),
    ),
    "STP_ALIBI counts only": Case(
        "-DSTP_ALIBI", 'global n probe begin { n = 7 exit() } probe timer.ms(50) { println("no") n++ }',
        (
            r"----- probe hit report: ", r"begin, \(.*:1:10\), hits: 1, from: begin, index: 0",
            r"timer.ms\(50\), .*, hits: \d+, from: .*",
        ),
        ("no", "n=.*"),
    ),
    "STP_MAXMEMORY bounds what is allocated": Case(
        "-DSTP_MAXMEMORY=10", "probe begin { println(1) exit() }",
        (
            r"ERROR: Couldn't insert module .*: Cannot allocate memory",
            r".*needs more memory than STP_MAXMEMORY=10 kB",
        ),
        ("1",),
    ),
    "STAP_NO_OVERLOAD lets handlers take their time": Case(
        "-DSTAP_NO_OVERLOAD -DSTP_OVERLOAD_THRESHOLD=1 -DSTP_OVERLOAD_INTERVAL=1",
        "global n probe timer.ms(2) { if (n++ > 50) { println(1) exit() } }", ("1",), ("ERROR.*",),
    ),
    "STP_BUFFER_SIZE sends earlier, and loses nothing": Case(
        "-DSTP_BUFFER_SIZE=64",
        'probe begin { for (i = 0; i < 200; i++) printf("%d-%s\\n", i, "text that fills the buffer soon") exit() }',
        (r"0-text .* soon", r"199-text .* soon"), ("WARNING.*",),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_seen_from_outside(guests: Guests, series: str, capsys: pytest.CaptureFixture[str], case: str) -> None:
    given = CASES[case]
    status = cli.main(["-p4", "-w", "-r", series, *given.options.split(), "-e", given.script])
    built = capsys.readouterr()
    assert status == 0, built.err
    done = guests.run(series, Path(built.out.split()[-1]), options=("-T", "1"))
    said = (done.stdout + done.stderr).decode()
    for pattern in given.said:
        assert re.search(f"^{pattern}$", said, re.MULTILINE), said
    for pattern in given.never:
        assert not re.search(f"^{pattern}$", said, re.MULTILINE), said
