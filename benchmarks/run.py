"""What pystap costs: instructions per event, counted by a guest's own clock, and time from script to module.

Prints a table beside other tools' figures and the goals; the exit status is 1 where a goal of the guest's is missed or
an event lost (seconds of commands depend on what else the machine does).
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pystap.diagnostics import StapError
from pystap.run import binaries, kernels
from pystap.run.vm import Guest

HERE = Path(__file__).resolve().parent
RUNNER = "/usr/bin/pystap-run"
CALLS = 21000  # what calls.c makes, warm-up included
POINT = 'kernel.function("__x64_sys_getppid")'
# Each CPU that runs these guests is emulated, so they take longer than others.
BOOT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """A script, what its handler is called in the table, and the instructions that it may take."""

    name: str
    body: str
    goal: int
    stap: int
    bpftrace: int
    count: str  # an expression of an end probe: how many events were seen
    suffix: str = ""
    globals: str = "n"


CASES = (
    Case("n++", "n++", 300, 583, 447, "n"),
    Case("n[tid(), execname()]++", "n[tid(), execname()]++", 550, 887, 1033, "total", globals="n, total"),
    Case("s <<< tid(), @hist_log", "s <<< tid()", 350, 537, 836, "@count(s)", globals="s"),
    Case("s[execname()] <<< tid()", "s[execname()] <<< tid()", 500, 729, 1711, "total", globals="s, total"),
    Case(".return, n += $return", "n += $return hits++", 550, 770, 1026, "hits", ".return", "n, hits"),
    Case('printf("%s %d\\n", execname(), tid())', 'printf("%s %d\\n", execname(), tid())', 800, 3287, 3065, "printed"),
)
FAMILIES = ("tcp", "ip", "inet", "udp", "icmp", "fib", "arp", "igmp", "skb", "net", "dev", "sock")
TOTALS = {
    "n[tid(), execname()]++": "foreach ([t, e] in n) total += n[t, e]",
    "s[execname()] <<< tid()": "foreach (e in s) total += @count(s[e])",
    "s <<< tid(), @hist_log": "print(@hist_log(s))",
}


def script(case: Case) -> str:
    """The whole script of a case."""
    probe = f"probe {POINT}{case.suffix} {{ {case.body} }}"
    if case.count == "printed":
        return probe
    report = f'{TOTALS.get(case.name, "")} printf("events: %d\\n", {case.count})'
    return f"global {case.globals} {probe} probe end {{ {report} }}"


def build(release: str, text: str, *options: str) -> bytes:
    """The module of a script. Every event counts, so no overload protection."""
    command = [sys.executable, "-m", "pystap", "-r", release, "-p4", "-DSTP_NO_OVERLOAD", *options, "-e", text]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StapError(done.stderr)
    return Path(done.stdout.split()[-1]).read_bytes()


def program() -> bytes:
    """calls.c, without libraries: the guest has none."""
    with tempfile.TemporaryDirectory() as work:
        made = Path(work, "calls")
        subprocess.run(["gcc", "-O2", "-static", "-o", made, HERE / "calls.c"], check=True)
        return made.read_bytes()


def instructions(text: bytes) -> int:
    found = re.search(rb"instructions per call: (\d+)", text)
    if found is None:
        raise StapError(f"calls.c said nothing: {text.decode(errors='replace')}")
    return int(found[1])


def events(case: Case, out: bytes) -> int:
    if case.count == "printed":
        return sum(line.startswith(b"calls ") for line in out.splitlines())
    found = re.search(rb"events: (\d+)", out)
    return int(found[1]) if found else 0


def per_event(guest: Guest, release: str) -> Iterator[tuple[str, int, int, int, int, bool]]:
    """One row for each case: its cost above the bare call, and whether every event was seen."""
    guest.put("/tmp/calls", program(), 0o755)
    bare = instructions(guest.sh("/tmp/calls").stderr)
    yield "(the bare call)", bare, 0, 0, 0, True
    for case in CASES:
        guest.put("/tmp/case.ko", build(release, script(case)))
        done = guest.run([RUNNER, "-c", "/tmp/calls", "/tmp/case.ko"])
        cost = instructions(done.stderr) - bare
        # Whatever else calls getppid meanwhile is counted too.
        whole = events(case, done.stdout) >= CALLS and b"WARNING" not in done.stderr
        yield case.name, cost, case.stap, case.bpftrace, case.goal, whole


def arming(guest: Guest, release: str) -> tuple[int, float]:
    """How many function probes there were, and the guest's seconds to arm them, run for 10 ms and take them off."""
    points = ", ".join(f'kernel.function("{family}_*").call' for family in FAMILIES)
    module = build(release, f"global n probe {points} {{ n++ }} probe timer.ms(10) {{ exit() }}")
    guest.put("/tmp/many.ko", module)
    probes = len(set(re.findall(rb'kernel\.function\("[^"*]+"\)\.call', module)))
    clock = "cut -d' ' -f1 /proc/uptime"
    done = guest.sh(f"{clock}; {RUNNER} -w /tmp/many.ko > /dev/null; {clock}")
    began, ended = (float(word) for word in done.stdout.split())
    return probes, ended - began


