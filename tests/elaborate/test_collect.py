"""What a script pulls in, and what a name means."""

from __future__ import annotations

import pytest

from pystap.elaborate.program import Body
from pystap.options import Options
from tests.support.elaborating import outcome, program_of


def test_a_function_of_the_library_brings_its_globals_only() -> None:
    program = program_of("probe begin { println(bump(3)) }")
    assert list(program.functions) == [("bump", 1)]
    assert [g.name for g in program.globals] == ["__private_tapset_counter_stp_hidden"]
    body = program.functions["bump", 1][0].body
    assert isinstance(body, Body)
    assert list(body.locals) == ["by"]


def test_a_library_file_that_is_pulled_brings_its_probes() -> None:
    program = program_of("probe begin { watch() }")
    assert [p.point for p in program.probes] == ["begin", "never"]


def test_a_global_of_the_library_is_found_by_name() -> None:
    program = program_of("probe begin { println(shared_total) total() }")
    assert [g.name for g in program.globals] == ["shared_total"]


def test_a_local_of_a_library_function_is_not_the_users_global() -> None:
    program = program_of("global by probe begin { by = 3 println(bump(1), by) }")
    body = program.functions["bump", 1][0].body
    assert isinstance(body, Body)
    assert "by" in body.locals
    assert "by" not in program.probes[0].body.locals


def test_a_user_function_stands_before_the_library_s() -> None:
    program = program_of("function strlen(s) { return 7 } probe begin { println(strlen(1)) }")
    assert [f.is_user for f in program.functions["strlen", 1]] == [True]


def test_overloads_by_priority() -> None:
    program = program_of(
        "function g(x) :3 { return 3 } function g(x) { return 0 } function g(x, y) { return 2 }"
        " function g(x) :1 { next }"
        " probe begin { println(g(1), g(1, 2)) }"
    )
    assert [f.declaration.priority for f in program.functions["g", 1]] == [None, 1, 3]
    assert len({f.id for same in program.functions.values() for f in same}) == 4


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            "probe begin { println(strlem(3)) }",
            "unresolved function strlem (similar: strlen): identifier 'strlem' at 1:23",
        ),
        ("probe begin { exit(3) }", "arity mismatch found (function 'exit' takes 0 args): identifier 'exit' at 1:15"),
        (
            "probe begin { a[1,2]=2; }",
            "unresolved arity-2 global array a, missing global declaration?: identifier 'a' at 1:15",
        ),
        (
            "probe begin { foreach (k in x) println(k) }",
            "unresolved arity-1 global array x, missing global declaration?: identifier 'x' at 1:29",
        ),
        (
            "probe begin { x <<< 1 println(@count(x)) }",
            "stat locals not supported, missing global declaration? : identifier 'x' at 1:15",
        ),
        (
            "global a probe begin { foreach (k in a) { a[k]++; print(k) } }",
            "variable 'a' modified during 'foreach' iteration: identifier 'a' at 1:43",
        ),
        (
            "global a function g() { f() } function f() { delete a[1] } probe begin { foreach (k in a) { g() } }",
            "function call modifies var 'a' during 'foreach' iteration: identifier 'g' at 1:93",
        ),
        ('probe begin { panic("x") }', "function may not be used unless -g is specified: identifier 'panic' at 1:15"),
        (
            "probe begin { println(@kderef(4, 8)) }",
            "using @kderef operator not permitted; need stap -g: operator '@kderef' at 1:23",
        ),
        ("probe begin if (nosuch) { exit() }", "probe condition must not reference undeclared global"),
    ],
)
def test_refused(script: str, expected: str) -> None:
    found = outcome(script)
    assert found.program is None
    assert found.error_lines[0].startswith(expected)


def test_a_whole_array_may_be_deleted_in_its_walk() -> None:
    program_of("global a probe begin { a[1] = 1 foreach (k in a) { println(k) delete a } }")


def test_guru_functions_with_guru_mode() -> None:
    program_of('probe begin { panic("x") }', Options(guru=True))


def test_privilege() -> None:
    found = outcome("probe begin { println(pid()) }", Options(privilege="stapusr"))
    assert found.error_lines == [
        "function may not be used when --privilege=stapusr is specified: identifier 'pid' at 1:23"
    ]
    assert outcome("probe begin { println(execname()) }", Options(privilege="stapusr")).program is not None


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ('println(@cast(1, "file")->f_flags)', "kernel memory may not be read when --privilege=stapusr is specified"),
        ('println(@cast(1, "file")$)', "kernel memory may not be read when --privilege=stapusr is specified"),
        ('printf("%16m", 1)', "%m and %M, which print memory, may not be used when --privilege=stapusr is specified"),
        ('println(sprintf("%M", 1))', "%m and %M, which print memory, may not be used"),
        ("println(through())", "function may not be used when --privilege=stapusr is specified: identifier 'pid'"),
    ],
)
def test_what_privilege_forbids(statement: str, message: str) -> None:
    """In the script's functions, too: what calls what does not matter."""
    for level in ("stapusr", "stapsys"):
        script = f"function through() {{ return pid() }} function f() {{ {statement} }} probe begin {{ f() }}"
        found = outcome(script, Options(privilege=level))
        assert any(line.startswith(message) for line in found.error_lines) == (level == "stapusr"), found.error_lines


def test_never_assigned() -> None:
    found = outcome("probe begin { fooo = 1; println(foo + 1, fooo) }")
    assert found.program is not None
    assert found.warnings == ["never-assigned local variable 'foo' (similar: fooo): identifier 'foo' at 1:33"]


def test_c_of_library_files_comes_along_where_it_is_needed() -> None:
    used = program_of("probe begin { println(uses_c()) }")
    assert [e.code.strip() for e in used.embedded] == ["#define ANSWER 42"]
    assert not program_of("probe begin { println(near_c()) }").embedded
