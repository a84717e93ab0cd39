"""A QEMU process: a kernel and an archive -> a running machine with its ports, by booting it or from a template.

A template is a machine that was saved right after its boot. Its memory is mapped copy-on-write, so that any number of
guests start from it in a fraction of a second without sharing anything that they write.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pystap import paths, scratch
from pystap.diagnostics import StapError
from pystap.run import clock
from pystap.run.kernels import Kernel
from pystap.scratch import Scratch

QEMU = "qemu-system-x86_64"
PORTS = ("control", "out", "err", "in")
COMMAND_LINE = (
    "console=ttyS0 quiet loglevel=5 panic=-1 oops=panic softlockup_panic=1 rdinit=/init "
    "no_timer_check tsc=reliable random.trust_cpu=on cryptomgr.notests mitigations=off"
)
SCRATCH_PREFIX = "pystap-guest-"
TEMPLATES_KEPT = 4
TEMPLATE_FORMAT = 4  # to be raised when a change of this file makes old templates useless
DISK_SIZE = 1 << 43
SAVE_SECONDS = 60.0
STALE_SECONDS = 600.0  # what was not finished by then never will be


@dataclass(frozen=True, slots=True)
class Spec:
    """What decides how a machine comes up."""

    kernel: Kernel
    archive: Callable[[], bytes]  # made only where it is booted
    sources: tuple[Path, ...]  # what the archive is made of
    memory: int
    cpus: int
    accel: str = "tcg"
    counting: bool = False  # the guest's clock counts instructions: one nanosecond each

    def digest(self) -> str:
        """Names the template of this machine."""
        assert self.kernel.vmlinuz is not None
        identity = [f"{TEMPLATE_FORMAT} {self.memory} {self.cpus} {self.accel} {self.counting} {COMMAND_LINE}"]
        for path in (Path(shutil.which(QEMU) or QEMU), self.kernel.vmlinuz, *self.sources):
            found = os.stat(path)
            identity.append(f"{path} {found.st_size} {found.st_mtime_ns}")
        return hashlib.sha256("\0".join(identity).encode()).hexdigest()[:16]


@dataclass(slots=True)
class Machine:
    """A running QEMU and the host's ends of its ports."""

    process: subprocess.Popen[bytes]
    scratch: Scratch
    ports: dict[str, socket.socket]
    closed: bool = field(default=False)

    def console(self) -> str:
        """What the kernel has said on its console."""
        return _text(self.scratch.path / "console")

    def complaint(self) -> str:
        """What qemu itself has said, with the status that it ended with."""
        try:
            status: int | None = self.process.wait(5)
        except subprocess.TimeoutExpired:
            status = None
        said = _text(self.scratch.path / "qemu").strip()
        reason = "the guest's kernel stopped" if status == 0 else f"qemu ended with status {status}"
        return f"{reason}: {said}" if said else reason

    def close(self) -> None:
        """Ends the machine at once and removes its files."""
        if self.closed:
            return
        self.closed = True
        self.process.kill()
        self.process.wait()
        for port in self.ports.values():
            port.close()
        self.scratch.remove()


def boot(spec: Spec, *memory: str, ports: tuple[str, ...] = PORTS, disk: socket.socket | None = None) -> Machine:
    """Starts a machine from its kernel's image; at the socket's other end somebody serves its disk."""
    work = scratch.make(SCRATCH_PREFIX)
    initrd = work.path / "initrd"
    initrd.write_bytes(spec.archive())
    return _start(spec, work, ["-initrd", str(initrd), *(memory or _memory(spec, None))], ports, disk)


def restore(spec: Spec, template: Path, disk: socket.socket | None = None) -> Machine:
    """Starts a machine from a template."""
    os.utime(template)
    work = scratch.make(SCRATCH_PREFIX)
    initrd = work.path / "initrd"
    initrd.write_bytes(b"")
    incoming = ["-incoming", "defer", *_memory(spec, template / "ram")]
    machine = _start(spec, work, ["-initrd", str(initrd), *incoming], (*PORTS, "qmp"), disk)
    try:
        with _Monitor(machine) as monitor:
            monitor.command("migrate-incoming", uri=f"exec:cat {shlex.quote(str(template / 'state'))}")
    except BaseException:
        machine.close()
        raise
    return machine


def template(spec: Spec) -> Path | None:
    """The template of such a machine, if one was made."""
    directory = paths.cache("vm") / f"template-{spec.digest()}"
    return directory if (directory / "state").exists() else None


def make_template(spec: Spec, machine: Machine, ram: Path) -> Path:
    """Saves a machine that was booted on `ram`; it ends with that."""
    directory = paths.cache("vm") / f"template-{spec.digest()}"
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".template-") as partial:
        state = Path(partial, "new", "state")
        state.parent.mkdir()
        _save(machine, state)
        os.replace(ram, state.parent / "ram")
        with contextlib.suppress(OSError):  # somebody else was faster
            os.rename(state.parent, directory)
    _prune(directory.parent)
    return directory


def boot_for_template(spec: Spec) -> tuple[Machine, Path]:
    """A machine that can be saved: its memory is a file, and it listens to commands."""
    descriptor, name = tempfile.mkstemp(dir=paths.cache("vm"), prefix=".ram-")
    os.close(descriptor)
    ram = Path(name)
    try:
        return boot(spec, *_memory(spec, ram, shared=True), ports=(*PORTS, "qmp")), ram
    except BaseException:
        ram.unlink()
        raise


def _memory(spec: Spec, ram: Path | None, shared: bool = False) -> list[str]:
    size = f"{spec.memory}M"
    if ram is None:
        backend = f"memory-backend-ram,id=ram,size={size}"
    else:
        path = str(ram).replace(",", ",,")  # as QEMU's options want it
        backend = f"memory-backend-file,id=ram,size={size},mem-path={path},share={'on' if shared else 'off'}"
    return ["-m", size, "-object", backend]


