"""What functions say of a process's memory, times and ids, beside /proc's and its own view."""

from __future__ import annotations

import pytest

from tests.vm.conftest import PYTHON, Bench

pytestmark = pytest.mark.vm

MEMORY = """
probe syscall.kill {
    if (sig != 0 || execname() != "sh")
        next
    printf("statm %d %d %d ", proc_mem_size(pid), proc_mem_rss(pid), proc_mem_shr(pid))
    printf("%d 0 %d 0\\n", proc_mem_txt(pid), proc_mem_data(pid))
    printf("times %d %d %d\\n", task_utime(pid), task_stime(pid), task_start_time(pid))
    println("text ", task_time_string_tid(pid))
    println("sizes ", proc_mem_string(pid))
}
"""
WORKS = "x = bytearray(9 << 20)\nfor k in range(0, 9 << 20, 64): x[k] = k & 1\nimport os\nos.kill(os.getpid(), 19)"
SHOWN = f"""{PYTHON} -IS /tmp/works 2> /dev/null &
until grep -q '^State:.T' /proc/$!/status; do sleep 0.1; done
kill -0 $!
cat /proc/$!/statm /proc/$!/stat /proc/$!/schedstat
kill -9 $!
"""


def sizes(pages: list[int]) -> str:
    """Numbers of pages as the functions tell them."""
    size, rss, shared, text, _, data, _ = ((p << 12) for p in pages)
    told = {"size": size, "rss": rss, "shr": shared, "txt": text, "data": data}
    return ", ".join(f"{n}: {v >> 20}m" if v >> 20 else f"{n}: {v >> 10}k" for n, v in told.items())


def test_memory_and_times(bench: Bench) -> None:
    """A stopped process's memory is its statm's, page for page; its time in programs and its start are its stat's."""
    bench.guest().put("/tmp/works", WORKS.encode())
    bench.guest().put("/tmp/command", SHOWN.encode())
    lines = bench.run(MEMORY, "sh /tmp/command > /tmp/known 2>&1")
    statm, stat, schedstat = bench.guest().sh("cat /tmp/known").stdout.decode().splitlines()[:3]
    told = dict(line.split(" ", 1) for line in lines)
    assert told["statm"] == statm
    assert int(statm.split()[1]) > (9 << 20) // 4096
    assert told["sizes"] == sizes([int(n) for n in statm.split()])
    utime, stime, start = map(int, told["times"].split())
    fields = stat.rsplit(")", 1)[1].split()  # from the third on
    ticks = {"utime": int(fields[11]), "stime": int(fields[12]), "start": int(fields[19])}
    assert 0 <= ticks["start"] - start // 10**7 <= 1
    ran = int(schedstat.split()[0])
    assert 0 < utime + stime < ran * 1.2 + 5 * 10**7  # ticks, of which a busy machine's guest gets too few
    whole = ticks["utime"] + ticks["stime"]  # the ticks' share of the time that the scheduler has measured
    assert abs(ticks["utime"] - whole * utime / (utime + stime)) < 3, told
    assert utime > stime
    wanted = (f"{t // 10**6 // 60000}m{t // 10**6 % 60000 / 1000:.3f}s" for t in (utime, stime))
    assert told["text"] == "usr: {}, sys: {}".format(*wanted)


IDS = """
probe syscall.kill {
    if (sig != 0 || !isinstr(execname(), "python"))
        next
    t = task_current()
    printf("%d %d %d %d %d ", ns_pid(), ns_tid(), ns_ppid(), ns_sid(), ns_pgrp())
    printf("%d %d %d %d\\n", ns_uid(), ns_euid(), ns_gid(), ns_egid())
    printf("%d %d %d %d ", task_ns_pid(t), task_ns_tid(t), task_ns_uid(t), task_ns_euid(t))
    printf("%d %d ", task_ns_gid(t), task_ns_egid(t))
    printf("%d\\n", pid() != ns_pid() && tid() != ns_tid() && uid() != ns_uid() && gid() != ns_gid())
}
"""
INSIDE = """import _thread, os
os.setresgid(9, 8, 0); os.setresuid(7, 6, 0)
if os.fork():
    os.wait(); os._exit(0)
os.setsid()
def said():
    os.kill(os.getpid(), 0)
    ids = os.getppid(), os.getsid(0), os.getpgid(0), *os.getresuid()[:2], *os.getresgid()[:2]
    print(os.getpid(), _thread.get_native_id(), *ids, flush=True)
    os._exit(0)
_thread.start_new_thread(said, ())
while True: pass
"""
SPACES = """unshare -U -p -f tail -f /dev/null > /dev/null 2>&1 &
until pidof tail > /dev/null; do sleep 0.1; done
for map in uid gid; do printf '0 1000 10\\n' > /proc/$(pidof tail)/${map}_map; done
pidof tail
"""


def test_ids_in_namespaces(bench: Bench) -> None:
    """With --target-namespaces each id is what a thread of those namespaces is told itself."""
    target = bench.guest().sh(SPACES, timeout=30).stdout.decode().strip()
    bench.guest().put("/tmp/inside", INSIDE.encode())
    command = f"sh -c 'nsenter -t {target} -U -p {PYTHON} -IS /tmp/inside > /tmp/known 2> /dev/null'"
    lines = bench.run(IDS, command, "-g", f"--target-namespaces={target}")
    known = bench.guest().sh(f"kill -9 {target}; cat /tmp/known").stdout.decode().split()
    pid, tid, *_, uid, euid, gid, egid = known
    assert pid != tid
    assert lines == [" ".join(known), f"{pid} {tid} {uid} {euid} {gid} {egid} 1"]
