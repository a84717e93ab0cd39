"""A disposable QEMU guest: a kernel of the store -> a machine that runs pystap-run (or any command) and is thrown away.

The same class serves `pystap --vm` and the tests. Nothing but the guest's own streams travels on its ports, so what a
probe on the guest's file or terminal functions sees is not pystap's plumbing.
"""

from __future__ import annotations

import os
import re
import secrets
import selectors
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from pystap.diagnostics import StapError
from pystap.run import accel, binaries, machine, nbd
from pystap.run.erofs import HostImage
from pystap.run.initramfs import Initramfs
from pystap.run.kernels import Kernel, module_content
from pystap.run.machine import Machine, Spec

BOOT_SECONDS = 60.0
WATCHED_BOOT_SECONDS = 400.0  # of a kernel with KASAN and lockdep
SILENCE_SECONDS = 60.0  # without an answer to a heartbeat: software emulation may stall for long, a dead guest for ever
HEARTBEAT_SECONDS = 2.0
SELECT_SECONDS = 0.1  # how soon a signal is noticed
MEMORY_MB = 512
WATCHED_MEMORY_MB = 2048
CONSOLE_LINES = 40
TROUBLE = re.compile(r"BUG:|Oops|Kernel panic|general protection|double fault|soft lockup|stack guard")
CHUNK = 1 << 16

# In the order in which they need each other; which of them are built in is found by their absence.
PORT_MODULES = (
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
)
HOST_MODULES = ("virtio_blk", "erofs", "overlay")  # for files of this machine that are read as they are needed
HIDDEN = frozenset(f"/{name}" for name in ("proc", "sys", "dev", "run", "lost+found"))  # each kernel has its own
BASE_FILES = {
    "/etc/hostname": "vm\n",
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n",
    "/etc/group": "root:x:0:\n",
    "/etc/hosts": "127.0.0.1 localhost vm\n",
}
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "TERM": "dumb"}


class LostGuest(StapError):  # noqa: N818
    """The guest died or fell silent; `console` holds what it said last."""

    def __init__(self, reason: str, console: str) -> None:
        self.console = console
        lines = "\n".join(f"  {line}" for line in _telling(console.splitlines()))
        super().__init__(f"{reason}; its console says:\n{lines}" if lines else reason)


def _telling(lines: list[str]) -> list[str]:
    """The lines from where the trouble begins, or the last ones."""
    for number, line in enumerate(lines):
        if TROUBLE.search(line):
            return lines[number : number + CONSOLE_LINES]
    return lines[-CONSOLE_LINES:]


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program in the guest ended."""

    stdout: bytes
    stderr: bytes
    status: int


Sink = Callable[[bytes], None]


@dataclass(slots=True)
class _Stream:
    """Passes a port's bytes on to a sink, up to the end mark."""

    sink: Sink
    mark: bytes
    held: bytes = b""
    ended: bool = False

    def feed(self, data: bytes) -> None:
        self.held += data
        end = self.held.find(self.mark)
        if end >= 0:
            self._pass(self.held[:end])
            self.held = b""
            self.ended = True
            return
        keep = _partial(self.held, self.mark)
        self._pass(self.held[: len(self.held) - keep])
        self.held = self.held[len(self.held) - keep :]

    def _pass(self, data: bytes) -> None:
        if data:
            self.sink(data)


