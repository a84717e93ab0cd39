"""Values of programs: C and C++ variables of every shape, where compilers put them, against what the programs hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm

ONE = (
    "{.yes=1, .letter='q', .small='\\375', .byte='\\310', .s=-300, .us=60000, .i=-70000, .u=4000000000, "
    '.l=-5000000000, .ul=18000000000000000000, .f=?, .d=?, .color=6, .sign=-1, .text="a text", .fixed="fixed", '
)
SHUT = ".name=[...], .raw=[...], .numbers=[...], .grid=[...], .bits={...}, <union>={...}, .pair={...}"
OPEN = (
    '.name="origin", .raw="\\001\\002\\003\\376", .numbers=[10, ...], .grid=[1, ...], '
    ".bits={.a=5, .b=-7, .c=78187493530, .d=1, .e=5}, <union>={.whole=131073, <class>={.low=1, .high=2}}, "
    ".pair={.x=3, .y=-4}"
)
REST = ", .op=0x, .next=0x, .nothing=0x0}"
FLEX = "flex={.count=3, .items=[7, ...]}"


def _without_addresses(lines: list[str]) -> list[str]:
    """Those of a stack in decimal as well: pointers to numbers are shown as numbers."""
    return [re.sub(r"0x[0-9a-f]{6,}|\b1[34][0-9]{13}\b", "0x", line) for line in lines]


def _said(lines: list[str], sign: str) -> list[str]:
    """What handlers printed: their lines begin with a sign of their own."""
    return [line.removeprefix(sign) for line in _without_addresses(lines) if line.startswith(sign)]


PRINTED = """
    probe process("PROGRAMS/variables?").function("scalars") { println("#", $$parms) println("#", $$parms$) }
    probe process("PROGRAMS/variables?").function("structs") {
        println("#", $$parms) println("#", $p$) println("#", $p$$) println("#", $pp$)
        println("#", $op$, " ", $p->op$, " ", $flex$$)
        println("#", $p->numbers$, $p->name$, $p->fixed$, $p->sign$, $p->d$, $p->bits->b$, $p->nothing$)
    }
    probe process("PROGRAMS/variables?").function("by_value") {
        println("#", $$parms) println("#", $t$, $m$) println("#", $big$)
        printf("#%d %d %d %d\\n", $t->a, $t->b, $m->n, $big->i)
    }
"""


@pytest.mark.parametrize("program", ["variables0", "variables1"])
def test_pretty_printing(bench: Bench, program: str) -> None:
    """As stap prints it: pointers followed, text, chars, bit-fields, structs in registers, one element of arrays."""
    assert _said(bench.run(PRINTED, f"PROGRAMS/{program}"), "#") == [
        "i=0xfffffffffffffffb c=0xfa l=0x e=0x1 b=0x1 s=0x".replace("0xfffffffffffffffb", "0x"),
        "i=-5 c='\\372' l=-6000000000 e=1 b=1 s=\"said \\\"so\\\"\"",
        "p=0x pp=0x op=0x flex=0x",
        ONE + SHUT + REST,
        ONE + OPEN + REST,
        ONE + SHUT + REST,
        f"<function>:0x <function>:0x {FLEX.removeprefix('flex=')}",
        '[10, ...]"origin""fixed"-1?-70x0',
        "t={...} m={...} big={...}",
        "{.a=21, .b=-22}{.d=?, .n=44}",
        ONE + SHUT + REST,
        "21 -22 44 -70000",
    ]


FLOATS = """
    function decimal(bits) { return fp_to_string(bits, 3) }
    probe process("PROGRAMS/variables?").function("floats") {
        printf("#%s %s %s\\n", decimal($d), decimal(fp32_to_fp64($f)), decimal($p[0]))
    }
    probe process("PROGRAMS/variables?").function("floats").return {
        printf("#%s %s %s\\n", decimal($return), decimal(@entry($d)), decimal(fp32_to_fp64(@entry($f))))
    }
    probe process("PROGRAMS/variables?").function("structs") {
        printf("#%s %s\\n", decimal($p->d), decimal(fp32_to_fp64($p->f)))
    }
    probe process("PROGRAMS/variables?").function("by_value") { printf("#%s %d\\n", decimal($m->d), $m->n) }
    probe process("PROGRAMS/variables?").function("by_value").return {
        printf("#%d %d %s %s %s\\n", $return->a, $return->b, $$return, $$return$, decimal($m->d))
    }
