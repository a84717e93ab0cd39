"""Probes of programs and libraries, in guests: each test compiles a script and runs a program that it probes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import RUNNER
from tests.vm.conftest import SOURCES, Bench

pytestmark = pytest.mark.vm

SCRIPTS = Path(__file__).parent.parent / "scripts" / "run"
INDENT = Path(__file__).parent.parent.parent / "tapsets" / "indent.stp"


CALLS = """
    probe begin { printf("===Monitor begin===\\n"); }
    probe end { printf("===Monitor end===\\n"); }
    probe process("PROGRAMS/calls").function("*@*calls.c").call, process("PROGRAMS/calls").function("*@*facts.c").call {
        funcname = probefunc();
        printf("%s->%s\\n", thread_indent(2), funcname);
    }
    probe process("PROGRAMS/calls").function("*@*calls.c").return,
          process("PROGRAMS/calls").function("*@*facts.c").return {
        thread_indent(-2);
    }
"""
TREE = """\
->main
  ->compare
  ->compare
  ->compare
  ->apply
    ->thrice
  ->apply
    ->twice
  ->fact
    ->fact
      ->fact
        ->fact
->worker
  ->fact
    ->fact
      ->fact"""


def test_calls_are_shown_as_a_tree(bench: Bench) -> None:
    """Example 1 of what pystap is for: recursion, threads, function pointers, callbacks from the C library."""
    lines = bench.run(CALLS, "PROGRAMS/calls")
    assert lines[0] == "6 8 15" or "6 8 15" in lines
    own = [line for line in lines if "->" in line]
    assert all(re.match(r" *\d+ calls\(\d+\):", line) for line in own)
    assert "\n".join(line.partition("):")[2] for line in own) == TREE
    assert [line for line in lines if "===" in line] == ["===Monitor begin===", "===Monitor end==="]


def test_indent_of_the_users_own(bench: Bench, tmp_path: Path) -> None:
    """Example 4: a copy of indent.stp without time stamps replaces the library's."""
    text = INDENT.read_text()
    own = re.sub(r'return sprintf\("%6d %s:%-\*s".*\)', 'return sprintf("%s:%-*s", desc, depth, "")', text)
    assert own != text
    (tmp_path / "indent.stp").write_text(own)
    lines = bench.run(CALLS, "PROGRAMS/calls", "-I", str(tmp_path))
    own_lines = [line for line in lines if "->" in line]
    assert all(re.match(r"calls\(\d+\): *->\w+$", line) for line in own_lines)
    assert "\n".join(line.partition("):")[2] for line in own_lines) == TREE


def test_variables_at_entry(bench: Bench) -> None:
    script = (SCRIPTS / "user_vars.stp").read_text().replace('"t"', '"PROGRAMS/t"')
    expected = (SCRIPTS / "user_vars.expect").read_text().partition("--- stdout\n")[2].splitlines()
    lines = [re.sub(r"0x5[56]\w{10}", "0x55", line) for line in bench.run(script, "PROGRAMS/t")]
    wanted = [re.sub(r"0x5[56]\w{10}", "0x55", line) for line in expected if line]
    source = str(SOURCES / "t.c")
    wanted = [w.replace("/DIR/t.c", source).replace("/DIR/t", f"{bench.programs}/t") for w in wanted]
    assert sorted(lines) == sorted(wanted)


def test_statement(bench: Bench) -> None:
    script = (SCRIPTS / "user_statement.stp").read_text().replace('"t"', '"PROGRAMS/t"')
    lines = bench.run(script, "PROGRAMS/t")
    assert f'process("{bench.programs}/t").statement("mid@{SOURCES}/t.c:6") x=0x0 loc=?' in lines


def test_returns_and_what_was_at_the_entry(bench: Bench) -> None:
    """The result, the arguments as they were, and a text that is kept from the entry."""
    script = """
        probe process("PROGRAMS/calls").function("fact").return { printf("%d! = %d %s\\n", $n, $return, $$return) }
        probe process("PROGRAMS/t").function("leaf").return {
            println($return, " ", $$parms, " ", @entry(user_string($s)))
        }
    """
    lines = bench.run(script, "PROGRAMS/calls; PROGRAMS/t")
    facts = [line for line in lines if "!" in line]
    expected = ["0! = 1 return=0x1", "1! = 1 return=0x1", "2! = 2 return=0x2", "3! = 6 return=0x6"]
    assert facts == expected + expected[:3]
    leaves = [line for line in lines if "x=0x" in line]
    assert [line.split()[0] for line in leaves] == ["6", "19"]
    assert [line.split()[-1] for line in leaves] == ["text", "more"]


