"""How sessions end, are left alone and taken up again, and what they say of limits that they meet."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.support.kernels import Guests
from tests.torture.conftest import compiled

pytestmark = pytest.mark.vm

COUNTING = """global n probe timer.ms(1) { printf("%d a line of some length, so that files become large\\n", n++) }
probe end { println("the end") }"""


@pytest.fixture
def counting(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> str:
    """A script that prints all the time, in the guest."""
    guests.get(series).put("/tmp/counting.ko", compiled(series, capsys, COUNTING))
    guests.sh(series, "rm -rf /tmp/out*")
    return "/tmp/counting.ko"


def numbers(text: bytes) -> list[int]:
    return [int(line.split()[0]) for line in text.splitlines() if line[:1].isdigit()]


def test_usr2_goes_on_to_the_next_file(guests: Guests, series: str, counting: str) -> None:
    command = f"pystap-run -S 1,2 -o /tmp/out {counting} & p=$!"
    rotated = "".join("sleep 0.4; kill -USR2 $p; " for _ in range(3))
    done = guests.sh(series, f"{command}; {rotated} sleep 0.4; kill -INT $p; wait $p; echo $?; ls /tmp/out*")
    assert (done.stdout, done.stderr) == (b"0\n/tmp/out.2\n/tmp/out.3\n", b"")
    text = guests.sh(series, "cat /tmp/out.2 /tmp/out.3").stdout
    seen = numbers(text)
    assert seen == list(range(seen[0], seen[0] + len(seen)))  # no line lost or torn between two files
    assert text.endswith(b"the end\n")


def test_usr2_follows_a_renamed_file(guests: Guests, series: str, counting: str) -> None:
    command = f"pystap-run -o /tmp/out {counting} & p=$!; sleep 0.5; mv /tmp/out /tmp/out.old; kill -USR2 $p"
    done = guests.sh(series, f"{command}; sleep 0.5; kill -INT $p; wait $p; cat /tmp/out.old /tmp/out")
    seen = numbers(done.stdout)
    assert seen == list(range(len(seen)))
    assert guests.sh(series, "wc -l < /tmp/out").stdout != b"0\n"


def test_left_alone_and_taken_up_again(guests: Guests, series: str, counting: str) -> None:
    left = f"pystap-run -o /tmp/out {counting} & p=$!; sleep 0.5; kill -QUIT $p; wait $p; echo $?; sleep 0.5"
    done = guests.sh(series, f"{left}; grep -c ^stap /proc/modules; pystap-run -A -T 0.5 -o /tmp/out2 {counting}")
    assert done.stdout == b"0\n1\n"
    assert b'To reconnect, type "pystap -A stap_' in done.stderr
    seen = numbers(guests.sh(series, "cat /tmp/out /tmp/out2").stdout)
    assert seen == list(range(len(seen)))
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"


def test_in_the_background(guests: Guests, series: str, counting: str) -> None:
    done = guests.sh(
        series,
        f"pystap-run -F -o /tmp/out {counting} > /tmp/p; p=$(cat /tmp/p); sleep 0.5; kill $p; sleep 1; cat /tmp/out",
    )
    assert done.stdout.endswith(b"the end\n")
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"


def test_a_file_for_each_cpu(guests: Guests, series: str, counting: str) -> None:
    guests.sh(series, f"pystap-run -b -T 0.5 -o /tmp/out {counting}")
    seen = numbers(guests.sh(series, "cat /tmp/out_cpu*").stdout)
    assert sorted(seen) == list(range(len(seen)))


def test_a_full_disk_is_an_error(guests: Guests, series: str, counting: str) -> None:
    small = "mkdir -p /tmp/small; mount -t tmpfs -o size=64k none /tmp/small"
    done = guests.sh(series, f"{small}; pystap-run -T 20 -o /tmp/small/out {counting}; echo $?; umount /tmp/small")
    assert done.stdout == b"1\n"
    assert done.stderr == b"ERROR: Couldn't write the output to /tmp/small/out: No space left on device\n"


def test_one_script_twice_at_once(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'global n probe kernel.function("vfs_read") { n++ } probe timer.s(5) { exit() } probe end { println(n > 0) }'
    guests.get(series).put("/tmp/twice.ko", compiled(series, capsys, text))
    run = "pystap-run /tmp/twice.ko & "
    done = guests.sh(
        series, f"{run * 3} sleep 3; cat /proc/modules > /tmp/seen; wait; grep -c ^stap_ /tmp/seen; ls /proc/systemtap"
    )
    assert done.stdout == b"1\n1\n1\n3\n"


@dataclass(frozen=True, slots=True)
class Limit:
    """A script, the limit that it meets, and what is said then."""

    defines: str
    script: str
    said: str
    options: str = ""


LIMITS = {
    "MAXACTION": Limit(
        "-DMAXACTION=50",
        "probe timer.ms(10) { for (i = 0; i < 60; i++) n += i println(n) }",
        "ERROR: MAXACTION exceeded near identifier 'n' at <input>:1:47 in probe timer.ms(10)",
    ),
    "MAXNESTING": Limit(
        "-DMAXNESTING=3",
        "function f(n) { return n ? f(n - 1) : 0 } probe begin { println(f(5)) }",
        "ERROR: MAXNESTING exceeded near identifier 'f' at <input>:1:28",
    ),
    "MAXERRORS": Limit(
        "-DMAXERRORS=2",
        "global n probe timer.ms(10) { n++ println(1 / (n - n)) }",
        "WARNING: Number of errors: 3, skipped probes: 0",
    ),
    "MAXERRORS is named": Limit(
        "-DMAXERRORS=2",
        "global n probe timer.ms(10) { n++ println(1 / (n - n)) }",
        "  -DMAXERRORS=N tolerates N errors",
    ),
    "MAXMAPENTRIES": Limit(
        "-DMAXMAPENTRIES=3",
        "global a probe begin { for (i = 0; i < 5; i++) a[i] = i }",
        "ERROR: Array overflow, check MAXMAPENTRIES near identifier 'a'",
    ),
    "STP_OVERLOAD_THRESHOLD": Limit(
        "-DSTP_OVERLOAD_THRESHOLD=1000 -DSTP_OVERLOAD_INTERVAL=100000",
        "global n probe timer.ms(1) { n++ }",
        "cycles) exceeded threshold (1000 cycles) in last ",
    ),
    "STP_OVERLOAD_THRESHOLD is named": Limit(
        "-DSTP_OVERLOAD_THRESHOLD=1000 -DSTP_OVERLOAD_INTERVAL=100000",
        "global n probe timer.ms(1) { n++ }",
        "-DSTP_OVERLOAD_THRESHOLD=CYCLES allows more",
    ),
    "MINSTACKSPACE": Limit(
        "-DMINSTACKSPACE=100000", "probe begin { println(1) }", "see -DMINSTACKSPACE=BYTES", "-T 0.1"
    ),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limit(guests: Guests, series: str, capsys: pytest.CaptureFixture[str], name: str) -> None:
    limit = LIMITS[name]
    guests.get(series).put("/tmp/limit.ko", compiled(series, capsys, limit.script, *limit.defines.split()))
    done = guests.sh(series, f"pystap-run {limit.options} /tmp/limit.ko")
    assert limit.said in done.stderr.decode()
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"


def test_timing_report(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """-t: hits and cycles of each probe, its aliases, and why hits were not served."""
    text = "global n probe vfs.read { n++ }"
    guests.get(series).put("/tmp/timing.ko", compiled(series, capsys, text, "-t", "-DSTP_NO_OVERLOAD"))
    lines = guests.sh(series, 'pystap-run -c "wc /etc/hostname" /tmp/timing.ko').stdout.decode().splitlines()
    assert "----- probe hit report: " in lines
    told = next(line for line in lines if line.startswith("kernel.function("))
    assert ", (<input>:1:10), hits: " in told
    assert ", variance: " in told
    assert "from: vfs.read = " in told
