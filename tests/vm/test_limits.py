"""Scripts that do everything, under random limits at their extremes: they end or say why, and no kernel complains."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from pystap import cli
from tests.lower.test_semantics import FUNCTIONS, Writer
from tests.support.kernels import Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

BROAD = """
global all[8], few, texts[4], sums, many
function again:long(n:long) { return n > 0 ? 1 + again(n - 1) : 0 }
function joined:string(s:string, n:long) { return n > 0 ? joined(s . sprintf("%d", n), n - 1) : s }
probe kernel.function("vfs_read"), kernel.function("vfs_write").return, timer.profile, timer.ms(5),
      kernel.function("hrtimer_interrupt") {
    n = ++few
    all[n % 50, execname()] = pn()
    texts[n % 9] .= sprintf("%s %d %p|", execname(), tid(), n)
    sums[execname()] <<< n
    many <<< n & 255
    try { println(again(n % 20), " ", joined("x", n % 30)) } catch (m) { println(m) }
    try { println(tokenize("a b c d", " "), " ", str_replace("aXbXc", "X", "--------")) } catch { }
    try { println(substr(texts[3], 2, 90)) } catch { }
    println(sprint_backtrace(), string_quoted(texts[1]), " ", text_str(execname()), " ", ctime(n), pp())
    printf("%-30s|%5d|%#x|%c|%m\\n", texts[2], n, n, 65 + n % 9, 0)
    if (n % 7 == 0) foreach ([a, b] in all- limit 5) printf("%d %s %s\\n", a, b, all[a, b])
    if (n % 11 == 0) { foreach (e in sums+) println(e, @avg(sums[e]), @max(sums[e])) print(@hist_log(many)) }
    if (n % 13 == 0) { delete all delete texts[2] }
    while (n % 17 == 0 && n++ % 500) few += 0
}
probe procfs("text").read { $value = sprintf("%s%s\\n", joined("y", 9), texts[1]) }
probe timer.ms(400) { exit() }
probe end, error { println("end ", few) foreach (k in texts) println(k, texts[k]) }
"""
LOAD = "sh -c 'for i in 1 2 3 4 5 6; do cat /proc/systemtap/*/text 2> /dev/null; cat /proc/self/maps > /dev/null; done'"
LIMITS: dict[str, tuple[int, ...]] = {
    "MAXSTRINGLEN": (8, 9, 16, 17, 64, 512, 4096),
    "MAXACTION": (0, 1, 2, 10, 1000, 100000),
    "MAXACTION_INTERRUPTIBLE": (0, 1, 50),
    "MAXNESTING": (0, 1, 2, 40),
    "MAXERRORS": (0, 1, 1000000),
    "MAXSKIPPED": (0, 1, 1000000),
    "MAXTRYLOCK": (0, 1, 1000),
    "TRYLOCKDELAY": (0, 1, 100),
    "MINSTACKSPACE": (0, 1, 4096, 100000),
    "MAXMAPENTRIES": (1, 2, 100000),
    "MAPHASHBIAS": (-31, 0, 8),
    "MAXBACKTRACE": (1, 2, 1024),
    "KRETACTIVE": (1, 4096),
    "STP_MAXMEMORY": (0, 1, 1000, 100000),
    "STP_OVERLOAD_THRESHOLD": (0, 1, (1 << 63) - 1),
    "STP_OVERLOAD_INTERVAL": (1, (1 << 63) - 1),
    "STP_BUFFER_SIZE": (64, 65, 1 << 20),
    "STP_PROCFS_BUFSIZE": (8, 1 << 20),
    "HIST_WIDTH": (1, 1000),
    "HIST_ELISION": (0, 1000),
    "INTERRUPTIBLE": (0, 1),
    "STP_TIMING": (1,),
    "STP_ALIBI": (1,),
    "STP_NO_OVERLOAD": (1,),
}
SWITCHES = (("-b",), ("-s", "1"), ("-u",), ("-g", "--suppress-time-limits"), ("--suppress-handler-errors",), ("-t",))
SAID = re.compile(r"(ERROR|WARNING|Couldn't|  |-----|Number of|Pass|hint|\d+ )|$")  # how lines of standard error begin


def options(choice: random.Random) -> list[str]:
    """A few switches, and limits of which most are an extreme."""
    words = [w for words in SWITCHES if choice.random() < 0.3 for w in words]
    names = choice.sample(sorted(LIMITS), choice.choice((1, 2, 4, 8)))
    return [*words, *(f"-D{name}={choice.choice(LIMITS[name])}" for name in names)]


def tried(guests: Guests, series: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = random.Random(f"limits {seed}")
    words = options(choice)
    bodies = "\n".join(f"probe begin({k}) {{ {Writer(seed * 10 + k).program()} }}" for k in range(3))
    script = tmp_path / f"limits_{seed}.stp"
    script.write_text(f"{FUNCTIONS}{bodies}\n{BROAD}")
    status = cli.main(["-p4", "-w", "-r", series, *words, str(script)])
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, ""), (seed, words)
    runner = [w for w in words if w in ("-b",)]
    with keeps_quiet(guests.get(series)):
        done = guests.run(series, Path(printed.out.strip()), options=(*runner, "-c", LOAD))
    lines = done.stderr.decode(errors="replace").splitlines()
    odd = [line for line in lines if not SAID.match(line)]
    assert (odd, done.status in (0, 1)) == ([], True), (seed, words)
    assert done.status == 0 or lines, (seed, words)
    assert guests.sh(series, "grep ^stap /proc/modules; ls /proc/systemtap 2> /dev/null").stdout == b"", (seed, words)


def test_random_limits(series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tried(guests, series, 1, tmp_path, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_random_limits(
    seed: int, series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried(guests, series, seed, tmp_path, capsys)
