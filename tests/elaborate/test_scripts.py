"""Scripts that must elaborate, and scripts that must not: these say their error as `# error: CODE LINE:COLUMN`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.elaborating import outcome

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def scripts(folder: str) -> pytest.MarkDecorator:
    found = sorted((SCRIPTS / folder).glob("*.stp"))
    assert found
    return pytest.mark.parametrize("path", found, ids=lambda p: p.stem)


@scripts("sem-ok")
def test_right(path: Path) -> None:
    found = outcome(path.read_text())
    assert found.program is not None, found.error_lines


@scripts("sem-ko")
def test_wrong(path: Path) -> None:
    text = path.read_text()
    expected = re.search(r"# error: (\S+)(?: (\d+:\d+))?", text)
    assert expected is not None
    found = outcome(text)
    assert found.program is None
    first = found.errors[0]
    where = f"{first.span.line}:{first.span.column}" if first.span is not None else None
    assert (first.code, where) == (expected[1], expected[2])