def test_returns_do_not_break_the_program(bench: Bench) -> None:
    """_start has no return address to replace (argc is there), and setjmp keeps its own for the second return."""
    script = """
    probe process("PROGRAMS/jumps").function("*").return { println(probefunc()) }
    probe process("PROGRAMS/jumps").plt.return { println("stub ", probefunc()) }
    probe process("PROGRAMS/jumps").library("libc.so.6").function("*setjmp").return ? { println("setjmp") }
    """
    done = bench.finish(script, "PROGRAMS/jumps a b")
    assert b"main" in done.stdout.split()
    assert b"setjmp" not in done.stdout
    assert b"Child process exited with status 23" in done.stderr


def test_program_at_a_fixed_address(bench: Bench) -> None:
    script = 'probe process("PROGRAMS/fixed").function("rec").call { printf("%d %x\\n", $n, uaddr()) }'
    lines = [line.split() for line in bench.run(script, "PROGRAMS/fixed") if " " in line]
    assert [line[0] for line in lines] == ["3", "2", "1", "0"]
    assert all(int(line[1], 16) < 0x500000 for line in lines)


def test_unoptimized_code_inlines_labels(bench: Bench) -> None:
    """Arguments past the prologue, inlined copies, a label reached by goto, a static variable and a member of it."""
    script = """
        probe process("PROGRAMS/slow").function("sum").call { printf("slow %d\\n", $scale) }
        probe process("PROGRAMS/slow").function("sum").return { printf("back %d %d\\n", $scale, $return) }
        probe process("PROGRAMS/plain").function("area").inline { printf("area %s\\n", ppfunc()) }
        probe process("PROGRAMS/plain").function("sum").label("again") { again++ }
        probe process("PROGRAMS/plain").function("other").call {
            first = @var("second")->next == &@var("first")
            printf("%d %s %d\\n", @var("second")->y, @var("first@plain.c")->name$, first)
        }
        global again
        probe end { printf("again %d\\n", again) }
    """
    lines = bench.run(script, "PROGRAMS/slow; PROGRAMS/plain")
    assert [x for x in lines if x.startswith("slow")] == ["slow 10", "slow 2"]
    assert sorted(x for x in lines if x.startswith("back")) == ["back 10 -120", "back 2 36"]
    assert sorted(x for x in lines if x.startswith("area")) == ["area area"] * 3
    assert '6 "first" 1' in lines
    assert any(re.match(r"again [1-9]", x) for x in lines)


def test_stripped_program(bench: Bench) -> None:
    """Without symbols of its own, stubs and libraries can still be probed."""
    script = """
        probe process("PROGRAMS/stripped").plt("malloc") { printf("plt %s\\n", $$name) }
        probe process("PROGRAMS/stripped").library("libc*").function("malloc").call {
            if (pid() == target()) sizes[$bytes]++
        }
        global sizes
        probe end { printf("asked %d\\n", sizes[32]) }
    """
    if not Path("/usr/lib/debug/.build-id").exists():
        script = script.replace("$bytes", "uint_arg(1)")
    lines = bench.run(script, "PROGRAMS/stripped")
    assert "plt malloc" in lines
    assert "asked 1" in lines


def test_stub_returns(bench: Bench) -> None:
    script = 'probe process("PROGRAMS/plain").plt("malloc").return { printf("%s %d\\n", $$name, $return != 0) }'
    assert "malloc 1" in bench.run(script, "PROGRAMS/plain")


def test_library_in_unrelated_processes(bench: Bench) -> None:
    """A probe of the C library hits in every process that maps it; one of a program's library only in that program."""
    script = """
        probe process("/usr/lib/x86_64-linux-gnu/libc.so.6").function("malloc").call { all[execname()]++ }
        probe process("PROGRAMS/t").library("libc.so.6").function("malloc").call { one[execname()]++ }
        global all, one
        probe end {
            foreach (name+ in all) printf("%s %d\\n", name, all[name] > 0)
            foreach (name+ in one) printf("only %s\\n", name)
        }
    """
    lines = bench.run(script, "PROGRAMS/t; PROGRAMS/plain; PROGRAMS/calls")
    assert [x for x in lines if x.endswith(" 1")] == ["calls 1", "plain 1", "t 1"]
    assert [x for x in lines if x.startswith("only")] == ["only t"]


