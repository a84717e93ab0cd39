"""Every function of the library that does no harm, called in NMIs, interrupts, softirqs and tasks with bad arguments.

On the kernel that watches itself (PYSTAP_KERNELS=6.1-debug) lockdep, KASAN and its kind look on.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli, paths
from tests.support.kernels import Guests, available

pytestmark = pytest.mark.vm

# They end the session or the handler, fill the kernel's log, start programs, or are of other points or for -g alone.
LEFT_OUT = re.compile(
    r"(exit|abort|error|warn|log|system|next|assert|ftrace|jiffies_printk|printk|panic|_.*|.*_return|returnval|returnstr"
    r"|set_.*|raise|[mu]delay|dump_stack|speculat.*|commit|discard|.*queue.*|json.*|prometheus.*|metric.*|qs.*"
    r"|delete_.*|start_stopwatch|stop_stopwatch|reset_stopwatch|read_stopwatch.*|randint|isinstr|kfailed)$"
)
OF_MODULES = ("nfs", "nfs_proc", "nfsd", "sunrpc", "scsi")  # which the kernel that watches itself has not
DECLARED = re.compile(r"(?P<name>\w+):(?P<result>\w+) \((?P<parameters>.*?)\)(?P<tags>.*)")
GROUP = 60
# Points in each context; show_regs is called from NMIs where the backtraces of all CPUs are asked for.
POINTS = {
    "nmi": 'kernel.function("show_regs").call',
    "interrupt": 'kernel.function("hrtimer_interrupt")',
    "softirq": 'kernel.function("__do_softirq")',
    "task": 'kernel.function("ksys_read")',
    "atomic": 'kernel.trace("sched_switch")',
}
BUSY = "(while :; do cat /proc/self/maps > /dev/null; done) & a=$!; (while :; do :; done) & b=$!"
COMMAND = f"{BUSY}; for i in $(seq ROUNDS); do echo l > /proc/sysrq-trigger; done; kill $a $b\n"


def missing() -> set[str]:
    """Functions that the kernel that watches itself has no types for: it is without modules."""
    texts = [(paths.tapsets() / f"linux/{name}.stp").read_text() for name in OF_MODULES]
    return {n for text in texts for n in re.findall(r"^(?:@\w+ )?function (\w+)", text, re.M)}


def calls(listed: str, left_out: set[str]) -> list[str]:
    """Statements that call each function, and print what it gives."""
    found = []
    for line in listed.splitlines():
        row = DECLARED.fullmatch(line)
        if row is None or "guru" in row["tags"] or LEFT_OUT.match(row["name"]) or row["name"] in left_out:
            continue
        kinds = [p.partition(":")[2] for p in row["parameters"].split(", ") if p]
        call = f"{row['name']}({', '.join('text' if kind == 'string' else 'number' for kind in kinds)})"
        shown = call if row["result"] == "unknown" else f"println({call})"
        found.append(f"try {{ {shown} }} catch {{ }}")
    return found


def script(listed: str, left_out: set[str]) -> str:
    """Each hit calls one group of them, with the next argument when all groups have had the last one, and so once."""
    statements = calls(listed, left_out)
    groups = [statements[k : k + GROUP] for k in range(0, len(statements), GROUP)]
    branches = [f"if (turn == {k}) {{ {' '.join(group)} }}" for k, group in enumerate(groups)]
    probes = [
        f'probe {point} {{ if (hits["{name}"] < {5 * len(groups)}) everything("{name}", hits["{name}"]++) }}'
        for name, point in POINTS.items()
    ]
    return f"""
        global hits, nmis
        function everything(where:string, hit:long) {{
            turn = hit % {len(groups)}
            round = hit / {len(groups)} % 5
            number = round == 0 ? task_current() : round == 1 ? 0 : round == 2 ? -1 : round == 3 ? 4096 : uaddr()
            text = round & 1 ? "" : "/some/text 17"
            if (where == "nmi" && %{{ /* pure */ in_nmi() != 0 %}}) nmis++
            {" ".join(branches)}
        }}
        {" ".join(probes)}
        probe end {{ println() foreach (w in hits) printf("hits %s %d\\n", w, hits[w]) printf("nmis %d\\n", nmis) }}
    """


def test_functions_in_every_context(
    guests: Guests, series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel = available(series)
    assert kernel is not None
    assert cli.main(["--dump-functions", "-r", series]) == 0
    source = tmp_path / "everywhere.stp"
    source.write_text(script(capsys.readouterr().out, missing() if kernel.watched else set()))
    options = ["-DMAXSKIPPED=100000000", "-DMAXACTION=1000000", "-DSTP_NO_OVERLOAD", "-DMINSTACKSPACE=512"]
    status = cli.main(["-g", "-p4", "-w", "-r", series, *options, str(source)])
    built = capsys.readouterr()
    assert status == 0, built.err
    guest = guests.get(series)
    guests.sh(series, "dmesg -c")
    guest.put("/tmp/command", COMMAND.replace("ROUNDS", "16").encode())
    guest.put("/tmp/everywhere.ko", Path(built.out.split()[-1]).read_bytes())
    with guests.silent(series):
        done = guest.sh("pystap-run -w -c 'sh /tmp/command' /tmp/everywhere.ko > /tmp/out; echo $?", timeout=900)
    shown = guest.sh("grep -aE '^(hits|nmis) ' /tmp/out; wc -c < /tmp/out").stdout.decode()
    assert (done.stderr, done.stdout) == (b"", b"0\n"), shown
    hits = dict(re.findall(r"^hits (\w+) (\d+)$", shown, re.MULTILINE))
    assert set(hits) == set(POINTS), shown
    assert int(shown.rpartition("nmis ")[2].split()[0]) > 8, shown
    said = guest.sh("dmesg -c").stdout.decode(errors="replace")
    for word in ("BUG", "Oops", "WARNING", "inconsistent lock state", "possible recursive locking", "KASAN"):
        assert word not in said, said[-6000:]
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"