def _command_line(spec: Spec) -> str:
    """With the speed of the time stamp counter, where that is this machine's under emulation.

    Each CPU's delays are by that, too: those but the first measure it otherwise, and are wrong by far where it is busy.
    """
    khz = clock.tsc_khz() if spec.accel.startswith("tcg") and not spec.counting else None
    if not khz:
        return COMMAND_LINE
    hz = _ticks(spec.kernel)
    return f"{COMMAND_LINE} tsc_early_khz={khz}" + (f" lpj={khz * 1000 // hz}" if hz else "")


def _ticks(kernel: Kernel) -> int:
    """How many ticks a second a kernel is configured for, 0 where that is not known."""
    config = kernel.build_tree / ".config" if kernel.build_tree else None
    if config is None or not config.is_file():
        return 0
    found = re.search(r"^CONFIG_HZ=(\d+)$", config.read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _start(
    spec: Spec, work: Scratch, options: list[str], ports: tuple[str, ...], disk: socket.socket | None
) -> Machine:
    qemu = shutil.which(QEMU)
    if qemu is None:
        raise StapError(f"--vm needs {QEMU}; install it: apt-get install qemu-system-x86")
    if spec.kernel.vmlinuz is None:
        release = spec.kernel.release
        raise StapError(f"no image of kernel {release} to boot; fetch it with: pystap-prep {release}")
    ends = {name: socket.socketpair() for name in ports}
    theirs = {name: pair[1] for name, pair in ends.items()}
    command = [
        *(qemu, "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "pc,usb=off,hpet=off,memory-backend=ram", "-accel", spec.accel),
        *("-cpu", "max" if spec.accel.startswith("tcg") else "host", "-smp", str(spec.cpus)),
        *("-kernel", str(spec.kernel.vmlinuz), "-append", _command_line(spec)),
        *(("-icount", "shift=0,sleep=off") if spec.counting else ()),
        *("-serial", f"file:{work.path}/console", *options, *_port_options(theirs)),
        *_disk_options(disk),
    ]
    try:
        with open(work.path / "qemu", "wb") as said:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=[end.fileno() for end in (*theirs.values(), *([disk] if disk else []))],
                preexec_fn=_die_with_parent,
            )
    finally:
        for end in (*theirs.values(), *([disk] if disk else [])):
            end.close()
    return Machine(process, work, {name: pair[0] for name, pair in ends.items()})


def _port_options(ports: Mapping[str, socket.socket]) -> list[str]:
    options = ["-device", f"virtio-serial-pci,max_ports={len(PORTS) + 1}"]
    for number, (name, port) in enumerate(ports.items(), start=1):
        options += ["-chardev", f"socket,id={name},fd={port.fileno()}"]
        if name == "qmp":
            options += ["-mon", "chardev=qmp,mode=control"]
        else:
            options += ["-device", f"virtserialport,chardev={name},nr={number},name=pystap.{name}"]
    return options


def _disk_options(disk: socket.socket | None) -> list[str]:
    """A disk that every machine has, so that all come from one template; empty where nobody serves it."""
    kind = f"nbd,server.type=fd,server.str={disk.fileno()}" if disk else f"null-co,read-zeroes=on,size={DISK_SIZE}"
    return ["-blockdev", f"driver={kind},node-name=disk,read-only=on", "-device", "virtio-blk-pci,drive=disk"]


def _save(machine: Machine, state: Path) -> None:
    with _Monitor(machine) as monitor:
        monitor.command("migrate", uri=f"exec:cat > {shlex.quote(str(state))}")
        deadline = time.monotonic() + SAVE_SECONDS
        while time.monotonic() < deadline:
            status = monitor.command("query-migrate")
            assert isinstance(status, dict)
            if status.get("status") == "completed":
                return
            if status.get("status") == "failed":
                break
            time.sleep(0.02)
    raise StapError("qemu cannot save a guest")


class _Monitor:
    """QEMU's own control protocol: JSON objects, one per line."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._channel = machine.ports["qmp"].makefile("rwb")

    def __enter__(self) -> _Monitor:
        self.command("qmp_capabilities")
        shared = {"capability": "x-ignore-shared", "state": True}  # memory that is a file stays in that file
        self.command("migrate-set-capabilities", capabilities=[shared])
        return self

    def __exit__(self, *unused: object) -> None:
        self._channel.close()

    def command(self, name: str, **arguments: object) -> object:
        """Sends a command and returns its result."""
        self._channel.write(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        self._channel.flush()
        while line := self._channel.readline():
            reply = json.loads(line)
            if "error" in reply:
                raise StapError(f"qemu refuses {name}: {reply['error'].get('desc')}")
            if "return" in reply:
                return reply["return"]
        raise StapError(f"qemu ended: {self._machine.complaint()}")


def _prune(directory: Path) -> None:
    """Templates are as large as a guest's used memory: only those used last are kept."""
    templates = sorted(directory.glob("template-*"), key=lambda p: p.stat().st_mtime, reverse=True)
    for old in templates[TEMPLATES_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    for unfinished in (*directory.glob(".template-*"), *directory.glob(".ram-*")):
        with contextlib.suppress(OSError):
            if time.time() - unfinished.stat().st_mtime < STALE_SECONDS:
                continue
            shutil.rmtree(unfinished) if unfinished.is_dir() else unfinished.unlink()


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\r", "")
    except OSError:
        return ""


def _die_with_parent() -> None:
    """Between fork and exec of qemu: it must not outlive pystap, and gets no signal from the terminal."""
    os.setsid()
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
