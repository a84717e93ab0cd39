"""One script for each family of probe points, from its text to its output on a real kernel."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from pystap.run.vm import Finished
from tests.support.kernels import Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

READS = "i=0; while [ $i -lt 40 ]; do cat /proc/uptime > /dev/null; i=$((i+1)); done"
BUSY = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done"


class Bench:
    """Compiles a script and runs it in the guest of one series while a command runs there."""

    def __init__(self, series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
        self.series = series
        self.guests = guests
        self._capsys = capsys

    def run(self, script: str, command: str, *options: str) -> Finished:
        status = cli.main(["-p4", "-w", "-r", self.series, *options, "-e", script])
        compiled = self._capsys.readouterr()
        assert status == 0, compiled.err
        self.guests.get(self.series).put("/tmp/command", command.encode())
        with keeps_quiet(self.guests.get(self.series)):
            done = self.guests.run(self.series, Path(compiled.out.strip()), options=("-c", "sh /tmp/command"))
        assert self.guests.sh(self.series, "grep -q ^stap_ /proc/modules").status == 1, "the module is gone"
        return done

    def numbers(self, script: str, command: str, *options: str) -> list[int]:
        done = self.run(script, command, *options)
        assert (done.stderr, done.status) == (b"", 0)
        return [int(word) for word in done.stdout.split()]


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(series, guests, capsys)


def test_entry_and_return(bench: Bench) -> None:
    """Entries, returns, entry-time values and results of one function agree with each other."""
    script = """
        global calls, returns, same, sum
        probe kernel.function("uptime_proc_show").call { calls++ }
        probe kernel.function("uptime_proc_show").return {
            returns++; if ($m == @entry($m) && $m) same++; sum += $return
        }
        probe end { println(calls); println(returns); println(same); println(sum) }
    """
    assert bench.numbers(script, READS) == [40, 40, 40, 0]


def test_wildcards_arm_many(bench: Bench) -> None:
    """A thousand functions under one body; those that are called are counted."""
    script = """
        global n, names
        probe kernel.function("vfs_*").call, kernel.function("tcp_*").call, kernel.function("ip_*").call,
              kernel.function("inet*").call, kernel.function("sk_*").call { n++; names[pp()] = 1 }
        probe end { foreach (p in names) if (p =~ "vfs_open.*call") println(1); println(n > 50) }
    """
    assert bench.numbers(script, READS) == [1, 1]


def test_one_probe_fails_the_others_stay(bench: Bench) -> None:
    """What can not be armed is a warning that names the point."""
    done = bench.run(
        'global n probe kprobe.statement(16).absolute { n += 1000 } probe kernel.function("uptime_proc_show") { n++ }'
        " probe end { println(n) }",
        READS,
        "-g",
    )
    assert done.stdout == b"40\n"
    assert re.fullmatch(
        r"WARNING: probe kprobe.statement\(16\).absolute registration error \[man warning::pass5\] \(rc -\d+\)\n",
        done.stderr.decode(),
    )


def test_conditions(bench: Bench) -> None:
    """A probe's condition switches it on and off while the session runs; being armed takes a moment."""
    script = """
        global on, all, some, before
        probe kernel.function("uptime_proc_show") if (on) { some++ }
        probe kernel.function("uptime_proc_show") { if (++all == 10) { before = some; on = 1 } if (all == 30) on = 0 }
        probe end { println(before); println(some >= 19 && some <= 21) }
    """
    reads = "for i in 0 1 2 3 4 5 6 7 8 9; do cat /proc/uptime > /dev/null; done"
    assert bench.numbers(script, f"{reads}; sleep 1; {reads}; {reads}; {reads}") == [0, 1]


def test_a_return_whose_entry_was_before_the_start(bench: Bench) -> None:
    """Calls under way at the start are not taken for calls of the session."""
    script = """
        global depth, least
        probe kernel.function("do_nanosleep").call { depth++ }
        probe kernel.function("do_nanosleep").return { if (--depth < least) least = depth }
        probe end { println(least) }
    """
    bench.guests.sh(bench.series, "sleep 1 > /dev/null 2>&1 &")
    assert bench.numbers(script, "sleep 1.5") == [0]


def test_tracepoints(bench: Bench) -> None:
    """Arguments by name, and the point's own names."""
    script = """
        global same, n
        probe kernel.trace("sched:sched_switch") { n++; if ($prev->pid == tid() && $$name == "sched_switch") same++ }
        probe end { println(n > 5 && n == same) }
    """
    assert bench.numbers(script, READS) == [1]


def test_timers(bench: Bench) -> None:
    """Intervals are kept, roughly; ticks come on every CPU."""
    script = """
        global a, b, c, d
        probe timer.ms(20) { a++ } probe timer.hz(50) { b++ } probe timer.jiffies(5) { c++ }
        probe timer.profile.tick { d++ }
        global began probe begin { began = gettimeofday_ms() }
        probe end { println(a); println(b); println(c); println(d); println(gettimeofday_ms() - began) }
    """
    *seen, elapsed = bench.numbers(script, "sleep 1")
    assert elapsed >= 1000
    assert all(low * elapsed <= n * 1000 for low, n in zip((25, 25, 25, 120), seen, strict=True)), (seen, elapsed)
    assert max(seen[:3]) * 1000 < 80 * elapsed, (seen, elapsed)


