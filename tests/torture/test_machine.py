"""What befalls a machine while probes are armed: it sleeps and wakes, its memory runs out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap.run import binaries
from pystap.run.kernels import REALTIME
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, available, can_boot
from tests.support.quiet import check_text
from tests.torture.conftest import WATCHED, Figures, checked, compiled

pytestmark = pytest.mark.vm
EATS = Path(__file__).with_name("eats.c")
STARVES = Path(__file__).with_name("starves.c")

# Statistics: each CPU counts for itself, and waits for no other. vfs_write: of the words that the shell writes, to
# /sys/power before it sleeps and to /dev/null when it woke.
ASLEEP = """global before, after, seen, woke
probe kernel.function("pm_suspend").return { woke = 1 }
probe timer.ms(20), timer.s(1), timer.profile, perf.sw.cpu_clock.sample(10000000), kernel.function("vfs_write"),
      kernel.trace("sched_switch") {
    seen[pn(), cpu()] <<< 1
    if (woke) after[pn(), cpu()] <<< 1 else before[pn(), cpu()] <<< 1
}
probe end {
    foreach ([name, c] in seen)
        printf("%s on %d: %d %d\\n", name, c, @count(before[name, c]) > 0, @count(after[name, c]) > 0)
}"""
EACH_CPU = ("timer.profile", "perf.sw.cpu_clock.sample(10000000)", 'kernel.trace("sched_switch")')
ASLEEP_FOR_6 = "echo +6 > /sys/class/rtc/rtc0/wakealarm; echo mem > /sys/power/state"
# The kernel thaws them after 5 s.
FROZEN = """echo 0 > /sys/devices/system/cpu/cpu1/online; echo freezer > /sys/power/pm_test
echo mem > /sys/power/state; sleep 1; echo none > /sys/power/pm_test; echo 1 > /sys/devices/system/cpu/cpu1/online"""
SKIPPED = re.compile(rb"^(WARNING: (Number of errors: 0, skipped|Skipped ).*|  \d+ hits .*)\n", re.MULTILINE)


@pytest.mark.slow  # the alarm must not ring before the machine sleeps, however slow it is
def test_sleep_and_wake(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Clocks stand still, CPUs go and come back: timers, samples and probes go on on all of them.

    A kernel that watches itself interprets ACPI's programs slower than their bound of 30 s allows: its devices would
    wake without their interrupts. So there tasks are frozen and a CPU goes, and the clocks go on.
    """
    # Some wait in vain for a global: handlers of a kernel that watches itself take long, and with PREEMPT_RT who has it
    # may be interrupted by what waits for the run queue that the waiting one's CPU holds.
    patient = WATCHED or series.endswith(REALTIME)
    module = compiled(series, capsys, ASLEEP, *(("-DMAXSKIPPED=1000000",) if patient else ()))
    guest.put("/tmp/asleep.ko", module)
    nap = FROZEN if WATCHED else ASLEEP_FOR_6
    guest.put("/tmp/nap", f"sleep 1; {nap}; taskset 2 sleep 0.1; echo woke > /dev/null; sleep 1.2".encode())
    done = guest.sh('date +%s; pystap-run -c "sh /tmp/nap" /tmp/asleep.ko; date +%s', timeout=120)
    first, *lines, last = done.stdout.decode().splitlines()
    said = SKIPPED.sub(b"", done.stderr) if patient else done.stderr
    assert (said, int(last) - int(first) >= 6) == (b"", True)
    for point in EACH_CPU:
        for cpu in (0, 1):
            assert f"{point} on {cpu}: 1 1" in lines, lines
    for point in ("timer.ms(20)", "timer.s(1)", 'kernel.function("vfs_write")'):
        of_all_cpus = [line.split()[-2:] for line in lines if line.startswith(point)]
        assert [*map(max, zip(*of_all_cpus, strict=True))] == ["1", "1"], (point, lines)


