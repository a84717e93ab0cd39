"""Thousands of probes under load, killed runners, lost CPUs and buffers that overflow: the kernel must not notice."""

from __future__ import annotations

import random
import re
import time

import pytest

from pystap.run.vm import Guest
from tests.support.quiet import check_quiet
from tests.torture.conftest import FULL, SECONDS, SECONDS_OF_EACH_KERNEL, WATCHED, Figures, armed, compiled

pytestmark = pytest.mark.vm
slow = pytest.mark.slow  # only in make torture

UNLIMITED = ("-DSTP_NO_OVERLOAD", "-DMAXSKIPPED=1000000000")
# Where hits are many and nested: system calls, files, memory, locks, the scheduler.
FAMILIES = [("vfs_*", ".return"), ("[s]*", ".call")]
if FULL and not WATCHED:
    FAMILIES = [(f"[{letters}]*", ".call") for letters in ("a-c", "d-h", "i-o", "p-r", "s-t", "u-zA-Z_")]
    # A few thousand at a time: of each return probe the memory of its calls is there from the start.
    FAMILIES += [(f"[{letters}]*", ".return") for letters in ("a", "b-c", "d", "e-f", "g-h", "i", "j-l", "m-n", "o-p")]
    FAMILIES += [(f"[{letters}]*", ".return") for letters in ("q-r", "s", "t", "u-w", "x-zA-Z", "_")]
MODULES = 5
SIGNALS = ("KILL", "INT", "KILL everyone", "TERM")
KILLS = 40 if WATCHED else 240 if FULL else 4
FEWEST_KILLS = min(KILLS, 100)  # that are made however long they take
KILLS_AT_ONCE = 20
KILLS_SECONDS = 240
WHERE_IT_IS = """(sleep 60; cat /proc/modules; for p in $(pidof pystap-run); do
    echo $p; tr '\\0' ' ' < /proc/$p/cmdline; cat /proc/$p/task/*/stack; done) >&2 & watch=$!
"""


@pytest.mark.parametrize(("family", "suffix"), FAMILIES)
def test_every_function(
    guest: Guest, figures: Figures, series: str, capsys: pytest.CaptureFixture[str], family: str, suffix: str
) -> None:
    """All functions of a family, under a load, without overload protection."""
    text = f'global n probe kernel.function("{family}"){suffix} {{ n++ }} probe end {{ println(n) }}'
    guest.put("/tmp/stap_all.ko", compiled(series, capsys, text, *UNLIMITED))
    done = guest.sh(f"pystap-run -w -c 'sh -c \"/bin/armed; /bin/load {SECONDS}\"' /tmp/stap_all.ko", timeout=900)
    assert (done.status, done.stderr) == (0, b"")
    events = int(done.stdout)
    assert events > 0
    figures.probes += armed(guest)
    figures.events += events


EVERYTHING = """
global a%[50], s%[20], t, str, n
function deep(x) { return x > 4 ? x : deep(x + 1) }
probe kernel.function("vfs_read"), kernel.function("ktime_get"), kernel.function("__schedule"),
      kernel.function("hrtimer_interrupt"), kernel.function("kfree"), kernel.function("vfs_write").return {
    a[execname(), deep(0)] = n++
    s[tid() % 30] <<< n
    t <<< n
    str = sprintf("%s %d %p", execname(), tid(), n)
    if (n % 100 == 0) { printf("%s %s\\n", str, ppfunc()) print_backtrace() }
    try { if (n % 10 == 0) println(kernel_string(n)) } catch { }
    if (n % 1000 == 0) { foreach (x in s) printf("%d ", @avg(s[x])) delete a }
}
probe timer.profile, timer.ms(1) { a[execname(), cpu()] = n++  s[cpu()] <<< n }
probe end { printf("\\nevents %d %d\\n", n, @count(t)) }
"""


