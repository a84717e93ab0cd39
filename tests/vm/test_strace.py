"""System calls with their arguments, beside strace: the user's arguments, not the registers of a wrapper."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.program import libraries
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, Guests, available, can_boot

pytestmark = pytest.mark.vm
CALLS = ("openat", "close", "mkdir", "rmdir", "rename", "symlink")
WORK = "mkdir /tmp/q && mv /tmp/q /tmp/r && rmdir /tmp/r && ln -s a /tmp/l && head /etc/hostname > /tmp/o"


def test_arguments_and_results(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every call that strace sees is seen, in the same order, with the same arguments and the same result."""
    strace = shutil.which("strace")
    reason = can_boot() or ("" if strace else "needs strace (apt-get install strace)")
    kernel = available(series)
    if reason or kernel is None or strace is None:
        pytest.skip(reason or f"no kernel {series}")
    points = ", ".join(f"syscall.{name}" for name in CALLS)
    returns = ", ".join(f"syscall.{name}.return" for name in CALLS)
    script = f"""
        global pending
        probe {points} {{ if (execname() != "strace" && ppid() != 0) pending[tid()] = name . "(" . argstr . ")" }}
        probe {returns} {{
            if (tid() in pending) {{ printf("%s = %d\\n", pending[tid()], retval); delete pending[tid()] }}
        }}
    """
    assert cli.main(["-p4", "-w", "-r", series, "-e", script]) == 0
    module = Path(capsys.readouterr().out.strip())
    files = {RUNNER: binaries.runner(), "/tmp/module.ko": module}
    with Guest(kernel, files=files, host_files=(strace, *libraries(strace))) as guest:
        guest.put("/tmp/command", f"strace -f -o /tmp/seen -e trace={','.join(CALLS)} sh -c '{WORK}'\n".encode())
        done = guest.run([RUNNER, "-c", "sh /tmp/command", "/tmp/module.ko"], timeout=90)
        seen = guest.sh("cat /tmp/seen").stdout.decode()
    assert (done.stderr, done.status) == (b"", 0)
    wanted = [f"{m[1]} = {m[2]}" for m in re.finditer(r"^\d+ +(\w+\(.*\)) += (-?\d+).*$", seen, re.MULTILINE)]
    assert len(wanted) > 8
    ours = iter(done.stdout.decode().splitlines())
    missing = [call for call in wanted if not any(same(line, call) for line in ours)]
    assert missing == [], done.stdout.decode()


def same(line: str, call: str) -> bool:
    """Whether two lines say the same; errors are -1 to a program and -errno in the kernel."""
    if call.endswith(" = -1"):
        return bool(re.fullmatch(re.escape(call.removesuffix("-1")) + r"-\d+", line))
    return line == call


def test_each_family_of_aliases(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """syscall, nd_syscall and dw_syscall by function, tp_syscall by tracepoint: the same arguments and results."""
    families = ("syscall", "nd_syscall", "dw_syscall", "tp_syscall")
    probes = [
        f"""probe {f}.mkdir, {f}.rename, {f}.kill {{ printf("{f} %s(%s)\\n", name, argstr) }}
            probe {f}.mkdir.return, {f}.rename.return, {f}.kill.return {{
                printf("{f} %s = %d %s\\n", name, retval, retstr)
            }}
        """
        for f in families
    ]
    assert cli.main(["-p4", "-w", "-r", series, "-e", "".join(probes)]) == 0
    module = Path(capsys.readouterr().out.strip())
    work = "mkdir /tmp/family; mkdir /tmp/family; mv /tmp/family /tmp/families; kill -WINCH 1; rmdir /tmp/families"
    guests.get(series).put("/tmp/command", work.encode())
    done = guests.run(series, module, options=("-c", "sh /tmp/command"))
    lines = done.stdout.decode().splitlines()
    seen = {f: [line.removeprefix(f + " ") for line in lines if line.startswith(f + " ")] for f in families}
    assert seen["syscall"] == [
        'mkdir("/tmp/family", 0777)',
        "mkdir = 0 0",
        'mkdir("/tmp/family", 0777)',
        "mkdir = -17 -17 (EEXIST)",
        'rename("/tmp/family", "/tmp/families")',
        "rename = 0 0",
        "kill(1, SIGWINCH)",
        "kill = 0 0",
    ]
    assert {f: seen[f] for f in families if seen[f] != seen["syscall"]} == {}


BY_NUMBER = """
    probe syscall.write, nd_syscall.write, tp_syscall.write {
        if (execname() != "dd" || count != 100) next
        printf("%s %d %d %d\\n", pn(), int_arg(1) == fd, pointer_arg(2) == buf_uaddr, ulong_arg(3))
        try { println(int_arg(7)) } catch (message) { println(message) }
    }
    probe syscall.write.return { if (execname() == "dd" && ulong_arg(3) == 100) printf("%s %d\\n", pn(), retval) }
    probe nd_syscall.read { if (execname() == "dd" && count == 123) set_ulong_arg(3, 100) }
    probe kernel.function("__x64_sys_write") { if (execname() == "dd" && ulong_arg(3) == 100) println("the wrapper's") }
"""


def test_arguments_by_number(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """In an alias the n-th argument is the call's, not the kernel's wrapper's; in guru mode it can be changed."""
    assert cli.main(["-p4", "-g", "-w", "-r", series, "-e", BY_NUMBER]) == 0
    module = Path(capsys.readouterr().out.strip())
    command = "dd if=/dev/zero of=/dev/null bs=123 count=1"
    done = guests.run(series, module, options=("-c", command))
    assert sorted(done.stdout.decode().splitlines()) == [
        *["cannot access arg(7)"] * 3,
        "nd_syscall.write 1 1 100",
        "syscall.write 1 1 100",
        "syscall.write.return 100",
        "tp_syscall.write 1 1 100",
    ]
