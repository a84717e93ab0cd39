"""Which accelerator a guest gets: KVM only where a guest was seen to come up under it, else software emulation.

A /dev/kvm that opens proves nothing: nested and microVM hosts offer one under which a guest hangs.
"""

from __future__ import annotations

import functools
import os
import re
import subprocess

from pystap import kept, paths
from pystap.diagnostics import StapError
from pystap.run.kernels import Kernel
from pystap.run.machine import QEMU

_DEVICE = "/dev/kvm"
_SECONDS = 6.0  # a guest is up within one where KVM works


def choose(kernel: Kernel) -> str:
    """`kvm` or `tcg`: the answer of a probe boot, made once per boot of this machine and remembered in the cache."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return "tcg"
    known = paths.cache("accel") / _machine()
    answer = kept.read(known)
    if answer is None:
        answer = b"kvm" if _comes_up(kernel) else b"tcg"
        kept.write(known, answer)
    return answer.decode()


def software(cpus: int) -> str:
    """How QEMU is told to emulate that many CPUs.

    Before 8.1 one thread has to do it for all of them: a CPU that translates code while another one patches it may
    keep the old code for good, and a kernel that sets and removes breakpoints dies of one that is not there any more.
    """
    return "tcg" if cpus == 1 or _version() >= (8, 1) else "tcg,thread=single"


@functools.cache
def _version() -> tuple[int, ...]:
    done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)\.(\d+)", done.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _machine() -> str:
    """Stands for this boot of this machine: another host or kernel may answer differently."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _comes_up(kernel: Kernel) -> bool:
    from pystap.run.vm import Guest

    try:
        with Guest(kernel, accel="kvm", boot_seconds=_SECONDS, use_template=False) as guest:
            return guest.sh("true", timeout=_SECONDS).status == 0
    except StapError:
        return False
