"""Which processes a probe of a program hits, how fast many are armed, and what gdb says of the same program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from tests.support.gdb import AT_EACH, MARK, answers
from tests.support.kernels import RUNNER
from tests.vm.conftest import PYTHON, SOURCES, Bench

pytestmark = pytest.mark.vm

THOUSANDS = """
    global hits, start, stop, ticks
    probe process("/usr/bin/python3").function("*") { hits++ }
    probe begin { start = gettimeofday_ms(); println("begun"); nice = task_nice(task_current()) }
    probe timer.ms(1) { if (!ticks++) printf("armed %d\\n", gettimeofday_ms() - start) }
    probe end { printf("hits %d\\n", hits); if (task_nice(task_current()) != nice) println("not as nice as before") }
    global nice
"""


COUNTING = "cat /proc/uptime; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; cat /proc/uptime"
COUNTED = 0.5  # seconds, where the machine does nothing else


def slowness(*pairs: tuple[str, str]) -> float:
    """How much slower than otherwise the guest is while this machine is busy, by what it took to count."""
    return max(1.0, *((float(b.split()[0]) - float(a.split()[0])) / COUNTED for a, b in pairs))


def test_thousands_of_points(bench: Bench) -> None:
    """Every function of a large program that runs already is armed, and disarmed, within seconds."""
    module = bench.compile(THOUSANDS)
    guest = bench.guest()
    guest.put("/tmp/thousands.ko", module.read_bytes())
    guest.sh(f"sleep 1000 | {PYTHON} -IS -c 'import sys; sys.stdin.read()' 2>/dev/null & sleep 1")
    script = f"{PYTHON} -IS -c 6*7 2>/dev/null; cat /proc/uptime > /tmp/ended"
    show = f"cat /tmp/ended; {COUNTING}; killall sleep"
    done = guest.sh(f"{COUNTING}; {RUNNER} -c '{script}' /tmp/thousands.ko; {show}", timeout=120)
    begins, begin, begun, armed, hits, ended, gone, counted = done.stdout.decode().splitlines()
    assert (begun, done.stderr) == ("begun", b"")
    slow = slowness((begins, begin), (gone, counted))
    assert int(armed.removeprefix("armed ")) < 5000 * slow
    assert int(hits.removeprefix("hits ")) > 10000
    assert float(gone.split()[0]) - float(ended.split()[0]) < 5 * slow


def test_interrupted_while_arming(bench: Bench) -> None:
    """^C ends the arming of thousands of points in a process that is kept busy. It comes without a fork."""
    module = bench.compile(THOUSANDS + 'probe process("/usr/bin/python3").function("*").return { hits++ }')
    guest = bench.guest()
    guest.put("/tmp/thousands.ko", module.read_bytes())
    busy = f"{PYTHON} -IS -c 'while True: pass' 2>/dev/null & " * 2
    begins, begin = guest.sh(f"{COUNTING}; {busy} sleep 1").stdout.decode().splitlines()
    run = f"rm -f /tmp/said; mkfifo /tmp/said; {RUNNER} /tmp/thousands.ko > /tmp/said & p=$!; exec 3< /tmp/said"
    interrupt = "read begun <&3; read killed rest < /proc/uptime; kill -INT $p; cat <&3; wait $p"
    done = guest.sh(f"{run}; {interrupt}; echo $? $begun $killed; cat /proc/uptime", timeout=120)
    end, ended = guest.sh(f"killall {os.path.basename(PYTHON)}; {COUNTING}").stdout.decode().splitlines()
    hits, last, gone = done.stdout.decode().splitlines()
    status, begun, killed = last.split()
    assert (status, begun, hits, done.stderr) == ("0", "begun", "hits 0", b"")
    slow = slowness((begins, begin), (end, ended))
    assert float(gone.split()[0]) - float(killed) < 5 * slow
    assert guest.sh("grep -q ^stap_ /proc/modules").status == 1


STRADDLING = """
    global served, strange, begun, armed, first, points
    probe process("PROGRAMS/rests").function("rest").return { served++; strange += @entry(gettimeofday_us()) < begun }
    probe process("/usr/bin/python3").function("_Py*") { points++ }
    probe begin { begun = gettimeofday_us() }
    probe timer.ms(1) { if (!armed) armed = gettimeofday_ms() }
    probe timer.ms(400) { if (!first) first = gettimeofday_ms() }
    probe timer.s(1) { exit() }
    probe end { println(served > 0, " ", strange, " ", first - armed >= 390, " ", points >= 0) }
