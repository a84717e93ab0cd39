"""-l and -L of programs and libraries beside stap's own, as sets: Debian's by their symbols, our own by DWARF."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from tests.oracle.test_listing import RELEASE, STORE, of_stap

SOURCES = Path(__file__).parent.parent / "vm" / "user"
PROGRAMS = {
    "assembly": "-g -O1 assembly.S aliases.c",
    "assembly.so": "-g -O1 -shared -fPIC assembly.S aliases.c",
    "t": "-g -O2 t.c",
    "plain": "-g -O2 plain.c",
    "plain0": "-g -O0 plain.c",
    "plain4": "-gdwarf-4 -O2 plain.c",
    "marks": "-g -O0 marks.c",
    "twists": "-g -O2 -pthread twists.c",
    "variables": "-g -O2 variables.c",
    "klass": "-g -O2 klass.cpp -lstdc++",
    "classes": "-g -O2 -std=c++17 classes.cpp -lstdc++",
}
OWN = (
    ("-L", 'process("assembly").function("*")'),
    ("-l", 'process("assembly").function("*num*").call'),  # two names, one function
    ("-l", 'process("assembly").statement("*@*:*")'),
    ("-l", 'process("assembly.so").function("*@*").exported'),
    ("-L", 'process("t").statement("*@*:*")'),
    ("-L", 'process("plain").statement("*@*:*")'),  # what several lines begin at
    ("-L", 'process("plain").statement("sum@*:*")'),
    ("-L", 'process("plain").statement("*@*plain.c:10-20")'),
    ("-L", 'process("plain0").statement("*@*:*")'),
    ("-L", 'process("plain0").function("sum").label("*")'),
    ("-L", 'process("plain4").function("*@*").callee("*")'),
    ("-L", 'process("plain0").statement("sum@plain.c:14").nearest'),
    ("-l", 'process("plain").statement("*@plain.c:26").nearest'),
    ("-L", 'process("marks").mark("*")'),
    ("-L", 'process("marks").provider("p*").mark("*")'),
    ("-L", 'process("marks").statement("*@*:*")'),
    ("-L", 'process("twists").statement("*@*:*")'),
    ("-L", 'process("twists").function("*").call'),
    ("-L", 'process("variables").function("*@*")'),
    ("-L", 'process("variables").statement("*@*:*")'),
    ("-L", 'process("klass").function("*@*")'),  # methods where they are defined, not where they are declared
    ("-L", 'process("classes").function("*@*").call'),  # lambdas, constructors that nobody wrote
)
PYTHON = os.path.realpath("/usr/bin/python3")
LIBSTDCXX = "/usr/lib/x86_64-linux-gnu/libstdc++.so.6*.*.*"
DEBIAN = (
    ("/usr/bin/bash", 'function("*")'),
    ("/usr/bin/bash", "plt"),
    (PYTHON, 'function("Py[A-M]*").call'),
    (PYTHON, 'mark("*")'),
    (PYTHON, 'provider("py*").mark("*")'),
    (LIBSTDCXX, 'function("*")'),
    (LIBSTDCXX, "plt"),
)

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        shutil.which("stap") is None or os.geteuid() != 0 or not (STORE / "usr/lib/debug").exists(),
        reason=f"needs stap, root, and the debug-info of {RELEASE}",
    ),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    for name, text in PROGRAMS.items():
        words = [str(SOURCES / w) if "." in w else w for w in text.split()]
        subprocess.run(["gcc", "-w", "-o", folder / name, *words], check=True)
    return folder


def of_ours(option: str, points: str, capsys: pytest.CaptureFixture[str]) -> set[str]:
    cli.main(["-r", RELEASE, option, points])
    return set(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize(("option", "points"), OWN, ids=[p for _, p in OWN])
def test_own_programs(option: str, points: str, programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = points.replace('process("', f'process("{programs}/')
    theirs = of_stap(option, points)
    assert theirs
    assert of_ours(option, points, capsys) == theirs


@pytest.mark.parametrize(("pattern", "form"), DEBIAN)
def test_debians(pattern: str, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By symbols: of aliases the one that stap takes. Stubs that lie outside of .plt are listed by us alone."""
    (path,) = glob.glob(pattern)
    points = f'process("{path}").{form}'
    ours, theirs = of_ours("-l", points, capsys), of_stap("-l", points)
    assert len(theirs) >= 4
    assert not theirs - ours
    beyond = {m[1] for line in ours - theirs if (m := re.search(r'\.plt\("(\S+)"\)$', line))}
    assert len(beyond) == len(ours - theirs)
    assert not beyond or beyond <= stubs_beside_the_table(path)


def stubs_beside_the_table(path: str) -> set[str]:
    """The functions whose stubs are in .plt.got, as objdump knows them."""
    command = ["objdump", "-d", "-j", ".plt.got", path]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"<(\w+)@plt>:", text))
