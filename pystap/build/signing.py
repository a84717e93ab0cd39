"""--sign-module: a module's signature by the kernel's own sign-file, with a Machine Owner Key that the kernel knows.

Kernels under Secure Boot, or with module.sig_enforce, load nothing else.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pystap.diagnostics import StapError

_DISTRIBUTION = Path("/var/lib/shim-signed/mok")  # where Debian and Ubuntu keep the key that DKMS signs with
# Private key and certificate, as the tools that make such keys name them.
_PAIRS = (
    ("signing_key.priv", "signing_key.x509"),
    ("signing_key.pem", "signing_key.x509"),
    ("MOK.priv", "MOK.der"),
)
_SUBJECT = "/CN=pystap module signing key/"
_HASH = "sha256"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the certificate that the kernel was given."""

    private: Path
    certificate: Path

    @property
    def enroll(self) -> str:
        """How the kernel learns the key."""
        return f"mokutil --import {self.certificate}, then reboot and confirm it"


def signing_key(folder: str) -> SigningKey:
    """The key in a folder; with "" the distribution's, or one of pystap's own, which is made when it is not there."""
    if folder:
        found = _key_in(Path(folder))
        if found is None:
            names = ", ".join(" and ".join(pair) for pair in _PAIRS)
            raise StapError(f"there is no signing key in {folder}: it should hold {names}")
        return found
    own = _own_folder()
    return _key_in(_DISTRIBUTION) or _key_in(own) or _make_key(own)


def sign(module: Path, tree: Path, key: SigningKey) -> Path:
    """A signed copy of a module, beside it; made once for each key."""
    tool = tree / "scripts" / "sign-file"
    if not tool.exists():
        raise StapError(f"the kernel headers in {tree} have no scripts/sign-file, which signs modules")
    signed = module.with_name(f"{module.stem}-{_digest(key)}.ko")
    if signed.exists() and signed.stat().st_mtime_ns >= module.stat().st_mtime_ns:
        return signed
    with tempfile.TemporaryDirectory(dir=module.parent, prefix="new-") as work:
        fresh = Path(work, "module.ko")
        _run([str(tool), _HASH, str(key.private), str(key.certificate), str(module), str(fresh)], "sign the module")
        fresh.chmod(0o644)
        fresh.rename(signed)
    return signed


def _key_in(folder: Path) -> SigningKey | None:
    for private, certificate in _PAIRS:
        if (folder / private).exists() and (folder / certificate).exists():
            return _checked(SigningKey(folder / private, folder / certificate))
    return None


def _checked(key: SigningKey) -> SigningKey:
    """Whoever reads a private key that the kernel trusts can load what he likes."""
    state = key.private.stat()
    if state.st_uid not in (os.geteuid(), 0):
        raise StapError(f"{key.private} belongs to another user (uid {state.st_uid}); it is not used to sign")
    if state.st_mode & 0o077:
        raise StapError(f"{key.private} can be read by other users; protect it: chmod 600 {key.private}")
    return key


def _own_folder() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "pystap" / "mok"


def _make_key(folder: Path) -> SigningKey:
    """A key of the user's own; nothing accepts it before the machine's owner has enrolled it."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as name:
        work = Path(name)
        private, certificate = work / _PAIRS[0][0], work / _PAIRS[0][1]
        command = ["openssl", "req", "-new", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-utf8"]
        command += ["-sha256", "-subj", _SUBJECT, "-addext", "extendedKeyUsage=codeSigning", "-outform", "DER"]
        _run([*command, "-keyout", str(private), "-out", str(certificate)], "make a signing key")
        private.chmod(0o600)
        folder.mkdir(mode=0o700, exist_ok=True)
        key = SigningKey(private.rename(folder / private.name), certificate.rename(folder / certificate.name))
    print(f"Made a signing key in {folder}; the kernel learns it by: {key.enroll}", file=sys.stderr)
    return key


def _digest(key: SigningKey) -> str:
    return hashlib.sha256(key.certificate.read_bytes()).hexdigest()[:12]


def _run(command: list[str], purpose: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    except OSError as error:
        raise StapError(f"cannot {purpose}: {command[0]}: {error.strerror} (apt-get install openssl)") from None
    if done.returncode:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise StapError(f"cannot {purpose}:\n  {said}")
