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
