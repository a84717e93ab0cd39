"""Scripts with what SystemTap prints for them, to the byte: tests/scripts/run/NAME.stp with NAME.expect beside it.

An .expect file: `options: ...`, `status: N`, then `--- stdout` and `--- stderr` with the texts.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts" / "run"
pytestmark = pytest.mark.vm


@dataclass(frozen=True)
class Expected:
    options: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    arguments: tuple[str, ...] = ()


def read(path: Path) -> Expected:
    head, _, rest = path.read_text().partition("--- stdout\n")
    stdout, _, stderr = rest.partition("--- stderr\n")
    facts = dict(line.split(": ", 1) for line in head.splitlines())
    words = shlex.split(facts.get("options", ""))
    if words[:1] == ["ARGS"]:
        return Expected((), int(facts["status"]), stdout, stderr, tuple(words[1:]))
    return Expected(tuple(words), int(facts["status"]), stdout, stderr)


def shown(output: bytes) -> str:
    """Output as the expectations write it: bytes that are no UTF-8 escaped, without the newlines at the end."""
    return output.decode("utf-8", "backslashreplace").rstrip("\n")


def cases() -> list[Path]:
    return sorted(p for p in SCRIPTS.glob("*.stp") if "varies: yes" not in p.with_suffix(".expect").read_text())


@pytest.mark.parametrize("script", cases(), ids=lambda p: p.stem)
def test_output_is_stap_s(
    script: Path, series: str, guests: Guests, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = read(script.with_suffix(".expect"))
    monkeypatch.chdir(SCRIPTS)
    building = [w for w in expected.options if w == "-g" or w.startswith("-D")]
    status = cli.main(["-p4", "-w", *building, "-r", series, script.name, *expected.arguments])
    compiled = capsys.readouterr()
    assert status == 0, compiled.err
    parameters = [w.removeprefix("-G") for w in expected.options if "=" in w and w not in building]
    done = guests.run(series, Path(compiled.out.strip()), *parameters)
    assert shown(done.stdout) == expected.stdout.rstrip("\n")
    assert shown(done.stderr) == expected.stderr.rstrip("\n")
    assert done.status == expected.status