def test_everything_a_handler_can_do_on_hot_paths(
    guest: Guest, figures: Figures, series: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Strings, arrays, statistics, backtraces, printing and errors, in interrupts, with locks that are fought for."""
    guest.put("/tmp/stap_all.ko", compiled(series, capsys, EVERYTHING, *UNLIMITED))
    events_of_everything(guest, figures, SECONDS)


def events_of_everything(guest: Guest, figures: Figures, seconds: int) -> None:
    run = f"pystap-run -w -c 'sh -c \"/bin/armed; /bin/load {seconds}\"' /tmp/stap_all.ko"
    done = guest.sh(f"{run} | grep ^events", timeout=900)
    assert (done.stderr, done.stdout.split()[:1]) == (b"", [b"events"])
    events = int(done.stdout.split()[1])
    assert events > 1000
    figures.probes += armed(guest)
    figures.events += events


def test_killed_at_any_moment(guest: Guest, figures: Figures, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The runner interrupted or killed (and sometimes its guardian too) from before the start to after the end."""
    text = """global n probe begin { println("x") } probe kernel.function("vfs_*"), kernel.function("ksys_*").return,
    kernel.trace("sched_switch"), timer.ms(1), timer.profile { n++ printf("%d %s\\n", n, execname()) }
    probe end { println(n) }"""
    guest.put("/tmp/stap_kill.ko", compiled(series, capsys, text, *UNLIMITED))
    moments = random.Random(1)
    began = time.monotonic()
    for first in range(0, KILLS, KILLS_AT_ONCE):
        if first >= FEWEST_KILLS and time.monotonic() - began > KILLS_SECONDS:
            break
        kills = range(first, min(first + KILLS_AT_ONCE, KILLS))
        steps = [killed(SIGNALS[kill % len(SIGNALS)], moments.uniform(0, 0.8)) for kill in kills]
        guest.put("/tmp/kills", "\n".join(["/bin/load 1000 & load=$!", *steps, "kill $load"]).encode())
        assert guest.sh("sh /tmp/kills 2>/dev/null", timeout=600).stdout == b"done\n" * len(kills)
        figures.kills += len(kills)
    # Whoever runs next takes off what is left. Where that takes a minute, it says what it is at.
    run = "pystap-run -w -T 0.2 /tmp/stap_kill.ko > /dev/null; status=$?; kill $watch; exit $status"
    done = guest.sh(WHERE_IT_IS + run, timeout=300)
    assert (done.status, done.stderr) == (0, b"")


def killed(how: str, pause: float) -> str:
    """The shell's lines: a run that gets a signal after a pause."""
    signal, _, everyone = how.partition(" ")
    guardian = "$(grep -l pystap-guardian /proc/[0-9]*/comm | cut -d/ -f3)" if everyone else ""
    run = "pystap-run /tmp/stap_kill.ko > /dev/null 2>&1 & runner=$!"
    # A shell has programs in the background ignore SIGINT: one that comes before the runner listens is lost.
    again = "(sleep 10; kill -TERM $runner) > /dev/null 2>&1 & again=$!" if signal == "INT" else "again="
    return f"{run}; {again}; sleep {pause:.3f}; kill -{signal} $runner {guardian}; wait $runner; kill $again; echo done"


def test_overflow_is_counted(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A reader that stands still: nothing waits, what does not fit is counted, and the user reads how much it was."""
    text = """global n, pad probe begin { pad = sprintf("%400s", "x") }
    probe kernel.trace("sys_enter"), kernel.function("vfs_*").call { printf("%d %s %s\\n", ++n, execname(), pad) }"""
    guest.put("/tmp/stap_flood.ko", compiled(series, capsys, text, *UNLIMITED))
    done = guest.sh(
        "rm -f /tmp/f; mkfifo /tmp/f; (pystap-run -s 1 -c '/bin/load 3' /tmp/stap_flood.ko > /tmp/f) & "
        "exec 3< /tmp/f; sleep 5; tail -n 1 <&3; wait",
        timeout=900,
    )
    lost = re.search(
        rb"There were (\d+) transport failures\. Try stap -s to increase the buffer size from 1\.", done.stderr
    )
    assert lost is not None, done.stderr
    assert int(lost[1]) > 0


@slow
def test_a_hundred_sessions(
    guest: Guest,
    series: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Sessions beside each other do not know of each other: of some scripts, each of which runs many times."""
    times = 20 if FULL and not WATCHED else 1
    text = 'global n probe kernel.function("vfs_read") { n++ } probe timer.s(5) { exit() } probe end { println(n > 0) }'
    for number in range(MODULES):
        guest.put(f"/tmp/many{number}.ko", compiled(series, capsys, f"{text} # {number}"))
    started = "".join(f"pystap-run -s 1 /tmp/many{number}.ko & " for number in range(MODULES)) * times
    done = guest.sh(f"{started} /bin/load 6; wait", timeout=900)
    assert (done.stdout, done.stderr) == (b"1\n" * MODULES * times, b"")


@slow
def test_modules_come_and_go(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A module that is probed is unloaded and loaded while the probes wait for it."""
    text = 'global n probe module("dummy").function("*").call { n++ } probe end { println(n) }'
    guest.put("/tmp/stap_module.ko", compiled(series, capsys, text, *UNLIMITED))
    from pystap.run.kernels import find, module_content

    file = find(series).module("dummy")
    if file is None:
        pytest.skip("this kernel has no dummy network driver")
    guest.put("/tmp/dummy.ko", module_content(file))
    rounds = 50 if FULL and not WATCHED else 5
    turn = f"for i in $(seq {rounds}); do insmod /tmp/dummy.ko; ip link set dummy0 up; rmmod dummy; done"
    guest.put("/tmp/turn", turn.encode())
    done = guest.sh('pystap-run -c "sh /tmp/turn" /tmp/stap_module.ko', timeout=300)
    assert done.stderr == b""
    assert int(done.stdout) >= rounds


@slow
def test_cpus_come_and_go(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A CPU is taken off and brought back under probes of every kind that has something on each CPU."""
    text = """global n, s probe timer.profile, timer.ms(1), kernel.function("vfs_*"), perf.sw.cpu_clock.sample(100000) {
    n++ s <<< cpu() printf("%d\\n", cpu()) } probe end { println(n, " ", @count(s)) }"""
    guest.put("/tmp/stap_cpus.ko", compiled(series, capsys, text, *UNLIMITED))
    online = "/sys/devices/system/cpu/cpu1/online"
    turn = f"for i in 1 2 3; do echo 0 > {online}; sleep 0.3; echo 1 > {online}; sleep 0.3; done"
    guest.put("/tmp/turn", turn.encode())
    done = guest.sh('/bin/load 3 & pystap-run -w -c "sh /tmp/turn" /tmp/stap_cpus.ko | tail -n 1', timeout=300)
    assert done.stderr == b""
    assert int(done.stdout.split()[0]) > 100


@slow
def test_long_run(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Start and stop, again and again, must leave no memory behind."""
    text = (
        'global a[1000] probe kernel.function("vfs_*"), kernel.function("vfs_*").return { a[tid()] = 1 println("x") }'
    )
    guest.put("/tmp/stap_again.ko", compiled(series, capsys, text, *UNLIMITED))
    rounds = 100 if FULL and not WATCHED else 6

    def run(times: int) -> tuple[int, int]:
        again = f"for i in $(seq {times}); do pystap-run -w -T 0.05 /tmp/stap_again.ko >/dev/null; done"
        assert guest.sh(again, timeout=600).status == 0
        time.sleep(0.5)
        look = "echo 3 > /proc/sys/vm/drop_caches; sleep 1; awk '/MemAvailable|SUnreclaim/ { print $2 }' /proc/meminfo"
        available, slabs = guest.sh(look).stdout.split()
        return int(available), int(slabs)

    before = run(3)
    after = run(rounds)
    check_quiet(guest)
    # In kB. One leaked buffer would be 16 MB; what is free goes up and down by 9 MB while the slabs stay as they are.
    assert before[0] - after[0] < 12 * 1024 + 40 * rounds
    assert after[1] - before[1] < 2048


@slow
def test_until_the_time_is_up(guest: Guest, figures: Figures, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each kernel has its share: what the other tests have left of it goes to hot paths."""
    guest.put("/tmp/stap_all.ko", compiled(series, capsys, EVERYTHING, *UNLIMITED))
    began = time.monotonic()
    whole = SECONDS_OF_EACH_KERNEL if FULL else 5
    while figures.seconds + time.monotonic() - began < whole:
        events_of_everything(guest, figures, 20 if FULL else 1)
