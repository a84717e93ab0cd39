"""The kernels that the tests build for and boot, and one guest per kernel that many tests share.

def test_something(guests: Guests) -> None:
    result = guests.run("6.1", module, params=["a=1"])
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pystap import paths
from pystap.build import capabilities
from pystap.diagnostics import StapError
from pystap.run import binaries, kernels
from pystap.run.kernels import Kernel
from pystap.run.vm import Finished, Guest, LostGuest

SELECTED = os.environ.get("PYSTAP_KERNELS", "").split()  # instead of those that every change is tested with
SERIES = tuple(SELECTED) or ("6.1", "6.12")
RUNNER = "/usr/bin/pystap-run"
SECONDS = 60.0
WATCHED_SECONDS = 600.0


def available(series: str) -> Kernel | None:
    """The kernel of a series, when its image and headers are there (pystap-prep SERIES fetches them)."""
    try:
        kernel = kernels.find(series)
    except StapError:
        return None
    return kernel if kernel.vmlinuz and kernel.build_tree else None


def seconds(guest: Guest) -> float:
    """How long a program may take in a guest."""
    return WATCHED_SECONDS if guest.kernel.watched else SECONDS


def can_boot() -> str:
    """Why no guest can be booted here; empty when one can."""
    for program, package in (("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static"), ("gcc", "gcc")):
        if shutil.which(program) is None:
            return f"needs {program} (apt-get install {package})"
    return ""


@dataclass(slots=True)
class Guests:
    """Guests that stay up between tests; one that is lost fails its test and is booted anew for the next."""

    cpus: int = 2
    _running: dict[str, Guest] = field(default_factory=dict)

    @property
    def running(self) -> Mapping[str, Guest]:
        """The guests that are up."""
        return self._running

    def get(self, series: str) -> Guest:
        """The guest of that series."""
        guest = self._running.get(series)
        if guest is None:
            kernel = available(series)
            assert kernel is not None, f"no kernel {series}: pystap-prep {series}"
            guest = Guest(kernel, files={RUNNER: binaries.runner()}, cpus=self.cpus)
            guest.__enter__()
            self._running[series] = guest
        return guest

    def run(self, series: str, module: Path, *arguments: str, options: tuple[str, ...] = ()) -> Finished:
        """Runs a module under pystap-run."""
        inside = f"/tmp/{module.name}"
        try:
            guest = self.get(series)
            guest.put(inside, module.read_bytes())
            return guest.run([RUNNER, *options, inside, *arguments], timeout=seconds(guest))
        except LostGuest:
            self.drop(series)
            raise

    def sh(self, series: str, command: str) -> Finished:
        """Runs a shell command."""
        try:
            guest = self.get(series)
            return guest.sh(command, timeout=seconds(guest))
        except LostGuest:
            self.drop(series)
            raise

    @contextmanager
    def silent(self, series: str) -> Iterator[None]:
        """What the kernel logs meanwhile, on purpose, is kept from the console, where others look for complaints."""
        self.sh(series, "dmesg -n 1")
        try:
            yield
        finally:
            self.sh(series, "dmesg -n 5")

    def drop(self, series: str) -> None:
        """Ends one guest."""
        guest = self._running.pop(series, None)
        if guest is not None:
            guest.close()

    def close(self) -> None:
        """Ends them all."""
        for series in list(self._running):
            self.drop(series)


def build_module(source: Path, work: Path, kernel: Kernel) -> Path:
    """Builds a hand-written module (a directory with a Kbuild file) by the kernel's own make; returns the .ko.

    It may include capabilities.h and, by $(STAP_RUNTIME), the runtime.
    """
    assert kernel.build_tree is not None
    shutil.copytree(source, work, dirs_exist_ok=True)
    (work / "capabilities.h").write_text(capabilities.header(kernel.build_tree))
    command = ["make", "-s", "-C", str(kernel.build_tree), f"M={work}", f"STAP_RUNTIME={paths.runtime()}", "modules"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = work.glob("*.ko")
    return made
