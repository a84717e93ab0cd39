"""What the aliases say of memory: the mappings, faults, copies and allocations that a program is known to make."""

from __future__ import annotations

import pytest

from tests.support.stage import Stage

pytestmark = pytest.mark.vm
PAGE = 4096
GROUP = """
deeds memory
mkdir -p /tmp/group
mount -t cgroup2 none /tmp/group
echo +memory > /tmp/group/cgroup.subtree_control
mkdir /tmp/group/small
echo 8M > /tmp/group/small/memory.max
dmesg -n 1
sh -c 'echo $$ > /tmp/group/small/cgroup.procs; exec deeds eat' || echo $?
dmesg -n 5
sleep 0.1
rmdir /tmp/group/small
umount /tmp/group
"""


def test_memory(stage: Stage) -> None:
    """vm: each page that the program touched; what was copied for its child; sizes as they were asked for."""
    lines = stage.lines("memory.stp", GROUP, "-DMAXTRYLOCK=100000")
    start, heap = (int(word, 16) for word in stage.said().split()[:2])
    assert stage.said().split()[-1] == "137", "it was killed"
    seen = []
    for words in map(str.split, lines):
        if words[0] in ("pagefault", "write_shared", "write_shared_copy", "munmap"):
            at = int(words[1], 16) - start
            if 0 <= at < 20 * PAGE:
                seen.append((words[0], *divmod(at, PAGE), *map(int, words[2:])))
    assert seen == [
        *(("pagefault", page, 0, 0) for page in (0, 1, 2)),
        *(("pagefault", page, 8, 1) for page in range(10, 15)),
        ("pagefault", 1, 0, 1), ("write_shared", 1, 0),
        ("pagefault", 12, 0, 1), ("write_shared", 12, 0), ("write_shared_copy", 12, 0, 0),
        ("munmap", 5, 0, 2 * PAGE), ("munmap", 0, 0, 20 * PAGE),
    ]  # fmt: skip
    assert f"brk {heap:x} {5 * PAGE}" in lines
    assert [line for line in lines if line.startswith(("mmap 0 ", "oom", "objects", "freed", "k"))] == [
        f"mmap 0 {20 * PAGE}",
        *(f"{name} 1600 2048 GFP_KERNEL 1" for name in ("kmalloc", "kmalloc_node")), "kfree 1",
        f"mmap 0 {64 << 20}", "oom_kill deeds deeds",
        "objects kmem_cache_alloc 1 1 1 1", "objects kmem_cache_alloc_node 1 1 1 1", "freed 1 1 1",
    ]  # fmt: skip
    results = {tuple(line.split()[1:3]): int(line.split()[3]) for line in lines if line.startswith("results")}
    assert results["0", "1"] == 1, "the fault that found no memory"
    assert set(results) == {("0", "1"), ("1", "0")}
