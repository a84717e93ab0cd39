"""Kernels, modules and debug-info of another build than a script was compiled for are refused, by name."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from pystap.run.vm import Finished
from tests.support.kernels import RUNNER, Guests, available, build_module
from tests.vm.test_outside import SOURCE

pytestmark = pytest.mark.vm
MISMATCH = (
    r"ERROR: Build-id mismatch: the {} that runs is ([0-9a-f]{{40}}),"
    r" and the script was compiled for ([0-9a-f]{{40}})\n"
)


def compiled(series: str, script: str, capsys: pytest.CaptureFixture[str]) -> bytes:
    status = cli.main(["-p4", "-r", series, "-e", script])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    return Path(said.out.strip()).read_bytes()


def run(series: str, guests: Guests, module: bytes) -> Finished:
    guest = guests.get(series)
    guest.put("/tmp/module.ko", module)
    return guest.run([RUNNER, "-T", "5", "/tmp/module.ko"], timeout=60)


def forged(module: bytes, name: str) -> bytes:
    """The module with another first digit in the build-id that it was made for."""
    found = re.search(rb"[=,]" + name.encode() + rb"=([0-9a-f]{40})", module)
    assert found
    at = found.start(1)
    return module[:at] + (b"0" if module[at : at + 1] != b"0" else b"1") + module[at + 1 :]


def refused(done: Finished, name: str) -> None:
    said = re.match(MISMATCH.format(name), done.stderr.decode())
    assert said, done.stderr
    assert said.group(1)[1:] == said.group(2)[1:]
    assert b"  compile it for what runs: install its headers and image" in done.stderr
    assert (done.stdout, done.status) == (b"", 1)


def test_a_kernel_of_another_build(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """The same module runs with the right build-id and is not even inserted with a wrong one."""
    script = 'probe begin { println("armed"); exit() } probe kernel.function("vfs_read") { println(1) }'
    module = compiled(series, script, capsys)
    assert b"armed" in run(series, guests, module).stdout
    refused(run(series, guests, forged(module, "kernel")), "kernel")
    assert guests.sh(series, "grep -c ^stap_ /proc/modules").stdout == b"0\n"


def test_a_module_of_another_build(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A loaded module is compared as the kernel is."""
    kernel = available(series)
    assert kernel is not None
    path = build_module(SOURCE, tmp_path / "work", kernel)
    script = f'probe begin {{ println("armed"); exit() }} probe module("{path}").function("XtunRx") {{ println(1) }}'
    module = compiled(series, script, capsys)
    guests.get(series).put("/tmp/xtun.ko", path.read_bytes())
    assert guests.sh(series, "insmod /tmp/xtun.ko").status == 0
    try:
        assert run(series, guests, module).stdout == b"armed\n"
        refused(run(series, guests, forged(module, "xtun")), "module xtun")
    finally:
        assert guests.sh(series, "rmmod xtun").status == 0


def test_a_module_of_another_build_that_comes_later(
    series: str, guests: Guests, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is compared before anything in it is armed or read, and the warning names both builds."""
    kernel = available(series)
    assert kernel is not None
    path = build_module(SOURCE, tmp_path / "work", kernel)
    own = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True).stdout
    found = re.search(r"Build ID: ([0-9a-f]{40})", own)
    assert found
    build_id = bytes.fromhex(found[1])
    other = bytes([build_id[0] ^ 0xFF]) + build_id[1:]
    script = f"""
        probe module("{path}").function("XtunRx") {{ println("armed") }}
        probe kernel.function("uptime_proc_show") {{
            try {{ printf("%d\\n", @var("stats@src/xtun_net.c", "{path}")->received) }} catch (m) {{ println(m) }}
        }}
    """
    guest = guests.get(series)
    guest.put("/tmp/module.ko", compiled(series, script, capsys))
    guest.put("/tmp/xtun.ko", path.read_bytes())
    guest.put("/tmp/other.ko", path.read_bytes().replace(build_id, other))
    turn = "insmod /tmp/{}.ko; cat /proc/xtun > /dev/null; cat /proc/uptime > /dev/null; rmmod xtun\n"
    guest.put("/tmp/command", (turn.format("other") + turn.format("xtun")).encode())
    done = guest.run([RUNNER, "-c", "sh /tmp/command", "/tmp/module.ko"], timeout=60)
    assert done.stdout == b"the symbol stats of xtun is not there\narmed\n42\n"
    assert done.stderr.decode() == (
        f"WARNING: Build-id mismatch: the module xtun that was loaded is {other.hex()}, and the script was compiled"
        f" for {build_id.hex()}: its probes are not armed\n"
    )


def test_a_module_for_another_release(guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """The kernel refuses it; the message says both releases."""
    if available("6.1") is None or available("6.12") is None:
        pytest.skip("needs two kernels: pystap-prep 6.1 6.12")
    done = run("6.1", guests, compiled("6.12", "probe begin { exit() }", capsys))
    assert re.search(r"module release mismatch \(6\.12\.\S+ vs 6\.1\.\S+\)\n", done.stderr.decode())
    assert done.status == 1


def test_debug_info_of_another_build(series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A debug file with another build-id than its module's is not used."""
    kernel = available(series)
    assert kernel is not None
    path = build_module(SOURCE, tmp_path / "work", kernel)
    debug = path.with_name("xtun.debug")
    notes = tmp_path / "notes"
    for command in (
        ["objcopy", "--only-keep-debug", path, debug],
        ["objcopy", "-O", "binary", "--only-section=.note.gnu.build-id", path, notes],
        ["strip", "-g", path],
        ["objcopy", f"--add-gnu-debuglink={debug}", path],
    ):
        subprocess.run([str(word) for word in command], check=True)
    point = f'module("{path}").statement("XtunRx@*:14")'
    assert cli.main(["-p2", "-r", series, "-e", f"probe {point} {{ println($kept) }}"]) == 0
    own = notes.read_bytes()[-20:]
    other = bytes([own[0] ^ 0xFF]) + own[1:]
    debug.write_bytes(debug.read_bytes().replace(own, other))
    capsys.readouterr()
    assert cli.main(["-p2", "-r", series, "-e", f"probe {point} {{ println($kept) }}"]) == 1
    said = capsys.readouterr().err
    assert f"{debug} is debug-info of another build" in said
    assert own.hex() in said
    assert other.hex() in said
