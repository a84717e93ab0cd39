"""What pystap-run says of what is in its way; each time the module is gone in the end, or was never there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.run.test_same_name import GUARDIAN, LOCKED
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, Guests

pytestmark = pytest.mark.vm

SAID = {
    f"{RUNNER}": "Usage: pystap-run [-v]",
    f"{RUNNER} -A -c true /tmp/fake.ko": "You can't specify the '-c', '-x', '-s' or '-F' and '-A' options together.\n",
    f"{RUNNER} -T soon /tmp/fake.ko": "Usage: pystap-run [-v]",
    f"{RUNNER} -x 5th /tmp/fake.ko": "Usage: pystap-run [-v]",
    f"{RUNNER} -s 5000 /tmp/fake.ko": "Usage: pystap-run [-v]",
    f"{RUNNER} /tmp/nothing.ko": "ERROR: Couldn't open module '/tmp/nothing.ko': No such file or directory\n",
    f"{RUNNER} /tmp/nameless.ko": "ERROR: '/tmp/nameless.ko' does not say the name of its module\n",
    f"{RUNNER} -o /nowhere/file /tmp/fake.ko": "ERROR: Couldn't open output file '/nowhere/file': No such file or dir",
    f"{RUNNER} -s 4000 /tmp/fake.ko": "  its buffers and arrays do not fit into this machine's memory: -s MB takes ",
    f"/tmp/limited user {RUNNER} /tmp/fake.ko": "  only root may insert modules; run it with sudo, or in a guest",
    f"/tmp/limited module {RUNNER} /tmp/fake.ko": "  this kernel or container does not let modules be inserted; run it",
    f"{RUNNER} /tmp/formless.ko": "ERROR: a record of the module cannot be read: module and runner do not fit",
}

# Between its start and what it is told of the module: the runner waits for the lock then.
WITHOUT_GUARDIAN = f"""
/tmp/locked "{RUNNER} -T 0.5 /tmp/fake.ko mode=wait 2> /tmp/said & sleep 0.5; kill -KILL \\$({GUARDIAN})"
sleep 1; while pidof pystap-run > /dev/null; do sleep 0.1; done; cat /tmp/said
"""
FEW_FILES = "for n in $(seq 4 20); do /tmp/limited $n {} -c true /tmp/fake.ko mode=wait 2>&1 > /dev/null; done"


@pytest.fixture
def ready(guests: Guests, series: str, module: Path) -> None:
    """The modules and programs are in the guest."""
    here = Path(__file__).parent
    content = module.read_bytes()
    guest = guests.get(series)
    guest.put("/tmp/fake.ko", content)
    guest.put("/tmp/nameless.ko", content.replace(b"\0name=", b"\0nome="))
    guest.put("/tmp/formless.ko", content.replace(b"\0.pystap.formats\0", b"\0.pystap.nowhere\0"))
    guest.put("/tmp/limited", compile_c((here / "limited.c").read_text(), "-static").read_bytes(), 0o755)
    guest.put("/tmp/locked", compile_c(LOCKED, "-static", name="locked.c").read_bytes(), 0o755)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("command", SAID)
def test_said(guests: Guests, series: str, command: str) -> None:
    done = guests.sh(series, command)
    assert SAID[command] in done.stderr.decode()
    assert done.status == (2 if "Usage: " in done.stderr.decode() else 1)
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"


@pytest.mark.usefixtures("ready")
def test_a_guardian_that_is_killed_at_once(guests: Guests, series: str) -> None:
    said = guests.sh(series, WITHOUT_GUARDIAN).stdout.decode()
    assert "WARNING: nobody removes the module stap_fake when this is killed: Broken pipe\n" in said
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"


@pytest.mark.usefixtures("ready")
def test_nobody_else_holds_the_lock(guests: Guests, series: str) -> None:
    """Any user can lock what any user can open; what runners lock is nothing of that."""
    others = compile_c(LOCKED.replace("/proc/vmallocinfo", "/sys/module"), "-static", name="others.c")
    guests.get(series).put("/tmp/others", others.read_bytes(), 0o755)
    hold = "for lock in others locked; do /tmp/limited user /tmp/$lock 'echo has it; sleep 20' & done; sleep 0.5"
    done = guests.sh(
        series, f"({hold}) 2>&1; {RUNNER} -T 0.1 /tmp/fake.ko mode=wait > /dev/null; echo $?; killall sleep"
    )
    assert done.stdout == b"has it\n0\n"
    assert done.stderr == b""


@pytest.mark.usefixtures("ready")
def test_few_open_files(guests: Guests, series: str) -> None:
    """However few a run may have, it says what it had none left for, or ends well."""
    done = guests.sh(series, FEW_FILES.format(RUNNER))
    lines = done.stdout.decode().splitlines()
    for words in ("cannot fork", "cannot start the command", "the module refuses to start"):
        assert [line for line in lines if words in line and "Too many open files" in line], lines
    assert guests.sh(series, "grep -c ^stap /proc/modules").stdout == b"0\n"
