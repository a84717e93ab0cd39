"""Signing keys: found, made, refused when others can read them; and signatures in the kernel's own format."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pystap import doctor
from pystap.build import signing
from pystap.diagnostics import StapError
from pystap.options import Options
from pystap.target import Target
from tests.support.kernels import available

MARK = b"~Module signature appended~\n"


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the user's own key; the distribution has none."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr(signing, "_DISTRIBUTION", tmp_path / "none")
    return tmp_path / "pystap" / "mok"


def test_a_key_is_made_once(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = signing.signing_key("")
    assert capsys.readouterr().err == (
        f"Made a signing key in {own}; the kernel learns it by: "
        f"mokutil --import {own}/signing_key.x509, then reboot and confirm it\n"
    )
    assert (key.private.stat().st_mode & 0o777, own.stat().st_mode & 0o777) == (0o600, 0o700)
    command = ["openssl", "x509", "-inform", "DER", "-in", str(key.certificate), "-noout", "-subject"]
    shown = subprocess.run([*command, "-ext", "extendedKeyUsage"], capture_output=True, text=True, check=True).stdout
    assert "pystap module signing key" in shown
    assert "Code Signing" in shown
    assert signing.signing_key("") == key
    assert capsys.readouterr().err == ""


def test_the_distributions_key_comes_first(own: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for name in ("MOK.priv", "MOK.der"):
        (tmp_path / "none" / name).touch(mode=0o600)
    assert signing.signing_key("").private == tmp_path / "none" / "MOK.priv"


def test_keys_that_are_not_used(own: Path) -> None:
    with pytest.raises(StapError, match=r"there is no signing key in /nowhere: it should hold signing_key\.priv and"):
        signing.signing_key("/nowhere")
    key = signing.signing_key("")
    key.private.chmod(0o640)
    with pytest.raises(StapError, match="can be read by other users; protect it: chmod 600"):
        signing.signing_key("")
    if os.geteuid() == 0:
        key.private.chmod(0o600)
        os.chown(key.private, 1234, -1)
        with pytest.raises(StapError, match=r"belongs to another user \(uid 1234\)"):
            signing.signing_key(str(own))


@pytest.mark.skipif(available("6.1") is None, reason="no kernel 6.1: pystap-prep 6.1")
def test_a_signed_copy(own: Path, tmp_path: Path) -> None:
    kernel = available("6.1")
    assert kernel is not None
    assert kernel.build_tree is not None
    module = tmp_path / "module.ko"
    module.write_bytes(b"\x7fELF and more")
    key = signing.signing_key("")
    signed = signing.sign(module, kernel.build_tree, key)
    content = signed.read_bytes()
    assert content.startswith(module.read_bytes())
    assert content.endswith(MARK)
    assert module.read_bytes() == b"\x7fELF and more"
    assert signing.sign(module, kernel.build_tree, key) == signed
    key.private.write_text("nonsense")
    signed.unlink()
    with pytest.raises(StapError, match="cannot sign the module"):
        signing.sign(module, kernel.build_tree, key)
    with pytest.raises(StapError, match="have no scripts/sign-file"):
        signing.sign(module, tmp_path, key)


STATES = {
    "free": ({}, ""),
    "sig_enforce": (
        {"/sys/module/module/parameters/sig_enforce": "Y"},
        "loading of unsigned modules (module.sig_enforce is off) is missing",
    ),
    "lockdown": (
        {"/sys/kernel/security/lockdown": "none [integrity] confidentiality"},
        "loading of unsigned modules (lockdown) is missing",
    ),
}


@pytest.mark.parametrize("state", STATES)
def test_signatures_are_asked_for_before_compiling(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    files, refusal = STATES[state]
    said = {"/proc/sys/kernel/modules_disabled": "0", **files}
    monkeypatch.setattr(doctor, "_read", lambda path: said.get(path, ""))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    target = Target(os.uname().release)
    if refusal:
        with pytest.raises(StapError) as caught:
            doctor.require_run(target, Options())
        assert refusal in str(caught.value)
        assert "--sign-module[=DIR]" in str(caught.value)
    else:
        doctor.require_run(target, Options())
    doctor.require_run(target, Options(sign_module=""))


def test_lockdown_against_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "/proc/sys/kernel/modules_disabled": "0",
        "/sys/kernel/security/lockdown": "none integrity [confidentiality]",
    }
    monkeypatch.setattr(doctor, "_read", lambda path: said.get(path, ""))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    with pytest.raises(StapError, match="boot with lockdown=integrity"):
        doctor.require_run(Target(os.uname().release), Options(sign_module=""))
