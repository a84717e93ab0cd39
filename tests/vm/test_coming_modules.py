"""Modules that are just being inserted, or taken off, while a session starts that probes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pystap import cli
from pystap.run.vm import Finished
from tests.support.kernels import RUNNER, SERIES, Guests, available, build_module

pytestmark = pytest.mark.vm

SOURCE = Path(__file__).parent / "slow_module"
SCRIPT = """
    probe module("{0}").function("slowly_work") {{ println("work ", $number) }}
    probe module("{0}").function("slowly_work").return {{ println("back ", $return) }}
    probe module("{0}").statement("slowly_work@*:18") {{ println("line ", $number) }}
    probe kernel.function("uptime_proc_show") {{ println("calls ", @var("slowly_calls@slowly.c", "{0}")) }}
"""
WORK = "work {0}\nline {0}\nback {0}\n"
# When the module is there, it works once, and goes.
USE = """while [ ! -e /proc/slowly ]; do sleep 0.1; done
cat /proc/slowly > /dev/null
cat /proc/uptime > /dev/null
rmmod slowly
"""
NOT_KNOWN = (
    b"WARNING: the module slowly is being inserted: "
    b"whether it is the one that the script was compiled for is not known\n"
)
REFUSED = r"WARNING: probe module\(.*\)(\.return)? registration error \[man warning::pass5\] \(rc -2\)"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        series: build_module(SOURCE, tmp_path_factory.mktemp("slowly") / "work", kernel)
        for series in SERIES
        if (kernel := available(series)) is not None
    }


def run(
    series: str, guests: Guests, capsys: pytest.CaptureFixture[str], module: Path, before: str, use: str
) -> Finished:
    """Starts a session a moment after `before`, whose command is `use`."""
    status = cli.main(["-p4", "-r", series, "-e", SCRIPT.format(module)])
    said = capsys.readouterr()
    assert (status, said.err) == (0, "")
    guest = guests.get(series)
    guest.put("/tmp/slowly.ko", module.read_bytes())
    guest.put("/tmp/session.ko", Path(said.out.strip()).read_bytes())
    guest.put("/tmp/use", use.encode())
    done = guest.sh(f"{before}\nsleep 0.2; {RUNNER} -c 'sh /tmp/use' /tmp/session.ko; wait", timeout=60)
    assert guest.sh("grep -E '^(stap_|slowly)' /proc/modules").status == 1
    return done


def test_inserted_in_a_moment(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its folder comes soon: until then the session waits, since the module may be another build."""
    done = run(series, guests, capsys, built[series], "insmod /tmp/slowly.ko hold=1000 &", USE)
    assert done.stdout.decode().endswith(WORK.format(2) + "calls 3\n")
    assert done.stderr == b""


def test_inserted_for_long(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """It is probed without its folder, from its very beginning."""
    done = run(series, guests, capsys, built[series], "insmod /tmp/slowly.ko hold=6000 &", USE)
    assert done.stdout.decode() == WORK.format(1) + WORK.format(2) + "calls 3\n"
    assert done.stderr == NOT_KNOWN


def test_taken_off_meanwhile(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes can not be probed any more, which is said; when it comes again it is."""
    again = "while grep -q ^slowly /proc/modules; do sleep 0.1; done\ninsmod /tmp/slowly.ko\n" + USE
    done = run(series, guests, capsys, built[series], "insmod /tmp/slowly.ko leave=1500; rmmod slowly &", again)
    assert done.stdout.decode() == WORK.format(1) + WORK.format(2) + "calls 3\n"
    for line in done.stderr.decode().splitlines():
        assert re.fullmatch(REFUSED, line)


def test_again_and_again(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions start at any moment of a module that comes and goes: from then on it is probed, whenever it comes."""
    churn = "(while [ ! -e /tmp/enough ]; do insmod /tmp/slowly.ko; rmmod slowly; done; touch /tmp/still) &"
    use = "touch /tmp/enough; while [ ! -e /tmp/still ]; do sleep 0.02; done\ninsmod /tmp/slowly.ko\n" + USE
    for _ in range(4):
        done = run(series, guests, capsys, built[series], f"rm -f /tmp/enough /tmp/still; {churn}", use)
        assert done.stdout.decode().endswith(WORK.format(1) + WORK.format(2) + "calls 3\n")