def test_netfilter(bench: Bench) -> None:
    """Packets are seen, and (in guru mode) dropped."""
    script = """
        global bytes, dropped
        probe netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_IPV4") { bytes += $skb->len }
        probe netfilter.pf("NFPROTO_IPV4").hook("NF_INET_LOCAL_OUT").priority("NF_IP_PRI_FIRST") {
            if (bytes >= 168) { $verdict = 0; dropped++ }
        }
        probe end { println(bytes); println(dropped) }
    """
    command = "ifconfig lo up; ping -c 1 127.0.0.1; ping -c 1 -W 1 127.0.0.1; exit 0"
    done = bench.run(script, f"({command}) > /dev/null 2>&1; true", "-g")
    assert done.stdout.split() == [b"168", b"1"]


def test_perf_samples(bench: Bench) -> None:
    """The software clock samples whoever runs; an event that the machine lacks is a warning."""
    script = """
        global a, b
        probe perf.type(1).config(0).hz(200) { a++ } probe perf.type(1).config(0).sample(2000000) { b++ }
        probe end { println(a > 5); println(b > 5) }
    """
    assert bench.numbers(script, BUSY) == [1, 1]
    done = bench.run("global n probe perf.type(0).config(0) { n++ } probe end { println(n) }", "true")
    assert b"is not supported by this kernel" in done.stderr


def test_watched_memory(bench: Bench) -> None:
    """The clock's tick writes jiffies; new processes are counted by the kernel."""
    script = """
        global ticks, forks
        probe kernel.data("jiffies").write { ticks++ } probe kernel.data("total_forks").rw { forks++ }
        probe end { println(ticks > 20); println(forks >= 40) }
    """
    assert bench.numbers(script, READS + "; sleep 0.5") == [1, 1]


def test_module_functions(bench: Bench) -> None:
    """Functions of a module that comes after the start."""
    name = "dummy"
    guest = bench.guests.get(bench.series)
    folder = guest.kernel.modules_dir
    assert folder is not None
    from tests.vm.test_engines import module_file

    guest.put("/tmp/dummy.ko", module_file(guest, name))
    script = f"""
        global n, r
        probe module("{name}").function("{name}_*") {{ n[ppfunc()]++ }}
        probe module("{name}").function("{name}_setup").return {{ r++ }}
        probe end {{ println(n["{name}_setup"]); println(r) }}
    """
    assert bench.numbers(
        script, "insmod /tmp/dummy.ko numdummies=2; rmmod dummy; insmod /tmp/dummy.ko; rmmod dummy"
    ) == [3, 3]


def test_the_stack_within_a_module(bench: Bench) -> None:
    """Frames of a module have its name in every form of the stack; between them lie those of the kernel."""
    guest = bench.guests.get(bench.series)
    from tests.vm.test_engines import module_file

    guest.put("/tmp/dummy.ko", module_file(guest, "dummy"))
    script = """
        global hits
        probe module("dummy").function("dummy_setup") {
            if (hits++) next
            printf("%s %s %s\\n", symname(addr()), modname(addr()), probemod())
            println("syms"); print_syms(backtrace())
            println("backtrace"); print_backtrace()
            println("text"); print(sprint_backtrace())
            println("texts"); print(sprint_syms(backtrace()))
            println("callers"); print_syms(callers(2))
            println("caller ", caller())
        }
    """
    done = bench.run(script, "insmod /tmp/dummy.ko numdummies=1; rmmod dummy")
    assert (done.stderr, done.status) == (b"", 0)
    out = done.stdout.decode()
    parts = re.split(r"^(syms|backtrace|text|texts|callers|caller) ?(?:\n|(?=alloc))", out, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert parts[0] == "dummy_setup dummy dummy\n"
    assert found["backtrace"] == found["syms"]
    assert found["text"] == found["texts"], out
    frames = re.findall(r"(\w+)\+0x[0-9a-f]+/0x[0-9a-f]+ \[(\w+)\]", found["syms"])
    assert frames[:2] == [("dummy_setup", "dummy"), ("alloc_netdev_mqs", "kernel")]
    assert ("do_one_initcall", "kernel") in frames
    assert [m for _, m in frames[2 : frames.index(("do_one_initcall", "kernel"))]].count("dummy") >= 1
    assert re.findall(r"^(\w+)\+0x[0-9a-f]+ \[(\w+)\]$", found["text"], re.MULTILINE) == frames, out
    assert found["callers"] == "".join(found["syms"].splitlines(keepends=True)[:3])
    assert re.fullmatch(r"alloc_netdev_mqs 0x[0-9a-f]{16}\n", found["caller"])
