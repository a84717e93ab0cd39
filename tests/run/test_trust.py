"""What pystap-run refuses to load: files that others can write, modules of other builders, or for other kernels."""

from __future__ import annotations

import random
import re
import subprocess
from pathlib import Path

import pytest

from pystap.run import binaries
from pystap.run.kernels import module_content
from tests.support.kernels import RUNNER, Guests, available

pytestmark = pytest.mark.vm


def refusal(guests: Guests, series: str, prepare: str, path: str = "/tmp/own.ko") -> str:
    """What is said of a file that was prepared so; nothing is loaded."""
    done = guests.sh(series, f"{prepare}; exec {RUNNER} {path} mode=wait")
    assert (done.stdout, done.status) == (b"", 1)
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"
    return done.stderr.decode()


@pytest.fixture
def own(guests: Guests, series: str, module: Path) -> bytes:
    """A module of ours, in the guest as /tmp/own.ko."""
    guests.sh(series, "rm -rf /tmp/own.ko")
    content = module.read_bytes()
    guests.get(series).put("/tmp/own.ko", content)
    return content


def test_the_owner(guests: Guests, series: str, own: bytes) -> None:
    said = refusal(guests, series, "chown 1234 /tmp/own.ko")
    assert said.startswith("ERROR: '/tmp/own.ko' belongs to another user (uid 1234), who could put anything into it")
    # sudo tells who is behind root; nobody but root and sudo sets root's environment.
    assert guests.sh(series, f"SUDO_UID=1234 {RUNNER} /tmp/own.ko").status == 0
    assert "another user" in refusal(guests, series, "export SUDO_UID=12345")
    assert "another user" in refusal(guests, series, "export SUDO_UID=1234x")


@pytest.mark.parametrize("mode", ["666", "664", "646"])
def test_the_mode(guests: Guests, series: str, own: bytes, mode: str) -> None:
    said = refusal(guests, series, f"chmod {mode} /tmp/own.ko")
    assert said == "ERROR: '/tmp/own.ko' can be written by other users; look at it, then: chmod go-w '/tmp/own.ko'\n"


@pytest.mark.parametrize("make", ["mkfifo /tmp/own.ko", "mkdir /tmp/own.ko", "ln -s /dev/zero /tmp/own.ko"])
def test_the_kind_of_file(guests: Guests, series: str, own: bytes, make: str) -> None:
    said = refusal(guests, series, f"rm /tmp/own.ko; {make}")
    assert said == "ERROR: '/tmp/own.ko' is not a regular file\n"


def test_the_builder(guests: Guests, series: str, own: bytes) -> None:
    kernel = available(series)
    assert kernel is not None
    foreign = kernel.module("dummy")
    assert foreign is not None
    guests.get(series).put("/tmp/own.ko", module_content(foreign))
    assert refusal(guests, series, "true") == "ERROR: '/tmp/own.ko' was not built by pystap\n"
    guests.get(series).put("/tmp/own.ko", re.sub(rb"\0stap_protocol=\d", b"\0stap_protocol=0", own))
    said = refusal(guests, series, "true")
    assert said == "ERROR: '/tmp/own.ko' was built by another version of pystap; build it again\n"


def test_the_kernel(guests: Guests, series: str, own: bytes) -> None:
    """Symbol versions let a kernel load modules of its neighbours, whose addresses are wrong here."""
    kernel = available(series)
    assert kernel is not None
    other = kernel.release.replace("cloud", "clown")
    guests.get(series).put("/tmp/own.ko", own.replace(f"={kernel.release} ".encode(), f"={other} ".encode()))
    said = refusal(guests, series, "true").splitlines()
    assert said == [
        f"ERROR: module release mismatch ({other} vs {kernel.release})",
        f"  '/tmp/own.ko' was built for another kernel; build it for this one: pystap -r {kernel.release}",
    ]


def test_damaged_files(module: Path, tmp_path: Path) -> None:
    """Whatever numbers its headers have, none leads outside of the file; it is for no kernel that there is."""
    whole = module.read_bytes().replace(b"\0vermagic=6", b"\0vermagic=0")
    sections = int.from_bytes(whole[40:48], "little")
    choice = random.Random(7)
    path = tmp_path / "damaged.ko"
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(choice.choice((1, 2, 4))):
            at = choice.choice(
                (choice.randrange(64), choice.randrange(sections, len(whole)), choice.randrange(len(whole)))
            )
            content[at : at + 8] = choice.choice((b"\xff" * 8, b"\0" * 8, b"\0" * 7 + b"\x80", choice.randbytes(1)))
        path.write_bytes(content[: choice.choice((len(content), len(content), choice.randrange(1, len(content))))])
        done = subprocess.run([binaries.runner(), path], capture_output=True, timeout=10)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"ERROR: ")
