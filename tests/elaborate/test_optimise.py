"""What is removed, and what is said about it."""

from __future__ import annotations

import pytest

from pystap.options import Options
from pystap.syntax import ast
from pystap.syntax.walk import walk
from tests.support.elaborating import outcome, program_of


def test_unused_assignments() -> None:
    found = outcome("probe begin { x = 3 exit() }")
    assert found.program is not None
    assert not found.program.probes[0].body.locals
    assert found.warnings == [
        "Eliding assignment to 'x': operator '=' at 1:17",
        "Eliding side-effect-free expression : identifier 'x' at 1:15",
    ]


def test_effects_of_a_value_stay() -> None:
    program = program_of("global n probe begin { x = n++ y = exit() } probe end { println(n) }")
    kinds = [type(n).__name__ for n in walk(program.probes[0].body.block)]
    assert "IncDec" in kinds
    assert "Call" in kinds
    assert "Assign" not in kinds


def test_a_chain_of_unused_assignments() -> None:
    program = program_of("probe begin { a = pid() b = a c = b exit() }")
    assert not program.probes[0].body.locals
    assert list(program.functions) == [("exit", 0)]


def test_aliases_lose_what_the_handler_does_not_use() -> None:
    found = outcome("probe vfs.read { println(name) }")
    assert found.program is not None
    assert list(found.program.probes[0].body.locals) == ["name"]
    assert found.warnings == []


def test_an_empty_probe() -> None:
    found = outcome("probe begin { 1 + 2 }")
    assert found.error_lines == ["no probes found"]
    assert found.warnings[-1] == "Probe 'begin' has been elided: keyword at 1:1"


def test_an_empty_loop() -> None:
    found = outcome("probe begin { for (;;) { } }")
    assert found.error_lines == ["no probes found"]


def test_nothing_is_removed_with_u() -> None:
    found = outcome("function f() { return 1 } global g probe begin { x = 3 1 + 2 }", Options(unoptimized=True))
    assert found.program is not None
    assert list(found.program.probes[0].body.locals) == ["x"]
    assert ("f", 0) in found.program.functions
    assert [g.name for g in found.program.globals] == ["g"]


def test_dead_branches() -> None:
    program = program_of('probe begin { if (0) println("no") else if (2 > 1 && "a" != "b") println("yes") }')
    assert [type(n) for n in walk(program.probes[0].body.block)].count(ast.Print) == 1


def test_what_follows_next_is_dead() -> None:
    program = program_of("probe begin { println(1) next println(2) }")
    assert [type(n) for n in walk(program.probes[0].body.block)].count(ast.Print) == 1


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("probe begin { if (0) nosuch() }", "unresolved function nosuch"),
        ("probe begin { println(1 || nosuch()) }", "unresolved function nosuch"),
        ("probe begin { println(1) next nosuch() }", "unresolved function nosuch"),
        ('probe begin { println(1 ? "a" : 2) }', "type mismatch: expected string but found long: number '2' at 1:33"),
        ('probe begin { if (1) x = 1 else x = "a" println(x) }', "type mismatch (string): identifier 'x' at 1:33"),
        ('probe begin { println(0 && "a") }', "type mismatch: expected long but found string: string 'a' at 1:28"),
    ],
)
def test_dead_code_must_be_right(script: str, said: str) -> None:
    assert outcome(script).error_lines[0].startswith(said)


def test_what_defined_decides_need_not_be() -> None:
    program_of("probe begin { println(@defined($x) ? no() : 1, @defined($x) && no()) if (@defined($x)) no() }")


def test_globals_that_nothing_assigns() -> None:
    found = outcome("global g, h = 1, k probe begin { if (g) println(h) delete k println(k + 1) }")
    assert found.warnings == ["never-assigned global variable 'g' (similar: g, h, k): identifier 'g' at 1:8"]


def test_order_of_warnings() -> None:
    """Assignments of the whole program before expressions; a function of which nothing is left is named."""
    found = outcome("function f(x) { z = 2 } probe begin { q = 3 f(1) println(1) }")
    assert found.warnings == [
        "Eliding assignment to 'q': operator '=' at 1:41",
        "Eliding assignment to 'z': operator '=' at 1:19",
        "Eliding side-effect-free expression : identifier 'q' at 1:39",
        "Eliding side-effect-free expression : identifier 'f' at 1:45",
        "Eliding side-effect-free expression : identifier 'z' at 1:17",
        "side-effect-free function 'f': identifier 'f' at 1:10",
    ]


def test_a_statistic_that_nobody_reads_may_be_local() -> None:
    found = outcome("probe begin { x <<< 1 println(2) }")
    assert found.program is not None
    assert found.warnings[0] == "Eliding assignment to 'x': operator '<<<' at 1:17"


def test_globals_that_are_only_written_are_shown() -> None:
    program = program_of(
        "global shown, read, arr, stat, asked, unused probe begin { shown++ read++ arr[1] = 2 stat <<< 1 asked <<< 1"
        " println(read, @count(asked)) }"
    )
    assert {g.name: g.display for g in program.globals} == {
        "shown": True, "read": False, "arr": True, "stat": True, "asked": False,
    }  # fmt: skip


def test_no_global_var_display() -> None:
    program = program_of("global shown probe begin { shown++ }", Options(no_global_var_display=True))
    assert not program.globals[0].display


def test_globals_of_the_library_are_not_shown() -> None:
    program = program_of("probe begin { watch() }")
    assert not any(g.display for g in program.globals)


def test_constants_are_folded_in_64_bits() -> None:
    program = program_of("probe begin { println(1 << 63, -7 / 2, -7 % 3, 5 >>> 1, -1 >>> 60, 1 / 0, 2 * 3 == 6) }")
    numbers = list(program.probes[0].body.block.statements[0].value.arguments)  # type: ignore[union-attr]
    assert [getattr(n, "value", None) for n in numbers] == [-(1 << 63), -3, -1, 2, 15, None, 1]
