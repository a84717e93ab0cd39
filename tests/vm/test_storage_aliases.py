"""What the aliases say of files, bios, requests and SCSI commands, for a program whose reads and writes are known.

The disk is scsi_debug's: sda1 has a FAT, whose functions are those that generic.* names, sda2 an ext4.
"""

from __future__ import annotations

import re

import pytest

from tests.support.stage import SCRIPTS, Stage

pytestmark = pytest.mark.vm

FILES = """
mount -t vfat /dev/sda1 /mnt
deeds files /mnt/file
umount /mnt
mount -t ext4 /dev/sda2 /mnt
dd if=/dev/zero of=/mnt/other bs=4096 count=2 2> /dev/null
umount /mnt
mount -t ext4 /dev/sda2 /mnt
stat -c %i /mnt/other
deeds reread /mnt/other
rm /mnt/other
umount /mnt
"""


CACHED = """
probe vfs.__add_to_page_cache {
    if (execname() == "dd" && devname == "sda2") printf("%d %d\\n", ino, index)
}
probe vfs.__add_to_page_cache.return { if (execname() == "dd") results[retstr]++ }
probe timer.profile.freq { hits[cpu()]++ }
global hits, results
probe begin { start = ktime_get_ns() }
global start
probe end {
    foreach (r in results) printf("result %s %d\\n", r, results[r] >= 3)
    elapsed = (ktime_get_ns() - start) / 1000000
    foreach (c+ in hits) printf("cpu %d %d\\n", c, hits[c] > elapsed / 20 && hits[c] < elapsed * 11 / 10 + 5)
}
"""


def test_other_names(stage: Stage) -> None:
    """vfs.__add_to_page_cache: each page of a file; timer.profile.freq: a thousand a second, fewer where it is busy."""
    command = "mount -t ext4 /dev/sda2 /mnt; dd if=/dev/zero of=/mnt/three bs=4096 count=3 2> /dev/null"
    lines = stage.lines(CACHED, f"{command}; stat -c %i /mnt/three; rm /mnt/three; umount /mnt", "-DMAXTRYLOCK=100000")
    inode = stage.said().strip()
    assert [line for line in lines if line.startswith(f"{inode} ")] == [f"{inode} {page}" for page in range(3)]
    assert lines[-3:] == ["result 0 1", "cpu 0 1", "cpu 1 1"]


BLOCKS = """
driver=/sys/bus/pseudo/drivers/scsi_debug
cd /sys/block/sda
echo mq-deadline > queue/scheduler
echo 3 > /proc/sys/vm/drop_caches
cat sda2/stat
dd if=/dev/sda2 of=/tmp/kept bs=16k count=8 skip=100 2> /dev/null
dd if=/dev/sda2 of=/tmp/again bs=16k count=8 skip=100 iflag=direct 2> /dev/null
dd if=/tmp/kept of=/dev/sda2 bs=32k count=4 seek=50 oflag=direct 2> /dev/null
cmp /tmp/kept /tmp/again
echo 1 > $driver/statistics; echo 2 > $driver/every_nth; echo 0x8000 > $driver/opts
dd if=/dev/sda2 of=/dev/null bs=8k count=8 skip=500 iflag=direct 2> /dev/null
echo 0 > $driver/opts; echo 0 > $driver/every_nth; echo 0 > $driver/statistics
cat sda2/stat
dd if=/tmp/kept of=/dev/ram0 bs=8k count=2 oflag=direct 2> /dev/null
echo offline > device/state; echo running > device/state
echo 1 > device/rescan
"""


def test_files(stage: Stage) -> None:
    """vfs and generic: each call of the program with its file, place, position and result, once each."""
    lines = stage.lines("files.stp", FILES)
    *places, inode, page = stage.said().split()
    lines = [re.sub(rf"\b{inode}(?= 8:2|, /mnt/other)", "INODE", line) for line in lines]
    for name, address in zip(("A", "B", "VECTOR", "MAP", "PAGE"), [*places, page], strict=True):
        lines = [line.replace(f"0x{address}", name).replace(str(int(address, 16)), name) for line in lines]
        lines = [line.replace(address, name) for line in lines]
    assert lines == (SCRIPTS / "files.expect").read_text().splitlines()


