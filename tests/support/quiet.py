"""Whether a guest's kernel has complained: of its own accord, or what its watchers (lockdep, KASAN, kmemleak) found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pystap.run.vm import Guest

COMPLAINTS = re.compile(
    r"BUG:|WARNING:|Oops|Call Trace|rcu.*stall|soft lockup|hard LOCKUP|corruption|use-after-free(?! debug)|"
    r"unable to handle"
)  # not "use-after-free debug is enabled", which kernels with DEBUG_OBJECTS_RCU_HEAD say when they boot
LEAKS = "mount -t debugfs none /sys/kernel/debug 2>/dev/null; cd /sys/kernel/debug; "
LEAKS += "sleep 6; echo scan > kmemleak; sleep 1; echo scan > kmemleak; cat kmemleak"  # none is younger than 5 s
OURS = ("[stap", 'comm "pystap-run"', "fail_nth")
LINES = 80


class Complained(AssertionError):  # noqa: N818
    """The kernel's log, or its watchers' findings."""


def check_quiet(guest: Guest) -> None:
    """No module of ours is there, nor its files, and the kernel's log holds no complaint."""
    if guest.kernel.watched:
        check_watchers(guest)
    log = guest.sh("dmesg", timeout=60).stdout.decode(errors="replace")
    check_text(log)
    left = guest.sh("grep ^stap /proc/modules; ls /proc/systemtap 2>/dev/null", timeout=60).stdout
    assert left == b""


def check_quiet_if_watched(guests: Iterable[Guest]) -> None:
    """At the end of guests that many tests have shared: what their kernels' watchers have found."""
    for guest in guests:
        if guest.kernel.watched:
            check_quiet(guest)


def kept_guests() -> Iterator[dict[str, Guest]]:
    """A fixture's guests by series, none at first: shared by its tests, and ended when these are done."""
    guests: dict[str, Guest] = {}
    try:
        yield guests
        check_quiet_if_watched(guests.values())
    finally:
        for guest in guests.values():
            guest.close()


@contextmanager
def keeps_quiet(guest: Guest) -> Iterator[None]:
    """The guest's kernel does not complain on its console meanwhile; what it said before is not looked at."""
    before = len(guest.console)
    yield
    check_text(guest.console[before:])


def check_text(log: str) -> None:
    """No complaint is in a log; what comes before it and after it is shown otherwise."""
    lines = log.splitlines()
    first = next((number for number, line in enumerate(lines) if COMPLAINTS.search(line)), None)
    if first is not None:
        raise Complained("\n".join(lines[max(0, first - 10) : first + LINES]))


def check_watchers(guest: Guest) -> None:
    """Lockdep has not given up, and no memory that was asked for by a module of ours, or through it, is lost."""
    locks = guest.sh("grep debug_locks: /proc/lockdep_stats", timeout=60).stdout.split()
    if locks != [b"debug_locks:", b"1"]:
        raise Complained(guest.sh("dmesg | tail -n 100").stdout.decode(errors="replace"))
    leaks = guest.sh(LEAKS, timeout=300).stdout.decode(errors="replace").split("unreferenced object")[1:]
    ours = [leak for leak in leaks if any(word in leak for word in OURS)]
    if ours:
        raise Complained(f"{len(ours)} leaks, the first of them: {ours[0]}")
