"""pystap-run and the session, transport and protocol of the runtime, in a guest with a hand-written module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.kernels import RUNNER, Guests

pytestmark = pytest.mark.vm

HELLO = "[   42][42   ][00042][+42][0xff][A][%][hel][  -7]\ntext\n"
GONE = "grep -c stap_fake /proc/modules; ls -d /proc/systemtap"


@pytest.fixture(autouse=True)
def fresh_log(request: pytest.FixtureRequest) -> None:
    """Tests of other folders share the guests, and some make the kernel print a trace on purpose."""
    if "series" in request.fixturenames:
        request.getfixturevalue("guests").sh(request.getfixturevalue("series"), "dmesg -c > /dev/null")


def check_gone(guests: Guests, series: str) -> None:
    """Neither the module nor its directory is there, and the kernel has not complained."""
    assert guests.sh(series, GONE).stdout == b"0\n"
    assert b"Call Trace" not in guests.sh(series, "dmesg").stdout


def test_begin_exit_end(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module)
    assert (done.stdout.decode(), done.stderr, done.status) == (HELLO + "0\nend\n", b"", 0)
    check_gone(guests, series)


def test_an_error_runs_error_probes_and_is_the_status(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=error")
    assert done.stdout.decode() == HELLO + "0\nerror probe\n"
    assert done.stderr == b"ERROR: something is wrong\nWARNING: Number of errors: 1, skipped probes: 0\n"
    assert done.status == 1


def test_warnings_once_and_system(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=warn")
    assert done.stderr == b"WARNING: look here\n"
    assert b"from system\n" in done.stdout
    assert done.status == 0
    assert guests.run(series, module, "mode=warn", options=("-w",)).stderr == b""


def test_target_and_timeout(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=wait", options=("-x", "77", "-T", "0.3"))
    assert (done.stdout.decode(), done.status) == (HELLO + "77\nend\n", 0)


def test_command(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=wait", options=("-c", "cat /etc/hostname"))
    assert done.stdout.endswith(b"vm\nend\n")
    assert done.status == 0


def test_command_that_is_not_there(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=wait", options=("-c", "exit 3"))
    assert done.stderr == b"exit 3: No such file or directory\nWARNING: Child process exited with status 1\n"
    assert done.status == 1


def test_command_for_the_shell(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=wait", options=("-c", "echo one; exit 3"))
    assert b"one\n" in done.stdout
    assert done.stderr == b"WARNING: Child process exited with status 3\n"


def test_an_engine_that_refuses(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=refuse")
    assert done.stderr == b"ERROR: the probes could not be armed (writers): No such device\n"
    assert done.status == 1
    check_gone(guests, series)


def test_order_over_cpus(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=order", "count=100000")
    lines = done.stdout.decode().splitlines()
    assert lines[-1] == "end"
    assert lines[3:-1] == [str(n) for n in range(100000)]
    assert done.stderr == b""


def test_overflow_is_counted_to_the_record(guests: Guests, series: str, module: Path) -> None:
    count = 300000
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    command = (
        f"rm -f /tmp/f; mkfifo /tmp/f; ({RUNNER} -s 1 /tmp/fake.ko mode=overflow count={count} > /tmp/f) & "
        "exec 3< /tmp/f; sleep 3; wc -l <&3; wait"
    )
    done = guests.sh(series, command)
    shown = int(done.stdout) - 4  # what begin and end print
    words = done.stderr.decode().split()
    assert words[:3] == ["WARNING:", "There", "were"]
    assert shown > 1000
    assert shown + int(words[3]) == count


@pytest.mark.parametrize("signal", ["INT", "TERM", "HUP"])
def test_a_signal_ends_it_cleanly(guests: Guests, series: str, module: Path, signal: str) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    done = guests.sh(series, f"{RUNNER} /tmp/fake.ko mode=wait & sleep 0.5; kill -{signal} $!; wait $!")
    assert done.stdout.endswith(b"end\n")
    assert done.status == 0
    check_gone(guests, series)


def test_killed_runner_leaves_nothing(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    guests.sh(series, f"{RUNNER} /tmp/fake.ko mode=wait & sleep 0.5; kill -KILL $!; wait $!; sleep 0.5")
    check_gone(guests, series)


def test_the_guardian_keeps_the_right_to_remove_modules(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    rights = "grep -h Cap[EIP] $(dirname $(grep -l pystap-guardian /proc/[0-9]*/comm))/status"
    run = f"{RUNNER} /tmp/fake.ko mode=wait & sleep 0.5"
    done = guests.sh(series, f"{run}; {rights}; kill -KILL $!; wait $!; sleep 0.5")
    capabilities = dict(line.split() for line in done.stdout.splitlines() if line.startswith(b"Cap"))
    assert capabilities == {b"CapInh:": b"0" * 16, b"CapPrm:": b"0" * 11 + b"10000", b"CapEff:": b"0" * 11 + b"10000"}
    check_gone(guests, series)


def test_killed_with_its_guardian_leaves_an_inert_module(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    kill = "kill -KILL $(pidof pystap-run) $(grep -l pystap-guardian /proc/[0-9]*/comm | cut -d/ -f3)"
    done = guests.sh(series, f"{RUNNER} /tmp/fake.ko mode=wait & sleep 0.5; {kill}; sleep 0.3; {GONE}")
    assert done.stdout.endswith(b"1\n/proc/systemtap\n")
    # The next run takes it off, although it is of the same name.
    assert guests.run(series, module).status == 0
    check_gone(guests, series)


def test_a_refused_module_says_why(guests: Guests, series: str, module: Path) -> None:
    damaged = module.with_name("damaged.ko")
    damaged.write_bytes(module.read_bytes().replace(b" SMP preempt", b" UMP preempt"))
    done = guests.run(series, damaged)
    assert done.status == 1
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "ERROR: Couldn't insert module '/tmp/damaged.ko': Exec format error"
    assert " UMP preempt" in lines[1]
    assert "build it again" in lines[1]
    assert "version magic" in lines[2]


def test_a_symbol_that_the_kernel_lacks(guests: Guests, series: str, module: Path) -> None:
    damaged = module.with_name("lacking.ko")
    damaged.write_bytes(module.read_bytes().replace(b"relay_open\0", b"relay_ajar\0"))
    done = guests.run(series, damaged)
    assert (done.stdout, done.status) == (b"", 1)
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "ERROR: Couldn't insert module '/tmp/lacking.ko': No such file or directory"
    assert lines[1] == "  it uses a symbol that this kernel does not export"
    assert any("the kernel says" in line and "Unknown symbol relay_ajar" in line for line in lines[2:]), lines
    check_gone(guests, series)


def test_a_module_of_that_name_is_in_use(guests: Guests, series: str, module: Path) -> None:
    """The second run is refused, and the first one does not notice."""
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    run = f"{RUNNER} /tmp/fake.ko mode=wait > /tmp/first & sleep 0.5; {RUNNER} /tmp/fake.ko mode=wait"
    done = guests.sh(series, f"{run}; echo $?; kill -INT $!; wait $!; tail -n 1 /tmp/first")
    assert done.stdout == b"1\nend\n"
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "ERROR: Couldn't insert module '/tmp/fake.ko': File exists"
    assert lines[1] == "  a module of that name is loaded and in use"
    check_gone(guests, series)


def test_interrupted_again_and_again(guests: Guests, series: str, module: Path) -> None:
    """Whatever phase the signals come in: it ends by itself, or by the third at the latest, and the module goes."""
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    loop = "for wait in 0 0.01 0.02 0.05 0.1 0.2 0.3; do"
    signals = "sleep $wait; kill -INT $p; kill -INT $p; sleep 0.02; kill -INT $p; kill -TERM $p"
    done = guests.sh(series, f"{loop} {RUNNER} /tmp/fake.ko mode=wait & p=$!; {signals}; wait $p; done; sleep 0.5")
    assert b"ERROR" not in done.stderr, done.stderr
    check_gone(guests, series)


def test_not_a_module(guests: Guests, series: str) -> None:
    done = guests.sh(series, f"{RUNNER} /etc/hostname")
    assert (done.stderr, done.status) == (b"ERROR: '/etc/hostname' is not a kernel module\n", 1)


def test_output_file(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, options=("-o", "/tmp/out"))
    assert done.stdout == b""
    assert guests.sh(series, "cat /tmp/out").stdout.decode() == HELLO + "0\nend\n"


def test_flight_recorder_keeps_the_newest(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=order", "count=200000", options=("-F", "-s", "1"))
    assert done.stderr.decode().splitlines()[-1] == 'To reconnect, type "pystap -A stap_fake"'
    assert done.status == 0
    inside = f"/tmp/{module.name}"
    # A run of another module must not take it for an orphan.
    waited = guests.sh(series, f"sleep 4; {GONE}; {RUNNER} -A {inside}")
    lines = waited.stdout.decode().splitlines()
    assert lines[:2] == ["1", "/proc/systemtap"]
    numbers = [int(line) for line in lines[2:-1]]
    assert lines[-1] == "end"
    assert numbers[-1] == 199999
    assert 10000 < len(numbers) < 100000
    check_gone(guests, series)


def test_quit_detaches_and_attach_goes_on(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    command = (
        f"{RUNNER} /tmp/fake.ko mode=wait & sleep 0.5; kill -QUIT $!; wait $!; {GONE}; {RUNNER} -T 0.2 -A /tmp/fake.ko"
    )
    done = guests.sh(series, command)
    assert done.stdout.decode() == HELLO + "0\n1\n/proc/systemtap\nend\n"
    assert b"Disconnecting from systemtap module.\n" in done.stderr
    check_gone(guests, series)


def test_recorder_with_a_file_goes_to_the_background(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    command = (
        f"pid=$({RUNNER} -F -o /tmp/bg /tmp/fake.ko mode=wait); {GONE}; kill -INT $pid; "
        "while grep -q stap_fake /proc/modules; do sleep 0.1; done; cat /tmp/bg"
    )
    done = guests.sh(series, command)
    assert done.stdout.decode() == "1\n/proc/systemtap\n" + HELLO + "0\nend\n"
    check_gone(guests, series)


def test_attach_to_nothing(guests: Guests, series: str, module: Path) -> None:
    guests.get(series).put("/tmp/fake.ko", module.read_bytes())
    done = guests.sh(series, f"{RUNNER} -A /tmp/fake.ko")
    assert done.stderr.startswith(b"ERROR: Couldn't open control channel '/proc/systemtap/stap_fake/cmd': No such file")
    assert done.status == 1


def test_rotated_files(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=order", "count=900000", options=("-o", "/tmp/rot", "-S", "1,2"))
    assert done.status == 0
    sizes = guests.sh(series, "wc -c /tmp/rot.*; rm /tmp/rot.*").stdout.decode().split()
    assert sizes[1::2] == ["/tmp/rot.4", "/tmp/rot.5", "total"]
    assert int(sizes[0]) >= 1 << 20


def test_bulk_writes_a_file_per_cpu(guests: Guests, series: str, module: Path) -> None:
    done = guests.run(series, module, "mode=order", "count=50000", options=("-b", "-o", "/tmp/bulk"))
    assert done.status == 0
    files = guests.sh(series, "ls /tmp/bulk*; cat /tmp/bulk* | wc -l").stdout.decode().split()
    assert files == ["/tmp/bulk_cpu0", "/tmp/bulk_cpu1", "50004"]
