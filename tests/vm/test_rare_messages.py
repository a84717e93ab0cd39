"""Messages that need something unusual: a register that no hit has, a library not yet mapped, failing allocations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, Finished, Guests, available, can_boot
from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm

# The steps before are of loading, which is refused then.
SWEEP = """i=9
while [ $i -lt 40 ]; do
    i=$((i + 1))
    dmesg -c > /dev/null
    pystap-run -s 1 -T 0.01 /tmp/rare.ko _fault=$i 2>&1
    dmesg | grep -q 'of the start fails' || break
done"""


def ready(series: str, capsys: pytest.CaptureFixture[str], script: str, *options: str) -> Path:
    status = cli.main(["-p4", "-w", "-r", series, *options, "-e", script])
    built = capsys.readouterr()
    assert status == 0, built.err
    return Path(built.out.split()[-1])


def ran(guests: Guests, series: str, capsys: pytest.CaptureFixture[str], script: str, *options: str) -> Finished:
    return guests.run(series, ready(series, capsys, script, *options), options=("-c", "sh -c 'read x < /proc/uptime'"))


def test_a_register_that_hits_do_not_keep(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    script = 'probe kernel.function("vfs_read") { println(@kregister(17)) }'
    done = ran(guests, series, capsys, script, "-g")
    assert done.stderr.startswith(b"ERROR: register access fault [man error::fault]\n")


def test_a_file_that_cannot_be_looked_up_while_the_module_is_loaded(
    guests: Guests, series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program whose symbols the script knows is a link to itself where the module runs: the others are known."""
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/true").read_bytes())
    module = ready(series, capsys, "probe begin { println(usymname(0)) exit() }", "-d", str(program))
    guests.sh(series, f"mkdir -p {tmp_path}; ln -s {program} {program}")
    done = guests.run(series, module)
    assert done.stderr.decode() == f"WARNING: {program} could not be looked up (rc -40)\n"
    assert (done.stdout, done.status) == (b"0x0\n", 0)


