"""Runs a module in a disposable guest so that it looks as if it ran here: streams, exit status, signals, -c, -o."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pystap.diagnostics import StapError
from pystap.run import accel, binaries, kernels
from pystap.run.options import RunOptions, listens
from pystap.run.program import files_of_command
from pystap.run.vm import ENVIRONMENT, Guest, Sink

RUNNER = "/usr/bin/pystap-run"
PASSED_ENVIRONMENT = ("LANG", "LC_ALL", "TERM", "TZ", "USER", "PATH", "HOME")
GIVE_UP = 3  # signals after which the guest itself is ended
COPIES_SECONDS = 0.3  # timeout(1) and others tell a whole group and its members
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(module: Path, options: RunOptions) -> int:
    """Boots the kernel that the module was built for, runs it there, and returns the runner's exit status."""
    assert options.vm is not None
    _refuse(options)
    kernel = kernels.find(options.vm)
    in_guest = f"/lib/modules/pystap/{module.name}"
    files = {RUNNER: binaries.runner(), in_guest: module}
    # What is not there may be loaded by -c's command itself; if it is not, the probes say so.
    probed = (m for m in _listed(module, "stap_modules") if (Path(m).exists() if "/" in m else kernel.module(m)))
    wanted = (*options.modules, *probed)
    host_files = [*options.files, *_listed(module, "stap_files"), *files_of_command(options.command)]
    guest = Guest(kernel, modules=wanted, files=files, host_files=tuple(host_files), cpus=options.cpus)
    guest.host = bool(host_files)
    guest.accel = accel.choose(kernel)
    if options.memory_mb:
        guest.memory = options.memory_mb
    arguments = [RUNNER, *options.runner_arguments(), in_guest, *options.parameters(module)]
    with _output(options.output) as out, _signals(guest), guest:
        return guest.run(
            arguments,
            stdout=out,
            stderr=_writer(2, "standard error"),
            directory=os.getcwd(),
            environment=_environment(),
            forward_input=options.command is not None or listens(module),
        ).status


def _refuse(options: RunOptions) -> None:
    """What cannot work in a guest."""
    if options.target_pid is not None:
        raise StapError("-x names a process of this machine, and with --vm the script runs in a guest; use -c there")
    if options.flight_recorder:
        raise StapError("-F leaves a module behind, and with --vm the kernel itself is thrown away at the end")
    if options.rotate is not None or (options.bulk and options.output):
        raise StapError("-S and -b with -o are not possible with --vm: the guest cannot write files here")


def _environment() -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ENVIRONMENT if name in os.environ}
    return {**ENVIRONMENT, **passed, "PWD": os.getcwd()}


@contextmanager
def _output(path: str | None) -> Iterator[Sink]:
    if path is None:
        sys.stdout.flush()
        yield _writer(1, "standard output")
        return
    path = time.strftime(path)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StapError(f"Couldn't open output file '{path}': {error.strerror}") from None
    try:
        yield _writer(file, f"'{path}'")
    finally:
        os.close(file)


def _writer(file: int, name: str) -> Sink:
    """Writes at once; a reader that has gone away ends the run as it would end the runner's."""
    broken = False

    def write(data: bytes) -> None:
        nonlocal broken
        view = memoryview(data)
        while view and not broken:
            try:
                view = view[os.write(file, view) :]
            except BrokenPipeError:
                broken = True
                os.kill(os.getpid(), signal.SIGTERM)
            except OSError as error:
                raise StapError(f"cannot write the output to {name}: {error.strerror}") from None

    return write


@contextmanager
def _signals(guest: Guest) -> Iterator[None]:
    """The first signals go to the runner in the guest, as they would here; one more ends the guest."""
    received: list[float] = []

    def forward(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if received and now - received[-1] < COPIES_SECONDS and guest.running:
            return
        received.append(now)
        if len(received) >= GIVE_UP or not guest.running:
            raise KeyboardInterrupt
        guest.signals.append(number)

    forwarded = (n for n in FORWARDED if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN)  # by nohup
    before = {number: signal.signal(number, forward) for number in forwarded}
    try:
        yield
    except KeyboardInterrupt:
        raise StapError("interrupted") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listed(module: Path, key: str) -> list[str]:
    """What the module says of itself under MODULE_INFO(key, "a,b"): kernel modules, files."""
    data = module.read_bytes()
    found: list[str] = []
    at = data.find(b"\0" + key.encode() + b"=")
    while at >= 0:
        start = data.index(b"=", at) + 1
        end = data.index(b"\0", start)
        found += [os.fsdecode(part) for part in data[start:end].split(b",") if part]
        at = data.find(b"\0" + key.encode() + b"=", end)
    return found
