"""process().data: accesses to a program's memory by its threads, its children and the kernel, in guests."""

from __future__ import annotations

import re

import pytest

from pystap import cli
from tests.support.kernels import RUNNER
from tests.vm.conftest import SOURCES, Bench

pytestmark = pytest.mark.vm

WATCHED = """
    probe process("PROGRAMS/NAME").data("counter").write {
        printf("counter %d %s %s\\n", @var("counter"), tid() == pid() ? "main" : "thread",
               pid() == target() ? "target" : "child")
    }
    probe process("PROGRAMS/NAME").data("limit").rw {
        printf("limit %s %s\\n", user_mode() ? "user" : "kernel", user_string_n(&@var("limit"), 5))
    }
    probe process.data("letter").write { printf("letter %c %d\\n", @var("letter", "PROGRAMS/NAME"), user_mode()) }
"""


@pytest.mark.parametrize("name", ["watched", "watched_fixed"])
def test_who_writes(bench: Bench, name: str) -> None:
    """Each thread and child from its first instruction on; what the kernel copies; after an exec of itself, which
    writes nothing by itself."""
    lines = bench.run(WATCHED.replace("NAME", name), f"PROGRAMS/{name}", "-c", f"{bench.programs}/{name}")
    kernel = [line for line in lines if line.startswith("limit kernel")]
    assert [line for line in lines if line not in kernel] == [
        "counter 10 main target", "counter 20 thread target", "counter 30 main child", "limit user \a",
        "letter b 1", "counter 40 main target",
    ]  # fmt: skip
    assert kernel[-1] == "limit kernel Linux"


def test_more_than_there_are_registers(bench: Bench) -> None:
    """Four are served; the fifth is said to be none. A place by its address is the one of the symbol."""
    source = (SOURCES / "watched.c").read_text()
    names = ["counter", "limit", "first", "second", "third"]
    assert all(re.search(rf"\b{name}\b", source) for name in names)
    script = "".join(f'probe process("PROGRAMS/watched").data("{n}").write {{ println("{n}") }}' for n in names)
    done = bench.finish(script, "PROGRAMS/watched")
    assert done.status == 0
    refused = re.findall(r'Hwbkpt probe process\("[^"]*"\).data\("(\w+)"\).write: registration error \(rc -28\)',
                         done.stderr.decode())  # fmt: skip
    assert len(refused) == 1
    assert set(done.stdout.decode().split()) == set(names) - set(refused)


def test_attached_to_a_program(bench: Bench) -> None:
    """What runs already is watched as well: the process that is named, and no other of the same program."""
    script = """
        probe process("PROGRAMS/watched").data("counter").write { println("written ", pid() == target()) }
        probe process.data("first").rw { println("target's ", pid() == target()) }
        probe process.end { if (pid() == target()) exit() }
        probe timer.ms(200) { system(ticks++ ? "touch /tmp/w.go" : "touch /tmp/w.other") }
        global ticks
    """
    module = bench.compile(script, "-c", f"{bench.programs}/watched")
    guest = bench.guest()
    guest.put("/tmp/w.ko", module.read_bytes())
    guest.sh("rm -f /tmp/w.go /tmp/w.other")
    program = f"{bench.programs}/watched"
    start = f"{program} again /tmp/w.other & {program} again /tmp/w.go & echo $! > /tmp/w.pid"
    done = guest.sh(f"{start}; {RUNNER} -x $(cat /tmp/w.pid) /tmp/w.ko", timeout=60)
    lines = done.stdout.decode().splitlines()
    assert sorted(lines) == ["target's 1", "written 0", "written 1"]
    assert (done.stderr, done.status) == (b"", 0)


def test_part_of_a_variable(bench: Bench) -> None:
    """Three words: registers cover two, or four where that is asked for, and what they do not cover is said."""
    point = f'process("{bench.programs}/watched").data("three")'
    assert cli.main(["-p2", "-r", bench.series, "-e", f"probe {point}.write {{ println(1) }}"]) == 0
    assert "of the 6 bytes of 'three', debug registers watch the first 4" in bench.capsys.readouterr().err
    script = """
        probe process("PROGRAMS/watched").data("three").write { printf("%d\\n", @var("three")[1]) }
        probe process("PROGRAMS/watched").data("three").length(8).rw { printf("%d\\n", @var("three")[2]) }
    """
    first, second = script.strip().splitlines()
    assert bench.run(first, "PROGRAMS/watched") == ["5"]
    assert bench.run(second, "PROGRAMS/watched")[-1] == "6"


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ('process("PROGRAMS/watched").data("countre").write', "no data symbol 'countre' in"),
        ('process("PROGRAMS/libvalue.so").data("x").write', "is a library: only programs' own memory is watched"),
        ('process("PROGRAMS/watched").data(3).length(4).rw', "a watched place of 4 bytes must be aligned to 4"),
        ('process("PROGRAMS/watched").data(8).length(3).rw', "length must be one of 1, 2, 4, 8, not 3"),
        ('process("PROGRAMS/watched").data(-8).rw', "0xfffffffffffffff8 is not an address of a program's memory"),
        ('process.data("x").write', "process needs a program here"),
    ],
)
def test_what_is_refused(bench: Bench, point: str, reason: str) -> None:
    script = f"probe {point} {{ println(1) }}".replace("PROGRAMS", str(bench.programs))
    assert cli.main(["-p2", "-r", bench.series, "-e", script]) == 1
    assert reason in bench.capsys.readouterr().err
