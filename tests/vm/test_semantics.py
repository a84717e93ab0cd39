"""Random programs print in a kernel what the syntax tree means: lowering, generated C and runtime together."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from pystap.options import Options
from tests.lower.test_semantics import FUNCTIONS, Tree, Writer
from tests.support.elaborating import program_of
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm
LONGEST = 400  # texts in a module are bounded, those of the tree are not


def script_of(bodies: list[str]) -> str:
    """Each body as a begin probe of its own; the last one ends the session."""
    probes = [f'probe begin({k}) {{ try {{ {b} }} catch {{ println("FAULT") }} }}' for k, b in enumerate(bodies)]
    return FUNCTIONS + "\n".join([*probes, f"probe begin({len(bodies)}) {{ exit() }}", ""])


def outputs_of(bodies: list[str]) -> list[str]:
    """What each body prints."""
    program = program_of(script_of(bodies), Options(unoptimized=True))
    tree = Tree(program)
    found: list[str] = []
    for probe in program.probes[:-1]:
        tree.out.clear()
        found.append(tree.run(probe.body))
    return found


@pytest.mark.parametrize("block", range(2))
def test_random_programs(
    block: int, series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = [Writer(10_000 * (block + 1) + k).program() for k in range(40)]
    bodies = [
        b for b, text in zip(bodies, outputs_of(bodies), strict=True) if max(map(len, text.split("\n"))) < LONGEST
    ]
    expected = "".join(outputs_of(bodies))
    script = tmp_path / "random.stp"
    script.write_text(script_of(bodies))
    assert cli.main(["-p4", "-w", "-u", "-r", series, "-DMAXACTION=100000", str(script)]) == 0
    done = guests.run(series, Path(capsys.readouterr().out.strip()))
    assert done.stdout.decode() == expected
    assert (done.stderr, done.status) == (b"", 0)
