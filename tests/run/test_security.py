"""Kernels that load signed modules only: what is refused, and what the user reads then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, available, can_boot

pytestmark = pytest.mark.vm

SCRIPT = 'probe begin { println("it runs") exit() }'


@pytest.fixture
def guest(series: str) -> Iterator[Guest]:
    """A guest of this test's own: what it forbids cannot be allowed again."""
    reason = can_boot()
    kernel = available(series)
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}")
    with Guest(kernel, files={RUNNER: binaries.runner()}, cpus=2) as made:
        yield made


@pytest.fixture
def modules(
    series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> dict[str, bytes]:
    """One script's module, unsigned and signed by a key that no kernel knows."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found: dict[str, bytes] = {}
    for name, options in (("unsigned", []), ("signed", ["--sign-module"])):
        assert cli.main(["-p4", "-r", series, *options, "-e", SCRIPT]) == 0
        found[name] = Path(capsys.readouterr().out.split()[-1]).read_bytes()
    return found


def test_a_kernel_that_wants_signatures(guest: Guest, modules: dict[str, bytes]) -> None:
    for name, content in modules.items():
        guest.put(f"/tmp/{name}.ko", content)
        assert guest.sh(f"pystap-run /tmp/{name}.ko").stdout == b"it runs\n"
    guest.sh("echo Y > /sys/module/module/parameters/sig_enforce")
    done = guest.sh("pystap-run /tmp/unsigned.ko")
    assert (done.status, done.stdout) == (1, b"")
    assert b"the kernel loads signed modules only (module.sig_enforce): --sign-module[=DIR]" in done.stderr
    done = guest.sh("pystap-run /tmp/signed.ko")
    assert (done.status, done.stdout) == (1, b"")
    assert b"the kernel does not know the key that signed it; enroll its certificate (mokutil --import" in done.stderr
    assert guest.sh("grep -c ^stap /proc/modules; ls /proc/systemtap").stdout == b"0\n"


def test_a_kernel_that_is_locked_down(guest: Guest, modules: dict[str, bytes]) -> None:
    guest.put("/tmp/unsigned.ko", modules["unsigned"])
    guest.sh("mount -t securityfs none /sys/kernel/security; echo integrity > /sys/kernel/security/lockdown")
    done = guest.sh("pystap-run /tmp/unsigned.ko")
    assert (done.status, done.stdout) == (1, b"")
    assert b"the kernel is locked down (Secure Boot) and loads signed modules only: --sign-module[=DIR]" in done.stderr
    assert b"the kernel says: Lockdown: pystap-run: unsigned module loading is restricted" in done.stderr


def test_one_signed_script_twice_at_once(
    guest: Guest, series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second one has another name, for which the signature does not hold: it runs without."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    script = "probe begin { println(1) } probe timer.s(30) { exit() }"
    assert cli.main(["-p4", "-r", series, "--sign-module", "-e", script]) == 0
    guest.put("/tmp/signed.ko", Path(capsys.readouterr().out.split()[-1]).read_bytes())
    first = "pystap-run /tmp/signed.ko > /tmp/first & sleep 0.5;"
    done = guest.sh(f"{first} pystap-run -T 0.2 /tmp/signed.ko; echo $?")
    assert (done.stdout, done.stderr) == (b"1\n0\n", b"")
    assert guest.sh("kill -INT $(pidof pystap-run); sleep 1; grep -c ^stap /proc/modules").stdout == b"0\n"