def _partial(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of `data` might be the beginning of `mark`."""
    for length in range(min(len(mark) - 1, len(data)), 0, -1):
        if data.endswith(mark[:length]):
            return length
    return 0


@dataclass(slots=True)
class Guest:
    """A running guest, as a context manager; `run` and `sh` may be called any number of times."""

    kernel: Kernel
    modules: tuple[str, ...] = ()  # kernel modules to load at boot, with what they depend on
    files: Mapping[str, Path] = field(default_factory=dict)  # path in the guest -> file of this machine
    host_files: tuple[str, ...] = ()  # files of this machine, in the guest at their own paths
    memory: int = 0  # MB; 0: what the kernel needs
    cpus: int = 1
    accel: str = "tcg"
    boot_seconds: float = BOOT_SECONDS
    host: bool = False  # all files of this machine are there, at their own paths; what is changed is thrown away
    use_template: bool = True
    counting: bool = False  # its clock counts instructions
    _machine: Machine | None = None
    _replies: bytes = b""
    _runs: int = 0
    running: bool = False  # a program runs: what is put into `signals` reaches it
    signals: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.memory:
            self.memory = WATCHED_MEMORY_MB if self.kernel.watched else MEMORY_MB
        if self.kernel.watched:
            self.boot_seconds = max(self.boot_seconds, WATCHED_BOOT_SECONDS)

    def __enter__(self) -> Guest:
        try:
            self._machine = self._come_up()
            self._install()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the guest at once and removes what it left on this machine."""
        if self._machine is not None:
            self._machine.close()

    @property
    def console(self) -> str:
        """Everything that the guest's kernel has said on its console."""
        return self._machine.console() if self._machine is not None else ""

    def put(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Writes a file in the guest."""
        self._send(f"put {mode:o} {len(content)} {path}\n".encode() + content)
        reply = self._await(b"done ", SILENCE_SECONDS)
        if reply != b"done 0":
            raise StapError(f"cannot write {path} in the guest: {os.strerror(int(reply.split()[1]))}")

    def run(
        self,
        argv: Sequence[str],
        *,
        stdout: Sink | None = None,
        stderr: Sink | None = None,
        directory: str = "/",
        environment: Mapping[str, str] = ENVIRONMENT,
        timeout: float | None = None,
        forward_input: bool = False,
        keep_input: bool = False,
    ) -> Finished:
        """Runs a program to its end; without sinks its output is collected; its input is empty, or once this one's."""
        collected: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        mark = b"\1" + secrets.token_hex(12).encode() + b"\n"
        streams = {
            "out": _Stream(stdout or collected[0].extend, mark),
            "err": _Stream(stderr or collected[1].extend, mark),
        }
        self._runs += 1
        variables = [f"{name}={value}" for name, value in environment.items()]
        strings = [mark.decode("latin-1"), directory, str(len(variables)), *variables, *argv]
        body = b"".join(os.fsencode(s) + b"\0" for s in strings)
        self._send(f"run {self._runs} {len(body)}\n".encode() + body)
        if not keep_input:
            self._give_input(forward_input)
        self.running = True
        try:
            status = self._serve(streams, timeout)
        finally:
            self.running = False
        return Finished(bytes(collected[0]), bytes(collected[1]), status)

    def sh(self, command: str, timeout: float | None = None) -> Finished:
        """Runs a shell command."""
        return self.run(["/bin/sh", "-c", command], timeout=timeout)

    def kill(self, number: int) -> None:
        """Sends a signal to the program that runs."""
        self._send(f"kill {number}\n".encode())

    # -- the host's side of the ports --

    def _serve(self, streams: dict[str, _Stream], timeout: float | None) -> int:
        """Relays until the program has ended and both of its streams have."""
        deadline = None if timeout is None else time.monotonic() + timeout
        heard = asked = time.monotonic()
        status: int | None = None
        with selectors.DefaultSelector() as selector:
            for name in ("control", *streams):
                selector.register(self._ports[name], selectors.EVENT_READ, name)
            while status is None or not all(s.ended for s in streams.values()):
                now = time.monotonic()
                if deadline is not None and now > deadline:
                    raise LostGuest(f"the guest did not finish within {timeout:g} s", self.console)
                if now - heard > SILENCE_SECONDS:
                    raise LostGuest(f"the guest has not answered for {SILENCE_SECONDS:g} s", self.console)
                if now - asked > HEARTBEAT_SECONDS:
                    self._send(b"ping\n")
                    asked = now
                while self.signals:
                    self.kill(self.signals.pop(0))
                for key, _ in selector.select(SELECT_SECONDS):
                    heard = time.monotonic()
                    data = self._receive(key.data)
                    if key.data == "control":
                        status = self._exit_status(data, status)
                    else:
                        streams[key.data].feed(data)
        return status

    def _give_input(self, forward: bool) -> None:
        """The port's end is the program's end of file; without anything to forward it comes at once."""
        port = self._ports.pop("in", None)
        if port is None:
            return
        if forward and not os.isatty(0):
            threading.Thread(target=_pump, args=(0, port), daemon=True).start()
        else:
            port.close()

    def _exit_status(self, data: bytes, status: int | None) -> int | None:
        self._replies += data
        while b"\n" in self._replies:
            line, self._replies = self._replies.split(b"\n", 1)
            words = line.split()
            if words[:1] == [b"exit"] and int(words[1]) == self._runs:
                status = int(words[2])
        return status

    def _await(self, prefix: bytes, seconds: float) -> bytes:
        """The next reply that begins so; pongs before it are dropped."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" in self._replies:
                line, self._replies = self._replies.split(b"\n", 1)
                if line.startswith(prefix):
                    return line
            self._ports["control"].settimeout(max(0.01, deadline - time.monotonic()))
            try:
                self._replies += self._receive("control")
            except TimeoutError:
                raise LostGuest(f"the guest did not come up within {seconds:g} s", self.console) from None
            finally:
                self._ports["control"].settimeout(None)

    @property
    def _ports(self) -> dict[str, socket.socket]:
        assert self._machine is not None
        return self._machine.ports

    def _receive(self, name: str) -> bytes:
        try:
            data = self._ports[name].recv(CHUNK)
        except ConnectionError:
            data = b""
        if not data:
            self._lost()
        return data

    def _send(self, data: bytes) -> None:
        try:
            self._ports["control"].sendall(data)
        except OSError:
            self._lost()

    def _lost(self) -> NoReturn:
        assert self._machine is not None
        raise LostGuest(self._machine.complaint(), self.console)

    # -- coming up --

    def _come_up(self) -> Machine:
        kernel = self.kernel
        sources = (Path(__file__), binaries.guest(), _busybox())
        archive = lambda: _base_archive(kernel).content()  # noqa: E731
        how = accel.software(self.cpus) if self.accel == "tcg" else self.accel
        spec = Spec(kernel, archive, sources, self.memory, self.cpus, how, self.counting)
        if self.use_template and self.accel.startswith("tcg") and not self.counting:
            try:
                return self._restored(spec)
            except StapError:
                self.close()
        return self._answering(machine.boot(spec, disk=self._disk()), b"ready", b"")

    def _restored(self, spec: Spec) -> Machine:
        """From the template, which the first guest of its kind makes."""
        saved = machine.template(spec)
        if saved is None:
            booted, ram = machine.boot_for_template(spec)
            try:
                self._answering(booted, b"ready", b"")
                saved = machine.make_template(spec, booted, ram)
            finally:
                ram.unlink(missing_ok=True)
                booted.close()
        now = time.time_ns()
        hello = f"time {now // 10**9} {now % 10**9}\n".encode()
        return self._answering(machine.restore(spec, saved, self._disk()), b"pong", hello)

    def _answering(self, started: Machine, word: bytes, greeting: bytes) -> Machine:
        self._machine = started
        self._replies = b""
        if greeting:
            self._send(greeting)
        self._await(word, self.boot_seconds)
        return started

    def _disk(self) -> socket.socket | None:
        """Where QEMU finds this machine's files; a thread serves them until it closes its end."""
        if not self.host:
            return None
        served, theirs = socket.socketpair()
        image = HostImage(hidden=HIDDEN)
        threading.Thread(target=nbd.serve, args=(served, image, machine.DISK_SIZE), daemon=True).start()
        return theirs

    def _show_host(self) -> bool:
        """Whether this machine's files are in the guest now; kernels without the file systems for it say no."""
        if not self.host:
            return False
        self._send(b"host\n")
        return self._await(b"done ", SILENCE_SECONDS) == b"done 0"

    def _install(self) -> None:
        """Brings in what this guest has beyond others of its kind."""
        archive = Initramfs(base=False)
        for path, source in self.files.items():
            archive.file(path, source)
        for path in () if self._show_host() else self.host_files:
            archive.host(path)
        there = _boot_modules(self.kernel)
        wanted = [source for source in module_files(self.kernel, self.modules) if source not in there]
        for source in wanted:
            archive.data(_in_guest(source, self.kernel), module_content(source))
        if not archive:
            return
        self.put("/tmp/.brought", archive.content())
        steps = ["cd /", "cpio -idmu < /tmp/.brought 2> /dev/null", "rm /tmp/.brought"]
        steps += [_load(str(_in_guest(source, self.kernel))) for source in wanted]
        done = self.run(["/bin/sh", "-c", " && ".join(steps)], keep_input=True)
        if done.status:
            raise StapError(f"the guest could not be set up: {os.fsdecode(done.stderr).strip()}")


def _load(path: str) -> str:
    """The command that loads a module, unless the guest's own devices have brought it in."""
    name = path.rpartition("/")[2].partition(".")[0].replace("-", "_")
    return f"{{ grep -q '^{name} ' /proc/modules || insmod {shlex.quote(path)}; }}"


def _base_archive(kernel: Kernel) -> Initramfs:
    """What every guest has: busybox, the first process, the modules of its ports."""
    archive = Initramfs()
    archive.file("/init", binaries.guest(), 0o755)
    _add_busybox(archive)
    for name in ("/proc", "/sys", "/dev", "/root", "/run"):
        archive.directory(name)
    archive.directory("/tmp", 0o1777)
    archive.device("/dev/console", 0o600)
    for path, content in BASE_FILES.items():
        archive.text(path, content)
    needed = _boot_modules(kernel)
    for source in needed:
        archive.data(_in_guest(source, kernel), module_content(source))
    archive.text("/etc/modules", "".join(f"{_in_guest(source, kernel)}\n" for source in needed))
    return archive


def _boot_modules(kernel: Kernel) -> list[Path]:
    """The modules that every guest has."""
    return module_files(kernel, (*PORT_MODULES, *HOST_MODULES), strict=False)


def module_files(kernel: Kernel, names: Iterable[str], strict: bool = True) -> list[Path]:
    """The files of these modules of a kernel and of what they depend on, in the order to load them."""
    found: list[Path] = []

    def add(name: str) -> None:
        path = Path(name) if "/" in name else kernel.module(name)
        if path is None:
            if strict:
                raise StapError(f"kernel {kernel.release} has no module {name}, or it is built in")
            return
        for needed in _depends(path):
            add(needed)
        if path not in found:
            found.append(path)

    for name in names:
        add(name)
    return found


def _depends(module: Path) -> list[str]:
    """What a module's own .modinfo says that it needs (packages carry no modules.dep)."""
    data = module_content(module)
    at = data.find(b"\0depends=")
    if at < 0:
        return []
    start = at + len(b"\0depends=")
    return [name.decode() for name in data[start : data.index(b"\0", start)].split(b",") if name]


def _in_guest(source: Path, kernel: Kernel) -> Path:
    inside = source.absolute()
    if kernel.modules_dir is not None and source.is_relative_to(kernel.modules_dir):
        inside = Path("/lib/modules") / kernel.release / source.relative_to(kernel.modules_dir)
    return inside.with_name(inside.name.split(".ko")[0] + ".ko")


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise StapError("--vm needs a static busybox; install it: apt-get install busybox-static")
    return Path(found)


def _add_busybox(archive: Initramfs) -> None:
    archive.file("/usr/bin/busybox", _busybox(), 0o755)
    for applet in _applets():
        if applet not in archive:
            archive.link(applet, "/usr/bin/busybox")


def _applets() -> list[str]:
    return subprocess.run([_busybox(), "--list-full"], capture_output=True, text=True, check=True).stdout.split()


def _pump(file: int, port: socket.socket) -> None:
    with port:
        try:
            while data := os.read(file, CHUNK):
                port.sendall(data)
        except OSError:
            pass  # the guest is gone, or this input is