def moved(stat: str) -> tuple[int, int]:
    """Bytes read and written, of two states of a partition's counters."""
    before, after = ([int(word) for word in line.split()] for line in stat.splitlines())
    return 512 * (after[2] - before[2]), 512 * (after[6] - before[6])


def numbers(lines: list[str], first: str) -> dict[str, list[int]]:
    """What the lines that begin with a word say: words, then numbers."""
    told: dict[str, list[int]] = {}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == first:
            words = rest.split()
            head = next(n for n, w in enumerate(words) if w.isdigit())
            told[" ".join(words[:head])] = [int(w) for w in words[head:]]
    return told


def test_blocks(stage: Stage) -> None:
    """ioblock, ioscheduler, scsi: bytes as the partition's counters have them, sectors as dd(1) was told."""
    lines = stage.lines("block.stp", BLOCKS, "-DINTERRUPTIBLE=0")
    read, written = moved(stage.said())
    assert written == 131072
    assert read > 2 * 131072
    totals = {tuple(line.split()[1:4]): [int(w) for w in line.split()[4:]] for line in lines if line[:5] == "bytes"}
    for name in ("ioblock.request", "ioblock.end", "ioblock_trace.request"):
        assert totals[name, "sda2", "1"] == [4, written]
        assert totals[name, "sda2", "0"][1] == read
    for name in ("ioblock.request", "ioblock.end", "ioblock_trace.request", "ioblock_trace.end"):
        assert totals[name, "ram0", "1"] == [2, 16384]
    sectors = {tuple(line.split()[1:]) for line in lines if line.startswith("sector")}
    asked = {("request", "sda2", "0", str(3200 + 32 * k), "16384") for k in range(8)}
    asked |= {("request", "sda2", "0", str(8000 + 16 * k), "8192") for k in range(8)}
    asked |= {(what, "ram0", "1", str(16 * k), "8192") for k in range(2) for what in ("request", "end")}
    assert asked - sectors == set()
    assert [line for line in lines if line.startswith(("odd", "state", "at", "elevator"))] == [
        "state 0:0:0:0 2 RUNNING 6 OFFLINE", "state 0:0:0:0 6 OFFLINE 2 RUNNING", "at ino sda2 8388610",
        "at part sda2 2", "at part ram0 0", f"at start sda2 {start(stage)}", "at start ram0 0",
        "at whole ram0 ram0 1", "at whole sda sda2 1", "elevator mq-deadline",
    ]  # fmt: skip
    check_requests(lines)


def start(stage: Stage) -> int:
    return int(stage.sh("cat /sys/block/sda/sda2/start"))


def check_requests(lines: list[str]) -> None:
    """Each request and each command ends once; what the host was too busy for is put back and comes again."""
    counts = {name: values[0] for name, values in numbers(lines, "count").items()}
    commands = numbers(lines, "command")
    where = "0:0:0:0 RUNNING"
    again = counts["elv_issue_request"] - counts["elv_completed_request"]
    assert again >= 4
    assert counts["elv_requeue_request"] >= again
    assert counts["elv_add_request"] == counts["tp"] >= 20
    assert counts["pending"] == counts["prepare"] == counts["elv_completed_request"]
    done = {way: commands[f"done {where} {way}"][0] for way in ("FROM_DEVICE", "TO_DEVICE", "NONE")}
    assert sum(done.values()) == counts["elv_completed_request"]
    assert done == {way: commands[f"completed {where} {way}"][0] for way in done}
    sent = {way: commands[f"dispatching {where} {way}"][0] for way in done}
    assert sent == {**done, "FROM_DEVICE": done["FROM_DEVICE"] + again}
    assert commands[f"execute {where} NONE"] == [done["NONE"]]
    plugs = numbers(lines, "plug")
    assert plugs["plug"] == plugs["unplug_io"]
    assert plugs["plug"][1] >= 4
    assert numbers(lines, "entry") == {"8:0 RUNNING": [1, 1, counts["prepare"]]}
