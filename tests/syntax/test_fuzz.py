"""Whatever the text: diagnostics or a tree, never an exception, and in reasonable time."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pystap.diagnostics import Diagnostics, render
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse_script
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.unparse import unparse_file

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = [
    path.read_text(encoding="utf-8", errors="surrogateescape")
    for folder in ("tapsets", "examples", "tests/scripts/parse-ok", "tests/scripts/parse-ko")
    for path in sorted((ROOT / folder).rglob("*.stp"))
]
WORDS = [
    *"""
    probe global private function if else for foreach in limit return delete while break continue next string long try
    catch { } ( ) [ ] ; , . ? : ! %( %? %: %) %{ %} @define @cast @count @hist_log $1 @1 $# @# $x $$vars $ @ " \\ 1
    0x 08 a b * ** + ++ -> = == =~ <<< % & ' # // /* */ é
""".split(), "\n", "\t", "\0", "\udc80",
]  # fmt: skip


def survive(text: str) -> ast.File | None:
    diagnostics = Diagnostics()
    context = PreprocessContext(arguments=("a", "1", "%("))
    file = parse_script(SourceFile("fuzz", text), context, None, diagnostics)
    for diagnostic in diagnostics.items:
        assert render(diagnostic)
    return None if diagnostics.failed else file


@given(st.lists(st.sampled_from(WORDS), max_size=60), st.sampled_from(["", " "]))
@settings(max_examples=400, deadline=None)
def test_random_words(words: list[str], space: str) -> None:
    survive(space.join(words))


@given(st.text(max_size=80))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_random_text(text: str) -> None:
    survive(text)
    survive(f"probe begin {{ {text} }}")


@pytest.mark.parametrize("seed", range(30))
def test_mutated_scripts(seed: int) -> None:
    choice = random.Random(seed)
    for _ in range(6):
        text = choice.choice(CORPUS)[:6000]
        for _ in range(choice.randint(1, 8)):
            start = choice.randrange(len(text) + 1)
            end = min(len(text), start + choice.choice((0, 1, 3, 40)))
            text = text[:start] + choice.choice((*WORDS, text[end : end + 30])) + text[end:]
        file = survive(text)
        if file is not None:
            once = unparse_file(file)
            again = survive(once)
            if again is not None:  # what stap's form leaves out (guru code, say) may keep it from being read again
                assert comparable(unparse_file(again)) == comparable(once)


def comparable(text: str) -> str:
    """Without empty statements: stap prints `;;` for each, which reads as two."""
    return "".join(line for line in text.splitlines(keepends=True) if line.strip(";\n"))
