"""The language row by row: tests/scripts/run-ok/NAME.stp with NAME.expect beside it, run in guests.

An .expect file as of test_scripts.py, and `rows: ...` (what of the language it shows), `compile: OPTIONS`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests
from tests.vm.test_scripts import read, shown

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts" / "run-ok"
pytestmark = pytest.mark.vm


def facts(path: Path) -> dict[str, str]:
    head = path.read_text().partition("--- stdout\n")[0]
    return dict(line.split(": ", 1) for line in head.splitlines())


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.stp")), ids=lambda p: p.stem)
def test_runs_as_written(
    script: Path, series: str, guests: Guests, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(script.with_suffix(".expect"))
    options = shlex.split(facts(script.with_suffix(".expect")).get("compile", ""))
    monkeypatch.chdir(SCRIPTS)
    status = cli.main(["-p4", "-w", "-r", series, *options, script.name, *expected.arguments])
    compiled = capsys.readouterr()
    assert status == 0, compiled.err
    parameters = [w for w in expected.options if "=" in w]
    done = guests.run(series, Path(compiled.out.strip()), *parameters)
    assert shown(done.stdout) == expected.stdout.rstrip("\n")
    assert shown(done.stderr) == expected.stderr.rstrip("\n")
    assert done.status == expected.status
