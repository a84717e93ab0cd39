"""What functions say of a process's memory and times, beside /proc's."""

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
