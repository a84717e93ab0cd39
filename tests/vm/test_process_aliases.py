"""Aliases of processes and signals: a shell's children, how they are made, end and are killed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm

SCRIPT = """
probe kprocess.create { if (execname() == "sh") printf("create %d\\n", new_pid == new_tid) }
probe kprocess.exec_complete { if (execname() == "sh" || !success) printf("exec %d %d %s\\n", errno, success, retstr) }
probe kprocess.exit { if (execname() == "sh") printf("exit %d\\n", code) }
probe kprocess.release { if (released_pid != released_tid) println("thread") }
probe scheduler.process_wait { if (execname() == "sh") any += !pid }
probe signal.send { if (sig != 17) printf("send %s %d %s %d %s\\n", sig_name, sig, pid_name, shared, si_code) }
probe signal.handle { if (sig != 17) printf("handle %s %d %d\\n", sig_name, sig, sig_code) }
probe signal.checkperm { printf("may %s %s\\n", sig_name, pid_name) }
probe signal.checkperm.return { printf("may %s\\n", retstr) }
probe signal.syskill.return { printf("kill %s\\n", retstr) }
probe signal.do_action { if (sig == 10) printf("action %s\\n", sa_handler_str(sa_handler)) }
global any
probe end { printf("any %d\\n", any > 0) }
"""
COMMAND = """trap 'true' USR1
kill -USR1 $$
sh -c 'kill -9 $$'
kill -TERM 99999
(exit 3)
true
"""


def test_processes_and_signals(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """Who is killed outright has no siginfo; who waits for any child names no pid."""
    assert cli.main(["-p4", "-w", "-r", series, "-DMAXTRYLOCK=100000", "-e", SCRIPT]) == 0, capsys.readouterr()
    guests.get(series).put("/tmp/command", COMMAND.encode())
    module = Path(capsys.readouterr().out.split()[-1])
    done = guests.run(series, module, options=("-c", "sh /tmp/command > /dev/null 2>&1"))
    assert (done.stderr, done.status) == (b"", 0)
    lines = done.stdout.decode().splitlines()
    told = [line for line in lines if line.startswith(("send", "handle", "may", "kill", "exit"))]
    assert told == [
        "may SIGUSR1 sh", "may 0", "send SIGUSR1 10 sh 1 SI_USER", "kill 0", "handle SIGUSR1 10 0",
        "may SIGKILL sh", "may 0", "send SIGKILL 9 sh 1 SI_USER", "kill 0", "handle SIGKILL 9 0", "exit 9",
        "kill -3 (ESRCH)", "exit 768", "exit 0",
    ]  # fmt: skip
    assert lines.count("create 1") == 2
    assert "exec 0 1 0" in lines
    assert "any 1" in lines
    assert "action default" in lines
