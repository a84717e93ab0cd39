"""What is removed, and what is said about it."""

from __future__ import annotations

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
    program = program_of('probe begin { if (0) println(nosuch()) else if (2 > 1 && "a" != "b") println("yes") }')
    assert [type(n) for n in walk(program.probes[0].body.block)].count(ast.Print) == 1


def test_what_follows_next_is_dead() -> None:
    program_of("probe begin { println(1) next nosuch() }")


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
