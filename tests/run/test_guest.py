"""Guests, what is brought into them, and runs in them that look as if they happened here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pystap.diagnostics import StapError
from pystap.run import RunOptions, kernels, run, vm
from pystap.run.initramfs import Initramfs
from pystap.run.program import files_of_command
from pystap.run.vm import Guest, LostGuest
from tests.support.kernels import available, can_boot

HELLO = "[   42][42   ][00042][+42][0xff][A][%][hel][  -7]\ntext\n"
RUN = """
import sys
from pathlib import Path
from pystap.run import RunOptions, run
sys.exit(run(Path(sys.argv[1]), RunOptions(vm=sys.argv[2], params=(("mode", sys.argv[3]),), **eval(sys.argv[4]))))
"""


def guest_run(module: Path, series: str, mode: str = "hello", options: str = "{}") -> list[str]:
    return [sys.executable, "-c", RUN, str(module), series, mode, options]


def in_guest(
    module: Path, series: str, mode: str = "hello", options: str = "{}", **more: object
) -> tuple[str, str, int]:
    done = subprocess.run(  # type: ignore[call-overload]
        guest_run(module, series, mode, options), capture_output=True, text=True, check=False, timeout=120, **more
    )
    return done.stdout, done.stderr, done.returncode


def qemus() -> set[str]:
    """The guests that this process, or a child of it, left behind would be among them."""
    return {
        pid
        for pid in os.listdir("/proc")
        if pid.isdigit() and b"qemu-system" in _read(f"/proc/{pid}/cmdline").split(b"\0")[0]
    }


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


@pytest.fixture
def kernel() -> kernels.Kernel:
    reason = can_boot()
    found = available("6.1")
    if reason or found is None:
        pytest.skip(reason or "no kernel 6.1: pystap-prep 6.1")
    return found


@pytest.mark.vm
def test_output_and_status(module: Path, series: str) -> None:
    started = time.monotonic()
    out, err, status = in_guest(module, series)
    assert out.startswith(HELLO)
    assert (out.endswith("end\n"), err, status) == (True, "", 0)
    assert time.monotonic() - started < 60


@pytest.mark.vm
def test_error_status(module: Path, series: str) -> None:
    out, err, status = in_guest(module, series, "error")
    assert out.endswith("error probe\n")
    assert err == "ERROR: something is wrong\nWARNING: Number of errors: 1, skipped probes: 0\n"
    assert status == 1


@pytest.mark.vm
def test_command_with_its_libraries_input_and_directory(module: Path, series: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh\npwd\ncat\ncat ./data\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "data").write_text("of a file\n")
    command = "./script ./data"
    out, err, status = in_guest(
        module, series, "wait", repr({"command": command}), cwd=tmp_path, input="of stdin\n", env=_environment()
    )
    assert out.endswith(f"{tmp_path}\nof stdin\nof a file\nend\n")
    assert (err, status) == ("", 0)


@pytest.mark.vm
def test_dynamic_program(module: Path, series: str, tmp_path: Path) -> None:
    source = tmp_path / "t.c"
    source.write_text(
        '#include <math.h>\n#include <stdio.h>\nint main(int c, char **v) { printf("%g\\n", cbrt(c * 27.0)); }\n'
    )
    subprocess.run(["gcc", "-fno-builtin", "-o", tmp_path / "t", source, "-lm"], check=True)
    out, _, status = in_guest(module, series, "wait", repr({"command": str(tmp_path / "t")}))
    assert (out.endswith("3\nend\n"), status) == (True, 0)


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(vm.__file__).parents[2])}


@pytest.mark.vm
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_here_ends_the_run_there(module: Path, series: str, number: int) -> None:
    with subprocess.Popen(guest_run(module, series, "wait"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() + process.stdout.readline() == HELLO
        process.send_signal(number)
        assert process.stdout.read().endswith("end\n")
    assert process.returncode == 0


@pytest.mark.vm
def test_a_killed_pystap_leaves_no_guest(module: Path, series: str) -> None:
    before = qemus()
    with subprocess.Popen(guest_run(module, series, "wait"), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        mine = {pid for pid in qemus() - before if _parent(pid) == process.pid}
        assert len(mine) == 1
        process.kill()
    time.sleep(0.5)
    assert not mine & qemus()


def _parent(pid: str) -> int:
    return int(_read(f"/proc/{pid}/stat").rsplit(b")", 1)[-1].split()[1] or 0)


@pytest.mark.vm
def test_output_file_is_written_here(module: Path, series: str, tmp_path: Path) -> None:
    out, _, status = in_guest(module, series, "hello", repr({"output": str(tmp_path / "out")}))
    assert (out, status) == ("", 0)
    assert (tmp_path / "out").read_text().startswith(HELLO)


@pytest.mark.vm
def test_a_panic_is_an_error_with_the_console(kernel: kernels.Kernel) -> None:
    with Guest(kernel) as guest, pytest.raises(LostGuest) as lost:
        guest.sh("echo c > /proc/sysrq-trigger")
    assert "Kernel panic" in lost.value.console
    assert "Kernel panic" in str(lost.value)


@pytest.mark.vm
def test_a_silent_guest_is_an_error(kernel: kernels.Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vm, "SILENCE_SECONDS", 4.0)
    with Guest(kernel) as guest:
        assert guest.sh("sleep 5; echo late").stdout == b"late\n"  # heartbeats are answered meanwhile
        assert guest._machine is not None
        os.kill(guest._machine.process.pid, signal.SIGSTOP)
        with pytest.raises(LostGuest, match="has not answered"):
            guest.sh("echo never")


@pytest.mark.vm
def test_guests_share_nothing(kernel: kernels.Kernel) -> None:
    with Guest(kernel) as one, Guest(kernel) as two:
        one.sh("echo written > /tmp/here")
        assert two.sh("cat /tmp/here").status == 1
        assert one.sh("cat /tmp/here").stdout == b"written\n"
        now = int(two.sh("date +%s").stdout)
        assert abs(now - time.time()) < 5


@pytest.mark.vm
def test_a_cold_boot_without_template(kernel: kernels.Kernel) -> None:
    with Guest(kernel, use_template=False, modules=("ip_tables",)) as guest:
        assert b"x_tables" in guest.sh("cat /proc/modules").stdout
        assert guest.sh("exit 7").status == 7


@pytest.mark.vm
def test_the_guests_clock_runs_as_this_machines(kernel: kernels.Kernel) -> None:
    """A busy host makes the guest's own measurement wrong by whole factors."""
    uptime = "cut -d' ' -f1 /proc/uptime"
    with Guest(kernel) as guest:
        start = time.monotonic()
        first = float(guest.sh(uptime).stdout)
        time.sleep(0.5)
        last = float(guest.sh(uptime).stdout)
        here = time.monotonic() - start
    assert 0.4 < last - first < here + 0.1


