"""Stacks of other tasks, and addresses in modules as functions and source lines, in guests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.kernels import SERIES, Guests, available, build_module
from tests.vm.test_families import Bench

pytestmark = pytest.mark.vm
XTUN = Path(__file__).resolve().parent / "mission" / "xtun"
FRAME = re.compile(r"\S+\+0x\w+/0x\w+")


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(series, guests, capsys)


@pytest.fixture(scope="module")
def xtun(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A module outside of the tree, for each kernel that is there."""
    return {
        series: build_module(XTUN, tmp_path_factory.mktemp("xtun") / "work", kernel)
        for series in SERIES
        if (kernel := available(series)) is not None
    }


def test_the_stack_of_another_task_is_what_proc_says(bench: Bench) -> None:
    """Of a thread of the kernel that nothing wakes and of a waiting shell; the current one's begins at its probe."""
    script = """
        probe begin {
            for (p = 2; p < 300; p++)
                if (pid2execname(p) == "kdevtmpfs")
                    print_syms(task_backtrace(pid2task(p)))
        }
        probe kernel.function("uptime_proc_show") {
            print_syms(task_backtrace(pid2task(target())))
            println(task_backtrace(task_current()) == backtrace() && backtrace() != "")
        }
        probe end {
            me = task_current()
            println(task_backtrace(0), task_backtrace(4096), task_backtrace(me + 64), task_backtrace(-1))
        }
    """
    stacks = "cat /proc/$(pidof kdevtmpfs)/stack /proc/$$/stack > /tmp/stacks"
    command = f"(sleep 0.3; cat /proc/uptime > /dev/null; {stacks}); :"
    done = bench.run(script, command)
    assert (done.stderr, done.status) == (b"", 0)
    ours = FRAME.findall(done.stdout.decode())
    theirs = FRAME.findall(bench.guests.sh(bench.series, "cat /tmp/stacks").stdout.decode())
    assert ours == theirs
    assert {"devtmpfsd", "do_wait"} <= {name.partition("+")[0] for name in ours}
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


def line_of(text: str, after: int = 0) -> int:
    """The line of xtun's source that a text stands in, or one after it."""
    source = (XTUN / "src" / "xtun_net.c").read_text().splitlines()
    return after + next(number for number, line in enumerate(source, 1) if text in line)


def test_addresses_in_a_module_outside_of_the_tree(bench: Bench, xtun: dict[str, Path]) -> None:
    """Its functions, the code that is there only while it starts, and its callers, each time that it is loaded."""
    module = xtun[bench.series]
    script = f"""
        probe module("{module}").function("start") {{ printf("%s\\n", symfileline(addr())) }}
        probe module("{module}").function("XtunRx") {{
            printf("%s %s %s %s\\n", symfile(addr()), symline(addr()), modname(addr()), probemod())
            print_backtrace_fileline()
            last = addr()
        }}
        probe end {{ printf("%d\\n", symfileline(last) == sprintf("0x%x", last)) }}
        global last
    """
    bench.guests.get(bench.series).put("/tmp/xtun.ko", module.read_bytes())
    turn = "insmod /tmp/xtun.ko; cat /proc/xtun > /dev/null; rmmod xtun\n"
    done = bench.run(script, turn * 2)
    assert (done.stderr, done.status) == (b"", 0)
    *lines, gone = done.stdout.decode().splitlines()
    assert gone == "1", "nothing is said of a module that is not there any more"
    half = len(lines) // 2
    for shown in (lines[:half], lines[half:]):
        begin, called = line_of("int XtunRx(", after=1), line_of("XtunRx(&state")  # where its { stands
        start, rx, entry, caller, *rest = shown
        folder = start.removesuffix(f"src/xtun_net.c:{line_of('int __init start(', after=1)}")
        file = f"{folder}src/xtun_net.c"
        assert rx == f"{file} {begin} xtun {module}"
        form = r" 0x[0-9a-f]{{16}} : {}\+0x[0-9a-f]+/0x[0-9a-f]+ \[{}\] at {}:{}"
        assert re.fullmatch(form.format("XtunRx", "xtun", re.escape(file), begin), entry)
        assert re.fullmatch(form.format("show", "xtun", re.escape(file), called), caller)
        assert all(re.match(r" 0x[0-9a-f]{16} : \w+\+0x\w+/0x\w+ \[kernel\]( at \S+:\d+)?$", line) for line in rest)
        assert any("seq_read_iter" in line for line in rest)
