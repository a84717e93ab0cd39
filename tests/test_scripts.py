"""The corpora: every row of the language's table (tests/rows.tsv) has scripts; scripts fail in the pass that their
folder names, with exit status 1."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import SERIES, available

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE / "scripts"
NO_SCRIPT = 2  # rows that are tested elsewhere, for a reason


def rows() -> list[dict[str, str]]:
    with (HERE / "rows.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_every_row_has_a_script() -> None:
    without = []
    for row in rows():
        named = row["scripts"].split()
        assert named, f"{row['section']} {row['row']} has no script"
        if named[0] == "none:":
            without.append(row["row"])
            continue
        missing = [name for name in named if not (SCRIPTS / f"{name}.stp").exists()]
        assert not missing, f"{row['section']} {row['row']}: {missing}"
    assert len(without) <= NO_SCRIPT, without


def test_every_script_is_in_the_table() -> None:
    named = {name for row in rows() for name in row["scripts"].split()}
    found = {f"run-ok/{path.stem}" for path in (SCRIPTS / "run-ok").glob("*.stp")}
    assert found <= named, found - named


@pytest.fixture
def release() -> str:
    kernel = next((k for k in map(available, SERIES) if k is not None), None)
    if kernel is None:
        pytest.skip("no kernel is prepared: pystap-prep 6.1")
    return kernel.release


@pytest.mark.headers
@pytest.mark.parametrize("path", sorted((SCRIPTS / "trans-ko").glob("*.stp")), ids=lambda p: p.stem)
def test_refused_in_pass_3(path: Path, release: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p2", "-w", "-r", release, str(path)]) == 0
    assert cli.main(["-p3", "-w", "-r", release, str(path)]) == 1
    errors = capsys.readouterr().err
    expected = re.search(r"# error: \S+ (\d+:\d+)", path.read_text())
    assert expected is not None
    assert f"{path}:{expected[1]}\n" in errors
    assert errors.endswith("Pass 3: translation failed.  [man error::pass3]\n")
    assert "Traceback" not in errors


@pytest.mark.headers
@pytest.mark.parametrize("path", sorted((SCRIPTS / "run-ok").glob("*.stp"))[::4], ids=lambda p: p.stem)
def test_printed_program_is_a_program(path: Path, release: str, capsys: pytest.CaptureFixture[str]) -> None:
    """-p1 of a script that runs says nothing on standard error."""
    head = path.with_suffix(".expect").read_text().partition("--- stdout\n")[0]
    words = dict(line.split(": ", 1) for line in head.splitlines())
    given = words.get("options", "")
    arguments = given.split()[1:] if given.startswith("ARGS") else []
    status = cli.main(["-p1", "-r", release, *words.get("compile", "").split(), str(path), *arguments])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    assert said.out.startswith(f"# parse tree dump\n# file {path}\n")
