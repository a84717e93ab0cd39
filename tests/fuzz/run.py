"""Mutated scripts through passes 1 to 3, up to the intermediate form: python -m tests.fuzz.run [COUNT [SEED]].

None may raise, hang, or print otherwise when its printed form is read again. The scripts that did are shown with the
seed that makes them, and the exit status is 1.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import sys
import time
import traceback
from pathlib import Path
from types import FrameType

from pystap.diagnostics import Diagnostics, StapError, render
from pystap.lower import lower
from pystap.options import Options
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse_script
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.unparse import unparse_file
from tests.support.elaborating import outcome

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("tapsets", "examples", *(f"tests/scripts/{n}" for n in ("run", "run-ok", "sem-ok", "sem-ko", "parse-ok")))
SECONDS = 10  # of CPU time
MAX_TEXT = 1500
TOKEN = re.compile(r'"[^"\n]*"|[$@]*\w+|[^\w\s]+')
WORDS = """
probe global private function if else for foreach in limit return delete while break continue next string long try catch
{ } ( ) [ ] ; , . ? : ! %( %? %: %) %{ %} @define @cast @count @hist_log @hist_linear @variance @defined @entry @var $1
@1 $# @# $x $$vars $ @ " \\ 1 0x 08 -1 0 9223372036854775808 a b x * ** + ++ -> = == =~ !~ <<< >>> % & ' # // /* */ é
begin end timer.s(1) printf println "%d" "%s" "[" .= += /= begin? begin! += limit exit() error("x")
""".split()


def corpus() -> list[str]:
    """The texts that are mutated."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.stp"))]
    texts = [path.read_text(encoding="utf-8", errors="surrogateescape") for path in paths]
    return [text for text in texts if len(text) < MAX_TEXT]


def mutated(texts: list[str], choice: random.Random) -> str:
    """A text with some of it replaced: a token by another, or any piece by words and pieces of texts."""
    text = choice.choice(texts)
    for _ in range(choice.choice((1, 1, 1, 2, 3, 6))):
        text = _token_changed(text, choice) if choice.random() < 0.7 else _piece_changed(text, texts, choice)
    return text


def _token_changed(text: str, choice: random.Random) -> str:
    tokens = list(TOKEN.finditer(text))
    if not tokens:
        return text
    found, other = choice.choice(tokens), choice.choice(tokens)
    new = choice.choice((other[0], other[0], other[0], choice.choice(WORDS), "", f"{found[0]} {other[0]}"))
    return text[: found.start()] + new + text[found.end() :]


def _piece_changed(text: str, texts: list[str], choice: random.Random) -> str:
    start = choice.randrange(len(text) + 1)
    end = min(len(text), start + choice.choice((0, 1, 3, 12, 40)))
    other = choice.choice(texts)
    cut = choice.randrange(len(other) + 1)
    new = choice.choice((choice.choice(WORDS), text[end : end + 30], other[cut : cut + 60]))
    return text[:start] + new + text[end:]


def parsed(text: str) -> ast.File | None:
    """The tree, where there are no errors; messages must be printable."""
    diagnostics = Diagnostics()
    context = PreprocessContext(arguments=("a", "1", "%("))
    file = parse_script(SourceFile("fuzz", text), context, None, diagnostics)
    for diagnostic in diagnostics.items:
        assert render(diagnostic)
    return None if diagnostics.failed else file


def comparable(text: str) -> str:
    """Without what stap's form adds each time that it is read: braces of try blocks, empty statements, and minus signs
    of numbers that do not fit."""
    lines = [line for line in text.splitlines() if line.strip("{};")]
    return re.sub(r"(?:-\(?)+(\d+)\)*", r"\1", "\n".join(lines))


def survives(text: str) -> bool:
    """Takes a text through both passes; whether it parsed."""
    file = parsed(text)
    if file is None:
        return False
    once = unparse_file(file)
    again = parsed(once)
    if again is not None:  # what stap's form leaves out (guru code, say) may keep it from being read again
        assert comparable(unparse_file(again)) == comparable(once), "prints otherwise when read again"
    program = outcome(text).program
    if program is not None:
        with contextlib.suppress(StapError):  # refused in pass 3, with a message
            lower(program, Options(), Diagnostics())
    return True


class Hang(Exception):  # noqa: N818 - named for what it says
    """A script took too long."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"longer than {SECONDS} s")


def run(count: int, seed: int) -> int:
    """Tries so many scripts; returns how many failed."""
    texts = corpus()
    signal.signal(signal.SIGVTALRM, _hang)
    failed = good = 0
    begun = time.monotonic()
    for number in range(count):
        text = mutated(texts, random.Random(f"{seed} {number}"))
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        try:
            good += survives(text)
        except Exception:
            failed += 1
            print(f"--- {seed} {number}\n{text}\n{traceback.format_exc(limit=-4)}", flush=True)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    took = time.monotonic() - begun
    print(f"{count} scripts of seed {seed}, {good} parsed, {failed} failed, {took:.0f} s")
    return failed


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]]
    sys.exit(1 if run(*(given + [2000, 1][len(given) :])) else 0)
