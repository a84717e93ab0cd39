"""Every step of a module's load and start fails once: all that was done before is undone, and the user reads why."""

from __future__ import annotations

import re

import pytest

from tests.support.kernels import Guests
from tests.torture.conftest import ALL_SERIES, FULL, compiled

pytestmark = pytest.mark.vm

# Something of every engine.
SCRIPT = """global a, s, hits
probe begin { println("begin") }
probe kernel.function("vfs_read"), kernel.function("vfs_write") { a[execname(), pid()]++ hits++ }
probe kernel.function("vfs_read").return { s[pid()] <<< $return hits++ }
probe kernel.trace("sched_switch") { hits++ }
probe timer.ms(10), timer.profile, timer.jiffies(2) { hits++ }
probe perf.sw.cpu_clock.sample(10000000) { hits++ }
probe process("/bin/busybox").begin, process("/bin/busybox").syscall { hits++ }
probe netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_IPV4") { hits++ }
probe procfs("number").read { $value = "1" }
probe kernel.data("jiffies").write { hits++ }
probe end { println("end") }"""

STRIDE = 1 if FULL else 3  # a test suite can spare some seconds only
# Few processes a round: each costs milliseconds under emulation.
LOOP = """mount -t debugfs none /sys/kernel/debug 2> /dev/null
step=0
while [ $step -lt 200 ]; do
	step=$((step + STRIDE))
	dmesg -c > /dev/null
	pystap-run -s 1 -T 0.01 /tmp/faults.ko _fault=$step > /tmp/out 2> /tmp/err
	echo "@@$step $?"
	dmesg > /tmp/log
	head -n 99 /tmp/out /tmp/err /tmp/log /proc/modules /sys/kernel/debug/kprobes/list
	grep -q 'of the start fails' /tmp/log || break
done"""
PARTS = re.compile(r"^==> (?:\S*/)?(\w+) <==\n", re.MULTILINE)
NAME = re.compile(r"of the start fails: (\w+)")

EXPECTED = {
    *("kvzalloc_node", "relay_open", "proc_mkdir", "proc_create", "alloc_percpu", "register_kretprobe"),
    *("tracepoint_probe_register", "nf_register_net_hook", "perf_event_create_kernel_counter"),
    "register_module_notifier",
}
# Without these the run goes on: functions are probed by breakpoints instead, and a folder that is not found is made.
DISPENSABLE = {"kern_path", "kzalloc", "kcalloc", "kvzalloc", "ftrace_set_filter_ips", "register_ftrace_function"}


def check_round(text: str) -> str:
    """One round's output: everything is undone, and what did not happen was said; returns the step that failed."""
    head, *parts = PARTS.split(text)
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    match = NAME.search(found["log"])
    name = match[1] if match else ""
    assert "stap" not in found["modules"], text
    assert found["list"].strip() == "", text
    assert "Call Trace" not in found["log"], text
    if head.split()[1] == "1":
        assert re.search(r"ERROR: .*Cannot allocate memory|could not be looked up", found["err"]), text
        assert found["out"].strip() in {"", "begin"}, text
    else:
        assert found["out"].startswith("begin\nend\n"), text
        assert re.search(r"registration error|not supported by this kernel", found["err"]) or (
            name in DISPENSABLE or name == ""
        ), text
    return name


@pytest.mark.parametrize("series", ALL_SERIES if FULL else ALL_SERIES[:1])
def test_each_step_fails(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    guests.get(series).put("/tmp/faults.ko", compiled(series, capsys, SCRIPT, "-DSTP_FAULTS", "-DMAXMAPENTRIES=10"))
    rounds = guests.get(series).sh(LOOP.replace("STRIDE", str(STRIDE)), timeout=300).stdout.decode().split("@@")[1:]
    names = [check_round(text) for text in rounds]
    assert names[-1] == ""  # the first round that met no failure
    assert "" not in names[:-1]
    assert len(names) > 40 // STRIDE
    if FULL:
        assert set(names) >= EXPECTED


# Of two namespaces, the second one gets no hook: the first one's must be taken off nevertheless.
TWO_NAMESPACES = """ip link set lo up
unshare -n sleep 100 & other=$!
sleep 0.2
for step in $(seq 40); do
	dmesg -c > /dev/null
	pystap-run -s 1 -c 'ping -c 1 127.0.0.1' /tmp/hooks.ko _fault=$step > /tmp/out 2> /tmp/err
	dmesg | grep -q 'fails: nf_register_net_hook' && cat /tmp/out /tmp/err
	ping -c 1 127.0.0.1 > /dev/null || echo lost
	dmesg | grep -q 'of the start fails' || break
done
kill $other
grep stap /proc/modules"""


@pytest.mark.parametrize("series", ALL_SERIES if FULL else ALL_SERIES[:1])
def test_a_namespace_that_gets_no_hook(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = """global n
    probe netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_IPV4") { n++ } probe end { println("packets ", n > 0) }"""
    guests.get(series).put("/tmp/hooks.ko", compiled(series, capsys, text, "-DSTP_FAULTS"))
    done = guests.get(series).sh(TWO_NAMESPACES, timeout=120)
    lines = done.stdout.decode().splitlines()
    assert "lost" not in lines
    assert [line for line in lines if line.startswith("packets")] == ["packets 0", "packets 1"]
    refused = [line for line in lines if "registration error [man warning::pass5] (rc -12)" in line]
    assert len(refused) == 2