def test_an_item_of_memory_leaves_room_for_what_follows(
    guests: Guests, series: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """%m with a length that only the run knows is cut, however much it asks for; long texts behind it are whole."""
    script = """global s probe begin {
        while (strlen(s) < 500) s .= "0123456789"
        for (i = 0; i < 15; i++) println(s)
        printf("<%.*M>%s|%s|%d\\n", 1 << 20, module_param_address(), s, s, 77) exit() }
        function module_param_address:long() %{ STAP_RETURN((long)THIS_MODULE); %}"""
    done = guests.run(series, ready(series, capsys, script, "-g"))
    last = done.stdout.decode().splitlines()[-1]
    memory, _, rest = last.partition(">")
    assert rest == f"{'0123456789' * 50}|{'0123456789' * 50}|77"
    assert 2 * 1024 <= len(memory) - 1 <= 2 * 1100
    assert (done.stderr, done.status) == (b"", 0)


def test_breakpoints_beside_very_many_others(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The bounds are lowered to one and none; the traced function is probed all the same."""
    script = """global reads probe kernel.function("vfs_read") { reads++ } probe end { println(reads > 0) }
        probe kernel.function("__put_user_4") { println("no") }"""
    done = ran(guests, series, capsys, script, "-DSTAP_KPROBE_FEW=0", "-DSTAP_KPROBE_CROWD=0")
    assert done.stderr == b"WARNING: 1 functions without an ftrace call are not probed beside 1 others\n"
    assert done.stdout.splitlines()[-1] == b"1"
    assert b"no" not in done.stdout.splitlines()


def test_a_library_that_the_program_has_not_mapped_yet(bench: Bench) -> None:
    value = '@var("library_value@library_value.c", "PROGRAMS/libvalue.so")'
    script = f"""probe process("PROGRAMS/uses_value").begin {{ try {{ println({value}) }} catch (m) {{ println(m) }} }}
        probe process("PROGRAMS/uses_value").function("main") {{ println({value}) }}"""
    said = bench.run(script, "PROGRAMS/uses_value")
    assert said[0].endswith("libvalue.so is not mapped here")
    assert said[1:] == ["5"]


def test_memory_that_is_not_there_for_looks_and_reports(
    guests: Guests, series: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step of the start and of the reports fails once; the session goes on, or ends with a reason."""
    script = 'global n probe process("/bin/busybox").begin { n++ }'
    module = ready(series, capsys, script, "-t", "-DSTP_FAULTS")
    guests.get(series).put("/tmp/rare.ko", module.read_bytes())
    said = guests.sh(series, SWEEP).stdout.decode()
    assert "busybox could not be looked up (rc -12)" in said
    assert "WARNING: there is no memory for the hits of each probe" in said


# A program's calls can be followed, but not what throws exceptions through them.
UNWINDERS = """i=9
while [ $i -lt 40 ]; do
    i=$((i + 1))
    pystap-run -s 1 -T 0.01 /tmp/unwinders.ko _fault=$i 2>&1 | grep exceptions && break
done"""


def test_an_unwinder_that_the_kernel_does_not_probe(bench: Bench) -> None:
    module = bench.compile('probe process("PROGRAMS/throws").function("inner").return { println(1) }', "-DSTP_FAULTS")
    bench.guest().put("/tmp/unwinders.ko", module.read_bytes())
    said = bench.guest().sh(UNWINDERS, timeout=120).stdout.decode()
    assert said.startswith("WARNING: /")
    assert said.endswith(": exceptions that pass probed returns end programs\n")


# A program that a probe has hit once, and that goes on.
SETTLED = """pystap-run /tmp/settled.ko & r=$!
sleep 0.5; PROGRAM > /dev/null & p=$!; wait $r
i=9
while [ $i -lt 60 ]; do
    i=$((i + 1))
    pystap-run -s 1 -T 0.01 /tmp/settled.ko _fault=$i 2>&1 | grep 'put return' && break
done
kill $p"""


def test_no_memory_to_put_return_addresses_back(bench: Bench) -> None:
    point = 'process("PROGRAMS/throws_late").function("inner")'
    script = f"probe {point}.return {{ println(1) }} probe {point}.call {{ exit() }}"
    bench.guest().put("/tmp/settled.ko", bench.compile(script, "-DSTP_FAULTS").read_bytes())
    commands = SETTLED.replace("PROGRAM", f"{bench.programs}/throws_late")
    assert bench.guest().sh(commands, timeout=120).stdout.decode() == (
        "WARNING: there is no memory to put return addresses back: "
        "exceptions that pass probed calls under way end programs\n"
    )


def test_a_module_that_somebody_holds(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot be removed, is said to be there still, and does nothing more. (The guest is nobody else's.)"""
    kernel = available(series)
    if can_boot() or kernel is None:
        pytest.skip(can_boot() or f"no kernel {series}")
    script = """function hold() %{ __module_get(THIS_MODULE); %} global n
        probe begin { hold() } probe syscall.read { if (n++ == 5) exit() } probe end { println("end") }"""
    module = ready(series, capsys, script, "-g")
    with Guest(kernel, files={RUNNER: binaries.runner(), "/tmp/module.ko": module}) as guest:
        command = ("-c", "cat /proc/uptime /proc/uptime /proc/uptime")
        done = guest.run([RUNNER, *command, "/tmp/module.ko"], timeout=60)
        left = guest.sh("cut -d' ' -f1,3 /proc/modules | grep ^stap_; cat /sys/kernel/debug/kprobes/list").stdout
    name, users = left.decode().split()
    assert (name[:5], users) == ("stap_", "1")
    assert done.stdout.decode().endswith("end\n")
    assert done.stderr.decode() == f"ERROR: Couldn't remove module '{name}': Resource temporarily unavailable\n"
    assert done.status == 1


def test_no_thread(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A thread's stack is larger than all of the memory that the process may have: the module is removed again."""
    module = ready(series, capsys, "probe begin { println(1) exit() }")
    guests.get(series).put("/tmp/alone.ko", module.read_bytes())
    command = "ulimit -s 400000; ulimit -v 300000; pystap-run /tmp/alone.ko 2>&1; echo $?; grep ^stap_ /proc/modules"
    said = guests.sh(series, command).stdout.decode()
    assert said == "ERROR: cannot start a thread: Resource temporarily unavailable\n1\n"


HOLDER = """
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
int main(void)
{
	if (flock(open("/proc/vmallocinfo", O_RDONLY), LOCK_EX))
		return 1;
	puts("held");
	fflush(stdout);
	return pause();
}
"""


def test_root_holds_the_lock(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who waits for five minutes goes on without. (The guest's clock counts instructions: idle time is passed over.)"""
    kernel = available(series)
    if can_boot() or kernel is None:
        pytest.skip(can_boot() or f"no kernel {series}")
    module = ready(series, capsys, "probe begin { println(1) exit() }")
    files = {RUNNER: binaries.runner(), "/tmp/module.ko": module, "/bin/holder": compile_c(HOLDER, "-static")}
    with Guest(kernel, files=files, cpus=1, counting=True) as guest:
        commands = "holder & sleep 1; pystap-run /tmp/module.ko 2>&1; kill $!"
        said = guest.sh(commands, timeout=300).stdout.decode()
    warning = "WARNING: another pystap-run has inserted or removed a module for 300 seconds\n"
    assert said == f"held\n{warning}1\n{warning}"
