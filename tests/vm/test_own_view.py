"""What functions say of a program, its files, its clocks and its relatives, beside what it finds out itself."""

from __future__ import annotations

import calendar
import re
import time
from pathlib import Path

import pytest

from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm
SCRIPT = Path(__file__).resolve().parent.parent / "tapset" / "own_view.stp"


def told(text: str) -> dict[str, str]:
    """The values by their names; a name that comes again adds its values."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        found[name] = f"{found[name]}; {rest}" if name in found else rest
    return found


@pytest.fixture
def views(bench: Bench) -> tuple[dict[str, str], dict[str, str]]:
    """What the program has found, and what the script has."""
    command = f"HOME=/root exec {bench.programs}/own_view a 'b c' > /tmp/known\n"
    bench.guest().sh("ip link set lo up")
    bench.guest().put("/tmp/command", command.encode())
    done = bench.finish(SCRIPT.read_text(), "sh /tmp/command", "-g")
    assert (done.stderr, done.status) == (b"", 0), done
    return told(bench.guest().sh("cat /tmp/known").stdout.decode()), told(done.stdout.decode())


def test_own_view(views: tuple[dict[str, str], dict[str, str]]) -> None:
    own, seen = views
    known = {name: value.removesuffix(" (deleted)") for name, value in own.items()}
    known["ancestry"] = "swapper/0(0)" + known["ancestry"]
    alike = [name for name in known if name in seen]
    assert len(alike) > 45
    assert {n: seen[n] for n in alike} == {n: known[n] for n in alike}
    users, ids = known["users"], known["ids"].split()
    assert seen["same"] == f"{ids[0]} {ids[1]} {ids[2]} 1; names own_view own_view pystap-run; users {users}"
    program = known["arg0"]
    assert seen["together"] == f"{program}+a+b c|a,b c|{program} a b c"
    assert seen["entry"] == "file file /own/file /own/file"
    assert (seen["path"], seen["container"], known["raised"]) == ("/tmp/own/file", "1", "12")
    asleep, stopped = known["children"].split()[::3]
    assert seen["child"] == f"{asleep} asleep 1 {ids[0]}; {stopped} stopped 260 {ids[0]}; {asleep}  -1 -1"
    check_connection(known, seen)
    check_starts(seen["started"], ids[0])
    check_clocks(known, seen)


def check_connection(own: dict[str, str], seen: dict[str, str]) -> None:
    """Of the socket that it has connected, whose other end is 127.0.0.2's."""
    assert own["connected"] == "17", "as the script says"
    client, server = own["ends"].split()[1::2]
    here, there = 0x7F000001, 0x7F000002
    assert seen["mib"] == f"1 {here} {there} {client} {server}"
    assert seen["keys"] == f"{client} {client}"
    assert seen["turned"] == f"{here} {there} {client} {server} {here}"


def check_starts(text: str, own: str) -> None:
    """A process starts when its parent runs; what it has known of itself is later."""
    found = re.findall(r"(\S+?)\((\d+)\)\((\d+)m(\d+\.\d{9})s\)(?:=>|$)", text)
    assert [pid for _, pid, _, _ in found[:2]] == ["0", "1"]
    assert found[-1][1] == own
    starts = [int(minutes) * 60 + float(seconds) for _, _, minutes, seconds in found]
    assert starts == sorted(starts)


def check_clocks(own: dict[str, str], seen: dict[str, str]) -> None:
    """Each clock is between what the program has read before and after; its units are one time's."""
    before, after = ([int(w) for w in own[name].split()[:5]] for name in ("before", "after"))
    now = [int(word) for word in seen["now"].split()[:5]]
    before[4], after[4] = before[4] * 1000, after[4] * 1000 + 1000  # the log's are microseconds
    assert [a <= b <= c for a, b, c in zip(before, now, after, strict=True)] == [True] * 5, (before, now, after)
    us, ms, s, local_us, local_ms, local_s = map(int, seen["units"].split())
    assert before[0] // 1000 <= us <= ms * 1000 + 999 <= after[0] // 1000 + 999
    assert s == ms // 1000 or s == after[0] // 10**9
    assert before[4] // 1000 <= local_us <= local_ms * 1000 + 999 <= after[4] // 1000 + 999
    assert local_s in (local_ms // 1000, after[4] // 10**9)
    cpu_ns, cpu_us, cpu_ms, cpu_s = map(int, seen["cpu"].split())
    assert now[4] <= cpu_ns <= cpu_us * 1000 + 999 <= cpu_ms * 10**6 + 999999 <= after[4] + 10**6
    assert cpu_s in (cpu_ms // 1000, after[4] // 10**9)
    check_others(own, seen)


def check_others(own: dict[str, str], seen: dict[str, str]) -> None:
    """Load averages, the date, and that a delay takes as long as it says."""
    loads = [own[name].split()[5:] for name in ("before", "after")]
    load = seen["now"].split()[5:]
    assert load in loads
    assert seen["whole"].split() == [value.split(".")[0] for value in load]
    words = seen["date"].split()
    moment = calendar.timegm(time.strptime(" ".join(words[:5]), "%a %b %d %H:%M:%S %Y"))
    assert int(own["before"].split()[0]) // 10**9 <= moment <= int(own["after"].split()[0]) // 10**9
    assert words[5:] == "Thu Jan 1 00:00:00 1970 UTC".split()
    short, long = (int(words) for words in seen["delay"].split("; "))
    assert short >= 290_000
    assert long >= 1_950_000
    assert seen["hz"] == "250"