"""


def test_calls_and_intervals_that_begin_while_the_session_starts(bench: Bench) -> None:
    """A return whose entry was not served is not, either; the first interval of a timer begins when all is armed."""
    bench.guest().put("/tmp/straddling.ko", bench.compile(STRADDLING).read_bytes())
    calls = f"{bench.programs}/rests & {bench.programs}/rests & {PYTHON} -IS -c 'while True: pass' 2>/dev/null &"
    over = f"killall rests {os.path.basename(PYTHON)}"
    done = bench.guest().sh(f"{calls} sleep 0.5; {RUNNER} /tmp/straddling.ko; {over}", timeout=120)
    assert (done.stdout, done.stderr) == (b"1 0 1 1\n", b"")


def test_a_process_whose_first_thread_has_ended(bench: Bench) -> None:
    script = """
        probe process("PROGRAMS/rests").begin { println("begins") }
        probe process("PROGRAMS/rests").thread.begin { println("a thread begins") }
        probe process("PROGRAMS/rests").thread.end { println("a thread ends") }
        probe process("PROGRAMS/rests").end { println("ends"); exit() }
        probe timer.ms(500) { system("killall rests") }
    """
    bench.guest().put("/tmp/first.ko", bench.compile(script).read_bytes())
    done = bench.guest().sh(f"{bench.programs}/rests & sleep 0.3; {RUNNER} /tmp/first.ko", timeout=60)
    assert done.stdout.decode().splitlines() == ["begins", "a thread begins", "a thread ends", "ends"]


def test_two_thousand_short_lives(bench: Bench) -> None:
    """No end is missed, and none comes twice: what the beginnings kept is gone when all have ended."""
    script = """
        global live, begins, ends, strange
        probe process("PROGRAMS/threads").begin { begins++; strange += pid() in live; live[pid()] = 1 }
        probe process("PROGRAMS/threads").end { ends++; strange += !(pid() in live); delete live[pid()] }
        probe end { foreach (p in live) left++; printf("%d %d left %d strange %d\\n", begins, ends, left, strange) }
        global left
    """
    guest = bench.guest()
    processes = "ls /proc | grep -c '^[0-9]'"
    before = int(guest.sh(processes).stdout)
    assert bench.run(script, "PROGRAMS/threads 0 2000", "-DMAXTRYLOCK=1000000") == ["2001 2001 left 0 strange 0"]
    assert int(guest.sh(processes).stdout) <= before + 3  # workers of the kernel's own


def test_semaphore_of_a_process_that_runs_on(bench: Bench) -> None:
    """It was started before, its counter goes up when the probe is armed and down when the session ends."""
    guest = bench.guest()
    guest.sh(f"{bench.programs}/waits 4000 > /tmp/beats & sleep 0.2")
    lines = bench.run('probe process("PROGRAMS/waits").mark("beat") { printf("%d\\n", $arg1) }', "sleep 0.5")
    beats = guest.sh("sleep 0.3; killall waits; cat /tmp/beats").stdout.decode().split()
    up = "".join(beats).strip("0")  # the counter goes up and down a moment apart from the breakpoint
    assert set(up) == {"1"}
    assert len(up) - len(lines) in (0, 1, 2)
    assert beats[0] == beats[-1] == "0"
    assert [int(x) for x in lines] == list(range(int(lines[0]), int(lines[0]) + len(lines)))
    assert len(lines) > 2


def test_backtrace_through_a_library_without_frame_pointers(bench: Bench) -> None:
    script = """
        probe process("PROGRAMS/uses_five").library("libfive.so").function("five") { print_ubacktrace_brief() }
        probe process("PROGRAMS/uses_five").library("libfive.so").function("four").return { println("back") }
    """
    lines = bench.run(script, "PROGRAMS/uses_five", "--ldd")
    frames = [line.partition("+")[0] for line in lines if "+0x" in line]
    assert frames[:6] == ["five", "four", "three", "two", "one", "main"]
    assert frames[-1] == "_start"
    assert "back" in lines


def test_before_and_after_a_program_starts(bench: Bench) -> None:
    """One process runs already, one is started meanwhile, one becomes the program by exec; children count too."""
    script = """
        probe process("PROGRAMS/t").function("leaf").call { leaves[pid()]++ }
        probe process("PROGRAMS/waits").function("beat").call { beats[pid()]++ }
        global leaves, beats
        probe end {
            foreach (p in leaves) total += leaves[p]
            foreach (p in beats) processes++
            foreach (p in beats) changed += p in leaves
            printf("%d %d %d\\n", total, processes, changed)
        }
        global total, processes, changed
    """
    guest = bench.guest()
    guest.sh(f"{bench.programs}/waits 4000 > /dev/null & sleep 0.2")
    lines = bench.run(script, "PROGRAMS/waits 2 PROGRAMS/t; PROGRAMS/t")
    guest.sh("killall waits")
    assert lines[-1] == "4 2 1"


def test_the_file_decides_not_its_path(bench: Bench) -> None:
    """In a chroot, in a mount namespace under another path, and after its name was removed."""
    script = """
        probe process("PROGRAMS/waits").function("beat") { seen[execname()] = 1 }
        probe process("PROGRAMS/waits").begin { begins++ }
        probe process("PROGRAMS/waits").library("nosuch*").function("*") ? {}
        global seen, begins
        probe end { foreach (name+ in seen) println(name); println(begins) }
    """
    guest = bench.guest()
    waits = bench.programs / "waits"
    guest.sh(f"mkdir -p /tmp/root /tmp/ns; ln {waits} /tmp/root/jailed; ln {waits} /tmp/removed")
    guest.put(
        "/tmp/places.sh",
        f"""
        chroot /tmp/root /jailed 2
        unshare -m sh -c 'mount --bind {waits} /tmp/removed; cd /tmp; exec ./removed 1'
        ln {waits} /tmp/gone; /tmp/gone 4 & sleep 0.1; rm /tmp/gone; wait
    """.encode(),
    )
    assert bench.run(script, "sh /tmp/places.sh > /dev/null") == ["gone", "jailed", "removed", "3"]


def test_a_process_by_number_whose_file_is_gone(bench: Bench, tmp_path: Path) -> None:
    """What runs is probed, whatever lies at its path now: here and in the guest the same number."""
    own = tmp_path / "own"
    shutil.copy(bench.programs / "waits", own)
    with subprocess.Popen([own, "400"], stdout=subprocess.DEVNULL) as process:
        own.unlink()
        module = bench.compile(f'probe process({process.pid}).function("beat").call {{ printf("%d\\n", $n) exit() }}')
        process.kill()
    guest = bench.guest()
    guest.put("/tmp/number.ko", module.read_bytes())
    script = f"""
        cp {bench.programs}/waits /tmp/own
        echo 4194304 > /proc/sys/kernel/pid_max
        while echo {process.pid - 1} > /proc/sys/kernel/ns_last_pid; do
            /tmp/own 400 > /dev/null &
            [ $! = {process.pid} ] && break
            kill $!    # somebody else was faster
        done
        echo $!
        until [ $(readlink /proc/$!/exe) = /tmp/own ]; do :; done
        rm /tmp/own
        {RUNNER} /tmp/number.ko
        status=$?
        kill $!
        exit $status
    """
    done = guest.sh(script, timeout=60)
    pid, beat = done.stdout.split()
    assert int(pid) == process.pid
    assert int(beat) > 0
    assert (done.stderr, done.status) == (b"", 0)


def test_ways_to_name_a_program(
    programs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By PATH, by a glob, by braces, by a script that it runs; a link and its file are one."""

    def listed(point: str) -> list[str]:
        assert cli.main(["-l", point]) == 0
        return capsys.readouterr().out.replace(str(programs), "P").splitlines()

    monkeypatch.setenv("PATH", str(programs), prepend=":")
    one = [f'process("P/t").function("leaf@{SOURCES}/t.c:5")']
    assert listed('process("t").function("leaf")') == one
    (tmp_path / "script").write_text(f"#!{programs}/t -x\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "outer").write_text(f"#! /usr/bin/env {tmp_path}/script\n")
    (tmp_path / "link").symlink_to(programs / "t")
    for name in ("script", "link"):
        assert listed(f'process("{tmp_path}/{name}").function("leaf")') == one
    both = [f'process("P/{p}").function("main@{SOURCES}/plain.c:23")' for p in ("plain", "slow")]
    assert listed(f'process("{programs}/{{plain,slow}}").function("main")') == both
    assert listed(f'process("{programs}/[ps]l*[nw]").function("main")') == both


def test_a_32_bit_program(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = tmp_path / "old"
    program.write_bytes(b"\x7fELF\x01\x01\x01".ljust(64, b"\0"))
    program.chmod(0o755)
    assert cli.main(["-p2", "-e", f'probe process("{program}").function("main") {{}}']) == 1
    assert f"{program} is a 32-bit program: only 64-bit ones can be probed" in capsys.readouterr().err


GDB = AT_EACH + """\
    block, found = frame.block(), {{}}
    while True:
        for symbol in block:
            if symbol.is_argument or symbol.is_variable:
                value = symbol.value(frame)
                if symbol.name not in found and not value.is_optimized_out:
                    found[symbol.name] = int(value) & 0xFFFFFFFFFFFFFFFF
        if block.function is not None:
            break
        block = block.superblock
    print("@", hex(gdb.selected_frame().pc()), *sorted(f"{{n}}={{v:#x}}" for n, v in found.items()))
    gdb.execute("continue")
"""


def test_locals_are_what_gdb_says(bench: Bench, tmp_path: Path) -> None:
    """At each line of an optimized function: every variable that gdb knows, with its value."""
    script = """
        probe process("PROGRAMS/exact").statement("sum@*:*"), process("PROGRAMS/exact").function("other") {
            printf("@ %#x %s\\n", uaddr(), $$vars)
        }
    """
    ours = [line.removeprefix(MARK) for line in bench.run(script, "PROGRAMS/exact") if line.startswith(MARK)]
    addresses = sorted({line.split()[0] for line in ours})
    theirs = answers(bench.programs / "exact", GDB.format(addresses=addresses), tmp_path)
    assert len(addresses) > 3
    assert [line.split()[0] for line in ours] == [line.split()[0] for line in theirs]
    known = 0
    for mine, other in zip(ours, theirs, strict=True):
        values = dict(re.findall(r"(\w+)=(0x[0-9a-f]+)", mine))
        for name, value in re.findall(r"(\w+)=(0x[0-9a-f]+)", other):
            mask = 0xFFFFFFFF if name in ("n", "scale", "total") else 0xFFFFFFFFFFFFFFFF
            assert int(values[name], 16) & mask == int(value, 16) & mask, (mine, other)
            known += 1
    assert known > 10


def test_containers_of_one_image(bench: Bench) -> None:
    """Programs on overlays: the file of the layer that they share counts, a copy in an upper layer does not."""
    waits = bench.programs / "waits"
    script = f"""
        probe process("{waits}").function("beat") {{ beats[execname()]++ }}
        probe process("{waits}").begin {{ begins[execname()]++ }}
        probe process("{waits}").end {{ ends++ }}
        probe process("{waits}").syscall {{ calls[execname()]++ }}
        global beats, begins, ends, calls
        probe end {{
            foreach (name+ in begins) println(name, " ", begins[name], " ", beats[name], " ", calls[name] > 0)
            println(ends)
        }}
    """
    guest = bench.guest()
    setup = f"""
        mkdir -p /tmp/box && mount -t tmpfs box /tmp/box && cd /tmp/box && mkdir image one two up1 up2 work1 work2
        cp {waits} image/first && ln image/first image/second && ln image/first image/changed
        mount -t overlay -o lowerdir=image,upperdir=up1,workdir=work1 overlay one
        mount -t overlay -o lowerdir=image,upperdir=up2,workdir=work2 overlay two
        cp -p one/changed one/copy && mv one/copy one/changed
        cp {waits} /tmp/waits.kept && mount --bind image/first {waits}
    """
    assert guest.sh(setup).stderr == b""
    try:
        command = (
            "sh -c 'cd /tmp/box; chroot one /first 2; unshare -p -f -m chroot two /second 3; chroot one /changed 5'"
        )
        lines = bench.run(script, f"{command} > /dev/null")
    finally:
        guest.sh(f"umount {waits}; cd /tmp/box; umount one two; cd /; umount /tmp/box")
    assert lines == ["first 1 2 1", "second 1 3 1", "2"]


def test_names_outlive_their_processes(bench: Bench) -> None:
    """Addresses that were kept are functions and lines at the end, when the processes that had them are gone."""
    script = """
        probe process("PROGRAMS/t").function("leaf").call {
            calls[ubacktrace()]++
            places[uaddr()] = pid()
        }
        probe process("PROGRAMS/fixed").function("leaf").call { places[uaddr()] = pid() }
        global calls, places, shown
        probe end {
            foreach (stack in calls) shown[sprint_usyms(stack)] += calls[stack]
            foreach (text in shown) printf("%s", text)
            foreach (address in places)
                printf("%s %s %s %s\\n", usymname(address), umodname(address), usymdata(address), usymfileline(address))
        }
    """
    command = "PROGRAMS/t > /dev/null; PROGRAMS/t > /dev/null; PROGRAMS/fixed > /dev/null"
    lines = bench.run(script, command, "-d", "/usr/lib/x86_64-linux-gnu/libc.so.6")
    stack = [line.partition("+")[0] for line in lines if line.endswith(" [t]")]
    assert stack[:7] == ["leaf", "mid", "rec", "rec", "rec", "rec", "main"]
    found = sorted(
        line.replace(str(bench.programs), "P").replace(str(SOURCES), "S") for line in lines if "leaf " in line
    )
    assert [re.sub(r"0x\w+ ", "", line) for line in found] == [
        "leaf fixed leaf+0x0/[P/fixed] S/t.c:5",
        "leaf t leaf+0x0/[P/t] S/t.c:5",
        "leaf t leaf+0x0/[P/t] S/t.c:5",
    ]


def test_calls_that_do_not_return_in_order(bench: Bench) -> None:
    """longjmp, deep recursion, signals on another stack, coroutines, threads, vfork, seccomp: the program lives on."""
    functions = "jumper deep handler interrupted turn work".split()
    script = f"""
        probe {", ".join(f'process("PROGRAMS/twists").function("{f}").call' for f in functions)} {{ calls[ppfunc()]++ }}
        probe {", ".join(f'process("PROGRAMS/twists").function("{f}").return' for f in functions)} {{
            returns[ppfunc()]++
        }}
        probe process("PROGRAMS/twists").function("work").return {{ wrong += $return != @entry($n) + 1 }}
        probe process("PROGRAMS/twists").thread.begin {{ threads++ }}
        probe process("PROGRAMS/twists").thread.end {{ thread_ends++ }}
        probe process("PROGRAMS/twists").begin {{ begins++ }}
        probe process("PROGRAMS/twists").end {{ ends++ }}
        global calls, returns, wrong, threads, thread_ends, begins, ends
        probe end {{
            foreach (name+ in calls) println(name, " ", calls[name], " ", returns[name])
            println(wrong, " ", threads, " ", thread_ends, " ", begins, " ", ends)
        }}
    """
    done = bench.finish(script, "PROGRAMS/twists", "-DMAXTRYLOCK=100000")
    lines = done.stdout.decode().splitlines()
    own = ["jumped 5 deep 200", "handled 5", "vfork 7", "strict 5"]
    assert [line for line in lines if line in own] == own
    assert [line for line in lines if line not in own] == [
        "deep 201 64",
        "handler 5 5",
        "interrupted 5 5",
        "jumper 25 0",
        "turn 3 3",
        "work 405 405",
        "0 8 8 6 6",
    ]
    assert b": 137 returns of calls inside of 64" in done.stderr
    assert b" others were not seen: the kernel follows no more of them" in done.stderr
    assert re.search(rb"WARNING: Skipped due to missed uretprobe on 'process\(.*\.return': 137\n", done.stderr)
    assert done.status == 0


@pytest.mark.parametrize("program", ["throws", "throws_static"])
def test_exceptions_pass_probed_returns(bench: Bench, program: str) -> None:
    """They leave some calls, which do not return, and change nothing for the others: not even inside of a catch."""
    names = ("thrower", "cleaner", "guarded", "middle", "again", "down", "inner", "outer", "work", "main")
    points = [f'process("PROGRAMS/{program}").function("{name}")' for name in names]
    script = f"""
        global calls, returns, wrong
        probe {", ".join(f"{p}.call" for p in points)} {{ calls[ppfunc()] <<< 1 }}
        probe {", ".join(f"{p}.return" for p in points)} {{ returns[ppfunc()] <<< 1 }}
        probe process("PROGRAMS/{program}").function("inner").return {{
            if ($return != @entry($n) + (@entry($n) % 2 ? 1000 : 4)) wrong <<< 1
        }}
        probe process("PROGRAMS/{program}").function("cleaner").return {{
            if ($return != @entry($n) + (@entry($n) % 2 ? 2 : 1)) wrong <<< 1
        }}
        probe end {{
            foreach (name+ in calls) println(name, " ", @count(calls[name]), " ", @count(returns[name]))
            println(@count(wrong))
        }}
    """
    assert sorted(bench.run(script, f"PROGRAMS/{program}")) == sorted([
        "sum 42600",
        "again 320 160",
        "cleaner 640 640",
        "down 3520 1760",
        "guarded 320 160",
        "inner 320 320",
        "main 1 1",
        "middle 320 160",
        "outer 160 160",
        "thrower 960 400",
        "work 4 4",
        "0",
    ])  # fmt: skip


def test_an_exception_after_the_session(bench: Bench) -> None:
    """Calls that were under way when their return was still probed: the session has put back what it found."""
    points = [f'process("PROGRAMS/throws_late").function("{name}")' for name in ("inner", "middle", "outer", "main")]
    script = f"""
        probe {", ".join(f"{p}.return" for p in points)} {{ println(ppfunc()) }}
        probe {points[0]}.call {{ exit() }}
        probe procfs("armed").read {{ $value = "armed\\n" }}  # comes when all else is armed
    """
    module = bench.compile(script)
    guest = bench.guest()
    guest.put("/tmp/late.ko", module.read_bytes())
    armed = "until cat /proc/systemtap/*/armed 2> /dev/null; do usleep 10000; done"
    start = f"{RUNNER} /tmp/late.ko > /tmp/late & r=$!; {armed}"
    program = f"{bench.programs}/throws_late & p=$!; wait $r; cat /tmp/late; kill -USR1 $p; wait $p; echo $?"
    done = guest.sh(f"{start}; {program}", timeout=60)
    assert (done.stdout, done.stderr) == (b"armed\n-4\n0\n", b"")


def test_exec_in_a_thread(bench: Bench) -> None:
    """All threads end, that which became the new program too; then the process ends and begins as that."""
    script = """
        probe process("PROGRAMS/twists").begin, process("PROGRAMS/twists").end, process("PROGRAMS/twists").thread.begin,
              process("PROGRAMS/twists").thread.end, process("PROGRAMS/t").begin, process("PROGRAMS/t").end {
            println(pp())
        }
    """
    lines = bench.run(script, "PROGRAMS/twists PROGRAMS/t > /dev/null")
    assert [re.sub(r'.*/(\w+)"\)', r"\1", line) for line in lines] == [
        "twists.begin",
        *["twists.thread.begin"] * 2,
        *["twists.thread.end"] * 2,
        "twists.end",
        "t.begin",
        "t.end",
    ]


def test_backtrace_through_a_signal(bench: Bench) -> None:
    """From a handler on its own stack through the frame that the kernel made to what was interrupted."""
    script = """
        probe process("PROGRAMS/twists").function("handler").call { if (!times++) print_ubacktrace_brief() }
        global times
    """
    lines = bench.run(script, "PROGRAMS/twists", "-d", "/usr/lib/x86_64-linux-gnu/libc.so.6")
    names = [line.partition("+")[0] for line in lines]
    assert names.index("handler") < names.index("interrupted") < names.index("main") < names.index("_start")