def timed(work: Callable[[], object], times: int = 2) -> float:
    """The fastest of some runs: others share this machine."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        work()
        taken.append(time.monotonic() - began)
    return min(taken)


def commands(release: str) -> Iterator[tuple[str, float, float, float]]:
    """Seconds of whole commands: this one's, stap's, the goal."""
    body = '{ printf("%s %d\\n", execname(), $count) }'
    fresh = iter(range(10**6))

    def pystap(*words: str) -> None:
        command = [sys.executable, "-m", "pystap", "-r", release, *words]
        subprocess.run(command, capture_output=True, check=True)

    def one_liner() -> None:
        text = (
            f'probe kernel.function("vfs_read") {body} probe begin {{ x = {time.time_ns() + next(fresh)} println(x) }}'
        )
        pystap("-p4", "-e", text)

    one_liner()
    again = f'probe kernel.function("vfs_read") {body}'
    pystap("-p4", "-e", again)
    yield "a new one-liner", timed(one_liner), 2.3, 1.0
    yield "the same one again", timed(lambda: pystap("-p4", "-e", again)), 0.35, 0.25
    yield '-l kernel.function("tcp_v4_*")', timed(lambda: pystap("-l", 'kernel.function("tcp_v4_*")')), 0.40, 0.35
    yield '-l kernel.function("*")', timed(lambda: pystap("-l", 'kernel.function("*")')), 108, 2.0
    yield "-l syscall.*", timed(lambda: pystap("-l", "syscall.*")), 72, 2.0


def main() -> int:
    kernel = kernels.find(sys.argv[1] if len(sys.argv) > 1 else "6.1")
    missed = False
    print(f"kernel {kernel.release}: instructions per event above the bare system call")
    print(f"{'handler':42}{'pystap':>8}{'stap 5.6':>10}{'bpftrace':>10}{'goal':>8}")
    files = {RUNNER: binaries.runner()}
    with Guest(kernel, files=files, use_template=False, counting=True, boot_seconds=BOOT_SECONDS) as guest:
        for name, cost, stap, bpftrace, goal, whole in per_event(guest, kernel.release):
            bad = (goal and cost > goal) or not whole
            missed = missed or bool(bad)
            note = "  EVENTS LOST" if not whole else "  MISSED" if bad else ""
            print(f"{name:42}{cost:8}{stap or '':>10}{bpftrace or '':>10}{goal or '':>8}{note}", flush=True)
        count, seconds = arming(guest, kernel.release)
        print(f"{count} function probes armed, run for 10 ms and taken off in {seconds:.2f} s of the guest's time")
    print(f"\n{'command':42}{'pystap s':>10}{'stap 5.6':>10}{'goal':>8}")
    for name, took, stap_took, wanted in commands(kernel.release):
        print(f"{name:42}{took:10.2f}{stap_took:10.2f}{wanted:8.2f}{'  MISSED' if took > wanted else ''}", flush=True)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