"""


@pytest.mark.parametrize("program", ["variables0", "variables1"])
def test_floating_point_and_structs_in_registers(bench: Bench, program: str) -> None:
    """Doubles and floats in vector registers and in memory, read as their bits; results of two registers."""
    assert _said(bench.run(FLOATS, f"PROGRAMS/{program}"), "#") == [
        "3.500 -0.750 0.125",
        "4.875 3.500 -0.750",
        "-2.250 1.500",
        "0.500 44",
        "-22 21 return={...} return={.a=-22, .b=21} 0.500",
    ]


THREAD_LOCAL = """
    probe process("PROGRAMS/variables?").function("threaded") {
        printf("#%d %d %d %d\\n", @var("per_thread"), @var("own_thread"), @var("calls@variables.c"), @var("visible")[2])
    }
    probe process("PROGRAMS/variables?").function("threaded").return {
        printf("#%d %d ", @var("per_thread"), @var("own_thread"))
        printf("%d %d\\n", @var("calls@variables.c"), @var("visible@variables.c")[3])
    }
"""


@pytest.mark.parametrize("program", ["variables0", "variables1"])
def test_static_and_thread_local_variables(bench: Bench, program: str) -> None:
    assert _said(bench.run(THREAD_LOCAL, f"PROGRAMS/{program}"), "#") == ["11 -12 0 3", "13 -14 2 4"]


ITEM = (
    '.weight=?, .text="text", .name=[...], .level=200, .ref=0x, .title={...}, <union>={...}, .list={...}, '
    '.owner={...}, .pm=?, .pf=?, .base_member=7, .label="other", .flag=1}'
)
ITEM_OPEN = (
    '.weight=?, .text="text", .name="abc", .level=200, .ref=0x, .title={._M_dataplus={._M_p="a title"}, '
    '._M_string_length=7, <union>={._M_local_buf="a title", ._M_allocated_capacity=28548219889000545}}, '
    "<union>={.whole=65537, .half=1}, .list={._M_impl={._M_start=0x, ._M_finish=0x, ._M_end_of_storage=0x}}, "
    '.owner={._M_t={._M_t={._M_head_impl=0x0}}}, .pm=?, .pf=?, .base_member=7, .label="other", .flag=1}'
)
CLASSES = """
    probe process("PROGRAMS/classes?").function("references") {
        println("#", $$parms) println("#", $$parms$) println("#", $k$$) println("#", $s$$)
        println("#", $k->base_member, user_string($k->label), $r->member, " ", user_int($n), user_int($k->ref))
    }
    probe process("PROGRAMS/classes?").function("values") {
        println("#", $$parms$) println("#", $c->held, " ", $e$, " ", $s->_M_string_length, " ", $p->title->_M_dataplus$)
    }
    probe process("PROGRAMS/classes?").function("values").return { println("#", $c->held, " ", $p->member) }
    probe process("PROGRAMS/classes?").function("inherited") {
        println("#", $$parms$) println("#", $d->root, $d->left, $d->right, $d->own, $b->base_member)
    }
    probe process("PROGRAMS/classes?").function("get") { println("#", $$parms$$) println("#", $this->items[2]) }
    probe process("PROGRAMS/classes?").function("twice<int>") { println("#", $$parms$$) }
    probe process("PROGRAMS/classes?").function("method") { println("#", $$parms, " ", $this->member) }
    probe process("PROGRAMS/classes?").function("shop::Item::operator+") { println("#", $$parms) }
"""


@pytest.mark.parametrize("program", ["classes0", "classes1"])
def test_classes(bench: Bench, program: str) -> None:
    """Members of a class and of its bases, virtual ones too; references, templates, the standard library's types."""
    assert _said(bench.run(CLASSES, f"PROGRAMS/{program}"), "#") == [
        "this=0x a=0x4 3",
        "this=0x s=0x 3",
        "this=0x k=0x5",
        "k=0x r=0x s=0x n=0x yes=0x1 lv=0x1 pl=0x1 w=0x77 c16=0x63",
        f"k={{.member=3, {ITEM} r={{.member=8, {ITEM} s={{._M_dataplus={{...}}, ._M_string_length=5, <union>={{...}}}}"
        " n=0x yes=1 lv=1 pl=1 w=119 c16='c'",
        f"{{.member=3, {ITEM_OPEN}",
        '{._M_dataplus={._M_p="hello"}, ._M_string_length=5, <union>={._M_local_buf="hello", '
        "._M_allocated_capacity=478560413032}}",
        "7other8 4242",
        f"p={{.member=3, {ITEM} s={{._M_dataplus={{...}}, ._M_string_length=5, <union>={{...}}}} v={{._M_impl={{...}}}}"
        " c={.held=31} e={}",
        '31 {} 5 {._M_p="a title"}',
        "31 3",
        "x=21",
        "this={.items=[1, ...], .first=0x} i=1",
        "3",
        "b={.base_member=7} d={.own=9, .left=6, .right=8, .root=5}",
        "56897",
    ]


