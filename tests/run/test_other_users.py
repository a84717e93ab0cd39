"""A session of root's while somebody without rights is about, and runners that are started in odd surroundings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

# limited.c starts this as user 1234 while the session runs; each line says what the attempt came to.
ATTACKS = """
files=$(echo /proc/systemtap/*)
try() { name=$1; shift; if "$@" > /tmp/user/out 2>&1; then echo "$name: went through"; else echo "$name: refused"; fi; }
try cmd dd if=/dev/zero of=$files/cmd count=1
try "cmd, read" cat $files/cmd
try output cat $files/trace0
try "output, taken away" dd if=$files/trace0 bs=1 count=1
try hidden cat $files/hidden
try "hidden, written" sh -c "echo 9 > $files/hidden"
try shown cat $files/shown
try "shown, written" sh -c "echo 9 > $files/shown"
try rmmod rmmod $(basename $files)
try insmod RUNNER /tmp/own.ko
try attach RUNNER -A /tmp/own.ko
try "stop by a signal" kill -INT $(pidof pystap-run)
try "kill the guardian" kill -KILL $(basename $(dirname $(grep -l pystap-guardian /proc/[0-9]*/comm)))
try "the lock" cat /proc/vmallocinfo
try kallsyms sh -c "grep -v '^0* ' /proc/kallsyms"
try parameters sh -c "echo 1 > /sys/module/$(basename $files)/parameters/_buffer_mb"
"""
WAIT = "until ls /proc/systemtap/*/shown > /dev/null 2>&1; do sleep 0.1; done"
OWN = """
probe begin { println("begun") }
probe procfs("hidden").read { $value = "secret" } probe procfs("hidden").write { println("written ", $value) }
probe procfs("shown").umask(0222).read { $value = "shown\\n" }
probe procfs("shown").write { println("written ", $value) }
probe end { println("ended") }
"""
NAMES = ["".join(found) for found in re.findall(r'^try (?:"(.*?)"|(\w+))', ATTACKS, re.MULTILINE)]
COMES_TO = [f"{name}: {'went through' if name == 'shown' else 'refused'}" for name in NAMES]


@pytest.fixture
def limited(guests: Guests, series: str) -> None:
    source = (Path(__file__).parent / "limited.c").read_text()
    guests.get(series).put("/tmp/limited", compile_c(source, "-static").read_bytes(), 0o755)


@pytest.fixture
def own(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p4", "-r", series, "-e", OWN]) == 0
    guests.get(series).put("/tmp/own.ko", Path(capsys.readouterr().out.strip()).read_bytes())


@pytest.mark.usefixtures("limited", "own")
def test_what_somebody_without_rights_comes_to(guests: Guests, series: str) -> None:
    guest = guests.get(series)
    guest.put("/tmp/attacks", ATTACKS.replace("RUNNER", RUNNER).encode(), 0o755)
    setting = "rm -rf /tmp/user; mkdir /tmp/user; chown 1234 /tmp/user; sysctl -q -w kernel.kptr_restrict=1"
    run = f"{RUNNER} -T 60 /tmp/own.ko > /tmp/said 2>&1 & {WAIT}"
    with keeps_quiet(guest):
        done = guests.sh(
            series,
            f"{setting}; {run}; /tmp/limited user /bin/sh /tmp/attacks; kill -INT $!; wait $!; echo $?; cat /tmp/said",
        )
    assert done.stdout.decode().splitlines() == [*COMES_TO, "0", "begun", "ended"]
    assert done.stderr == b""


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_standard_files(guests: Guests, series: str, closed: str) -> None:
    """None of what the runner opens takes their place: output has somewhere to go, or its loss is an error."""
    guest = guests.get(series)
    with keeps_quiet(guest):
        done = guests.sh(
            series,
            f"{RUNNER} -T 0.2 /tmp/own.ko {closed}; echo $? > /tmp/status; grep -c ^stap /proc/modules >> /tmp/status",
        )
    shown = ">" not in closed.replace("2>", "")
    assert guests.sh(series, "cat /tmp/status").stdout == (b"0\n0\n" if shown else b"1\n0\n")
    assert done.stdout == (b"begun\nended\n" if shown else b"")
    lost = b"ERROR: Couldn't write the output: Bad file descriptor\n"
    assert done.stderr == (b"" if shown or "2>" in closed else lost)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("limit", ["-f 1", "-s 64", "-v 20000", "-n 12", "-c 0", "-l 0"])
def test_little_of_everything(guests: Guests, series: str, limit: str) -> None:
    """Limits of a login's: it runs, or says what it lacks; the module is gone in any case."""
    guest = guests.get(series)
    with keeps_quiet(guest):
        done = guests.sh(series, f"ulimit {limit}; {RUNNER} -T 0.2 -c 'sleep 0.1' -o /tmp/out /tmp/own.ko; echo $?")
    assert guests.sh(series, "grep -c ^stap /proc/modules; ls /proc/systemtap 2> /dev/null").stdout == b"0\n"
    assert done.stdout == (b"1\n" if done.stderr else b"0\n"), done.stderr
    if done.stderr:
        assert done.stderr.startswith((b"ERROR: ", b"WARNING: "))


@pytest.mark.usefixtures("own")
def test_names_that_somebody_else_made(guests: Guests, series: str) -> None:
    """Root's -o in a folder that everybody can write: kernels protect links there, and what is refused is said."""
    setting = "rm -rf /tmp/all; mkdir -m 1777 /tmp/all; sysctl -q -w fs.protected_symlinks=1 fs.protected_fifos=1"
    links = "echo keep > /tmp/precious; ln -s /tmp/precious /tmp/all/out; chown -h 1234 /tmp/all/out"
    done = guests.sh(
        series, f"{setting}; {links}; {RUNNER} -T 0.1 -o /tmp/all/out /tmp/own.ko; echo $?; cat /tmp/precious"
    )
    assert done.stdout == b"1\nkeep\n"
    assert done.stderr == b"ERROR: Couldn't open output file '/tmp/all/out': Permission denied\n"
