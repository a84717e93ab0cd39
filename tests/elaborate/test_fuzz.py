"""Mutilated scripts end in diagnostics, never in anything else."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.support.elaborating import outcome

FOLDER = Path(__file__).resolve().parent.parent / "scripts"
TOKENS = re.compile(r'"[^"\n]*"|\w+|\s+|<<<|.')
KEYWORDS = frozenset("probe global function if else foreach in limit return delete try catch next string long".split())


def corpus() -> list[list[str]]:
    paths = [*sorted((FOLDER / "sem-ok").glob("*.stp")), *sorted((FOLDER / "sem-ko").glob("*.stp"))]
    return [TOKENS.findall(p.read_text().partition("# error")[0]) for p in paths]


def kind(token: str) -> str:
    """What a token may be exchanged for: names, numbers and strings for each other; the rest stays as it is."""
    if token in KEYWORDS:
        return token
    return "value" if token[:1] in ('"', "_") or token[:1].isalnum() else token


def mutilated(scripts: list[list[str]], seed: int) -> str:
    """A script with some tokens taken out, doubled, or exchanged for others of their kind."""
    chance = random.Random(seed)
    tokens = list(chance.choice(scripts))
    words = [i for i, t in enumerate(tokens) if kind(t) == "value"]
    for _ in range(chance.randint(1, 3)):
        at = chance.choice(words)
        alike = [t for t in chance.choice(scripts) if kind(t) == kind(tokens[at])]
        if chance.randrange(12) and alike:
            tokens[at] = chance.choice(alike)
        else:
            tokens[at] = chance.choice(("", tokens[at] * 2))
    return "".join(tokens)


@pytest.mark.parametrize("block", range(4))
def test_nothing_but_diagnostics(block: int) -> None:
    scripts = corpus()
    for seed in range(block * 150, (block + 1) * 150):
        script = mutilated(scripts, seed)
        try:
            found = outcome(script)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {script!r}") from error
        assert found.program is not None or found.errors