NAMES = """
    probe process("PROGRAMS/classes?").function("inherited") {
        printf("#%d %d ", @var("shop::Item::shared"), @var("Item::limit"))
        printf("%s %d %d\\n", user_string(@var("shop::Item::made")), @var("shop::counter"), @var("counter"))
        printf("#%d %d ", @var("shop::hidden"), @var("(anonymous namespace)::hidden@classes.cpp"))
        printf("%d %s %d\\n", @var("::counter"), @var("shop::deep::part")$, @var("shop::own"))
        printf("#%d %d\\n", @cast($d, "shop::Diamond")->left, @cast(&@var("deep::part"), "shop::deep::Part")->y)
        printf("#%d %d\\n", @defined(@var("counter::shop")), @defined(@var("::shared")))
    }
    probe process("PROGRAMS/classes?").function("operator()") {
        printf("#%d %d %d\\n", @var("shop::hidden"), @var("::counter"), @var("own"))
    }
"""


@pytest.mark.parametrize("program", ["classes0", "classes1"])
def test_names_in_classes_and_namespaces(bench: Bench, program: str) -> None:
    """Static members, in memory or constants; variables of namespaces, anonymous ones too, and of threads; types."""
    assert _said(bench.run(NAMES, f"PROGRAMS/{program}"), "#") == [
        "77 19 here 12 1000",
        "-3 -3 1000 {.x=1, .y=2} 5",
        "6 2",
        "0 0",
        "-34 966 6",
    ]


def test_name_of_another_namespace(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said with the names that it may have been."""
    point = f'process("{programs}/classes0").function("inherited")'
    assert cli.main(["-p2", "-w", "-r", "6.1", "-e", f'probe {point} {{ println(@var("store::counter")) }}']) == 1
    expected = f"unable to find global 'store::counter' in '{programs}/classes0' (similar: counter, shop::counter)"
    assert expected in capsys.readouterr().err


CASTS = """
    probe process("PROGRAMS/variables?").function("structs") {
        printf("#%d %d\\n", @cast($p, "struct all", "PROGRAMS/variables1")->i,
               @cast($p, "all", "PROGRAMS/calls:PROGRAMS/variables0")->pair->y)
        printf("#%d %s\\n", @cast($p, "struct all")->grid[1][2], @cast($p->next, "struct all")->name$)
        printf("#%s %d\\n", @enumname($p->color), @enum("BLUE"))
        printf("#%d %d %d\\n", $p->bits->b, $p->raw[3], $pp->next->i)
    }
    probe process("PROGRAMS/variables?").function("written") {
        $value = 99; $p->i = 5; $p->bits->b = -2; $p->bits->a = 6; $p->name[0] = 79
    }
"""


@pytest.mark.parametrize("program", ["variables0", "variables1"])
def test_casts_and_writes(bench: Bench, program: str) -> None:
    """Types of other programs, the first that has it; bit-fields, registers and memory written in guru mode."""
    lines = bench.run(CASTS, f"PROGRAMS/{program}", "-g")
    assert _said(lines, "#") == ["-70000 -4", '6 "other"', "BLUE 6", "-7 254 99"]
    assert "99 5 -2 6 Origin" in lines


def test_errno_of_the_c_library(bench: Bench) -> None:
    """A thread-local variable of a library: the loader alone knows where it is."""
    from pystap.debuginfo.user import open_object
    from pystap.providers.objects import libraries_of

    libc = next(path for name, path in libraries_of(str(bench.programs / "variables1")).items() if "libc.so" in name)
    if open_object(libc).dwarf is None:
        pytest.skip("no debug-info of the C library: apt install libc6-dbg")
    point = 'process("PROGRAMS/variables1").function("threaded").return'
    script = f'probe {point} {{ printf("errno %d %d\\n", @var("errno", "{libc}"), @errno) }}'
    assert "errno 17 17" in bench.run(script, "PROGRAMS/variables1")


OPENED = """
    probe process("PROGRAMS/plugs").library("PROGRAMS/libplug*").function("plug_add") {
        try { printf("#%d %d %d\\n", $n, @var("plugged"), @var("own_plugged")) } catch { println("#none") }
    }
    probe process("PROGRAMS/plugs").library("PROGRAMS/libplug*").function("plug_add").return {
        printf("#%d %d %d\\n", $return, @var("plugged"), @var("own_plugged"))
    }
    probe process("PROGRAMS/plugs").library("PROGRAMS/libplug*").plt { if ($$name == "malloc") println("#", $$name) }
    probe process("PROGRAMS/plugs").library("PROGRAMS/libplug.so").plt("malloc").return { println("#", $return != 0) }
    probe process("PROGRAMS/plugs").library("PROGRAMS/libplug*").plt("fr*").return { println("#", $$name) }
"""


def test_library_that_is_opened_later(bench: Bench) -> None:
    """Its functions, its calls of others, and its thread-local variables, which a thread has from its first use on."""
    calls = ["malloc", "1", "free"]
    said = _said(bench.run(OPENED, "PROGRAMS/plugs PROGRAMS/libplug.so"), "#")
    assert said == [
        *("none", *calls, "47 41 6"),
        *("none", *calls, "47 50 -3"),
        *("10 50 -3", *calls, "47 60 -13"),
        *("2 41 6", *calls, "47 43 4"),
    ]
