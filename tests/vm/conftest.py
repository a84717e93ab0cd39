"""Programs of the tests, and guests that have them at their own paths."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pystap import cli
from pystap.providers.objects import libraries_of
from pystap.run import binaries
from pystap.run.vm import Finished, Guest, LostGuest
from tests.support.kernels import RUNNER, available, can_boot
from tests.support.quiet import keeps_quiet, kept_guests
from tests.support.stage import Stage

SOURCES = Path(__file__).parent / "user"
PROGRAMS = {
    "t": ("-g -O1", "t.c"),
    "calls": ("-g -O0 -pthread", "calls.c facts.c"),
    "calls_fast": ("-g -O2 -fomit-frame-pointer -pthread", "calls.c facts.c"),
    "plain": ("-g -O2", "plain.c"),
    "stripped": ("-O2 -s", "plain.c"),
    "slow": ("-g -O0", "plain.c"),
    "fixed": ("-g -O1 -no-pie", "t.c"),
    "marks": ("-g -O2", "marks.c"),
    "semaphore": ("-O2", "semaphore.c"),
    "threads": ("-g -O1 -pthread", "threads.c"),
    "deep": ("-g -O1", "deep.c"),
    "twists": ("-g -O1 -pthread", "twists.c"),
    "untouched": ("-g -O1", "untouched.c"),
    "looped": ("-g -O2 -no-pie", "looped.c"),
    "jumps": ("-g -O1", "jumps.c"),
    "exact": ("-g -O1 -no-pie", "plain.c"),
    "secret": ("-g -O1", "secret.c"),
    "held": ("-g -O1 -static -pthread", "held.c"),
    "counted": ("-g -O1 -static -fno-inline -fno-optimize-sibling-calls", "counted.c"),
    "rests": ("-g -O1 -static -pthread", "rests.c"),
    "waits": ("-g -O1 -static", "waits.c"),
    "values": ("-g -O1", "values.c"),
    "own_view": ("-O1 -static", "own_view.c"),
    "own_counts": ("-g -O1 -static", "own_counts.c"),
    "touch": ("-g -O1 -pthread", "touch.c"),
    "watched": ("-g -O1 -pthread", "watched.c"),
    "watched_fixed": ("-g -O1 -pthread -no-pie", "watched.c"),
    "klass": ("-g -O1", "klass.cpp"),
    "klass_bare": ("-O1", "klass.cpp"),
    "variables0": ("-g -O0", "variables.c"),
    "variables1": ("-g -O1", "variables.c"),
    "classes0": ("-g -O0 -std=c++17 -lstdc++", "classes.cpp"),
    "classes1": ("-g -O1 -std=c++17 -lstdc++", "classes.cpp"),
    "throws": ("-g -O1 -pthread -lstdc++", "throws.cpp"),
    "throws_late": ("-g -O1 -lstdc++", "throws_late.cpp"),
    "throws_static": ("-g -O1 -pthread -static -lstdc++", "throws.cpp"),
    "edges": ("-g -O1", "edges.c"),
    "frames": ("-g -O2", "frames.c"),
    "frames_debug": ("-g -O1 -fno-asynchronous-unwind-tables -fno-unwind-tables", "frames.c"),
    "frames_pointer": ("-O1 -fno-asynchronous-unwind-tables -fno-unwind-tables -fno-omit-frame-pointer", "frames.c"),
    "libfive.so": ("-O2 -fomit-frame-pointer -shared -fPIC -g0", "five.c"),
    "libvalue.so": ("-g -shared -fPIC", "library_value.c"),
    "uses_value": ("-g -L{} -lvalue -Wl,-rpath,{}", "uses_library_value.c"),
    "libplug.so": ("-g -O1 -shared -fPIC", "plug.c"),
    "plugs": ("-g -O1 -pthread", "plugs.c"),
    "uses_five": ("-g -O2 -fomit-frame-pointer -L{} -lfive -Wl,-rpath,{}", "uses_five.c"),
}
PYTHON = os.path.realpath("/usr/bin/python3")
BASH = os.path.realpath("/usr/bin/bash")
CODECS = sorted(map(str, Path("/usr/lib", os.path.basename(PYTHON), "encodings").glob("*.py")))


@pytest.fixture
def debuginfo(series: str) -> None:
    """Skips a test where the kernel's debug-info is not there."""
    kernel = available(series)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {series}: pystap-prep --debuginfo {series}")


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all programs."""
    if reason := can_boot():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("programs")
    for name, (flags, sources) in PROGRAMS.items():
        files = [str(SOURCES / s) for s in sources.split()]
        options = flags.replace("{}", str(folder)).split()
        subprocess.run(["gcc", "-w", "-o", str(folder / name), *files, *options], check=True)
    pages = (f"page {k}".encode().ljust(65536, b"\0") for k in range(4))
    (folder / "untouched.data").write_bytes(b"".join(pages))
    return folder


@dataclass
class Bench:
    """One kernel's guest with the programs in it."""

    series: str
    programs: Path
    capsys: pytest.CaptureFixture[str]
    guests: dict[str, Guest] = field(default_factory=dict)

    def compile(self, script: str, *options: str) -> Path:
        """The module of a script; PROGRAMS/ stands for the folder of the programs."""
        text = script.replace("PROGRAMS", str(self.programs))
        status = cli.main(["-p4", "-w", "-r", self.series, *options, "-e", text])
        done = self.capsys.readouterr()
        assert status == 0, done.err
        return Path(done.out.strip())

    def run(self, script: str, command: str, *options: str) -> list[str]:
        """The lines that a script prints while a command runs."""
        done = self.finish(script, command, *options)
        assert (done.stderr, done.status) == (b"", 0)
        return done.stdout.decode().splitlines()

    def finish(self, script: str, command: str, *options: str) -> Finished:
        """Runs a script to the end of a command; afterwards nothing of it is left."""
        module = self.compile(script, *options)
        command = command.replace("PROGRAMS", str(self.programs))
        guest = self.guest()
        guest.put(f"/tmp/{module.name}", module.read_bytes())
        try:
            with keeps_quiet(guest):
                done = guest.run([RUNNER, "-c", command, f"/tmp/{module.name}"], timeout=120)
        except LostGuest:
            self.guests.pop(self.series).close()
            raise
        assert guest.sh("grep -q ^stap_ /proc/modules").status == 1, "the module is gone"
        return done

    def guest(self) -> Guest:
        """The guest, which all tests of a series share."""
        if self.series not in self.guests:
            files = {str(self.programs / name) for name in PROGRAMS}
            files |= {lib for name in files for lib in libraries_of(name).values()}
            files |= {str(self.programs / "untouched.data"), BASH, PYTHON, *CODECS}
            files |= {lib for name in (BASH, PYTHON) for lib in libraries_of(name).values()}
            files |= {"/lib64/ld-linux-x86-64.so.2"}  # as programs name it: a link to the loader, never a second one
            kernel = available(self.series)
            assert kernel is not None
            guest = Guest(kernel, files={RUNNER: binaries.runner()}, host_files=tuple(sorted(files)), cpus=2)
            guest.__enter__()
            self.guests[self.series] = guest
        return self.guests[self.series]


@pytest.fixture(scope="session")
def started() -> Iterator[dict[str, Guest]]:
    yield from kept_guests()


@pytest.fixture
def bench(series: str, programs: Path, started: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(series, programs, capsys, started)


@pytest.fixture(scope="session")
def stage_guests() -> Iterator[dict[str, Guest]]:
    if reason := can_boot():
        pytest.skip(reason)
    yield from kept_guests()


@pytest.fixture
def stage(series: str, stage_guests: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> Stage:
    """A guest with disks and a program whose deeds are known."""
    return Stage(series, capsys, stage_guests)
