"""Scripts -> trees (as stap -p1 prints them), and what is said of scripts that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap.diagnostics import Diagnostics, render
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse, parse_script, parse_scripts
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.unparse import unparse_file
from pystap.syntax.walk import find_all
from tests.support.cases import Case, check, parametrize

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def parsed(text: str, *, guru: bool = True) -> tuple[ast.File, Diagnostics]:
    diagnostics = Diagnostics()
    file = parse(SourceFile("t.stp", text), PreprocessContext(guru=guru), None, diagnostics)
    return file, diagnostics


def tree(text: str) -> str:
    file, diagnostics = parsed(text)
    return "".join(map(render, diagnostics.items)) if diagnostics.items else unparse_file(file)


def body(text: str) -> ast.Block:
    file, diagnostics = parsed(f"probe begin {{ {text} }}")
    assert not diagnostics.items
    probe = file.items[0]
    assert isinstance(probe, ast.Probe)
    return probe.body


def expression(text: str) -> ast.Expr:
    statement = body(text).statements[0]
    assert isinstance(statement, ast.ExprStmt)
    return statement.value


@parametrize("parse", "tree")
def test_trees(case: Case) -> None:
    check(case, "tree", tree)


@pytest.mark.parametrize("path", sorted((SCRIPTS / "parse-ok").glob("*.stp")), ids=lambda p: p.stem)
def test_good_scripts(path: Path) -> None:
    assert not parsed(path.read_text())[1].items


@pytest.mark.parametrize("path", sorted((SCRIPTS / "parse-ko").glob("*.stp")), ids=lambda p: p.stem)
def test_bad_scripts(path: Path) -> None:
    """Each says in its first line `# LINE:COLUMN message` what is wrong with it."""
    text = path.read_text()
    expected = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    got = [f"{d.span.line}:{d.span.column} {d.message}" for d in parsed(text, guru=False)[1].items if d.span]
    assert got == expected


def test_spans_are_the_tokens_that_messages_name() -> None:
    text = "probe begin { a[1] = f(x) + -y in z ? s[2] : $t->u }"
    file, _ = parsed(text)
    shown = {type(node).__name__: node.span.text for node in find_all(file, ast.Node)}
    assert shown["Assign"] == "="
    assert shown["Ternary"] == "?"
    assert shown["Binary"] == "+"
    assert shown["Unary"] == "-"
    assert shown["In"] == "in"
    assert shown["Call"] == "f"
    assert shown["TargetVar"] == "$t"
    assert shown["Probe"] == "probe"


def test_target_variables() -> None:
    target = expression("&$x->a[i + 1]->b")
    assert isinstance(target, ast.TargetVar)
    assert (target.name, target.address_of, target.pretty) == ("x", True, 0)
    assert [type(step).__name__ for step in target.steps] == ["Member", "Element", "Member"]
    pretty = expression("$x->y$$")
    assert isinstance(pretty, ast.TargetVar)
    assert (pretty.name, pretty.pretty, len(pretty.steps)) == ("x", 2, 1)
    every = expression("$$parms$")
    assert isinstance(every, ast.TargetVar)
    assert (every.name, every.pretty) == ("$parms", 1)


def test_what_can_be_stepped_into() -> None:
    cast = expression('@cast(p, "struct s", "kernel")->next->prev')
    assert isinstance(cast, ast.TargetVar)
    assert isinstance(cast.base, ast.Cast)
    assert len(cast.steps) == 2
    call = expression("f(x)->g[2]")
    assert isinstance(call, ast.TargetVar)
    assert isinstance(call.base, ast.Call)
    index = expression("a[1][2]")
    assert isinstance(index, ast.TargetVar)
    assert isinstance(index.base, ast.Index)


def test_numbers_are_signed_64_bits() -> None:
    number = expression("0xffffffffffffffff")
    assert isinstance(number, ast.Number)
    assert number.value == -1


def test_print_forms() -> None:
    printed = expression(r'printf("%d\n", x)')
    assert isinstance(printed, ast.Print)
    assert (printed.name, printed.format, len(printed.arguments)) == ("printf", "%d\n", 1)
    delimited = expression('sprintdln("|", 1, 2)')
    assert isinstance(delimited, ast.Print)
    assert (delimited.delimiter, len(delimited.arguments), delimited.to_string) == ("|", 2, True)


def test_foreach_forms() -> None:
    loop = body("foreach (v = [a, b-] in m[*, 1] limit 3) break").statements[0]
    assert isinstance(loop, ast.Foreach)
    assert [key.name for key in loop.keys] == ["a", "b"]
    assert loop.value is not None
    assert (loop.value.name, loop.sort, loop.sort_by) == ("v", -1, 2)
    assert loop.slice is not None
    assert isinstance(loop.slice[0], ast.Star)
    stats = body("foreach (k in s @sum+) ;").statements[0]
    assert isinstance(stats, ast.Foreach)
    assert (stats.sort_aggregate, stats.sort, stats.sort_by) == ("sum", 1, 0)


def test_declarations() -> None:
    file, _ = parsed("private global a, b%[5]\nglobal w%, n = -1 private function f:string(a:long, b):2 { }")
    a, b, w, n, f = file.items
    assert isinstance(a, ast.Global)
    assert isinstance(b, ast.Global)
    assert (a.private, b.private, b.size, b.wrap) == (True, True, 5, True)
    assert isinstance(w, ast.Global)
    assert isinstance(n, ast.Global)
    assert (w.private, w.wrap, w.size) == (False, True, 0)
    assert isinstance(n.initializer, ast.Number)
    assert n.initializer.value == -1
    assert isinstance(f, ast.Function)
    assert (f.private, f.result, f.priority, [p.type for p in f.parameters]) == (True, "string", 2, ["long", None])


def test_points() -> None:
    file, _ = parsed('probe a.{b("x")?, c.d(-2)}.e!, function.return if (on) { }')
    probe = file.items[0]
    assert isinstance(probe, ast.Probe)
    assert [str(p) for p in probe.points] == ['a.b("x").e', "a.c.d(-2).e", "function.return"]
    assert [(p.optional, p.sufficient) for p in probe.points] == [(False, True), (False, True), (False, False)]
    assert isinstance(probe.points[2].condition, ast.Name)


def test_errors_of_several_items_are_found_at_once() -> None:
    _, diagnostics = parsed("probe a { x = } probe b { ok() } function f( { }\nglobal 3 probe c { y + }")
    places = [(d.span.line, d.span.column) for d in diagnostics.items if d.span]
    assert places == [(1, 15), (1, 46), (2, 8), (2, 24)]


def test_good_items_are_kept_beside_bad_ones() -> None:
    file, _ = parsed("global a probe b { x = } global c")
    assert [item.name for item in file.items if isinstance(item, ast.Global)] == ["a", "c"]


def test_unused_arguments_are_told() -> None:
    diagnostics = Diagnostics()
    context = PreprocessContext(arguments=("a", "b"))
    parse_script(SourceFile("t", "probe begin { print(@2) }"), context, None, diagnostics)
    assert [d.message for d in diagnostics.items] == ["unused command line option $1/@1"]


def test_additional_scripts_share_the_arguments() -> None:
    diagnostics = Diagnostics()
    context = PreprocessContext(arguments=("a", "b"))
    sources = [SourceFile("t", "probe begin { print(@2) }"), SourceFile("u", "probe end { print(@1) }")]
    assert len(parse_scripts(sources, context, None, diagnostics, set())) == 2
    assert not diagnostics.items


def test_empty_scripts() -> None:
    for text, message in (("", "Input file 't' is empty."), ("# c", "Input file 't' is empty after preprocessing.")):
        diagnostics = Diagnostics()
        parse_script(SourceFile("t", text), PreprocessContext(), None, diagnostics)
        assert render(diagnostics.items[0]) == f"{message}\n"


def test_brace_sets_do_not_explode() -> None:
    _, diagnostics = parsed(f"probe {'.'.join(['{a,b}'] * 30)} {{ }}")
    assert diagnostics.items[0].message == "too many probe points in brace sets"


def test_deep_nesting() -> None:
    depth = 3000
    assert not parsed(f"probe begin {{ x = {'(' * depth}1{')' * depth} }}")[1].items
    branches = "else ".join(f"if (x == {n}) y " for n in range(600))
    assert not parsed(f"function f(x) {{ {branches} }}")[1].items
    for text in (f"x = {'- ' * depth}1", f"x = {'1 + ' * depth}1", f"{'{' * depth}{'}' * depth}"):
        file, diagnostics = parsed(f"probe begin {{ {text} }}")
        assert [d.message for d in diagnostics.items] == ["nested too deeply"]
        assert not file.items
