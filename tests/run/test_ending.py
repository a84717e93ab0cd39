"""How a run ends that is told to by several, by a second signal, or while its reader rests; names of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kernels import RUNNER, Guests

pytestmark = pytest.mark.vm

GONE = "while grep -q stap_fake /proc/modules; do sleep 0.05; done"
SLOW = f"rm -f /tmp/out; {RUNNER} -o /tmp/out /tmp/fake.ko mode=slow & p=$!; sleep 0.5"
HUNG_UP = f"{RUNNER} /tmp/fake.ko mode=wait & p=$!; sleep 0.5; kill -HUP $p; sleep 0.3; kill -0 $p && echo lives"
# A pipe that somebody has open for reading, and is full soon.
RESTING = f"""rm -f /tmp/pipe; mkfifo /tmp/pipe; (READER) < /tmp/pipe & r=$!
{RUNNER} /tmp/fake.ko mode=order count=100000000 > /tmp/pipe & p=$!; sleep 1; kill -TERM $p"""


@pytest.fixture
def fake(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())


@pytest.mark.usefixtures("fake")
def test_told_by_two_at_once(guests: Guests, series: str) -> None:
    """As timeout(1) does, which tells its child and its child's group: that is one request, and the end is printed."""
    done = guests.sh(series, f"{SLOW}; kill -TERM $p; sleep 0.05; kill -TERM $p; wait $p; echo $?; tail -n 1 /tmp/out")
    assert (done.stdout, done.stderr) == (b"0\nend\n", b"")


@pytest.mark.usefixtures("fake")
def test_told_twice(guests: Guests, series: str) -> None:
    """The second one is not kept waiting for the end; the module goes as soon as it can."""
    done = guests.sh(series, f"{SLOW}; kill -INT $p; sleep 0.5; kill -INT $p; wait $p; echo $?; {GONE}")
    assert (done.stdout, done.stderr) == (b"1\n", b"")


@pytest.mark.usefixtures("fake")
def test_a_terminal_that_goes_away(guests: Guests, series: str) -> None:
    """It ends the run, unless nohup(1) started it."""
    done = guests.sh(series, f"{HUNG_UP}; wait $p; trap '' HUP; {HUNG_UP}; kill $p; wait $p")
    assert done.stdout.count(b"lives\n") == 1
    assert done.stdout.split(b"lives\n")[1].endswith(b"end\n")


@pytest.mark.usefixtures("fake")
def test_a_reader_that_rests_gets_all_of_it(guests: Guests, series: str) -> None:
    """Who asks for the end stops the writers at once, however long what they wrote waits to be read."""
    reading = RESTING.replace("READER", "sleep 2; cat > /tmp/got")
    done = guests.sh(series, f"{reading}; wait $p; echo $?; wait $r; tail -n 1 /tmp/got; rm /tmp/got; {GONE}")
    assert done.stdout == b"0\nend\n"


@pytest.mark.usefixtures("fake")
def test_a_reader_that_never_comes_back(guests: Guests, series: str) -> None:
    """Asked twice, the runner drops what is not read."""
    resting = RESTING.replace("READER", "exec sleep 100")
    done = guests.sh(series, f"{resting}; sleep 0.5; kill -TERM $p; wait $p; echo over; kill $r; {GONE}")
    assert done.stdout == b"over\n"


@pytest.mark.usefixtures("fake")
def test_names_of_files(guests: Guests, series: str) -> None:
    """strftime(3)'s conversions; the next file at SIGUSR2; rotation of each CPU's file."""
    run = f"cd /tmp; rm -rf named; mkdir named; cd named; date +day%%-%Y; {RUNNER} -o day%%-%Y /tmp/fake.ko"
    each = f"{RUNNER} -b -S 1,2 -o each /tmp/fake.ko mode=order count=800000"
    following = f"{RUNNER} -o next /tmp/fake.ko mode=wait & p=$!; sleep 0.5"
    ends = "kill -USR2 $p; sleep 0.2; kill -USR2 $p; sleep 0.2; kill $p; wait $p; tail -n 1 next.2"
    done = guests.sh(series, f"{run}; {each}; {following}; {ends}; ls; {RUNNER} -S 1 x.ko")
    day, end, *names = done.stdout.decode().split()
    assert (end, names[0], names[-3:]) == ("end", day, ["next", "next.1", "next.2"])
    assert sorted({name.split(".")[0] for name in names[1:-3]}) == ["each_cpu0", "each_cpu1"]
    assert "each_cpu1.0" not in names
    assert len(names[1:-3]) == 4
    assert b"You have to specify output FILE with '-S' option.\n" in done.stderr