@pytest.mark.slow
def test_out_of_memory_while_it_runs(guest: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel kills who eats the memory; the session goes on and loses nothing that was printed."""
    guest.put("/bin/eats", compile_c(EATS.read_text(), "-static", "-O1", name="eats.c").read_bytes())
    guest.sh("chmod +x /bin/eats")
    text = """global n probe timer.ms(10) { printf("%d\\n", n++) }
    probe kernel.trace("mark_victim") { println("victim") }
    probe end { println("end ", n) }"""
    guest.put("/tmp/hungry.ko", compiled(series, capsys, text))
    done = guest.sh("pystap-run -c eats /tmp/hungry.ko; dmesg -c > /tmp/log", timeout=300)
    lines = done.stdout.decode().splitlines()
    numbers = [int(line) for line in lines if line.isdigit()]
    assert "victim" in lines
    assert numbers == list(range(len(numbers)))
    assert lines[-1] == f"end {len(numbers)}"
    log = guest.sh("cat /tmp/log").stdout.decode()
    assert "Out of memory: Killed process" in log
    assert "pystap-run" not in log.split("Out of memory: Killed process")[1].splitlines()[0]


HUGE = {
    "buffers": ("probe begin { exit() }", "-s 4000"),
    "arrays": ("global a[20000000] probe begin { a[1] = 1 exit() }", ""),
}


@pytest.mark.skipif(WATCHED, reason="it has the memory")
@pytest.mark.parametrize("what", HUGE)
def test_no_memory_to_start_with(guest: Guest, series: str, capsys: pytest.CaptureFixture[str], what: str) -> None:
    script, options = HUGE[what]
    guest.put("/tmp/huge.ko", compiled(series, capsys, script))
    done = guest.sh(f"pystap-run {options} /tmp/huge.ko", timeout=120)
    assert b"ERROR: Couldn't insert module '/tmp/huge.ko': Cannot allocate memory\n" in done.stderr
    assert b"-s MB takes less for the output, -DMAXMAPENTRIES=N less for arrays" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(WATCHED, reason="it would take minutes to look after so much memory")
def test_an_array_of_gigabytes(series: str, figures: Figures, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel's usual allocation takes less than 2 GB, and warns in its log of who asks for more."""
    script = "global a[40000000] probe begin { for (i = 0; i < 99; i++) a[i] = i exit() } probe end { println(a[98]) }"
    with checked(series, figures, memory=4096) as guest:
        guest.put("/tmp/large.ko", compiled(series, capsys, script))
        done = guest.sh("pystap-run -w /tmp/large.ko", timeout=300)
        assert (done.stdout, done.stderr) == (b"98\n", b"")


# Since 6.12 what is left of a CPU's time for usual tasks is served by a server of its own. What runs RCU, for which
# the end of a session waits, must not be starved as well.
STARVED = """echo -1 > /proc/sys/kernel/sched_rt_runtime_us
mount -t debugfs none /sys/kernel/debug 2> /dev/null
server=/sys/kernel/debug/sched/fair_server/cpu1/runtime
[ ! -e $server ] || echo 0 > $server
taskset 1 pystap-run -T 4 /tmp/counts.ko > /tmp/said 2> /tmp/warned & session=$!
until grep -q ^begin /tmp/said; do sleep 0.1; done
starves 20 $(grep -lxE 'rcu_(preempt|sched)|ksoftirqd/1' /proc/[0-9]*/comm | cut -d/ -f3) &
wait $session
cat /tmp/said; cat /tmp/warned >&2; grep ^counts /proc/modules
wait"""


@pytest.mark.slow
def test_a_counted_task_that_does_not_run(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Work that it has been given will run in the module's code when it goes on: so the module stays."""
    kernel = available(series)
    reason = can_boot()
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}")
    if series.endswith(REALTIME):
        pytest.skip("the kernel's own threads, for which the end waits, do not run either")
    program = compile_c(STARVES.read_text(), "-static", "-O1", name="starves.c")
    text = f"""global n probe begin {{ println("begin") }} probe end {{ println("end ", n > 0) }}
    probe perf.sw.task_clock.process("{program}") {{ n++ }}"""
    with Guest(kernel, files={RUNNER: binaries.runner(), str(program): program}, cpus=2) as guest:
        guest.put("/tmp/counts.ko", compiled(series, capsys, text, "-m", "counts"))
        guest.sh("dmesg -c", timeout=60)
        done = guest.sh(STARVED.replace("starves", str(program)), timeout=120)
        said = b"WARNING: a task that is counted is held in its exec or exit: the module stays\n"
        assert said in done.stderr, done
        lines = done.stdout.decode().splitlines()
        assert sorted(line.split(" 0x")[0].split(" ")[0] for line in lines) == ["begin", "child:", "counts", "end"]
        assert {"end 1", "child: 3"} <= {*lines}
        check_text(guest.sh("dmesg", timeout=60).stdout.decode(errors="replace"))
