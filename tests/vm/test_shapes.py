"""Variables of every shape in every kind of place: a module whose values are known, read and written by scripts.

A script of shapes/ NAME.stp has the lines that it prints in NAME.expect. `SHAPES` is the module, `LINE(text)` the line
of its source that has the text behind `line:`; ADDRESS in what is expected is any pointer. The module's caller prints
what it has got, so that what a script wrote is seen to have arrived.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import SERIES, Guests, available, build_module

pytestmark = pytest.mark.vm
SOURCE = Path(__file__).resolve().parent / "shapes"
SCRIPTS = sorted(path.stem for path in SOURCE.glob("*.stp"))
OPTIONS = ("-g", "-w", "-DMAXSTRINGLEN=2048", "-DMAXACTION=20000")
CALL = "{ cat /proc/shapes; dmesg -c | sed -n 's/.*shapes: //p' | tail -n 2; } > /tmp/called"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The module's file for each kernel that is there."""
    return {
        series: build_module(SOURCE, tmp_path_factory.mktemp("shapes") / "work", kernel)
        for series in SERIES
        if (kernel := available(series)) is not None
    }


def filled(text: str, module: Path) -> str:
    """A script with the module's path, and lines for the words behind them in its source."""
    lines: dict[str, int] = {}
    for source in sorted(SOURCE.glob("*.c")):
        for number, line in enumerate(source.read_text().splitlines(), 1):
            if found := re.search(r"/\* line: (.*) \*/", line):
                lines[found[1]] = number
    text = text.replace("SHAPES", f'module("{module}")').replace("PATH", str(module))
    return re.sub(r"LINE\((.*?)\)", lambda m: str(lines[m[1]]), text)


def run(series: str, guests: Guests, module: Path, text: str, before: bool, capsys: pytest.CaptureFixture[str]) -> str:
    """What a script prints, then what the module says; `before`: the module is there first."""
    assert cli.main(["-p4", "-r", series, *OPTIONS, "-e", filled(text, module)]) == 0, capsys.readouterr().err
    compiled = Path(capsys.readouterr().out.strip())
    guests.get(series).put("/tmp/shapes.ko", module.read_bytes())
    load = "insmod /tmp/shapes.ko"
    guests.sh(series, "dmesg -c > /dev/null")
    if before:
        assert guests.sh(series, load).status == 0
    guests.get(series).put("/tmp/command", (CALL if before else f"{load}; {CALL}").encode())
    done = guests.run(series, compiled, options=("-c", "sh /tmp/command"))
    called = guests.sh(series, "rmmod shapes; cat /tmp/called").stdout
    assert (done.stderr, done.status) == (b"", 0)
    return done.stdout.decode() + called.decode(errors="backslashreplace")


@pytest.mark.parametrize("name", SCRIPTS)
def test_values(
    name: str, series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    script, expected = ((SOURCE / f"{name}.{kind}").read_text() for kind in ("stp", "expect"))
    said = run(series, guests, built[series], script, True, capsys)
    form = re.escape(expected).replace("ADDRESS", "0x[0-9a-f]{16}")
    assert re.fullmatch(form, said), said


def test_variables_of_a_module_that_comes_later(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Where they lie is found out when it is loaded."""
    script = 'probe SHAPES.function("look") { println(@var("shapes_global"), " ", @var("same_name@places.c")) }'
    said = run(series, guests, built[series], script, False, capsys)
    assert said.splitlines()[0] == "-5 2003"
