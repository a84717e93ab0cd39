"""The functions that read and change a program's memory, arguments and stack: tests/tapset/{user,set}_values.stp."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.vm.conftest import PYTHON, Bench

pytestmark = pytest.mark.vm
SCRIPTS = Path(__file__).resolve().parent.parent / "tapset"


@pytest.mark.parametrize(("name", "options"), [("user_values", ()), ("set_values", ("-g",))])
def test_values_of_a_program(name: str, options: tuple[str, ...], bench: Bench) -> None:
    """Each line of a result is followed in the script by what it must be."""
    script = (SCRIPTS / f"{name}.stp").read_text()
    wanted = re.findall(r"^\s*# => (.*)$", script, re.MULTILINE)
    done = bench.finish(script, "sh -c 'PYSTAP_KNOWN=yes PROGRAMS/values'", *options)
    assert done.stdout.decode().replace(str(bench.programs), "PROGRAMS").splitlines() == wanted, done.stderr


RESET = b"""import _socket as S
l = S.socket(); l.bind(("127.0.0.1", 7811)); l.listen()
c = S.socket(); c.connect(("127.0.0.1", 7811))
a = S.socket(S.AF_INET, S.SOCK_STREAM, 0, l._accept()[0])
a.setsockopt(S.SOL_SOCKET, S.SO_LINGER, b"\\1" + b"\\0" * 7); a.close()
"""


def test_port_of_a_connection_that_is_reset(bench: Bench) -> None:
    """It is closed by then, and has given its port back."""
    bench.guest().put("/tmp/reset.py", RESET)
    script = 'probe kernel.function("tcp_send_active_reset") { printf("%d\\n", inet_get_local_port($sk)) }'
    assert bench.run(script, f"sh -c 'ip link set lo up; {PYTHON} -SE /tmp/reset.py 2> /dev/null'") == ["7811"]