def test_called_from_somewhere(bench: Bench) -> None:
    """callee: the called function, only when that caller calls it."""
    script = """
        probe process("PROGRAMS/plain").function("other").callee("sum").call { printf("from other %d\\n", $scale) }
        probe process("PROGRAMS/plain").function("main").callee("sum").call { printf("from main %d\\n", $scale) }
    """
    lines = bench.run(script, "PROGRAMS/plain")
    assert sorted(x for x in lines if x.startswith("from")) == ["from main 2", "from other 10"]


def test_marks(bench: Bench) -> None:
    """Registers, memory, constants, a global by its name, an indexed operand: as the program computes them."""
    script = """
        probe process("PROGRAMS/marks").mark("many") { printf("%s.%s %s\\n", $$provider, $$name, $$vars) }
        probe process("PROGRAMS/marks").provider("prov").mark("sem") { printf("%d %s\\n", $arg1, user_string($arg2)) }
        probe process("PROGRAMS/marks").provider("oth*").mark("*") { none++ }
        global none
        probe end { printf("none %d\\n", none) }
    """
    lines = bench.run(script, "PROGRAMS/marks")
    many = "prov.many arg1=0xfffffffffffffffb arg2=0xfde8 arg3=0xfffffee08e04fb35 arg4=0x5 arg5={} arg6=0x4d"
    assert [x for x in lines if x.startswith("prov")] == [many.format(hex(k)) for k in (1, 2, 3)]
    assert [x for x in lines if x.endswith("hello")] == ["0 hello", "1 hello", "2 hello"]
    assert "none 3" in lines


def test_semaphores(bench: Bench) -> None:
    """The program's counter is up while the probe is armed, and down afterwards."""
    script = 'probe process("PROGRAMS/semaphore").mark("sem") { printf("hit %d\\n", $arg1) }'
    lines = bench.run(script, "PROGRAMS/semaphore")
    assert sorted(lines) == ["hit 0", "hit 1", "hit 2", *["semaphore 1"] * 3]
    assert bench.guest().run([str(bench.programs / "semaphore")]).stdout == b"semaphore 0\n" * 3


def test_backtrace(bench: Bench) -> None:
    script = (SCRIPTS / "user_backtrace.stp").read_text().replace('"t"', '"PROGRAMS/t"')
    expected = (SCRIPTS / "user_backtrace.expect").read_text()
    wanted = expected.partition("--- stdout\n")[2].partition("--- stderr")[0]
    done = bench.finish(script, "PROGRAMS/t")
    assert _places(done.stdout.decode()) == _places(wanted.replace("/DIR/t.c", f"{SOURCES}/t.c"))
    assert done.stderr.startswith(b"WARNING: Missing unwind data for a module, rerun with 'stap -d /usr/lib/")


def _places(text: str) -> list[str]:
    """Lines without addresses, sizes of functions and folders."""
    lines = [re.sub(r"0x[0-9a-f]{8,}|/0x[0-9a-f]+", "", line) for line in text.splitlines()]
    lines = [re.sub(r"(libc\S*)\+0x\w+", r"\1", re.sub(r"\[/\S*/(\w[^/]*)\]", r"[\1]", line)) for line in lines]
    return [re.sub(r"\[/\S*/(libc.so.6)", r"[\1", line).strip() for line in lines if line != "28" and line]


def test_backtrace_through_a_library(bench: Bench) -> None:
    """Code without frame pointers, called back by the C library, with a return probe in the way."""
    script = """
        probe process("PROGRAMS/calls_fast").function("compare") { if (!n++) print_ubacktrace_brief() }
        probe process("PROGRAMS/calls_fast").function("main").return { printf("main returns %d\\n", $return) }
        global n
    """
    lines = bench.run(script, "PROGRAMS/calls_fast", "--ldd")
    frames = [x.partition("+")[0] for x in lines if "+0x" in x]
    assert frames[0] == "compare"
    assert any("qsort" in f for f in frames)
    start = frames[frames.index("main") + 1 :]
    assert start[-1] == "_start"
    assert all(f.startswith("__libc_start") for f in start[:-1])  # two with the C library's own symbols, one without
    assert "main returns 0" in lines


