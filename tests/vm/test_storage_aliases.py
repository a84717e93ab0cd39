"""What the aliases say of files, bios, requests and SCSI commands, for a program whose reads and writes are known.

The disk is scsi_debug's: sda1 has a FAT, whose functions are those that generic.* names, sda2 an ext4.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pystap.run.vm import Guest
from tests.support.stage import SCRIPTS, Stage, stages

pytestmark = pytest.mark.vm

FILES = """
mount -t vfat /dev/sda1 /mnt
deeds files /mnt/file
umount /mnt
mount -t ext4 /dev/sda2 /mnt
dd if=/dev/zero of=/mnt/other bs=4096 count=2 2> /dev/null
umount /mnt
mount -t ext4 /dev/sda2 /mnt
deeds reread /mnt/other
rm /mnt/other
umount /mnt
"""


@pytest.fixture(scope="module")
def started() -> Iterator[dict[str, Guest]]:
    yield from stages()


@pytest.fixture
def stage(series: str, started: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> Stage:
    return Stage(series, capsys, started)


def test_files(stage: Stage) -> None:
    """vfs and generic: each call of the program with its file, place, position and result, once each."""
    lines = stage.lines("files.stp", FILES)
    known = dict(zip(("A", "B", "VECTOR", "MAP", "PAGE"), stage.said().split(), strict=True))
    for name, address in known.items():
        lines = [line.replace(f"0x{address}", name).replace(str(int(address, 16)), name) for line in lines]
        lines = [line.replace(address, name) for line in lines]
    assert lines == (SCRIPTS / "files.expect").read_text().splitlines()
