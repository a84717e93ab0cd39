"""This machine's files as an image that a guest reads, and real programs that need more than their libraries."""

from __future__ import annotations

import collections
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap.run import binaries, nbd
from pystap.run.erofs import BLOCK, HostImage
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, available, can_boot

PYTHON = os.path.realpath("/usr/bin/python3")


def test_a_socket_serves_the_disk() -> None:
    """As QEMU asks: an option that is unknown, the export, a read, one that fails, the end."""

    class Disk:
        def read(self, offset: int, length: int) -> bytes:
            if offset:
                raise OSError
            return b"x" * length

    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=nbd.serve, args=(theirs, Disk(), 1 << 20))
    thread.start()
    with ours:
        assert ours.recv(18, socket.MSG_WAITALL)[:16] == b"NBDMAGICIHAVEOPT"
        ours.sendall(struct.pack(">I8sII", 3, b"IHAVEOPT", 8, 0))
        assert struct.unpack(">QIII", ours.recv(20, socket.MSG_WAITALL))[2] == 0x80000001
        ours.sendall(struct.pack(">8sII", b"IHAVEOPT", 7, 6) + bytes(6))
        assert struct.unpack(">HQH", ours.recv(32, socket.MSG_WAITALL)[20:]) == (0, 1 << 20, 3)
        assert struct.unpack(">QIII", ours.recv(20, socket.MSG_WAITALL))[2] == 1
        ours.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 7, 0, 5))
        assert ours.recv(21, socket.MSG_WAITALL) == struct.pack(">IIQ", 0x67446698, 0, 7) + b"xxxxx"
        ours.sendall(struct.pack(">IHHQQI", 0x25609513, 0, 0, 8, 512, 5))
        assert ours.recv(16, socket.MSG_WAITALL) == struct.pack(">IIQ", 0x67446698, 5, 8)
    thread.join(10)
    assert not thread.is_alive()


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "late").write_text("before")
    image = HostImage(str(tmp_path), hidden=frozenset([str(tmp_path / "hidden")]))
    (tmp_path / "hidden").write_text("secret")
    listed = image.read(BLOCK, 3 * BLOCK)  # the root's inode, and then its entries
    assert b"folder" in listed
    assert b"hidden" not in listed
    (tmp_path / "folder" / "late").write_text("afterwards")
    assert b"afterwards" in image.read(0, 16 * BLOCK)
    assert image.read(1 << 40, 10) == bytes(10)


@pytest.fixture(scope="module")
def guest(series: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    kernel = available(series)
    if reason := can_boot():
        pytest.skip(reason)
    assert kernel is not None
    with Guest(kernel, host=True, files={RUNNER: binaries.runner()}, cpus=2) as made:
        yield made


@pytest.fixture(scope="module", params=("6.1", "6.12"))
def series(request: pytest.FixtureRequest) -> str:
    wanted: str = request.param
    if available(wanted) is None:
        pytest.skip(f"no kernel {wanted}: pystap-prep {wanted}")
    return wanted


@pytest.mark.vm
def test_files_are_as_they_are_here(guest: Guest, tmp_path: Path) -> None:
    """Sizes around a block, many names, links, modes, and names that come in no order; what is written stays there."""
    for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 300_000):
        (tmp_path / f"size-{size}").write_bytes(os.urandom(size))
    many = tmp_path / "many"
    many.mkdir()
    for k in range(700):
        (many / f"a name of some length, number {k * 7919 % 700}").write_text(str(k))
    (tmp_path / "link").symlink_to("many")
    (tmp_path / "size-1").chmod(0o4751)
    os.utime(tmp_path / "size-1", (1_000_000_000, 1_000_000_000))
    wanted = subprocess.run(["sh", "-c", _LOOK], cwd=tmp_path, capture_output=True, check=True).stdout
    assert guest.sh(f"cd {tmp_path} && {_LOOK}").stdout == wanted
    assert guest.sh(f"cd {tmp_path} && echo new > size-0 && rm size-1 && cat size-0 && ls size-1").stdout == b"new\n"
    assert (tmp_path / "size-0").read_bytes() == b""
    assert (tmp_path / "size-1").exists()


_LOOK = """
sha256sum size-* link/* | sort
for k in 1 350 699; do cat "many/a name of some length, number $k"; done
stat -c '%n %s %f %Y %h' size-1 link size-4096
ls many | wc -l
"""


def _run(guest: Guest, series: str, script: str, command: str) -> list[str]:
    module = subprocess.run(
        [sys.executable, "-m", "pystap", "-p4", "-w", "-r", series, "-e", script], capture_output=True, check=True
    ).stdout.strip()
    guest.put("/tmp/real.ko", Path(os.fsdecode(module)).read_bytes())
    done = guest.run([RUNNER, "-c", command, "/tmp/real.ko"], timeout=120)
    assert (done.stderr, done.status) == (b"", 0)
    return done.stdout.decode().splitlines()


