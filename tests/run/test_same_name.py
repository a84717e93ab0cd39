"""A module of the same name that another run has inserted meanwhile is left alone, by runners and by guardians."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, Guests

pytestmark = pytest.mark.vm

GUARDIAN = "grep -l pystap-guardian /proc/[0-9]*/comm | cut -d/ -f3"

# The first run's guardian is held while it is killed; the second takes the first one's module for the orphan it is.
LATE_GUARDIAN = f"""
{RUNNER} /tmp/fake.ko mode=wait > /tmp/first & first=$!
sleep 0.5; guardian=$({GUARDIAN}); kill -STOP $guardian
kill -KILL $first; wait $first
{RUNNER} /tmp/fake.ko mode=wait > /tmp/second & second=$!
sleep 0.5; grep -c ^stap_fake /proc/modules; kill -CONT $guardian
sleep 1; [ -d /proc/$guardian ] && echo "the guardian waits"
grep -c ^stap_fake /proc/modules
kill -INT $second; wait $second; echo $?; tail -n 1 /tmp/second; grep -c ^stap_fake /proc/modules
"""

LOCKED = """#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
int main(int count, char **words)
{
	return flock(open("/proc/vmallocinfo", O_RDONLY | O_CLOEXEC), LOCK_EX) || system(words[1]);
}
"""
# Whoever holds the lock plays the second run: it finds the first one's module without its runner.
LATE_RUNNER = f"""
{RUNNER} /tmp/fake.ko mode=wait > /tmp/first & first=$!
sleep 0.5
/tmp/locked "kill -INT $first; sleep 0.5; tail -n 1 /tmp/first; rmmod stap_fake && insmod /tmp/fake.ko"
before=$(cut -d. -f1 /proc/uptime); wait $first; echo $? $(($(cut -d. -f1 /proc/uptime) - before < 5))
grep -c ^stap_fake /proc/modules; rmmod stap_fake
"""


def lines(guests: Guests, series: str, module: Path, commands: str) -> list[str]:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    done = guests.sh(series, commands)
    assert b"ERROR" not in done.stderr
    return done.stdout.decode().splitlines()


def test_a_guardian_that_comes_late(guests: Guests, series: str, module: Path) -> None:
    assert lines(guests, series, module, LATE_GUARDIAN) == ["1", "1", "0", "end", "0"]


def test_a_runner_that_comes_late(guests: Guests, series: str, module: Path) -> None:
    program = compile_c(LOCKED, "-static", name="locked.c")
    guests.get(series).put("/tmp/locked", program.read_bytes(), 0o755)
    assert lines(guests, series, module, LATE_RUNNER) == ["end", "0 1", "1"]
