"""Runs a module on this kernel: starts pystap-run and hands on signals until it has taken the module off again."""

from __future__ import annotations

import ctypes
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from pystap import paths
from pystap.diagnostics import StapError
from pystap.run import binaries
from pystap.run.options import RunOptions

HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)


def run(module: Path, options: RunOptions) -> int:
    """Runs the module and returns the runner's exit status."""
    output = ["-o", options.output] if options.output else []
    command = [str(binaries.runner()), *options.runner_arguments(), *output, str(module), *options.parameters(module)]
    status = _status(command, _end_with_parent)
    return status if status >= 0 else 128 - status


def attach(name: str, options: RunOptions) -> int:
    """-A: shows what a detached module recorded, goes on with it, and takes it off in the end."""
    output = ["-o", options.output] if options.output else []
    given = [] if name.endswith(".ko") else ["-N", name]
    command = [str(binaries.runner()), "-A", *given, *options.runner_arguments(), *output, str(module_file(name))]
    return _status(command)


def module_file(name: str) -> Path:
    """The file of a module that was built here, by its name: it holds the formats to print with."""
    if name.endswith(".ko") and Path(name).exists():
        return Path(name)
    # A second run of a script at the same time has the runner's number behind the module's name.
    said = b"\0name=" + re.sub(r"^(stap_[0-9a-f]{24})_\d+$", r"\1", name).encode() + b"\0"
    for path in (Path(f"{name}.ko"), *paths.cache("modules").rglob("*.ko")):
        if path.exists() and said in path.read_bytes():
            return path
    raise StapError(f"there is no module {name} among those that pystap built; name its file: pystap -A FILE.ko")


def _end_with_parent() -> None:
    """A pystap that is killed takes its runner along, and with it the module."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _status(command: list[str], before: Callable[[], None] | None = None) -> int:
    """How the runner ends. Signals to pystap are for it: those that come while it is being started are kept."""
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        if started:
            started[0].send_signal(number)
        else:
            early.append(number)

    with _handled_by(hand_on), subprocess.Popen(command, preexec_fn=before) as process:
        started.append(process)
        for number in early:
            process.send_signal(number)
        return process.wait()


@contextmanager
def _handled_by(hand_on: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """What is sent to pystap alone is passed on. The terminal tells the runner itself, too: it knows copies."""
    heard = [number for number in HANDED_ON if signal.getsignal(number) != signal.SIG_IGN]  # as nohup(1) has it
    before = {number: signal.signal(number, hand_on) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
