"""What the aliases say of signals and of the scheduler, for programs whose signals, children and CPUs are known."""

from __future__ import annotations

import re

import pytest

from tests.support.stage import SCRIPTS, Stage

pytestmark = pytest.mark.vm

TASKS = "deeds tasks; mount -t ext4 /dev/sda2 /mnt; umount /mnt; sleep 0.3"  # ext4 has a thread of the kernel's


def named(lines: list[str], said: str, names: str) -> list[str]:
    """Lines in which the words that a program has said are replaced by their names."""
    known = dict(zip(said.split(), names.split(), strict=True))

    def word(text: str) -> str:
        bare = text.strip(",").removeprefix("0x")
        return text.replace(text.strip(","), known[bare]) if bare in known else text

    return [" ".join(map(word, line.split(" "))) for line in lines]


def test_signals(stage: Stage) -> None:
    """signal: to itself, ignored, blocked, by a timer, to a child, onto a stack that is gone, and what is refused."""
    lines = stage.lines("signals.stp", "deeds signals")
    lines = named(lines, stage.said(), "PARENT CHILD 11 HANDLER KILLED")
    shared = ("wake wakeup_signal", "signal_generate SIGCHLD")  # with the shell that waits for the program
    lines = [line for line in lines if not line.startswith(shared) or "deeds" in line]
    assert told_apart(lines) == told_apart((SCRIPTS / "signals.expect").read_text().splitlines())


def told_apart(lines: list[str]) -> tuple[list[str], list[str]]:
    """What a child does with its signals, and all else: the child may be as quick as the call that sends one."""
    handled = [line for line in lines if re.match(r"handle_signal \w+ \d+ (CHILD|KILLED) ", line)]
    return handled, [line for line in lines if line not in handled]


def test_tasks(stage: Stage) -> None:
    """scheduler, kprocess: a child that moves between CPUs; every switch of tasks from both of its sides."""
    lines = stage.lines("tasks.stp", TASKS, "-DMAXTRYLOCK=100000", "-DINTERRUPTIBLE=0")
    lines = named(lines, stage.said(), "PARENT CHILD")
    hits = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("hits")}
    assert hits["ctxswitch"] == hits["cpu_off"] > 50
    assert hits["cpu_on"] > hits["ctxswitch"] / 2
    assert hits["wakeup"] >= 4
    assert hits["wait_task"] >= 1
    told = [line for line in lines if not line.startswith(("hits", "freed", "migrate PARENT"))]
    assert sorted(told) == sorted([
        'exec execve "/usr/bin/deeds" "/usr/bin/deeds", ["deeds", "tasks"], [/* 5 vars */]', "complete execve 0 1 0 0",
        "process_fork PARENT CHILD", "create CHILD CHILD", "wakeup_new CHILD CHILD 120 0 0", "start CHILD CHILD",
        *["migrate CHILD 120 0 -> 1", "migrate CHILD 120 1 -> 0"] * 2, "process_wait CHILD",
        "exit CHILD 1280", "process_exit CHILD 127", "release CHILD CHILD",
        "exit PARENT 0", "process_exit PARENT 120", "release PARENT PARENT", *["signal_send 17 1"] * 2,
        "kthread_stop 1 100", "kthread_stop.return 0", "ticks 1", "twins CHILD 3",
    ])  # fmt: skip
    assert {"freed PARENT 120", "freed CHILD 127"} <= set(lines)
