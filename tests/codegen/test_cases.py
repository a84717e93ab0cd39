"""Scripts and the C of their bodies; a whole module compiles against a kernel's headers without a warning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap.codegen import ModuleSource, translate
from pystap.diagnostics import Diagnostics
from pystap.lower import lower
from pystap.options import Options
from tests.support import cases
from tests.support.elaborating import program_of


def source_of(script: str) -> ModuleSource:
    """A script's module."""
    options, diagnostics = Options(guru=True), Diagnostics()
    module = lower(program_of(script, options), options, diagnostics)
    assert not diagnostics.items
    return translate(module, options)


def bodies_of(script: str) -> str:
    """The C of its functions and probe bodies, without the comments above them."""
    text = source_of(script).files["module.c"]
    found = re.search(
        r"/\* --- (?:Functions|Probe bodies) .*?(?=static struct stap_probe stap_probes)", text, re.DOTALL
    )
    assert found
    body = re.sub(r"/\*.*?\*/\n", "", found.group(), flags=re.DOTALL)
    return re.sub(r"\n[\t ]*\n+", "\n", f"\n{body}").strip("\n")


@cases.parametrize("c", "c")
def test_case(case: cases.Case) -> None:
    cases.check(case, "c", bodies_of)


def test_script_text_cannot_leave_its_comment_or_string() -> None:
    source = source_of('probe begin { /* */ println("*/ \\" int evil; /*") }')
    text = source.files["module.c"]
    assert "int evil" in text
    for line in text.splitlines():
        if "int evil" in line:
            assert line.lstrip().startswith(("*", '"', "static const char stap_text_")), line


def test_the_line_map_leads_back_to_the_script() -> None:
    source = source_of("probe begin {\n  x = 1\n  print(x / @sum_of_nothing) }".replace("@sum_of_nothing", "(x - 1)"))
    lines = source.files["module.c"].splitlines()
    number = next(n for n, line in enumerate(lines, 1) if "stap_divide" in line)
    assert source.line_map[number].line == 3


def test_equal_scripts_have_equal_digests() -> None:
    script = "global n probe begin { n++ } probe end { println(n) }"
    assert source_of(script).digest == source_of(script).digest
    assert source_of(script).digest != source_of(script.replace("n++", "n--")).digest


EVERYTHING = r"""
%{ static int twice(int x) { return 2 * x; } %}
global n, s = "x", a, two, st, hl, sa, big[10], wrap%[3]
function f:long(x:long, t:string) { if (x > 5) next; return x / (x - 3) }
function f:long(x:long, t:string) { t = t . "!"; return length(t) }
function length:long(t:string) %{ STAP_RETURN(strlen(STAP_ARG_t) + twice(1)); %}
function fact(x) { return x <= 1 ? 1 : x * fact(x - 1) }
function text:string(t:string) { try { n = 1 / n } catch (m) { return m . t } return "none" }
probe begin {
  for (i = 0; i < 10; i++) {
    if (i == 3) continue
    if (i > 7) break
    a[i]++
    two[i, "k"] .= "z"
    st <<< i; hl <<< i; sa["q"] <<< i
    big[i] = wrap[i] = i
  }
  while (i-- > 0) n += fact(i)
  foreach ([x-, y] in two limit 3) printf("%d %s %5s|%-*d|%.2s\n", x, y, two[x, y], 7, x, y)
  foreach (v = k in a+) println(k, v)
  foreach (q in sa @sum-) println(@count(sa[q]), @avg(sa[q]))
  foreach ([x, y] in two[*, "k"]) println(x)
  delete a[5]; delete two[*, "k"]; delete st; delete big
  if ([1, "k"] in two || [*, "j"] in two || "abc" =~ "b|c") s = sprintf("%x %s %c", n, s, 65)
  println(f(1, "a"), text("t"), @hist_log(hl)[3])
  print(@hist_linear(st, 0, 100, 10))
  s = sprint(@hist_log(hl))
  foreach (b in @hist_log(hl)) println(b)
  println(%{ jiffies %}, -n, ~n, !n, n >>> 3, n % 7)
}
probe end { try { println(@min(st)) } catch { println("empty") } println(s, n) }
"""


@pytest.mark.headers
def test_everything_compiles_without_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from pystap import paths
    from pystap.build import build
    from tests.support.kernels import available

    kernel = available("6.1")
    if kernel is None or kernel.build_tree is None:
        pytest.skip("no headers of a 6.1 kernel: pystap-prep 6.1")
    built = build(
        source_of(EVERYTHING),
        kernel.build_tree,
        cache=paths.cache(),
        runtime=paths.runtime(),
        use_cache=False,
        verbose=3,
        keep=tmp_path,
    )
    assert built.path.exists()
    assert "warning" not in capsys.readouterr().out
