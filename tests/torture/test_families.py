"""Probes of every family beside each other in one session, in every context, with all that a handler may do in each."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap.providers.objects import libraries_of
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.torture.conftest import SECONDS, WATCHED, Figures, armed, checked, compiled

pytestmark = pytest.mark.vm

BUSY = Path(__file__).with_name("busy.c")
# A kernel that watches itself takes milliseconds for what others take microseconds for.
CLOCK, TICK, SAMPLE = (
    ("timer.us(40000)", "timer.ms(70)", 30000000) if WATCHED else ("timer.us(900)", "timer.ms(3)", 500000)
)
# Whatever is done in one of them meets what an interrupt does in another: arrays, statistics, strings, the output.
POINTS = {
    "kernel": """kernel.function("vfs_read"), kernel.function("vfs_write").return, kernel.function("do_mmap"),
        kernel.function("hrtimer_interrupt"), kernel.function("__schedule"), kernel.function("kfree"),
        kprobe.function("ksys_read"), kernel.trace("sched_switch"), kernel.trace("sys_enter"),
        kernel.trace("timer_expire_entry"), syscall.openat, nd_syscall.close, vm.pagefault""",
    "clocks": f"""timer.profile, {TICK}, {CLOCK}, timer.jiffies(9), timer.hz(30),
        perf.sw.cpu_clock.sample({SAMPLE}), perf.sw.page_faults.sample(3), perf.sw.context_switches.sample(2)""",
    "process": """process("BUSY").begin, process("BUSY").end, process("BUSY").thread.begin,
        process("BUSY").thread.end, process("BUSY").syscall, process("BUSY").syscall.return,
        process("/bin/busybox").begin, process("/bin/busybox").syscall""",
    "program": """process("BUSY").function("deep"), process("BUSY").function("deep").return,
        process("BUSY").function("work"), process("BUSY").function("caught"), process("BUSY").mark("deep"),
        process("BUSY").plt("mmap"), process("LIBC").function("munmap").call,
        process("LIBC").function("munmap").return""",
    "packets": """netfilter.hook("NF_INET_LOCAL_OUT").pf("NFPROTO_IPV4"),
        netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_IPV4").priority("50")""",
}
WORK = """{
    hits[pn()]++
    a[execname(), tid()] = n++
    s[pn(), cpu()] <<< n
    t <<< tid()
    str = sprintf("%s %d %p", execname(), tid(), n)
    if (n % 97 == 0) { printf("%s %s\\n", str, pn()) print_backtrace() print_ubacktrace() }
    if (n % 89 == 0) println(usymdata(uaddr()), " ", env_var("PATH"), " ", cmdline_str(), " ", sprint_ubacktrace())
    if (n % 83 == 0) println(task_execname(task_parent(task_current())), " ", task_cwd_path(task_current()))
    try { if (n % 11 == 0) println(user_string(uaddr()), kernel_string(n)) } catch { }
    try { if (n % 73 == 0) println(fullpath_struct_file(task_current(), task_fd_lookup(task_current(), 0))) } catch { }
    if (n % 499 == 0) { foreach ([p, c] in s-) printf("%s %d ", p, @avg(s[p, c])) println(@count(t)) }
    if (n % 701 == 0) { delete a delete s }
}"""
REST = """
probe kernel.data("jiffies").write { hits["kernel.data"]++ n++ if (n % 50 == 0) println(symname(addr())) }
probe procfs("number").read { hits["procfs.read"]++ $value = sprintf("%d\\n", n) }
probe procfs("number").write { hits["procfs.write"]++ n += strtol($value, 10) }
probe begin { println("begin") }
probe end { println() foreach (p in hits) printf("\\nhits\\t%s\\t%d", p, hits[p]) println("\\nevents\\t", n) }
"""
OTHERS = ("kernel.data", "procfs.read", "procfs.write")


@pytest.fixture(scope="module")
def busy() -> str:
    return str(compile_c(BUSY.read_text(), "-O1", "-pthread", name="busy.c"))


def script(busy: str, libc: str, *families: str) -> str:
    points = ",\n".join(POINTS[family] for family in families)
    head = "global hits, a%[200], s%[60], t, str, n\n"
    return f"{head}probe {points} {WORK}{REST}".replace("BUSY", busy).replace("LIBC", libc)


def run(guest: Guest, busy: str, seconds: int) -> dict[str, int]:
    """Both loads under the probes, while somebody reads and writes the script's files; returns the hits by point."""
    files = "file=$(echo /proc/systemtap/*/number); while cat $file 2> /dev/null; do echo 1 > $file; sleep 0.05; done"
    guest.put("/tmp/files", files.encode())
    both = f"sh /tmp/files & files=$!; /bin/armed; {busy} {seconds} & busy=$!; /bin/load {seconds}; wait $busy"
    both += "; kill $files; wait $files 2> /dev/null; true"
    guest.put("/tmp/both", both.encode())
    done = guest.sh("pystap-run -w -c 'sh /tmp/both' /tmp/stap_families.ko > /tmp/out; echo $?", timeout=900)
    assert (done.stderr, done.stdout) == (b"", b"0\n")
    lines = [line.split("\t") for line in guest.sh("grep -E '^(hits|events)' /tmp/out").stdout.decode().splitlines()]
    return {line[-2]: int(line[-1]) for line in lines}


def test_all_families_at_once(series: str, figures: Figures, busy: str, capsys: pytest.CaptureFixture[str]) -> None:
    libraries = libraries_of(busy)
    libc = str(libraries["libc.so.6"])
    module = compiled(series, capsys, script(busy, libc, *POINTS), "-DSTP_NO_OVERLOAD", "-DMAXSKIPPED=1000000000")
    points = [point.strip() for family in POINTS.values() for point in family.split(",")]
    wanted = {*OTHERS, *(point.replace("BUSY", busy).replace("LIBC", libc) for point in points)}
    with checked(series, figures, (busy, *map(str, libraries.values()))) as guest:
        guest.put("/tmp/stap_families.ko", module)
        hits: dict[str, int] = {}
        for seconds in (SECONDS, 10 * SECONDS):  # a kernel that watches itself on a busy machine does not get far
            hits |= run(guest, busy, seconds)
            figures.events += hits["events"]
            figures.probes += armed(guest)
            if wanted <= hits.keys():
                break
    assert wanted - hits.keys() == set()
