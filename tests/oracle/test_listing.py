"""-l and -L beside stap's own, as sets: each difference has a reason, or there is none."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from pystap import cli, paths
from pystap.elaborate.points import PointTree
from pystap.options import Options
from pystap.providers import PROVIDERS
from pystap.providers.base import Request
from pystap.providers.kprobe import ANCHOR, KprobeSite
from pystap.run import kernels
from pystap.syntax import ast
from pystap.target import Target

RELEASE = "6.1.0-56-cloud-amd64"
STORE = paths.cache("kernels") / RELEASE
EQUAL = (
    ("-l", 'kernel.function("tcp_v4_*")'),
    ("-L", 'kernel.statement("tcp_v4_rcv@net/ipv4/tcp_ipv4.c:*")'),
    ("-l", 'module("nf_nat").function("*")'),
    ("-l", 'kernel.function("*@fs/read_write.c")'),
    ("-L", 'kernel.function("vfs_*").inline'),
    ("-L", 'kernel.function("tcp_v4_*").call'),
    ("-L", 'kernel.function("*@fs/read_write.c").return'),
    ("-l", 'kernel.function("*@fs/read_write.c:460").call'),  # lines choose among statements alone
    ("-l", 'kernel.function("*@mm/mmap.c:*")'),
    ("-l", 'kernel.statement("*@fs/open.c:1000-1100")'),
    ("-l", 'kernel.statement("vfs_read@fs/read_write.c:350-700")'),  # lines of what was inlined there, too
    ("-l", 'kernel.statement("do_sys_open@fs/open.c+3")'),
    ("-L", 'kernel.statement("do_sys_openat2@fs/open.c:1295,1297,1300-1310")'),
    ("-l", 'kernel.statement("vfs_read@fs/read_write.c:460").nearest'),
    ("-l", 'module("nf_*").function("nf_*_init*")'),
    ("-l", 'kernel.function("tcp_*").exported'),
    ("-L", 'kernel.function("*@fs/namei.c").inline'),  # locals of the copies, but not of blocks in them
    ("-L", 'kernel.function("ext4_*@fs/ext4/inode.c")'),
    ("-L", 'kernel.function("*@mm/memory.c")'),
    ("-L", 'kernel.function("napi_*")'),  # what debug-info has only behind the ftrace call
    ("-L", 'kernel.statement("tcp_sendmsg_locked@net/ipv4/tcp.c:*")'),
    ("-l", 'module("virtio_net").statement("*@drivers/net/virtio_net.c:1000-1100")'),
    ("-l", 'kernel.function("*@fs/namei.c").call'),  # what gcc split off a function (.part) has its name, and is not it
    ("-l", 'kernel.statement("show_mem_node_skip@mm/page_alloc.c:*")'),
    ("-l", 'kernel.statement("*@net/ipv4/tcp.c:*")'),  # copies begin at the line of their entry
    ("-l", 'kernel.statement("pick_link@fs/namei.c:*")'),
    ("-l", 'kernel.statement("do_open@fs/namei.c:*")'),  # lines end at the first that has code elsewhere only
    ("-l", 'kernel.statement("vfs_create@fs/namei.c:*")'),  # with a copy of itself in it
    ("-l", 'kernel.function("link_path_walk").callee("*")'),
    ("-l", 'kernel.function("r*")'),  # symbols without debug-info, and what the kernel refuses to probe
    ("-l", 'kernel.function("*entry*").call'),
    ("-l", 'kernel.function("__S*").return'),
    ("-l", 'kernel.function("__x64_sys_*")'),  # __do_sys_getpid by its other name
    ("-l", 'module("nf_*").function("nf_*")'),
    ("-L", 'kernel.function("*@drivers/base/*.c")'),  # va_list; what blocks declare that begin at the entry
    ("-L", 'kernel.function("__bpf_trace_x*")'),
    ("-v -L", 'kernel.function("tcp_v4_*")'),  # place by place
    ("-v -L", 'module("nf_nat").function("nf_nat_[ms]*").return'),
    ("-v -L", "vm.brk, timer.s(1)"),
    ("-L", 'kernel.function(0xffffffff8135d2f0).return, kernel.statement(0xffffffff8135d2f5)?'),
    ("-L", 'kernel.function("no_such*")!, kernel.function("vfs_read")!, kernel.function("vfs_write")'),
)
# Where the same line of a listing is several places: these are what both probe.
SAME_PLACES = (
    "*@net/ipv4/tcp_output.c",  # with functions that gcc split
    "check_kill_permission",  # its rare half was inlined into it: two places, one call passes both
    "tcp_delack_timer_handler",
    "elfcorehdr_read",  # and the code, which nothing calls, of the weak function that it overrides
    "copy_oldmem_page_encrypted",
    "arch_report_meminfo",
)
# Places that only stap probes: the unlikely half of a function is nobody's function to call.
COLD = re.compile(r'"\S+\.cold"')

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif(
        shutil.which("stap") is None or os.geteuid() != 0 or not (STORE / "usr/lib/debug").exists(),
        reason=f"needs stap, root, and the debug-info of {RELEASE}",
    ),
]

# stap finds modules under /lib/modules and their debug-info under /usr/lib/debug alone: both for this process only.
IN_PLACE = """
modules=/lib/modules/$RELEASE; debug=/usr/lib/debug/lib/modules
mount -t tmpfs none $modules && ln -s /usr/src/linux-headers-$RELEASE $modules/build && mkdir $modules/kernel &&
mount --bind $STORE$modules/kernel $modules/kernel && mkdir -p /usr/lib/debug &&
mount -t tmpfs none /usr/lib/debug && mkdir -p $debug/$RELEASE &&
mount --bind $STORE/usr/lib/debug$modules $debug/$RELEASE || exit 99
ulimit -v 4000000
exec timeout 60 stap -r $RELEASE "$@"
"""


def of_stap(*arguments: str) -> set[str]:
    environment = os.environ | {
        "RELEASE": RELEASE,
        "STORE": str(STORE),
        "SYSTEMTAP_DEBUGINFO_PATH": f"{STORE}/usr/lib/debug",
    }
    command = ["unshare", "-m", "bash", "-c", IN_PLACE, "bash", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 99:
        pytest.skip(f"no mounts here: {done.stderr}")
    return set(done.stdout.splitlines())


@pytest.mark.parametrize(("option", "points"), EQUAL, ids=[f"{o} {p}" for o, p in EQUAL])
def test_the_same_set(option: str, points: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-r", RELEASE, *option.split(), points]) == 0
    ours = set(capsys.readouterr().out.splitlines())
    theirs = of_stap(*option.split(), points)
    assert theirs
    assert ours == theirs


@pytest.mark.parametrize("pattern", SAME_PLACES)
def test_the_same_places(pattern: str) -> None:
    script = f'probe kernel.function("{pattern}") {{ println(1) }}'
    shown = re.compile(r'kernel\.function\("([^"]+)"\) /\* pc=_stext\+(0x\w+) ')
    theirs = {(m[1], int(m[2], 16)) for m in map(shown.match, of_stap("-p2", "-e", script)) if m}
    assert theirs
    assert set(of_ours(pattern)) == {place for place in theirs if ".cold" not in place[0]}


def of_ours(pattern: str) -> Iterator[tuple[str, int]]:
    """(function@file:line, distance from _stext) of every place that a pattern means."""
    target = Target.of(RELEASE, kernels.find)
    start, anchor = target.symbols().lookup("_stext"), target.symbols().lookup(ANCHOR)
    assert start is not None
    assert anchor is not None
    point = ast.Point((ast.Component("kernel", None), ast.Component("function", pattern)))
    for match in PointTree(PROVIDERS).match(point):
        request = Request(match.pattern, match.arguments, match.point, target, Options())
        for found in match.owner.resolve(request):
            assert isinstance(found.site, KprobeSite)
            assert found.site.distance is not None
            place = found.site.distance + found.site.offset + anchor.address - start.address
            yield str(found.point).partition('"')[2].rpartition('"')[0], place
