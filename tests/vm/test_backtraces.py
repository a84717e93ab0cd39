"""Stacks of other tasks, and addresses in modules as functions and source lines, in guests."""

from __future__ import annotations

import re

import pytest

from tests.support.kernels import Guests
from tests.vm.test_families import Bench

pytestmark = pytest.mark.vm
FRAME = re.compile(r"\S+\+0x\w+/0x\w+")


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(series, guests, capsys)


def test_the_stack_of_another_task_is_what_proc_says(bench: Bench) -> None:
    """Of a thread of the kernel and of a shell that waits; the current task's own begins at its probe."""
    script = """
        probe begin { print_syms(task_backtrace(pid2task(2))) }
        probe kernel.function("uptime_proc_show") {
            print_syms(task_backtrace(pid2task(target())))
            println(task_backtrace(task_current()) == backtrace() && backtrace() != "")
        }
        probe end {
            me = task_current()
            println(task_backtrace(0), task_backtrace(4096), task_backtrace(me + 64), task_backtrace(-1))
        }
    """
    command = "cat /proc/uptime > /dev/null; cat /proc/2/stack /proc/$$/stack > /tmp/stacks"
    done = bench.run(script, command)
    assert (done.stderr, done.status) == (b"", 0)
    ours = FRAME.findall(done.stdout.decode())
    theirs = FRAME.findall(bench.guests.sh(bench.series, "cat /tmp/stacks").stdout.decode())
    assert ours == theirs
    assert {"kthreadd", "do_wait"} <= {name.partition("+")[0] for name in ours}
    assert done.stdout.endswith(b"\n1\n\n"), "the current task has its own, and what is no task has none"


def test_no_stack_is_given_while_tasks_come_and_go(bench: Bench) -> None:
    """Under load a task may run, or end, while its stack is read: then there is none, or that of where it was."""
    script = """
        global seen, kept, found
        probe kernel.trace("sched_process_fork") { kept[seen % 64] = $child; seen++ }
        probe timer.profile, kernel.trace("sched_switch") {
            for (k = 0; k < 8; k++) n += strlen(task_backtrace(kept[(seen + k * 5) % 64])) > 0
            found += n > 0
        }
        probe end { println(seen > 100, found > 100) }
    """
    command = "i=0; while [ $i -lt 60 ]; do (cat /proc/uptime | cat > /dev/null); i=$((i+1)); done"
    done = bench.run(script, command)
    assert (done.stdout, done.status) == (b"11\n", 0), done.stderr
