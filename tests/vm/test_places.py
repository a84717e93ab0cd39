"""Places in the kernel's code by line and by address, and its data under watch, in guests."""

from __future__ import annotations

import re

import pytest

from pystap import cli
from pystap.run import kernels
from pystap.target import Target
from tests.support.kernels import Guests
from tests.vm.test_families import Bench

pytestmark = pytest.mark.vm

READS = "dd if=/dev/zero of=/dev/null bs=1234 count=25 2> /dev/null"
FILE = "vfs_read@fs/read_write.c"


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str], debuginfo: None) -> Bench:
    return Bench(series, guests, capsys)


def lines_of(series: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[int]]:
    """The line that vfs_read is declared at, and those of its lines that have code and know `count`."""
    assert cli.main(["-r", series, "-L", f'kernel.statement("{FILE}:*")']) == 0
    known = [int(m[1]) for m in re.finditer(r':(\d+)"\).*\$count', capsys.readouterr().out)]
    assert cli.main(["-r", series, "-l", 'kernel.function("vfs_read")']) == 0
    return int(re.findall(r":(\d+)", capsys.readouterr().out)[0]), sorted(known)


def test_lines_counted_ranged_listed_and_near(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """However its first lines are named, dd comes by with its block size at each of its reads."""
    declared, lines = lines_of(bench.series, capsys)
    first, second = lines[:2]
    blank = next(k for k in range(declared, lines[-1]) if k not in lines)
    points = {
        "absolute": f'kernel.statement("{FILE}:{first}")',
        "counted": f'kernel.statement("{FILE}+{first - declared}")',
        "range": f'kernel.statement("{FILE}:{first}-{second}")',
        "list": f'kernel.statement("{FILE}:{second},{first}-{first}")',
        "near": f'kernel.statement("{FILE}:{blank}").nearest',
    }
    probes = [
        f'probe {point} {{ if (execname() == "dd" && $count == 1234) {name}[pp()]++ }}\nglobal {name}\n'
        for name, point in points.items()
    ]
    shown = [f'foreach (p+ in {name}) printf("{name} %d\\n", {name}[p])\n' for name in points]
    done = bench.run("".join(probes) + "probe end { " + "".join(shown) + "}", READS)
    counted = [line.split() for line in done.stdout.decode().splitlines()]
    assert [name for name, _ in counted] == ["absolute", "counted", "range", "range", "list", "list", "near"]
    assert {int(n) for _, n in counted} == {25}, done.stdout


def test_addresses(bench: Bench) -> None:
    """A link-time address means its function's entry, or the very instruction; both know the arguments there."""
    symbol = Target.of(bench.series, kernels.find).symbols().lookup("vfs_read")
    assert symbol is not None
    script = f"""
        global functions, statements, returns
        probe kernel.function({symbol.address + 2:#x}) {{ if (execname() == "dd" && $count == 1234) functions++ }}
        probe kernel.statement({symbol.address:#x}) {{ if (execname() == "dd" && $count == 1234) statements++ }}
        probe kernel.function({symbol.address:#x}).return {{ if (execname() == "dd" && $return == 1234) returns++ }}
        probe end {{ printf("%d %d %d\\n", functions, statements, returns) }}
    """
    assert bench.numbers(script, READS) == [25, 25, 25]


def test_an_address_of_the_running_kernel(bench: Bench) -> None:
    """absolute: what kallsyms says where the kernel lies now."""
    shown = bench.guests.sh(bench.series, "grep ' uptime_proc_show$' /proc/kallsyms").stdout.decode()
    script = f"""
        global n
        probe kernel.statement(0x{shown.split()[0]}).absolute {{ n++ }}
        probe end {{ println(n) }}
    """
    assert bench.numbers(script, "for i in 1 2 3; do cat /proc/uptime > /dev/null; done", "-g") == [3]


def test_data_under_watch(bench: Bench) -> None:
    """Writes of a variable are seen by its name; those who read it too where .rw asks for that."""
    script = """
        global writes, both
        probe kernel.data("dirty_background_ratio").write { writes[execname()]++ }
        probe kernel.data("vm_swappiness").rw { both[execname()]++ }
        probe end { println(writes["sh"]); println(writes["cat"]); println(both["sh"]); println(both["cat"]) }
    """
    ratio, swap = "/proc/sys/vm/dirty_background_ratio", "/proc/sys/vm/swappiness"
    command = f"echo 11 > {ratio}; echo 10 > {ratio}; cat {ratio} {swap} {swap} {swap} > /dev/null; echo 60 > {swap}"
    assert bench.numbers(script, command) == [2, 0, 1, 3]
