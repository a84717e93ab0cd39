"""On a kernel with KASAN, lockdep, kmemleak and fault injection: what it says by itself; each allocation failing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.run.kernels import find
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.support.quiet import COMPLAINTS, LEAKS
from tests.torture.conftest import WATCHED, compiled
from tests.torture.test_faults import SCRIPT

pytestmark = [
    pytest.mark.vm,
    pytest.mark.slow,
    pytest.mark.skipif(not WATCHED, reason="only in make torture-debug"),
]

FAIL_NTH = Path(__file__).with_name("fail_nth.c")
# Also allocations that may wait fail, of any size; and without a word in the log.
PREPARE = """mount -t debugfs none /sys/kernel/debug 2> /dev/null
for kind in failslab fail_page_alloc; do
	cd /sys/kernel/debug/$kind && echo 0 > verbose && echo N > ignore-gfp-wait
done
echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
echo 0 > /proc/sys/kernel/printk"""
COUNTED = re.compile(rb"(load|start): (\d+) allocations, (\d+) refused, (\d+) otherwise, (\d+) done without")


def test_what_the_kernel_says_without_us(guest: Guest) -> None:
    """The same load and a CPU that comes and goes: complaints here would be the kernel's own."""
    online = "/sys/devices/system/cpu/cpu1/online"
    guest.sh(f"/bin/load 10; echo 0 > {online}; sleep 1; echo 1 > {online}; /bin/load 2", timeout=900)
    log = guest.sh("dmesg").stdout.decode(errors="replace")
    assert [line for line in log.splitlines() if COMPLAINTS.search(line)] == []
    print(guest.sh(LEAKS, timeout=300).stdout.decode(errors="replace"))


def test_every_allocation_fails_once(
    guest: Guest, series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own allocations on behalf of the module too, one after the other, at load and at start."""
    monkeypatch.chdir(tmp_path)
    program = compile_c(FAIL_NTH.read_text(), "-static", "-iquote", str(paths.runtime()), name="fail_nth.c")
    guest.put("/bin/fail_nth", program.read_bytes(), 0o755)
    content = compiled(series, capsys, SCRIPT, "-m", "stap_nth")
    guest.put("/tmp/nth.ko", content)
    guest.sh(PREPARE)
    done = guest.sh("fail_nth /tmp/nth.ko stap_nth", timeout=1800)
    assert (done.status, done.stderr) == (0, b""), done
    figures = COUNTED.findall(done.stdout)
    assert [row[0] for row in figures] == [b"load", b"start"], done.stdout
    for _, allocations, refused, others, _ in figures:
        assert int(allocations) > 50
        assert int(refused) > 5
        assert int(others) <= 2, done.stdout
    assert guest.sh("cat /sys/kernel/debug/kprobes/list").stdout == b""
    with capsys.disabled():
        print(done.stdout.decode())
    # What the kernel says of memory that it does not get is no complaint; a report of the watchers is.
    log = guest.sh("dmesg -c").stdout.decode(errors="replace")
    found = re.search(r"BUG:|WARNING: |KASAN:|INFO: lockdep|ODEBUG:", log)  # not lockdep_*() in a stack
    assert found is None, log[max(0, found.start() - 500) :][:4000]


def test_a_module_with_the_kernels_signature(
    guest: Guest, series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that this kernel was built with signs ours, and enforcing and locked-down kernels load it."""
    monkeypatch.chdir(tmp_path)
    tree = find(series).build_tree
    assert tree is not None
    script = 'probe begin { println("it runs") exit() }'
    signed = compiled(series, capsys, script, f"--sign-module={tree / 'certs'}")
    guest.put("/tmp/signed.ko", signed)
    guest.put("/tmp/unsigned.ko", compiled(series, capsys, script))
    guest.sh("echo Y > /sys/module/module/parameters/sig_enforce")
    assert guest.sh("pystap-run /tmp/signed.ko").stdout == b"it runs\n"
    assert b"the kernel loads signed modules only" in guest.sh("pystap-run /tmp/unsigned.ko").stderr
    guest.sh("mount -t securityfs none /sys/kernel/security; echo integrity > /sys/kernel/security/lockdown")
    assert guest.sh("pystap-run /tmp/signed.ko").stdout == b"it runs\n"
    assert cli.main(["--sign-module=/nowhere", "-p4", "-r", series, "-e", script]) == 1
