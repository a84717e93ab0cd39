"""The examples: each is compiled as its header says and run in a guest with its command; what it prints must match.

A header has lines `# WORD: TEXT`: run (options of the run), options (of the compiler), args (of the script), expect (a
regular expression that the output holds), modules (that the guest has loaded), needs (files of this machine, or
MODULE:name) and program (a C file beside this one, which the command calls as ./NAME).
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.providers.objects import libraries_of
from pystap.run import binaries
from pystap.run.kernels import module_content
from pystap.run.vm import Guest, LostGuest
from tests.support.kernels import RUNNER, SECONDS, available, can_boot
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

HERE = Path(__file__).resolve().parent
EXAMPLES = sorted((paths.tapsets().parent / "examples").glob("*.stp"))
WANTED = 45
PATIENT = ("-DMAXTRYLOCK=100000",)  # an emulated CPU that holds a lock may wait long for its turn
FLAGS = ("-g", "-O1", "-fno-inline", "-pthread", "-fno-optimize-sibling-calls")


def header(example: Path, word: str) -> list[str]:
    """What an example's header says after that word."""
    return re.findall(rf"^# {word}: (.*)$", example.read_text(), re.MULTILINE)


def words(examples: list[Path], word: str) -> list[str]:
    """The words that some examples have after that word, each once."""
    return sorted({part for example in examples for line in header(example, word) for part in line.split()})


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs that examples look at."""
    if reason := can_boot():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("programs")
    for source in words(EXAMPLES, "program"):
        program = folder / Path(source).stem
        subprocess.run(["gcc", *FLAGS, "-o", str(program), str(HERE / source)], check=True)
    return folder


class Bench:
    """The guests that have what the examples need, one for each kernel."""

    def __init__(self, programs: Path) -> None:
        self._guests: dict[str, Guest] = {}
        self._programs = programs

    def get(self, series: str) -> Guest:
        if series not in self._guests:
            self._guests[series] = self._boot(series)
        return self._guests[series]

    def drop(self, series: str) -> None:
        self._guests.pop(series).close()

    def close(self) -> None:
        for series in list(self._guests):
            self.drop(series)

    def _boot(self, series: str) -> Guest:
        kernel = available(series)
        assert kernel is not None
        needs = words(EXAMPLES, "needs")
        files = [*(str(p) for p in self._programs.iterdir()), *(n for n in needs if not n.startswith("MODULE:"))]
        files += [lib for name in files for lib in libraries_of(name).values()]
        files.append("/lib64/ld-linux-x86-64.so.2")
        modules = tuple(words(EXAMPLES, "modules"))
        own = {RUNNER: binaries.runner()}
        guest = Guest(kernel, modules=modules, files=own, host_files=tuple(sorted(set(files))), cpus=2)
        guest.__enter__()
        for need in needs:
            module = kernel.module(need.removeprefix("MODULE:")) if need.startswith("MODULE:") else None
            if module is not None:
                guest.put(f"/tmp/{module.name.split('.')[0]}.ko", module_content(module))
        return guest


@pytest.fixture(scope="session")
def bench(programs: Path) -> Iterator[Bench]:
    made = Bench(programs)
    yield made
    made.close()


def test_there_are_many() -> None:
    assert len(EXAMPLES) >= WANTED


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example_explains_itself(example: Path) -> None:
    text = example.read_text()
    assert re.match(r"#!/usr/bin/env pystap\n# [A-Z].*[.:]\n", text), "what it shows"
    assert len(header(example, "run")) == 1
    assert header(example, "expect")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example(bench: Bench, programs: Path, series: str, example: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available(series)
    assert kernel is not None
    run = shlex.split(header(example, "run")[0].replace("./", f"{programs}/"))
    options = [o for line in header(example, "options") for o in shlex.split(line)]
    arguments = [a for line in header(example, "args") for a in shlex.split(line)]
    built = cli.main(["-p4", "-r", kernel.release, *run, *PATIENT, *options, str(example), *arguments])
    assert built == 0, capsys.readouterr()
    compiled = capsys.readouterr()
    assert compiled.err == ""
    module = Path(compiled.out.split()[-1])
    try:
        bench.get(series).put(f"/tmp/{module.name}", module.read_bytes())
        with keeps_quiet(bench.get(series)):
            done = bench.get(series).run([RUNNER, *run, f"/tmp/{module.name}"], timeout=SECONDS)
    except LostGuest:
        bench.drop(series)
        raise
    said, complaints = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    missing = [e for e in header(example, "expect") if not re.search(e, said)]
    assert not missing, said + complaints
    assert not re.search(r"ERROR|WARNING", complaints), complaints
