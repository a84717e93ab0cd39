"""What the aliases say of a program's sockets: each call with its size and result, each packet that begins or ends."""

from __future__ import annotations

import pytest

from tests.support.stage import SCRIPTS, Stage

pytestmark = pytest.mark.vm


def test_sockets(stage: Stage) -> None:
    """socket, tcp, udp: 100, 300 and 50 bytes by IPv4 and by IPv6; packets are received whenever the kernel likes."""
    lines = stage.lines("sockets.stp", "deeds sockets", "-DMAXTRYLOCK=100000", "-DINTERRUPTIBLE=0")
    assert sorted(lines) == (SCRIPTS / "sockets.expect").read_text().splitlines()
