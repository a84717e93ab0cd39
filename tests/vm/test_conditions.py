"""Probes with `if (...)` on a real kernel: disarmed while the condition is false, armed again when it is true."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

SCRIPT = """
global on, returns, inner, entries, events, ticks, slow, profiled
probe procfs("on").write { on = strtol($value, 10) }
probe kernel.function("uptime_proc_show").return if (on) { returns++ }
probe kernel.function("__put_user_4") if (on == 1) { inner++ }  # assembler: no ftrace call
probe kernel.function("version_proc_show") if (on) { entries++ }
probe kernel.trace("sched_process_fork") if (on) { events++ }
probe timer.ms(5) if (on) { ticks++ }
probe timer.jiffies(2) if (on) { slow++ }
probe timer.profile if (on) { profiled++ }
probe procfs("counts").read {
    $value = sprintf("%d %d %d %d %d %d %d\\n", returns, inner, entries, events, ticks, slow, profiled)
}
"""

COMMAND = """
mount -t debugfs none /sys/kernel/debug 2>/dev/null
mount -t tracefs none /sys/kernel/tracing 2>/dev/null
look() {
    sleep 0.5
    grep __put_user_4 /sys/kernel/debug/kprobes/list | grep -q DISABLED && echo "__put_user_4 disabled"
    grep __put_user_4 /sys/kernel/debug/kprobes/list | grep -qv DISABLED && echo "__put_user_4 enabled"
    for name in uptime_proc_show version_proc_show; do
        grep -q $name /sys/kernel/tracing/enabled_functions && echo $name traced
    done
    cat /proc/uptime /proc/version /proc/uptime > /dev/null
    sleep 0.5
    cat /proc/systemtap/*/counts
}
step=0
switch=$(echo /proc/systemtap/*/on)
look > /tmp/conditions.$step
for value in 1 0 1; do
    step=$((step + 1))
    echo $value > $switch
    look > /tmp/conditions.$step
done
"""

DISARMED = ["__put_user_4 disabled"]
ARMED = ["__put_user_4 enabled", "uptime_proc_show traced", "version_proc_show traced"]


def ready(series: str, work: Path, capsys: pytest.CaptureFixture[str], script: str, *options: str) -> Path:
    (work / "script.stp").write_text(script)
    status = cli.main(["-p4", "-w", "-r", series, *options, str(work / "script.stp")])
    said = capsys.readouterr()
    assert status == 0, said.err
    return Path(said.out.strip())


def looked(guests: Guests, series: str, step: int) -> tuple[list[str], list[int]]:
    lines = guests.sh(series, f"cat /tmp/conditions.{step}").stdout.decode().splitlines()
    return lines[:-1], [int(n) for n in lines[-1].split()]


def test_probes_are_armed_while_their_condition_is_true(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind is off at first and after the condition turned false; its hits come and go with it."""
    module = ready(series, tmp_path, capsys, SCRIPT)
    guest = guests.get(series)
    guest.put("/tmp/command", COMMAND.encode(), 0o755)
    with keeps_quiet(guest):
        done = guests.run(series, module, options=("-c", "sh /tmp/command"))
    assert done.status == 0, done.stderr
    (first, none), (armed, some), (disarmed, same), (again, more) = (looked(guests, series, n) for n in range(4))
    assert first == disarmed == DISARMED
    assert armed == again == ARMED
    assert none == [0] * 7
    assert (some[0], some[2]) == (2, 1)
    assert min(some) > 0
    assert (same[0], same[2]) == (2, 1), "hits of what is disarmed"
    assert (more[0], more[2]) == (4, 2)
    assert min(b - a for a, b in zip(same, more, strict=True)) > 0


SOON = """
global on, ticks, phase
probe timer.ms(10) if (on) { ticks++ }
probe timer.ms(500) {
    on = 1
    if (phase++ == 3) exit()
}
probe end { printf("%s\\n", ticks > 20 ? "armed" : "idle") }
"""

FLAPPING = """
global on, hits
probe timer.ms(1) { on = !on }
probe kernel.function("vfs_read").return if (on) { hits++ }
probe kernel.function("vfs_*") if (!on) { hits++ }
probe kernel.function("__put_user_4") if (on) { hits++ }
probe kernel.trace("sched_switch") if (on) { hits++ }
probe timer.profile if (!on) { hits++ }
probe end { printf("%s\\n", hits > 0 ? "hit" : "idle") }
"""


