"""All losses at the same time, on four CPUs: what was served and what is said to be lost are all that happened."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, available, can_boot

pytestmark = pytest.mark.vm

CPUS, TIMES, SLEEPS = 4, 5000, 20  # the program's SLEEPS
CALLS = CPUS * TIMES
INSIDE = CALLS // 100 * 80  # calls of the function that goes 80 deep: every hundredth time
UNSEEN = CALLS // 100 * (80 - 64)  # of which the kernel follows 64
DEFINES = ("MAXERRORS=100000000", "MAXSKIPPED=100000000", "STP_NO_OVERLOAD", "MAXTRYLOCK=1", "TRYLOCKDELAY=1")

# Arrays overflow, globals stay locked, a handler hits probes, another interrupts it, returns have too little room.
SCRIPT = """
    global calls, returns, sleeps, naps, steps, results, deep, m[100], n, a, k, late
    function hold() %{ mdelay(120); %}
    probe kernel.function("__x64_sys_getpriority") {
        calls <<< 1; k += user_int8($regs->sp); printf("x %d\\n", n++); m[n] = 1
    }
    probe kernel.function("__x64_sys_getpriority").return {
        a++; late += @entry(gettimeofday_us()) == 0; returns <<< 1
    }
    probe kernel.function("copy_from_user_nofault") { k++ }
    probe kernel.function("hrtimer_nanosleep").return.maxactive(1) { sleeps <<< 1 }
    probe kernel.function("hrtimer_nanosleep") { naps <<< 1 }
    probe process("PROGRAM").function("step") { steps <<< 1; a = k }
    probe process("PROGRAM").function("step").return { late += @entry(gettimeofday_us()) == 0; results <<< 1 }
    probe process("PROGRAM").function("deeper").return { deep <<< 1 }
    probe timer.ms(250) { a = n; hold() }
    probe end {
        printf("%d %d %d %d %d %d %d %d %d\\n", @count(calls), @count(returns), @count(sleeps), @count(naps),
               @count(steps), @count(results), @count(deep), late, n)
    }
"""
RUN = f"""rm -f /tmp/pipe; mkfifo /tmp/pipe; (sleep 2; cat) < /tmp/pipe > /tmp/printed & r=$!
{RUNNER} -v -s 1 -c 'PROGRAM {CPUS} {TIMES}' /tmp/sums.ko > /tmp/pipe 2> /tmp/said; wait $r
grep -c '^x ' /tmp/printed; grep -c ^ERROR: /tmp/said; grep -v '^x ' /tmp/printed | head -n 1"""


def lost(said: str, point: str, returns: bool = False) -> int:
    """The hits of a probe that were not served, whatever the cause."""
    found = re.findall(r"^WARNING: Skipped due to [a-z0-9/ ]+ on '(.*)': (\d+)$", said, re.MULTILINE)
    return sum(int(count) for name, count in found if name.startswith(point) and (").return" in name) == returns)


def number(said: str, pattern: str) -> int:
    """What a line says; 0 where nothing is said."""
    found = re.search(pattern, said)
    return int(found[1]) if found else 0


def test_served_and_lost_are_all(series: str, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available(series)
    assert kernel is not None
    if can_boot():
        pytest.skip(can_boot())
    program = str(programs / "counted")
    defines = [f"-D{define}" for define in DEFINES]
    status = cli.main(["-p4", "-w", "-g", "-t", "-r", series, *defines, "-e", SCRIPT.replace("PROGRAM", program)])
    built = capsys.readouterr()
    assert status == 0, built.err
    files = {RUNNER: binaries.runner(), "/tmp/sums.ko": Path(built.out.split()[-1])}
    with Guest(kernel, files=files, host_files=(program,), cpus=CPUS) as guest:
        done = guest.sh(RUN.replace("PROGRAM", program), timeout=120)
        said = guest.sh("grep -v ^ERROR: /tmp/said; grep 'hits: ' /tmp/printed").stdout.decode()
    printed, errors, calls, returns, sleeps, naps, steps, results, deep, late, numbers = map(int, done.stdout.split())
    call, step = 'kernel.function("__x64_sys_getpriority', f'process("{program}").function("step@'
    inner, sleep = f'process("{program}").function("deeper@', 'kernel.function("hrtimer_nanosleep'
    assert calls + lost(said, call) == CALLS
    assert returns + lost(said, call, returns=True) == CALLS
    assert naps + lost(said, sleep) == CPUS * SLEEPS
    assert sleeps + lost(said, sleep, returns=True) == CPUS * SLEEPS
    assert sleeps < naps
    assert steps + lost(said, step) == CALLS + CALLS // 100
    assert results + lost(said, step, returns=True) == CALLS + CALLS // 100
    assert (deep, lost(said, inner, returns=True)) == (INSIDE - UNSEEN, UNSEEN)
    assert lost(said, 'kernel.function("copy_from_user_nofault') == calls
    assert late == 0
    unread = numbers - printed + number(said, r"Number of errors: (\d+)") - errors
    assert unread == number(said, r"There were (\d+) transport failures")
    assert number(said, rf'{re.escape(step)}[^,]*return, .* hits: (\d+)') == results  # not twice
