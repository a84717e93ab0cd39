"""What one run is asked to do."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The part of the command line that pass 5 reads; defaults are stap's."""

    command: str | None = None  # -c
    target_pid: int | None = None  # -x
    output: str | None = None  # -o
    timeout: float | None = None  # -T, seconds
    params: tuple[tuple[str, str], ...] = ()  # -G NAME=VALUE
    vm: str | None = None  # the release of the guest kernel; None: this kernel
    verbose: int = 0
    suppress_warnings: bool = False  # -w
    buffer_mb: int | None = None  # -s
    bulk: bool = False  # -b
    flight_recorder: bool = False  # -F
    rotate: str | None = None  # -S SIZE[,COUNT]
    modules: tuple[str, ...] = ()  # --vm: kernel modules that must be loaded before
    files: tuple[str, ...] = ()  # --vm: files of this machine that the guest needs at their own paths
    memory_mb: int | None = None  # --vm
    cpus: int = 1  # --vm

    def runner_arguments(self) -> list[str]:
        """pystap-run's options, without what differs between this machine and a guest: -o."""
        arguments: list[str] = ["-v"] * min(self.verbose, 1)
        arguments += ["-w"] * self.suppress_warnings + ["-b"] * self.bulk + ["-F"] * self.flight_recorder
        valued = (
            ("-c", self.command),
            ("-x", self.target_pid),
            ("-S", self.rotate),
            ("-T", self.timeout),
            ("-s", self.buffer_mb),
        )
        for option, value in valued:
            if value is not None:
                arguments += [option, str(value)]
        return arguments

    def parameters(self, module: Path) -> list[str]:
        """The module's parameters, as pystap-run takes them."""
        given = [f"{name}={value}" for name, value in self.params]
        return given + (_time_zone() if b"parmtype=stap_timezone_" in module.read_bytes() else [])


def listens(module: Path) -> bool:
    """Whether a script has probes on what is typed."""
    return b'procfs("__stdin").write' in module.read_bytes()


def _time_zone() -> list[str]:
    now = time.localtime()
    return [f"stap_timezone_offset={-now.tm_gmtoff}", f"stap_timezone_name={now.tm_zone}"]