def test_a_handler_that_writes_the_global_is_noticed_before_the_interval_is_over(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The interval is far longer than the run."""
    module = ready(series, tmp_path, capsys, SOON, "-DSTP_ON_THE_FLY_INTERVAL=4000000000")
    done = guests.run(series, module)
    assert (done.stdout, done.stderr, done.status) == (b"armed\n", b"", 0)


def test_conditions_that_never_rest(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arming and disarming without end while the session is stopped, several times; the kernel does not complain."""
    module = ready(series, tmp_path, capsys, FLAPPING, "-DSTP_ON_THE_FLY_INTERVAL=10000000", "-DSTP_NO_OVERLOAD")
    guest = guests.get(series)
    for command in ("sleep 2", "sleep 0.3", "for i in 1 2 3 4 5 6 7 8; do cat /proc/uptime; done > /dev/null"):
        guest.put("/tmp/command", command.encode(), 0o755)
        with keeps_quiet(guest):
            done = guests.run(series, module, options=("-c", "sh /tmp/command"))
        assert done.status == 0, done.stderr
        assert done.stdout in (b"hit\n", b"idle\n")


USER = """
global on, calls, returns, samples, writes
probe procfs("on").write { on = strtol($value, 10) }
probe process("PROGRAM").function("work") if (on) { calls++ }
probe process("PROGRAM").function("work").return if (on == 1) { returns += @entry(gettimeofday_us()) > 0 }
probe perf.sw.cpu_clock.sample(1000000) if (on) { samples++ }
probe kernel.data("jiffies").write if (on) { writes++ }
probe procfs("counts").read { $value = sprintf("%d %d %d %d\\n", calls, returns, samples, writes) }
"""

USER_COMMAND = """
switch=$(echo /proc/systemtap/*/on)
look() {
    sleep 0.5
    PROGRAM
    PROGRAM
    cat ${switch%on}counts
}
look
for value in 1 0 1; do
    echo $value > $switch
    look
done
"""

USER_FLAPPING = """
global on, hits
probe timer.ms(1) { on = !on }
probe process("PROGRAM").function("work") if (on) { hits++ }
probe process("PROGRAM").function("work").return if (!on) { hits += @entry(1 + gettimeofday_us()) > 0 }
probe perf.sw.cpu_clock.sample(100000) if (on) { hits++ }
probe kernel.data("jiffies").write if (!on) { hits++ }
probe end { println(hits > 0) }
"""


@pytest.fixture
def program(series: str, guests: Guests, tmp_path: Path) -> Path:
    """A program that says whether its function has a breakpoint, here and in the guest."""
    path = tmp_path / "breakpoint"
    source = Path(__file__).parent / "user" / "breakpoint.c"
    subprocess.run(["gcc", "-O1", "-static", "-o", str(path), str(source)], check=True)
    guests.sh(series, f"mkdir -p {tmp_path}")
    guests.get(series).put(str(path), path.read_bytes(), 0o755)
    return path


def test_breakpoints_of_programs_samples_and_watches_come_and_go(
    series: str, guests: Guests, tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ready(series, tmp_path, capsys, USER.replace("PROGRAM", str(program)))
    guests.get(series).put("/tmp/command", USER_COMMAND.replace("PROGRAM", str(program)).encode(), 0o755)
    done = guests.run(series, module, options=("-c", "sh /tmp/command"))
    assert (done.stderr, done.status) == (b"", 0)
    lines = done.stdout.decode().splitlines()
    assert lines[0::3] == lines[1::3] == ["work plain", "work breakpoint", "work plain", "work breakpoint"]
    none, some, same, more = ([int(n) for n in line.split()] for line in lines[2::3])
    assert none == [0] * 4
    assert some[:2] == same[:2] == [2, 2]
    assert more[:2] == [4, 4]
    assert 0 < some[2] <= same[2] < more[2]
    assert 0 < some[3] <= same[3] < more[3]


def test_conditions_of_a_program_that_never_rest(
    series: str, guests: Guests, tmp_path: Path, program: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its breakpoints come and go while it runs; calls under way return as if nothing was."""
    options = ("-DSTP_ON_THE_FLY_INTERVAL=10000000", "-DSTP_NO_OVERLOAD")
    module = ready(series, tmp_path, capsys, USER_FLAPPING.replace("PROGRAM", str(program)), *options)
    guest = guests.get(series)
    command = f"i=0; while [ $i -lt 100 ]; do {program} || echo broken; i=$((i + 1)); done | sort -u | grep -v work"
    guest.put("/tmp/command", f"{command}; true".encode(), 0o755)
    with keeps_quiet(guest):
        done = guests.run(series, module, options=("-c", "sh /tmp/command"))
    assert (done.stdout, done.stderr, done.status) == (b"1\n", b"", 0)


# Probes that stay where they are, and ask at each hit.
ASKED = """
global on, packets, begins, ends, calls, returns, samples, reads
probe procfs("on").write { on = strtol($value, 10) }
probe netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_IPV4") if (on) { packets++ }
probe process("/bin/busybox").begin if (on) { begins++ }
probe process("/bin/busybox").end if (on) { ends++ }
probe process("/bin/busybox").syscall if (on) { calls++ }
probe process("/bin/busybox").syscall.return if (on) { returns++ }
probe perf.sw.task_clock.process("/bin/busybox") if (on) { samples++ }
probe procfs("read").read if (on) { reads++; $value = "read" }
probe procfs("counts").read {
    $value = sprintf("%d %d %d %d %d %d %d\\n", packets, begins, ends, calls, returns, samples, reads)
}
"""

ASKING = """
ip link set lo up
cd /proc/systemtap/*
look() {
    ping -c 1 127.0.0.1 > /dev/null
    cat read 2> /dev/null
    i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done
    cat /proc/uptime > /dev/null
}
look; cat counts
echo 1 > on; look; echo 0 > on
cat counts
look; look; cat counts
"""


def test_probes_that_stay_armed_ask_at_each_hit(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = ready(series, tmp_path, capsys, ASKED)
    guests.get(series).put("/tmp/command", ASKING.encode(), 0o755)
    done = guests.run(series, module, options=("-c", "sh /tmp/command"))
    assert (done.status, done.stderr) == (0, b"")
    none, some, same = done.stdout.decode().splitlines()
    assert none == "0 0 0 0 0 0 0"
    assert some.startswith("read")
    assert min(map(int, some.removeprefix("read").split())) > 0
    assert same == some.removeprefix("read")
