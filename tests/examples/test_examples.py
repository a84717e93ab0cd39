"""The examples: each is compiled as its header says and run in a guest with its command; what it prints must match.

A header has lines `# WORD: TEXT`: run (options of the run), options (of the compiler), args (of the script), expect (a
regular expression that the output holds), modules (that the guest has loaded), needs (files of this machine, or
MODULE:name) and program (a C file beside this one, which the command calls as ./NAME).
"""

from __future__ import annotations

import io
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.providers.objects import libraries_of
from pystap.run import binaries
from pystap.run.kernels import module_content
from pystap.run.vm import Finished, Guest, LostGuest
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


def run_example(bench: Bench, series: str, example: Path, run: list[str]) -> Finished:
    """Compiles an example as its header says, and runs it in the guest without a complaint of its kernel."""
    kernel = available(series)
    assert kernel is not None
    options = [o for line in header(example, "options") for o in shlex.split(line)]
    arguments = [a for line in header(example, "args") for a in shlex.split(line)]
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main(["-p4", "-r", kernel.release, *run, *PATIENT, *options, str(example), *arguments])
    assert (status, err.getvalue()) == (0, "")
    module = Path(out.getvalue().split()[-1])
    try:
        bench.get(series).put(f"/tmp/{module.name}", module.read_bytes())
        with keeps_quiet(bench.get(series)):
            return bench.get(series).run([RUNNER, *run, f"/tmp/{module.name}"], timeout=SECONDS)
    except LostGuest:
        bench.drop(series)
        raise


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example(bench: Bench, programs: Path, series: str, example: Path) -> None:
    run = shlex.split(header(example, "run")[0].replace("./", f"{programs}/"))
    done = run_example(bench, series, example, run)
    said, complaints = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
    missing = [e for e in header(example, "expect") if not re.search(e, said)]
    assert not missing, said + complaints
    assert not re.search(r"ERROR|WARNING", complaints), complaints


def shown(bench: Bench, series: str, name: str, command: str) -> str:
    """What an example says of a workload that is known, and what that says itself."""
    bench.get(series).put("/tmp/command", f"{command}; true".encode())
    done = run_example(bench, series, next(e for e in EXAMPLES if e.stem == name), ["-c", "sh /tmp/command"])
    assert done.stderr == b""
    return done.stdout.decode()


def test_counts_of_reads_and_opens(bench: Bench, series: str) -> None:
    """As many reads of a size, and openings with their results, as the commands make."""
    copy = "dd if=/dev/zero of=/dev/null 2> /dev/null"
    said = shown(bench, series, "read_sizes", f"{copy} bs=70000 count=9; {copy} bs=300000 count=17")
    buckets = {int(a): int(b) for a, b in re.findall(r"^ *(\d+) \|@* +(\d+)$", said, re.MULTILINE)}
    assert (buckets[65536], buckets[131072], buckets[262144]) == (9, 0, 17)
    opens = "echo x > /tmp/opened; for k in 1 2 3 4 5; do cat /tmp/opened; done; cat /tmp/none /tmp/none 2> /dev/null"
    said = shown(bench, series, "who_opens", opens)
    assert len(re.findall(r'^cat\(\d+\) O_RDONLY\S* "/tmp/opened" = 3$', said, re.MULTILINE)) == 5
    assert len(re.findall(r'^cat\(\d+\) O_RDONLY\S* "/tmp/none" = -2 \(ENOENT\)$', said, re.MULTILINE)) == 2
    naps = "for k in 1 2 3 4 5 6 7; do /bin/usleep 1000; done"
    files = "for k in 1 2 3 4 5; do [ -e /tmp/none ]; [ -e /tmp ]; done"
    said = shown(bench, series, "syscall_summary", f"{naps}; {files}")
    rows = {name: (int(a), int(b)) for name, a, b in re.findall(r"^(\w+) +(\d+) +(\d+) +\d+$", said, re.MULTILINE)}
    assert rows.get("clock_nanosleep", rows.get("nanosleep")) == (7, 0)
    assert sum(rows[name][1] for name in rows if "stat" in name) == 5


def test_counts_of_processes_and_signals(bench: Bench, series: str) -> None:
    """Each child once with its end; each signal; as many faults as getrusage(2) counts."""
    children = "echo shell $$; for k in 1 2 3 4; do /bin/true; done; /bin/false; /bin/false; (exit 7)"
    said = shown(bench, series, "processes", children)
    shell = re.findall(r"^shell (\d+)$", said, re.MULTILINE)[0]
    forked = re.findall(rf"^fork +{shell} -> (\d+)$", said, re.MULTILINE)
    ends = [re.findall(rf"^exit +{child} \w+ status (\d+)$", said, re.MULTILINE) for child in forked]
    assert ends == [["0"]] * 4 + [["1"]] * 2 + [["7"]]
    kills = "trap true USR1; for k in 1 2 3 4 5 6; do kill -USR1 $$; done"
    said = shown(bench, series, "signals", kills)
    assert len(re.findall(r"^sh\((\d+)\) sends SIGUSR1 to sh\(\1\)$", said, re.MULTILINE)) == 6
    said = shown(bench, series, "page_faults", "time -v dd if=/dev/zero of=/dev/null bs=4M count=1 2>&1")
    minor = int(re.findall(r"Minor.*: (\d+)", said)[0])
    faults = int(re.findall(r"^dd +(\d+) +\d+$", said, re.MULTILINE)[0])
    assert faults > 1024
    assert minor - 80 < faults <= minor + 5, "those before exec(2) are another program's"


def test_counts_of_bytes(bench: Bench, series: str) -> None:
    """All that a connection carries, and that a disk's own counters say it has read."""
    talk = "ip link set lo up; (sleep 3 | nc -l -p 98 > /dev/null &); sleep 0.5"
    said = shown(bench, series, "tcp_connections", f"{talk}; head -c 50000 /dev/zero | nc -w 1 127.0.0.1 98")
    assert sum(map(int, re.findall(r"^sent (\d+) bytes by nc", said, re.MULTILINE))) == 50000
    assert len(re.findall(r"^accept (?:::ffff:)?127\.0\.0\.1:\d+ by nc", said, re.MULTILINE)) == 1
    disk = "dd if=/dev/zero of=/tmp/disk bs=1M count=4 2> /dev/null; losetup /dev/loop5 /tmp/disk; cd /sys/block/loop5"
    reads = "cat stat; dd if=/dev/loop5 of=/dev/null bs=64k count=9 2> /dev/null; cat stat; cd /; losetup -d /dev/loop5"
    said = shown(bench, series, "block_requests", f"{disk}; {reads}")
    before, after = (line.split() for line in said.splitlines() if re.fullmatch(r"[ \d]{40,}", line))
    requests = [int(size) for size in re.findall(r" 7:5 R sector +\d+ +(\d+) bytes", said)]
    assert sum(requests) == 512 * (int(after[2]) - int(before[2])) > 9 * 65536
