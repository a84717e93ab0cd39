"""The same script to stap -p2 and to pystap: the same globals, probes, locals and types."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap.elaborate.dump import dump
from tests.support.elaborating import outcome

RELEASE = "6.1.0-56-cloud-amd64"
SCRIPTS = (
    'global a, s function f(x) { return x + 1 } probe begin { a[1, "x"] = f(2); s <<< 3; x = "e";'
    " foreach ([k, v] in a) println(k, v, a[k, v], @count(s), x) exit() }",
    'global a%[10], b, c = "x", d = 4 probe begin { a[1] = 2; b <<< 3; foreach (k in a) println(k)'
    ' println(c . sprint(d), @avg(b)) } probe end { b2 = "q"; println(b2) }',
    "function fact(n) { return n <= 1 ? 1 : n * fact(n - 1) } probe begin { println(fact(5)) }",
    "function id(x) { return x } global text probe begin { y = id(text) println(y) } probe end { text = sprint(1) }",
    'function g(x) { return x } function g(x, y) { return x . y } probe begin { println(g(1), g("a", "b")) }',
    "probe begin { for (i = 0; i < 3; i++) { if (i == 1) continue println(i) }"
    " while (i > 0) { i-- if (i == 1) break } }",
    "global m probe begin { m[1, \"a\", 2] = 3 foreach (v = [x, y, z-] in m limit 2) println(v, x, y, z) }",
    'probe begin { try { error("x") } catch (msg) { println(msg) } }',
    "global s probe begin { s[1] <<< 2 foreach (k in s @sum-) println(k, @sum(s[k])) print(@hist_log(s[1])) }",
    "global n, shown[4], st probe timer.s(1) { n++ shown[n] = n st <<< n } probe end { println(n) }",
    'probe a = begin { p = "x" q = 3 } probe a { println(p) } probe b = a, end { r = 1 } probe b { println(r) }',
    "probe begin { a = b = c = 4 println(a) d = 3 }",
    'probe begin { x = "a" x .= "b" y = strlen(x) y <<= 2 println(y ? x : "c", y && 1, x =~ "a.b") }',
    "global g probe begin { delete g[1] if ([1] in g) println(g[1]++) g[2] -= 3 }",
    "function nothing() { println(1) } function unused(x) { return x } probe begin { nothing() }",
    "global h probe begin { h <<< 1 foreach (b in @hist_linear(h, 0, 10, 2))"
    " println(b, @hist_linear(h, 0, 10, 2)[b]) }",
    "probe timer.{s(1),ms(5)}, end(3)? { println(pp()) }",
    "global w, r probe begin { w = r } probe end { r = 3 w++ }",
    'function k:string(a:long) { if (a) return "x" return sprintf("%d %s", a, "y") }'
    ' probe begin { z = k(1) println(z) }',
)

pytestmark = pytest.mark.skipif(
    shutil.which("stap") is None or not Path(f"/lib/modules/{RELEASE}/build").exists(),
    reason=f"needs stap and the headers of {RELEASE}",
)


def of_stap(script: str) -> list[str]:
    command = ["stap", "-w", "-r", RELEASE, "-p2", "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    return normal(done.stdout)


def normal(text: str) -> list[str]:
    """The lines that say what is decided: without library functions, saved results, and `?` of points."""
    kept: list[str] = []
    section = ""
    for line in text.splitlines():
        if line.startswith("# "):
            section = line
        elif section == "# functions" and re.match(r"(exit|strlen|pp|error):", line):
            continue
        elif not line.startswith("  __") and line != "  # locals":
            kept.append(re.sub(r"\? /\*", " /*", line))
    return kept


@pytest.mark.oracle
@pytest.mark.parametrize("script", SCRIPTS)
def test_types_and_probes_as_stap_decides_them(script: str) -> None:
    found = outcome(script)
    assert found.program is not None, found.error_lines
    assert normal(dump(found.program)) == of_stap(script)