def test_unknown_module(kernel: kernels.Kernel) -> None:
    with pytest.raises(StapError, match="has no module nosuch"), Guest(kernel, modules=("nosuch",)):
        pass


def test_a_module_that_its_own_devices_need(kernel: kernels.Kernel) -> None:
    """What the guest has loaded for itself is not loaded again."""
    with Guest(kernel, modules=("virtio_net", "dummy")) as guest:
        assert guest.sh("grep -Ec '^(virtio_net|dummy|virtio_ring) ' /proc/modules").stdout == b"3\n"


def test_what_a_guest_cannot_do() -> None:
    with pytest.raises(StapError, match="-x names a process"):
        run(Path("x.ko"), RunOptions(vm="6.1", target_pid=1))


def test_files_of_a_command(tmp_path: Path) -> None:
    script = tmp_path / "s"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    found = files_of_command(f"{script} /etc/hostname --option")
    assert found[0] == str(script)
    assert "/bin/sh" in found
    assert "/etc/hostname" in found
    assert any("libc.so.6" in f for f in found)
    assert files_of_command("nosuchprogram x") == []
    assert files_of_command(None) == []


def test_archive_follows_links_and_merges_usr(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "file").write_text("content")
    (tmp_path / "link").symlink_to("real")
    archive = Initramfs()
    archive.host(tmp_path / "link" / "file")
    archive.text("/bin/x", "y")
    assert tmp_path / "real" / "file" in archive
    assert tmp_path / "link" in archive
    assert "/usr/bin/x" in archive
    data = archive.content()
    listed = (
        subprocess.run(["busybox", "cpio", "-it"], input=data, capture_output=True, check=True).stdout.decode().split()
    )
    assert {"usr/bin/x", str(tmp_path / "real/file").lstrip("/"), "bin"} <= set(listed)


def test_kernels_are_ordered_as_people_count() -> None:
    names = ["6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.12.117+deb12-cloud-amd64", "6.12.9+deb12-cloud-amd64"]
    assert sorted(names, key=kernels.version_key) == [names[0], names[1], names[3], names[2]]


def test_a_series_is_of_one_flavour(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kernels, "store", lambda: tmp_path)
    for release in ("5.4.0-1-cloud-amd64", "5.4.0-2-rt-amd64", "5.4.0-3-rt-amd64", "5.4.9-debug-amd64"):
        (tmp_path / release).mkdir()
    assert kernels.find("5.4").release == "5.4.0-1-cloud-amd64"
    assert kernels.find("5.4-rt").release == "5.4.0-3-rt-amd64"
    assert kernels.find("5.4.0-2-rt-amd64").release == "5.4.0-2-rt-amd64"
    debug = kernels.find("5.4-debug")
    assert (debug.release, debug.watched) == ("5.4.9-debug-amd64", True)


def test_unknown_kernel() -> None:
    with pytest.raises(StapError, match=r"pystap-prep 5\.4"):
        kernels.find("5.4")


@pytest.mark.vm
def test_a_cache_with_a_strange_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path goes through QEMU's option syntax and a shell; the first guest saves a template, the next uses it."""
    if can_boot() or available("6.1") is None:
        pytest.skip(can_boot() or "no kernel 6.1")
    store = kernels.store()
    cache = tmp_path / "it's, `so` $(to) say;"
    cache.mkdir()
    (cache / "kernels").symlink_to(store)
    monkeypatch.setenv("PYSTAP_CACHE", str(cache))
    for _ in range(2):
        with Guest(kernels.find("6.1")) as guest:
            assert guest.sh("cat /etc/hostname").stdout == b"vm\n"
    assert len(list((cache / "vm").glob("template-*/state"))) == 1
