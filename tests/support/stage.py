"""Guests in which known things happen: where aliases show what they say of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.kernels import Kernel, module_content
from pystap.run.vm import Finished, Guest, LostGuest
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, available
from tests.support.quiet import keeps_quiet

SCRIPTS = Path(__file__).resolve().parent.parent / "vm" / "deeds"
MODULES = ("sd_mod", "brd", "vfat", "nls_cp437", "nls_ascii", "nls_utf8")
EVENTUAL = ("mq-deadline",)  # built in on some kernels
DEEDS = "/bin/deeds"
# Processes get numbers that are nothing else's: tests give them names wherever they are in a line.
DISK = """set -e
echo 20000 > /proc/sys/kernel/ns_last_pid
insmod /tmp/scsi_debug.ko dev_size_mb=32 num_parts=2
mdev -s
mkdosfs /dev/sda1
mke2fs /dev/sda2
mkdir -p /mnt /dev/pts
mount -t devpts none /dev/pts
ip link set lo up
"""


@dataclass
class Scene:
    """One kernel's guest with all that its scripts are to see, kept for all tests of a series."""

    scripts: ClassVar[Path]
    shell: ClassVar[str] = "sh"  # that a run's command is for

    series: str
    capsys: pytest.CaptureFixture[str]
    guests: dict[str, Guest] = field(default_factory=dict)

    def boot(self, kernel: Kernel) -> Guest:
        """A guest that is still to be entered."""
        raise NotImplementedError

    def prepare(self, guest: Guest) -> None:
        """What is done in a guest before the first script."""
        raise NotImplementedError

    def guest(self) -> Guest:
        """The guest; it is booted where there is none."""
        if self.series not in self.guests:
            kernel = available(self.series)
            assert kernel is not None
            guest = self.boot(kernel)
            guest.__enter__()
            self.guests[self.series] = guest
            self.prepare(guest)
        return self.guests[self.series]

    def run(self, script: str, command: str, *options: str) -> Finished:
        """Runs a script (a file's name or a text) while a shell command runs, whose words are in /tmp/said."""
        words = [str(self.scripts / script)] if script.endswith(".stp") else ["-e", script]
        assert cli.main(["-p4", "-w", "-r", self.series, *options, *words]) == 0, self.capsys.readouterr().err
        module = Path(self.capsys.readouterr().out.split()[-1])
        guest = self.guest()
        guest.put(f"/tmp/{module.name}", module.read_bytes())
        guest.put("/tmp/command", f"{command}\n".encode())
        try:
            with keeps_quiet(guest):
                told = [RUNNER, "-c", f"{self.shell} /tmp/command > /tmp/said 2>&1", f"/tmp/{module.name}"]
                done = guest.run(told, timeout=120)
        except LostGuest:
            self.guests.pop(self.series).close()
            raise
        assert guest.sh("grep -q ^stap_ /proc/modules").status == 1, "the module is gone"
        return done

    def lines(self, script: str, command: str, *options: str) -> list[str]:
        """The lines that a script prints without a complaint."""
        done = self.run(script, command, *options)
        assert (done.stderr, done.status) == (b"", 0), done.stderr.decode() + self.said()
        return done.stdout.decode().splitlines()

    def sh(self, command: str) -> str:
        """What a command that must succeed prints."""
        done = self.guest().sh(command, timeout=60)
        assert done.status == 0, done
        return done.stdout.decode()

    def said(self) -> str:
        """What the command of the last run has printed."""
        return self.guest().sh("cat /tmp/said").stdout.decode()


class Stage(Scene):
    """Disks, file systems, terminals, and a program whose deeds are known."""

    scripts = SCRIPTS
    shell = "sh -e"

    def boot(self, kernel: Kernel) -> Guest:
        program = compile_c((SCRIPTS / "deeds.c").read_text(), "-static", "-O1", "-pthread", name="deeds.c")
        files = {RUNNER: binaries.runner(), DEEDS: program}
        modules = (*MODULES, *(name for name in EVENTUAL if kernel.module(name)))
        return Guest(kernel, modules=modules, files=files, cpus=2)

    def prepare(self, guest: Guest) -> None:
        for name in ("scsi_debug", "ttyprintk"):
            file = guest.kernel.module(name)
            assert file is not None
            guest.put(f"/tmp/{name}.ko", module_content(file))
        self.sh(DISK)
