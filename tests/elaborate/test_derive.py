"""Aliases, wildcards, suffixes, ? and !, conditions, and shared bodies."""

from __future__ import annotations

from pystap.elaborate import script_variables
from tests.support.elaborating import outcome, program_of


def points(script: str) -> list[tuple[str, str]]:
    return [(p.point, p.written) for p in program_of(script).probes]


def test_an_alias_s_body_goes_before() -> None:
    program = program_of("probe vfs.read { println(name, count) }")
    (probe,) = program.probes
    assert (probe.point, probe.written) == ('kernel.function("vfs_read").call', "vfs.read")
    assert {n: v.type for n, v in probe.body.locals.items()} == {"name": "string", "count": "long"}


def test_prologue_and_epilogue_of_nested_aliases() -> None:
    program = program_of(
        "probe low = begin { a = 1 }, { z = 1 println(z) } probe high = low { b = a } probe high { println(b) }"
    )
    order = list(program.probes[0].body.locals)
    assert order == ["a", "b", "z"]


def test_several_aliases_of_one_name() -> None:
    assert points("probe my = begin { x = 1 } probe my += end { y = 1 } probe my { println(x + 1) }") == [
        ("begin", "my"),
        ("end", "my"),
    ]


def test_a_suffix_goes_to_what_the_alias_stands_for() -> None:
    assert points('probe r = kernel.function("vfs_read") { } probe r.return { exit() }') == [
        ('kernel.function("vfs_read").return', "r.return")
    ]


def test_wildcards() -> None:
    assert points("probe vfs.* { exit() }") == [
        ('kernel.function("vfs_read").call', "vfs.*"),
        ('kernel.function("vfs_write").call', "vfs.*"),
    ]
    assert len(points("probe vfs.** { exit() }")) == 3
    assert points("probe vfs.*.return { exit() }") == [('kernel.function("vfs_read").return', "vfs.*.return")]


def test_optional_and_sufficient_points() -> None:
    read = 'kernel.function("vfs_read")'
    assert points(f'probe kernel.function("nosuch")?, {read} {{ exit() }}') == [(read, read)]
    assert points(f'probe {read}!, kernel.function("vfs_write") {{ exit() }}') == [(read, read)]
    assert points(f'probe kernel.function("nosuch")!, {read} {{ exit() }}') == [(read, read)]
    assert points(f'probe a = kernel.function("nosuch")!, {read}!, begin {{ }} probe a {{ exit() }}') == [(read, "a")]


def test_conditions_come_together() -> None:
    (probe,) = program_of("global g = 1, h = 1 probe a = begin if (h) { } probe a if (g) { g = 0 h = 0 }").probes
    assert probe.condition is not None
    assert type(probe.condition).__name__ == "Logical"


def test_sites_of_one_body_share_it() -> None:
    program = program_of('probe kernel.function("vfs_*") { println(1) }')
    assert len(program.probes) == 2
    assert program.probes[0].body is program.probes[1].body


def test_sites_that_differ_in_variables_do_not() -> None:
    program = program_of('probe kernel.function("vfs_*") { println($$vars) }')
    assert program.probes[0].body is not program.probes[1].body


def test_errors_keep_the_chain() -> None:
    found = outcome('probe a = kernel.function("nosuch") { } probe a { exit() }')
    assert found.error_lines[0] == "while resolving probe point: identifier 'a' at 1:47"
    assert found.error_lines[1] == "while resolving probe point: identifier 'kernel' at 1:11"
    assert found.error_lines[2].startswith("no match")


def test_near_misses() -> None:
    assert outcome("probe vfs.nosuch { exit() }").error_lines[1] == (
        "probe point mismatch (similar: read, write): identifier 'nosuch' at 1:11"
    )
    assert outcome("probe timer.s(1).foo { exit() }").error_lines[1] == (
        "invalid suffix for probe: identifier 'foo' at 1:18"
    )


def test_one_bad_point_does_not_hide_the_next() -> None:
    found = outcome("probe kernel.foo, begin, timer.bar { exit() }")
    assert [e for e in found.error_lines if e.startswith("while")] == [
        "while resolving probe point: identifier 'kernel' at 1:7",
        "while resolving probe point: identifier 'timer' at 1:26",
    ]


def test_alias_loops_are_told() -> None:
    found = outcome("probe a = b {} probe b = a {} probe a { exit() }")
    assert found.error_lines[-1].startswith("recursive loop in alias expansion of a")


def test_variables_of_an_alias() -> None:
    found = outcome("probe vfs.read { }", optimise=False)
    assert found.program is not None
    assert script_variables(found.program.probes[0]) == (("name", "string"), ("count", "long"), ("file", "long"))


def test_points_of_the_unprivileged() -> None:
    from pystap.options import Options

    user = Options(privilege="stapusr")
    assert outcome("probe begin, timer.s(1) { println(1) }", user).program is not None
    refused = outcome('probe kernel.function("vfs_read") { println(1) }', user)
    assert refused.error_lines[1] == "probe point is not allowed for --privilege=stapusr"
    refused = outcome("probe timer.profile.tick { println(1) }", user)
    assert refused.error_lines[1] == "probe point is not allowed for --privilege=stapusr"
    for point in ("process.begin", 'process("/bin/sh").end', 'process("/bin/sh").syscall'):
        assert outcome(f"probe {point} {{ println(1) }}", user).program is not None, point
