"""Types of variables, arrays and functions, and what is said where they clash."""

from __future__ import annotations

import pytest

from pystap.elaborate.dump import dump
from tests.support.elaborating import outcome, program_of


def check(script: str, expected: str) -> None:
    assert dump(program_of(script)).split("\n") == list(expected.strip("\n").split("\n"))


def refused(script: str, *expected: str) -> None:
    found = outcome(script)
    assert found.program is None
    assert found.error_lines == list(expected)


def test_everything_at_once() -> None:
    check(
        'global a,s function f(x:long){return x+1} probe begin{ a[1,"x"]=f(2); s<<<3; x="e";'
        " foreach([k,v] in a) println(k,v,a[k,v],@count(s),x); exit() }",
        """
# globals
a:long [long, string]
s:stats
# functions
exit:unknown ()
f:long (x:long)
# probes
begin /* <- begin */
  # locals
  x:string
  k:long
  v:string
""",
    )


def test_wrapping_sizes_and_initial_values() -> None:
    check(
        'global a%[10], b, c="x", d=4 probe begin { a[1]=2; b<<<3; foreach(k in a) println(k) println(c . sprint(d),'
        ' @avg(b)) } probe end { b2 = "q" ; println(b2)}'
        ' function g:long(a:string) { c = a; return strlen(a)} probe error { g("s") }',
        """
# globals
a%[10]:long [long]
b:stats
c:string
d:long
# functions
g:long (a:string)
strlen:long (s:string)
# probes
begin /* <- begin */
  # locals
  k:long
end /* <- end */
  # locals
  b2:string
error /* <- error */
""",
    )


def test_types_flow_backwards_and_through_calls() -> None:
    program = program_of(
        "function id(x) { return x } function late() { return text } global text, n[100]"
        ' probe begin { y = id(late()) println(y) n[y] = 1 foreach (k in n) println(k) } probe end { text = "t" }'
    )
    assert program.functions["id", 1][0].result == "string"
    assert program.probes[0].body.locals["y"].type == "string"
    assert program.globals_by_name()["n"].keys == ("string",)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (
            'probe begin { x = 1; x = "a"; println(x) }',
            (
                "type mismatch (string): identifier 'x' at 1:22",
                "type was first inferred here (long): identifier 'x' at 1:15",
            ),
        ),
        (
            'global a probe begin { a[1]=2; a["x"]=3 } probe end{ foreach(k in a) println(k) }',
            (
                "index 0 type mismatch (string): string 'x' at 1:34",
                "type of index 0 was first inferred here (long): number '1' at 1:26",
            ),
        ),
        (
            "global s probe begin { s<<<1; foreach(k in s) k = k }",
            (
                "inconsistent arity (0 vs 1): identifier 's' at 1:44",
                "arity 0 first inferred here: identifier 's' at 1:24",
            ),
        ),
        (
            "global s probe begin { s[1]<<<1; s[2]=3 print(@count(s[1])) }",
            (
                "type mismatch (long): identifier 's' at 1:34",
                "type was first inferred here (stats): identifier 's' at 1:24",
            ),
        ),
        (
            'function f(x) { return x } probe begin { println(f(1)); println(f("a")) }',
            (
                "index 0 type mismatch (string): string 'a' at 1:67",
                "type of index 0 was first inferred here (long): number '1' at 1:52",
            ),
        ),
        ('probe begin { println("a" + 1) }', ("type mismatch: expected long but found string: string 'a' at 1:23",)),
        ('probe begin { if ("a") println(1) }', ("type mismatch: expected long but found string: string 'a' at 1:19",)),
        (
            'probe begin { println(1 == "a") }',
            ("type mismatch: expected string but found long: number '1' at 1:23",),
        ),
        ("probe begin { print(f()) } function f() { println(1) }", ("unresolved type : identifier 'f' at 1:21",)),
        (
            r'probe begin { printf("%d %s\n", 1) }',
            ("Wrong number of args to formatted print operator: identifier 'printf' at 1:15",),
        ),
        (
            "probe begin { x = sprint(1) + 1 println(x) }",
            ("type mismatch: left and right sides don't agree (string vs long): operator '+' at 1:29",),
        ),
        (r'probe begin { printf("%s\n", 3) }', ("type mismatch: expected string but found long: number '3' at 1:30",)),
        (
            "global s probe begin { s<<<1; print(@hist_log(s)); print(@hist_linear(s,0,10,1)) }",
            ("multiple histogram types declared on 's': operator '@hist_linear' at 1:58",),
        ),
        (
            "global s probe begin { s<<<1; print(@variance(s, 3)); print(@variance(s, 4)) }",
            ("conflicting bit shifts declared (previously 3): operator '@variance' at 1:61",),
        ),
        ("global g% probe begin { g = 1 }", ("wrapping not supported for scalars: keyword at 1:8",)),
    ],
)
def test_clashes(script: str, expected: tuple[str, ...]) -> None:
    refused(script, *expected)


def test_statistics_remember_what_is_asked_of_them() -> None:
    program = program_of(
        "global s, t probe begin { s <<< 1; t[1] <<< 2 println(@avg(s), @variance(s, 4)) print(@hist_log(t[1]))"
        " foreach (k in t @sum-) println(k) }"
    )
    s, t = (program.globals_by_name()[n] for n in "st")
    assert s.stat_ops == {"avg", "variance"}
    assert s.shift == 4
    assert s.hist is None
    assert t.hist is not None
    assert t.hist.linear is None
    assert t.stat_ops == {"sum"}
    assert t.keys == ("long",)


def test_nine_keys() -> None:
    program = program_of('global m probe begin { m[1,2,3,4,"5",6,7,8,9] = 1 }')
    assert program.globals[0].keys == ("long",) * 4 + ("string",) + ("long",) * 4