@pytest.mark.vm
def test_a_shell_and_what_it_starts(guest: Guest, series: str) -> None:
    """A stripped program on an overlay: its beginning and end, what it exports, what it calls in libraries."""
    script = """
        probe process("/bin/bash").function("make_child").call { children++ }
        probe process("/bin/bash").begin { begins++ }
        probe process("/bin/bash").end { ends++ }
        probe process("/bin/bash").plt("fork") { forks++ }
        probe process("/bin/bash").library("libc.so.6").function("fork").return { if ($return) parents++ }
        probe process("/usr/bin/true").begin { programs++ }
        probe process("/usr/bin/cat").end { cats++ }
        global children, begins, ends, forks, parents, programs, cats
        probe end { printf("%d %d %d %d %d %d %d\\n", children, begins, ends, forks, parents, programs, cats) }
    """
    command = "bash --norc -c 'for i in 1 2 3; do /usr/bin/true; done; (exit 3); /usr/bin/true | cat'"
    assert _run(guest, series, script, command) == ["6 7 7 6 6 4 1"]


@pytest.mark.vm
@pytest.mark.skipif(not Path("/usr/bin/sqlite3").exists(), reason="needs sqlite3 (apt-get install sqlite3)")
def test_a_database(guest: Guest, series: str) -> None:
    """Results of a library's function, as many rows as there are; sqlite3 has no symbols at all of its own."""
    script = """
        probe process("/usr/bin/sqlite3").plt("sqlite3_column_text") { columns++ }
        probe process("/usr/bin/sqlite3").library("libsqlite3.so*").function("sqlite3_step").return {
            if (@entry(ucallers(2)) != "") results[$return]++
        }
        global columns, results
        probe end { printf("%d rows, %d texts\\n", results[100], columns) }
    """
    command = "sqlite3 :memory: 'values (1), (2), (3), (4)'"
    lines = _run(guest, series, script, command)
    assert lines[:4] == ["1", "2", "3", "4"]
    assert lines[-1].startswith("4 rows, ")


@pytest.mark.vm
def test_interpreters(guest: Guest, series: str) -> None:
    """Calls of subroutines and of functions, counted by the program itself too; their libraries come from here."""
    script = f"""
        probe process("{shutil.which("perl")}").function("Perl_pp_entersub").call {{ subs++ }}
        probe process("{PYTHON}").function("PyLong_AsLong").call {{ longs++ }}
        global subs, longs
        probe end {{ printf("%d %d\\n", subs, longs > 0) }}
    """
    perl = "perl -MList::Util=sum -e 'sub f { $n++ } f() for 1..100; print sum(1, $n), qq(\\n)'"
    python = f"""{PYTHON} -c 'import json, decimal; print(json.dumps(str(decimal.Decimal(7))))'"""
    subs, *lines = reversed(_run(guest, series, script, f"{perl}; {python}"))
    assert lines == ['"7"', "101"]
    assert subs.split()[1] == "1"
    assert int(subs.split()[0]) >= 100


LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
TRACED = ("malloc", "free", "getenv", "realloc", "read", "setlocale", "qsort", "strcoll")


@pytest.mark.vm
def test_counts_are_the_kernels_own(guest: Guest, series: str) -> None:
    """Functions of the C library are counted as often as by the kernel's own uprobe events at the same places."""
    points = ", ".join(f'process("{LIBC}").function("{name}").call' for name in TRACED)
    script = f"""
        probe {points} {{ if (execname() == "sort") n[ppfunc()]++ }}
        global n
        probe end {{ foreach (name+ in n) println(name, " ", n[name]) }}
    """
    listing = subprocess.run(["readelf", "-sW", LIBC], capture_output=True, text=True, check=True).stdout
    rows = [row for row in map(str.split, listing.splitlines()) if len(row) > 7 and row[3] == "FUNC"]
    places = {row[7].split("@")[0]: row[1] for row in rows}
    events = [f"p:own/{name} {LIBC}:0x{places[name]}" for name in TRACED]
    guest.put("/tmp/events", "\n".join([*events, ""]).encode())
    tracing = "cd /sys/kernel/tracing"
    on = f"{tracing}; cat /tmp/events > uprobe_events; echo 'comm == \"sort\"' > events/own/filter"
    assert guest.sh(f"{on}; echo 1 > events/own/enable").stderr == b""
    try:
        counted = _run(guest, series, script, "sh -c 'seq 300 | LC_ALL=C.UTF-8 sort -r | tail -n 1'")
        trace = guest.sh(f"{tracing}; cat trace").stdout.decode()
    finally:
        guest.sh(f"{tracing}; echo 0 > events/own/enable; echo > uprobe_events; echo > trace")
    seen = collections.Counter(re.findall(r": (\w+): \(0x", trace))
    counted = sorted(line.replace("__libc_", "") for line in counted)  # as the library's debug-info calls them
    assert counted == ["1", *(f"{name} {count}" for name, count in sorted(seen.items()))]
    assert len(seen) > 3