def test_names_and_members_of_classes(bench: Bench) -> None:
    script = """
        probe process("PROGRAMS/klass").function("ns::Klass::method") {
            printf("%s %d %d %s %s\\n", usymname(uaddr()), $this->member, $this->base_member,
                   user_string($this->label), @defined($a) ? sprint($a) : "-")
        }
        probe process("PROGRAMS/klass").function("ns::twice<*") { printf("%s %d\\n", probefunc(), $x) }
        probe process("PROGRAMS/klass").function("byref") { printf("%s %d\\n", usymname(uaddr()), $k->member) }
    """
    lines = bench.run(script, "PROGRAMS/klass")
    lines.remove("211")  # what the program itself prints: 3 + 42 + 'k', 2 + 7, 4 + 4, 42
    assert lines == [
        "ns::Klass::method 42 7 klass 3",
        "ns::Klass::method 42 7 klass -",
        "ns::twice<int> 4",
        "ns::byref 42",
    ]


def test_names_of_classes_from_symbols_alone(bench: Bench) -> None:
    """The linker's names are found as they are, and as they are in the source; backtraces show the latter."""
    script = """
        probe process("PROGRAMS/klass_bare").function("Klass::method"),
              process("PROGRAMS/klass_bare").function("twice<*"),
              process("PROGRAMS/klass_bare").function("_ZN2ns5by*") {
            printf("%s %s\\n", probefunc(), usymname(uaddr()))
        }
    """
    lines = bench.run(script, "PROGRAMS/klass_bare")
    lines.remove("211")  # what the program itself prints: 3 + 42 + 'k', 2 + 7, 4 + 4, 42
    assert lines == [
        "ns::Klass::method ns::Klass::method",
        "ns::Klass::method ns::Klass::method",
        "ns::twice<int> ns::twice<int>",
        "_ZN2ns5byrefERNS_5KlassE ns::byref",
    ]


def test_lives_of_processes_and_threads(bench: Bench) -> None:
    """Every beginning has its end, in the context of whom it is about."""
    script = """
        global begins, ends, thread_begins, thread_ends, wrong
        probe process("PROGRAMS/threads").begin { begins++; wrong += execname() != "threads" || pid() != tid() }
        probe process("PROGRAMS/threads").end { ends++; wrong += execname() != "threads" }
        probe process("PROGRAMS/threads").thread.begin { thread_begins++; wrong += pid() == tid() }
        probe process("PROGRAMS/threads").thread.end { thread_ends++; wrong += pid() == tid() }
        probe end { printf("%d %d %d %d %d\\n", begins, ends, thread_begins, thread_ends, wrong) }
    """
    assert bench.run(script, "PROGRAMS/threads 20 300") == ["301 301 20 20 0"]


def test_system_calls(bench: Bench) -> None:
    script = """
        probe process("PROGRAMS/t").syscall {
            if ($syscall == 1) printf("write %d %s", $arg1, user_string_n($arg2, $arg3))
        }
        probe process("PROGRAMS/t").syscall.return { if ($syscall == 1) printf("written %d\\n", $return) }
        probe process.syscall { calls[pid() == target()]++ }
        global calls
        probe end { printf("%d\\n", calls[0]) }
    """
    lines = bench.run(script, "PROGRAMS/t")
    assert "write 1 28" in lines
    assert "written 3" in lines


def test_the_target_and_its_children(bench: Bench) -> None:
    """process alone is what -c starts, and what that starts."""
    module_options = ("-c", "PROGRAMS/t")
    script = """
        probe process.end { printf("end %s\\n", execname()) }
        probe process.begin { printf("begin %s\\n", execname()) }
    """
    lines = bench.run(
        script, "PROGRAMS/threads 0 2", *(o.replace("PROGRAMS", str(bench.programs)) for o in module_options)
    )
    assert sorted(lines) == ["begin threads"] * 3 + ["end threads"] * 3


def test_attached_in_the_middle(bench: Bench) -> None:
    """Calls that were under way when the session started do not come back as returns; indentation stays above zero."""
    points = [f'process("PROGRAMS/deep").function("{name}")' for name in ("top", "middle", "bottom")]
    calls, returns = (",".join(f"{p}.{kind}" for p in points) for kind in ("call", "return"))
    script = f"""
        probe {calls} {{ printf("%s->%s\\n", thread_indent(1), ppfunc()) }}
        probe {returns} {{ printf("%s<-%s\\n", thread_indent(-1), ppfunc()) }}
    """
    guest = bench.guest()
    guest.sh(f"{bench.programs}/deep > /tmp/deep.out & sleep 0.3")
    lines = bench.run(script, "/bin/sh -c 'killall -USR1 deep; sleep 0.5'")
    shown = [line.partition("):")[2] for line in lines if "deep(" in line]
    assert shown == ["->top", " ->middle", "  ->bottom", "  <-bottom", " <-middle", "<-top"]
    assert guest.sh("cat /tmp/deep.out").stdout == b"4\n5\n"


