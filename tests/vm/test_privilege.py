"""Scripts that were built with --privilege=stapusr look into processes of the user who runs them, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cc import compile_c
from tests.support.kernels import RUNNER
from tests.support.quiet import keeps_quiet
from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm
LIMITED = Path(__file__).resolve().parent.parent / "run" / "limited.c"
USER = 1234  # limited.c's
SCRIPT = """
global calls, ended, mine, foreign, refusals, told
probe process("PROGRAMS/secret").function("keep") {
    printf("keep %d %s %d\\n", uid(), $text$ == "" ? "" : "text", is_myproc())
}
probe process("PROGRAMS/secret").function("keep").return {
    printf("kept %d %d\\n", uid(), $return == @entry(strlen(user_string($text))))
}
probe process("PROGRAMS/secret").begin { printf("begin %d\\n", uid()) }
probe process("PROGRAMS/secret").end { ended[uid()]++ }
probe process("PROGRAMS/secret").syscall { calls[uid()]++ }
probe timer.ms(1) {
    if (!told++) println("ready")
    if (execname() == "secret" && is_myproc()) mine[uid()] |= cmdline_str() != "" && ubacktrace() != ""
    else if (execname() == "secret") {
        foreign[uid()]++
        try { cmdline_str() } catch (why) { refusals[substr(why, 0, 69)]++ }
        try { ubacktrace() } catch (why) { refusals[substr(why, 0, 69)]++ }
        try { print_ubacktrace() } catch (why) { refusals[substr(why, 0, 69)]++ }
        try { user_string(0x400000, "") } catch (why) { refusals[substr(why, 0, 69)]++ }
    }
}
probe end {
    foreach (u+ in calls) printf("calls %d %d\\n", u, calls[u] > 6)
    foreach (u+ in ended) printf("ended %d %d\\n", u, ended[u])
    foreach (u+ in mine) printf("mine %d %d\\n", u, mine[u])
    foreach (u+ in foreign) printf("foreign %d\\n", u)
    foreach (r+ in refusals) printf("%s\\n", r)
}
"""
TAGGED = "myproc-unprivileged tapset function called without is_myproc checking"


def seen(bench: Bench, script: str, setting: str, *options: str) -> list[str]:
    """What a session prints while root, the user, and the user's program that hides itself run."""
    module = bench.compile(script, *options)
    guest = bench.guest()
    guest.put("/tmp/x.ko", module.read_bytes())
    guest.put("/tmp/limited", compile_c(LIMITED.read_text(), "-static").read_bytes(), 0o755)
    program = f"{bench.programs}/secret"
    work = f"{program}; /tmp/limited user {program}; /tmp/limited user {program} hide"
    wait = "until grep -q ready /tmp/out; do sleep 0.1; done"
    run = f"echo > /tmp/out; {setting} {RUNNER} -w -o /tmp/out /tmp/x.ko & {wait}"
    with keeps_quiet(guest):
        done = guest.sh(f"{run}; {work}; kill -INT $!; wait $!; echo $?; cat /tmp/out", timeout=120)
    assert done.stderr == b""
    status, *lines = done.stdout.decode().splitlines()
    assert status == "0"
    return [line for line in lines if line not in ("", "ready")]


def own(user: int, times: int) -> list[str]:
    """What processes of a user's print one after the other."""
    return [f"begin {user}", *[f"keep {user} text 1", f"kept {user} 1"] * 3] * times


def test_all_processes_are_root_s(bench: Bench) -> None:
    lines = seen(bench, SCRIPT, "", "--privilege=stapusr")
    assert lines[:21] == own(0, 1) + own(USER, 2)
    assert lines[21:] == ["calls 0 1", f"calls {USER} 1", "ended 0 1", f"ended {USER} 2", "mine 0 1", f"mine {USER} 1"]


def test_those_of_who_calls_sudo(bench: Bench) -> None:
    """Another user's processes, and those that show nothing to their own user, are passed over, or are an error.

    The latter's beginning comes before it hides, its end when no memory is left to hide.
    """
    lines = seen(bench, SCRIPT, f"SUDO_UID={USER}", "--privilege=stapusr")
    assert lines[:7] == own(USER, 1)
    assert lines[7:11] == [f"begin {USER}", f"calls {USER} 1", f"ended {USER} 2", f"mine {USER} 1"]
    assert lines[11:] == ["foreign 0", f"foreign {USER}", TAGGED]


def test_other_levels_are_about_all(bench: Bench) -> None:
    lines = seen(bench, SCRIPT, f"SUDO_UID={USER}")
    assert lines[:21] == own(0, 1) + own(USER, 2)
