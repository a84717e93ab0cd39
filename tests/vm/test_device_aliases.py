"""What the aliases say of interrupts, softirqs and terminals, beside /proc and what a program did."""

from __future__ import annotations

import pytest

from tests.support.stage import Stage

pytestmark = pytest.mark.vm

TERMINAL = "deeds terminal; insmod /tmp/ttyprintk.ko; rmmod ttyprintk"
COUNTED = """
cat /proc/interrupts /proc/softirqs > /tmp/before
deeds machine
for i in 1 2 3 4 5 6 7 8 9 10; do echo x > /dev/ttyS0; done
sleep 0.1
cat /proc/interrupts /proc/softirqs > /tmp/after
"""


def test_terminals(stage: Stage) -> None:
    """tty: a pseudo terminal's both ends, the serial line, a driver that comes and goes."""
    with_line = stage.lines("terminal.stp", TERMINAL)
    line, master = stage.said().split()
    assert sorted(with_line) == sorted([
        "tty_init_dev pty_master ptm kernel",
        "tty_ioctl ptmx 40045431 1", "tty_ioctl ptmx 80045430 1", "tty_ioctl ptmx 5414 1", "tty_ioctl 0 5414 1",
        "tty_do_resize pts0 0 0 0 0 -> 24 80 3 4", "tty_do_resize pts0 24 80 3 4 -> 50 80 3 4",
        "tty_open 0 3 0 3 2 1", f"tty_open ttyS0 {line} 0 3 2 1",
        r"n_tty_write pty_master ptmx 6 hello\n", "n_tty_write pty_slave 0 6 answer", "n_tty_write serial ttyS0 1 *",
        "tty_poll 0 1", "n_tty_read pty_slave 0 64 <>",
        r"n_tty_receive_buf_common pty_slave pts0 6 hello\n <> 0 0",
        r"received pty_master ptm0 hello\r\nanswer",
        f"tty_release ttyS0 {line} 0 3 2 1", "tty_release 0 3 0 3 2 1", f"tty_release ptmx {master} 0 3 2 1",
        "tty_register_device ttyprintk ttyprintk ttyprintk 0",
        "tty_unregister_device ttyprintk ttyprintk ttyprintk 0",  # once by the driver, once with its devices
        "tty_unregister_device ttyprintk ttyprintk ttyprintk 0",
    ])  # fmt: skip


def counts(text: str) -> dict[str, int]:
    """How often each interrupt and each softirq has come on both CPUs."""
    rows = (line.split() for line in text.splitlines() if ":" in line)
    return {row[0].rstrip(":"): sum(map(int, row[1:3])) for row in rows if len(row) > 2}


def test_interrupts(stage: Stage) -> None:
    """irq_handler, softirq: those of the serial line and of received packets are /proc's, others at least as many."""
    lines = [line.split() for line in stage.lines("machine.stp", COUNTED, "-DINTERRUPTIBLE=0", "-DMAXTRYLOCK=100000")]
    before, after = (counts(stage.sh(f"cat /tmp/{name}")) for name in ("before", "after"))
    came = {name: after[name] - before[name] for name in after}
    handled = {words[1]: int(words[2]) for words in lines if words[0] == "irq"}
    assert came["4"] >= 2
    assert handled["4"] == came["4"]
    assert next(words[3] for words in lines if words[:2] == ["irq", "4"]) == "ttyS0"
    done = [(words[1], int(words[3])) for words in lines if words[0] == "done"]
    assert {irq: sum(n for i, n in done if i == irq) for irq in handled} == handled
    begun = {words[1]: [int(word) for word in words[2:]] for words in lines if words[0] == "softirq"}
    assert begun["3"] == [came["NET_RX"]] * 2
    assert came["NET_RX"] >= 30
    for number, name in (("1", "TIMER"), ("7", "SCHED"), ("9", "RCU")):
        assert begun[number][0] == begun[number][1] >= came[name] > 0, name
    assert [words for words in lines if words[0] == "odd"] == []
