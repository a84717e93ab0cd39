"""Probes with `if (...)` on a real kernel: disarmed while the condition is false, armed again when it is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

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
    for name in uptime_proc_show __put_user_4; do
        grep "$name" /sys/kernel/debug/kprobes/list | grep -q DISABLED && echo "$name disabled"
        grep "$name" /sys/kernel/debug/kprobes/list | grep -qv DISABLED && echo "$name enabled"
    done
    grep -q version_proc_show /sys/kernel/tracing/enabled_functions && echo version_proc_show traced
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

DISARMED = ["uptime_proc_show disabled", "__put_user_4 disabled"]
ARMED = ["uptime_proc_show enabled", "__put_user_4 enabled", "version_proc_show traced"]


def compiled(series: str, work: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    (work / "conditions.stp").write_text(SCRIPT)
    status = cli.main(["-p4", "-w", "-r", series, str(work / "conditions.stp")])
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
    module = compiled(series, tmp_path, capsys)
    guest = guests.get(series)
    guest.put("/tmp/command", COMMAND.encode(), 0o755)
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
    for word in ("Oops", "BUG", "WARNING"):
        assert word not in guest.console
