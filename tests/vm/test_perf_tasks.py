"""perf probes of tasks: counters that are read in a program's probes, samples of a program only."""

from __future__ import annotations

import re

import pytest

from pystap import cli
from tests.vm.conftest import PYTHON, Bench

pytestmark = pytest.mark.vm

TOUCH = 'process("PROGRAMS/touch")'


def test_page_faults_of_a_function(bench: Bench) -> None:
    """The program touches 10, 30, then in a thread 40, then in a child 50 pages that it has not touched before."""
    script = f"""
    probe perf.sw.page_faults.{TOUCH}.counter("faults") {{ println("a counter has no handler") }}
    probe {TOUCH}.function("touch").return {{
        printf("%d %d\\n", @entry($pages), @perf("faults") - @entry(@perf("faults")))
    }}
    probe {TOUCH}.end {{ printf("end %d\\n", @perf("faults")) }}
    """
    lines = [line.split() for line in bench.run(script, "PROGRAMS/touch")]
    taken = [(int(a), int(b)) for a, b in lines if a != "end"]
    assert [pages for pages, _ in taken] == [10, 30, 40, 50]
    assert all(pages <= faults <= pages + 2 for pages, faults in taken), "one or two are the probe's own"
    ends = [int(b) for a, b in lines if a == "end"]
    assert len(ends) == 2, "the child and the program"
    assert min(ends) >= 50
    assert max(ends) < 200


def test_counter_without_a_program(bench: Bench) -> None:
    """It counts the program whose probes read it, and starts at nothing in each thread; others are not counted."""
    script = f"""
    function faults() {{ return @perf("f") }}
    probe perf.type(1).config(2).counter("f") {{ }}
    probe {TOUCH}.function("touch").call {{ printf("%d %d\\n", $pages, @perf("f")) }}
    probe kernel.function("do_exit").call {{ if (execname() == "grep") println("grep ", faults()) }}
    """
    lines = [line.split() for line in bench.run(script, "PROGRAMS/touch; grep -c . /etc/passwd")]
    before = {a: int(b) for a, b in filter(lambda line: len(line) == 2, lines) if a.isdigit()}
    assert before["40"] <= 3, "a new thread"
    assert before["30"] - before["10"] in (10, 11, 12)
    assert ["grep", "0"] in lines


SOFTWARE = """
    perf.sw.cpu_clock perf.sw.task_clock perf.sw.page_faults perf.sw.page_faults_min perf.sw.page_faults_maj
    perf.sw.context_switches perf.sw.cpu_migrations perf.sw.alignment_faults perf.sw.emulation_faults
"""
OWN = 'process("PROGRAMS/own_counts")'


def test_counters_of_software_events(bench: Bench) -> None:
    """Each is what getrusage(2) and the program's own clock count meanwhile."""
    names = [alias.rpartition(".")[2] for alias in SOFTWARE.split()]
    script = "".join(f'probe {a}.{OWN}.counter("{n}") {{ }}\n' for a, n in zip(SOFTWARE.split(), names, strict=True))
    reads = "".join(f' if (@perf("{name}") >= 0) kept["{name}", $which] = @perf("{name}")\n' for name in names)
    script += f'global kept probe {OWN}.function("mark").call {{ {reads} }}\n'
    script += 'probe end { foreach ([n, w] in kept) if (w == 2) printf("%s %d\\n", n, kept[n, 2] - kept[n, 1]) }'
    lines = bench.run(script, "PROGRAMS/own_counts")
    minor, major, switches, ran = map(int, lines[0].split())
    counted = {name: int(number) for name, number in map(str.split, lines[1:])}
    assert set(counted) == set(names)
    assert 100 <= counted["page_faults_min"] <= minor <= counted["page_faults_min"] + 3
    assert counted["page_faults"] == counted["page_faults_min"] + counted["page_faults_maj"]
    assert counted["page_faults_maj"] == major
    assert 5 <= counted["context_switches"] <= switches <= counted["context_switches"] + 2
    assert counted["cpu_migrations"] == 6
    assert counted["alignment_faults"] == counted["emulation_faults"] == 0
    for name in ("cpu_clock", "task_clock"):
        assert ran * 0.8 < counted[name] <= ran * 1.05 + 10**6, name


def test_samples_of_a_program_only(bench: Bench) -> None:
    """The shell is busy, then becomes a program that is as busy, which gives none once its exec is done."""
    script = """
    global shell, other
    probe perf.sw.task_clock.process("/bin/busybox") { if (execname() == "sh") shell++; else if (user_mode()) other++ }
    probe end { println("samples ", shell > 5, " ", other) }
    """
    busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"
    lines = bench.run(script, f"sh -c '{busy}; exec {PYTHON} -SEc \"for i in range(300000): pass\" 2>/dev/null'")
    assert lines == ["samples 1 0"]


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('probe begin { println(@perf("nope")) }', "perf counter 'nope' not defined"),
        (
            'probe perf.type(1).config(2).process("/bin/ls").counter("a") { }'
            'probe process("/bin/cat").begin { println(@perf("a")) }',
            "perf counter 'a' not defined",
        ),
        ("probe perf.type(1).config(2).process { }", "unspecified process probe is invalid without a -c COMMAND"),
        ('probe perf.type(1).config(2).process("/bin/none").counter("a") { }', "cannot find executable '/bin/none'"),
    ],
)
def test_what_is_refused(script: str, message: str, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p2", "-r", series, "-e", script]) == 1
    assert message in capsys.readouterr().err


def test_a_counter_that_the_machine_lacks(bench: Bench) -> None:
    """Emulated machines have no counters of their own."""
    script = f"""
    probe perf.hw.cpu_cycles.{TOUCH}.counter("cycles") {{ }}
    probe {TOUCH}.function("touch") {{ n += @perf("cycles"); calls++ }}
    global n, calls probe end {{ println(n, " ", calls) }}
    """
    done = bench.finish(script, "PROGRAMS/touch")
    assert done.stdout == b"0 4\n"
    assert b'.counter("cycles")\' is not supported by this kernel (-2)' in done.stderr


def test_more_tasks_at_once_than_there_is_room_for(bench: Bench) -> None:
    """The room is taken away; who is not counted reads 0, and is told of in the end."""
    script = f"""
    probe perf.sw.page_faults.{TOUCH}.counter("faults") {{ }}
    probe {TOUCH}.function("touch").call {{ println(@perf("faults")) }}
    """
    done = bench.finish(script, "PROGRAMS/touch", "-DSTAP_PERF_WORKS=0")
    assert done.stdout == b"0\n0\n0\n0\n"
    said = r"WARNING: [1-9]\d* tasks began or ended without their counters: too many at once\n"
    assert re.fullmatch(said, done.stderr.decode())