def test_attached_to_a_process(bench: Bench) -> None:
    """-x: what runs already begins at its next system call, others do not count, its end ends the session."""
    script = """
        probe process.begin { printf("begin %s %d\\n", execname(), pid() == target()) }
        probe process("PROGRAMS/deep").begin { printf("deep %d\\n", pid() == target()) }
        probe process.function("main") ?, process("PROGRAMS/deep").function("bottom").return {
            printf("%s %d %d\\n", ppfunc(), $return, target() == pid())
        }
        probe process.end { printf("end %s\\n", execname()); exit() }
        probe timer.ms(20) { if (!armed++) system("kill -USR1 " . sprint(target())) }
        global armed
    """
    module = bench.compile(script, "-x", "1")
    guest = bench.guest()
    guest.put("/tmp/x.ko", module.read_bytes())
    done = guest.sh(f"{bench.programs}/deep > /dev/null & sleep 0.3; {RUNNER} -x $! /tmp/x.ko", timeout=60)
    lines = done.stdout.decode().splitlines()
    assert sorted(lines[:2]) == ["begin deep 1", "deep 1"]
    assert lines[2:] == ["bottom 3 1", "end deep"]
    assert (done.stderr, done.status) == (b"", 0)


def test_attached_to_a_thread(bench: Bench) -> None:
    """-x with the number of a thread: its process is the target, target() is the number that was given."""
    script = """
        probe process.library("PROGRAMS/libplug.so").function("plug_add") {
            printf("%d %d\\n", tid() == target(), pid() == target())
            exit()
        }
    """
    program = f"{bench.programs}/plugs {bench.programs}/libplug.so 100"
    module = bench.compile(script, "-c", program)
    guest = bench.guest()
    guest.put("/tmp/x.ko", module.read_bytes())
    start = f"{program} > /dev/null & {program} > /dev/null & p=$!; sleep 0.4; cd /proc/$p/task; set -- *"
    done = guest.sh(f"{start}; {RUNNER} -x $2 /tmp/x.ko; echo $# $p $1; cd /; wait", timeout=60)
    *lines, numbers = done.stdout.decode().splitlines()
    count, process, first = numbers.split()
    assert (count, process) == ("2", first)
    assert lines == ["1 0"]
    assert (done.stderr, done.status) == (b"", 0)


def test_pages_that_are_not_in_memory(bench: Bench) -> None:
    """What the program has mapped and never touched is read all the same: the handler waits for the page."""
    script = """
        probe process("PROGRAMS/untouched").function("show").call {
            for (k = 0; k < 4; k++) printf("%s %d\\n", user_string($file + k * 65536), user_int($zero + k * 65536))
        }
        probe process("PROGRAMS/untouched").function("show").return { println($return) }
    """
    lines = bench.run(script, "PROGRAMS/untouched PROGRAMS/untouched.data")
    assert lines == ["page 0 0", "page 1 0", "page 2 0", "page 3 0", "7"]


Refused = Callable[[str], str]


@pytest.fixture
def refused(programs: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """What is said of a script that does not compile."""

    def run(script: str) -> str:
        text = script.replace("PROGRAMS", str(programs))
        assert cli.main(["-p2", "-w", "-r", "6.1", "-e", text]) == 1
        return capsys.readouterr().err

    return run


def test_what_is_refused(refused: Refused) -> None:
    assert "cannot find executable '/no/such'" in refused('probe process("/no/such").function("f") {}')
    said = refused('probe process("PROGRAMS/t").function("lef") { println(1) }')
    assert "no match (similar functions: leaf" in said
    said = refused('probe process("PROGRAMS/t").function("leaf") { println($nosuch) }')
    assert "unable to find local 'nosuch'" in said
    assert "(alternatives: $x $p $k $s)" in said
    said = refused('probe process("PROGRAMS/stripped").statement("main@plain.c:1") { println(1) }')
    assert "known to DWARF debug-info only" in said
    said = refused('probe process("PROGRAMS/t").statement("mid@t.c:2") { println(1) }')
    assert "no line records for" in said
    assert "(try :6)" in said
    assert "cannot probe pid 3999999: No such process" in refused("probe process(3999999).begin { println(1) }")
