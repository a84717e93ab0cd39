"""Stacks of programs whose code has no call-frame information in the program itself, and very deep ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gdb import answers
from tests.vm.conftest import BASH, PYTHON, Bench

pytestmark = pytest.mark.vm

LEAF = """
    probe process("PROGRAMS/%s").function("leaf") { print_ubacktrace_brief() }
    probe process("PROGRAMS/%s").function("down").return { if (!n++) print_ubacktrace_brief() }
    global n
"""


def _stacks(lines: list[str]) -> list[list[str]]:
    """The names of each stack, which ends where the program begins."""
    names = [line.partition("+0x")[0] for line in lines if "0x" in line]
    ends = [at + 1 for at, name in enumerate(names) if name == "_start"]
    return [names[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("program", ["frames", "frames_debug", "frames_pointer"])
def test_frames_that_only_debug_info_or_pointers_know(bench: Bench, program: str) -> None:
    """.eh_frame, .debug_frame and frame pointers tell the same callers; code made at run time is in between."""
    lines = bench.run(LEAF.replace("%s", program), f"PROGRAMS/{program} 3 1", "--ldd")
    made, down, back = _stacks(lines)
    assert made[:1] + made[2:4] == ["leaf", "through", "main"]
    assert made[1].startswith("0x7f")
    assert made[-1] == "_start"
    assert down[:6] == ["leaf", *["down"] * 4, "main"]
    assert down[-1] == "_start"
    assert back[:4] == ["down"] * 3 + ["main"]
    assert back[-1] == "_start"


def test_a_stack_of_five_hundred_frames(bench: Bench) -> None:
    script = 'probe process("PROGRAMS/frames").function("leaf") { if (++n == 2) print_ubacktrace_brief() } global n'
    lines = bench.run(script, "PROGRAMS/frames 500 1", "--ldd", "-DMAXBACKTRACE=600")
    (stack,) = _stacks(lines)
    assert stack[:503] == ["leaf", *["down"] * 501, "main"]


def test_where_a_program_sleeps(bench: Bench) -> None:
    """The callers of what gives up the CPU: the scheduler holds its locks, with interrupts off."""
    script = """
        probe kernel.trace("sched_switch") {
            if (execname() == "deep" && !found) {
                stack = sprint_ubacktrace()
                found = isinstr(stack, "bottom")
            }
        }
        global found, stack
        probe end { print(stack) }
    """
    lines = bench.run(script, "timeout -s USR1 1 PROGRAMS/deep", "--ldd", f"-d{bench.programs}/deep")
    assert [line.partition("+0x")[0] for line in lines][-7:-3] == ["bottom", "middle", "top", "main"]


def test_the_vdso_and_its_callers(bench: Bench) -> None:
    """Sampled while the program asks for the time, which is code that the kernel gave to it."""
    script = """
        probe timer.profile {
            if (!found && user_mode() && pid() == target() && isinstr(usymdata(uaddr()), "[vdso+")) {
                stack = ubacktrace()
                found = isinstr(stack, " ")
            }
        }
        global found, stack
        probe end { print_usyms(stack) }
    """
    program = f"{bench.programs}/frames"
    lines = bench.run(script, "PROGRAMS/frames 1 2000000", "--ldd", "-d", program)
    places = [line.split(maxsplit=1)[1] for line in lines if "0x" in line]
    assert places[0].startswith("[vdso+0x")
    names = [place.removeprefix(": ").partition("+0x")[0] for place in places[1:]]
    assert names[-1] == "_start"
    assert names[names.index("clocks") + 1] == "main"
    assert "clock_gettime" in names[0]


GDB = """
import gdb
gdb.execute("set breakpoint pending on")
gdb.execute("break {function}")
gdb.execute("run {arguments}")
frame = gdb.newest_frame()
while frame:
    if frame.type() != gdb.INLINE_FRAME:
        print("@", frame.function().symtab and frame.function().linkage_name if frame.function() else frame.name())
    frame = frame.older()
gdb.execute("kill")
"""


@pytest.mark.parametrize(
    ("program", "text", "function"),
    [
        (PYTHON, "list(map(lambda x: sorted([x, 1], key=lambda y: print(y) or y), [2]))", "PyFile_WriteObject"),
        (BASH, "f() { for x in 1; do echo $(echo x); done; }; f", "make_child"),
    ],
)  # fmt: skip
def test_stacks_are_what_gdb_says(bench: Bench, tmp_path: Path, program: str, text: str, function: str) -> None:
    """Of large programs that nobody compiled for this: the same functions, in the same order."""
    arguments = f"{'-IS' if program == PYTHON else '--norc'} -c '{text}' > /dev/null 2>&1"
    theirs = answers(program, GDB.format(function=function, arguments=arguments), tmp_path)
    script = f"""
        probe process("{program}").function("{function}") {{ if (!n++) print_ubacktrace_brief() }}
        global n
    """
    lines = bench.run(script, f"{program} {arguments}", "--ldd", "-DMAXBACKTRACE=100")
    ours = [line.partition("+0x")[0] for line in lines if "0x" in line]
    assert len(theirs) > 6
    assert theirs[-1] in ("main", "_start")
    assert [("None" if name.startswith("0x") else name) for name in ours[: len(theirs)]] == theirs
    assert ours[-1] == "_start"
