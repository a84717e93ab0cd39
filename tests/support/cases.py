"""Reads .case files: several cases a file, `--- title` (or `--- SECTION`) before each part.

    --- two keys, sorted
    probe begin { ... }
    --- tree
    ...

PYSTAP_UPDATE=1 in the environment rewrites what is expected instead of comparing; the review is the diff.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

CASES = Path(__file__).resolve().parent.parent / "cases"


@dataclass(frozen=True, slots=True)
class Case:
    """A script and the text that is expected of it."""

    path: Path
    title: str
    script: str
    expected: str


def read_cases(folder: str, section: str) -> list[Case]:
    """All cases of tests/cases/FOLDER whose second part is `--- SECTION`."""
    found: list[Case] = []
    for path in sorted((CASES / folder).glob("*.case")):
        parts = f"\n{path.read_text()}".split("\n--- ")[1:]
        for first, second in zip(parts[::2], parts[1::2], strict=True):
            title, _, script = first.partition("\n")
            name, _, expected = second.partition("\n")
            assert name.strip() == section, f"{path}: `--- {name}` where `--- {section}` should be"
            found.append(Case(path, title, script, expected.rstrip("\n")))
    return found


def parametrize(folder: str, section: str) -> pytest.MarkDecorator:
    """A test argument `case` for each case of a folder."""
    cases = read_cases(folder, section)
    return pytest.mark.parametrize("case", cases, ids=[f"{c.path.stem}: {c.title}" for c in cases])


def check(case: Case, section: str, run: Callable[[str], str]) -> None:
    """Compares, or rewrites the file under PYSTAP_UPDATE=1."""
    got = run(case.script).rstrip("\n")
    if os.environ.get("PYSTAP_UPDATE") and got != case.expected:
        old = f"--- {case.title}\n{case.script}\n--- {section}\n{case.expected}"
        new = f"--- {case.title}\n{case.script}\n--- {section}\n{got}"
        text = case.path.read_text()
        assert old in text, f"{case.path}: cannot find the case to rewrite"
        case.path.write_text(text.replace(old, new))
        return
    assert got == case.expected
