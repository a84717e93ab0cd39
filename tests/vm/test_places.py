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
    """Writes of a variable are seen by its name, by any of them; those who read it too where .rw asks for that."""
    script = """
        global writes, both, ticks
        probe kernel.data("jiffies_64").write { ticks++ }
        probe kernel.data("dirty_background_ratio").write { writes[execname()]++ }
        probe kernel.data("vm_swappiness").rw { both[execname()]++ }
        probe end { println(writes["sh"]); println(writes["cat"])
                    println(both["sh"]); println(both["cat"]); println(ticks > 2) }
    """
    ratio, swap = "/proc/sys/vm/dirty_background_ratio", "/proc/sys/vm/swappiness"
    command = f"echo 11 > {ratio}; echo 10 > {ratio}; cat {ratio} {swap} {swap} {swap} > /dev/null; echo 60 > {swap}"
    assert bench.numbers(script, command) == [2, 0, 1, 3, 1]


@pytest.mark.parametrize(
    ("place", "suffix", "shown"),
    [
        (0, ".length(4).write", "3 103"),
        (-8, ".length(8).write", "3 103"),
        (1, ".write", "3 103"),
        (2, ".length(2).rw", "4 136"),  # the reader's as well
        (4, ".length(4).write", "0 0"),
    ],
)
def test_data_of_each_length_under_watch(bench: Bench, place: int, suffix: str, shown: str) -> None:
    """What is written is there when the probe is hit; a part of it is watched as the whole is, its neighbours not.

    One at a time: of places that overlap, an emulated CPU tells the first alone.
    """
    symbols = bench.guests.sh(bench.series, "grep ' [dDbB] vm_swappiness$' /proc/kallsyms").stdout.decode()
    start = int(symbols.split()[0], 16)
    address = start + place if place >= 0 else start & place
    script = f"""
        global sum, hits
        probe kernel.data({address:#x}){suffix} {{ hits++; sum += @var("vm_swappiness@mm/vmscan.c") }}
        probe end {{ printf("%d %d\\n", hits, sum) }}
    """
    file = "/proc/sys/vm/swappiness"
    done = bench.run(script, f"echo 10 > {file}; echo 33 > {file}; read x < {file}; echo 60 > {file}")
    assert (done.stdout.decode(), done.stderr) == (f"{shown}\n", b"")


def test_more_data_than_a_cpu_can_watch(bench: Bench) -> None:
    """The fifth place is named in a warning, and the others are watched."""
    names = ("vm_swappiness", "dirty_background_ratio", "vm_dirty_ratio", "panic_timeout", "overflowuid")
    probes = "".join(f'probe kernel.data("{name}").length(4).write {{ n["{name}"]++ }}\n' for name in names)
    script = f"global n\n{probes}probe end {{ foreach (name+ in n) println(name) }}"
    uid = "/proc/sys/kernel/overflowuid"
    done = bench.run(script, f"echo 60 > /proc/sys/vm/swappiness; echo 61 > {uid}; echo 65534 > {uid}")
    assert done.stdout == b"vm_swappiness\n"
    [said] = done.stderr.decode().splitlines()
    assert re.fullmatch(
        r'WARNING: Hwbkpt probe kernel\.data\("overflowuid"\)\.length\(4\)\.write: registration error \(rc -28\): '
        r"each CPU watches 4 places at most, debuggers' among them", said
    )


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("kernel.data(0xffffffff81001001).length(4).write", "must be aligned to 4, and 0xffffffff81001001 is not"),
        ("kernel.data(0xffffffff81001000).length(3).rw", "length must be one of 1, 2, 4, 8, not 3"),
        ("kernel.data(0x7fff00001000).write", "0x7fff00001000 is not an address of the kernel's memory"),
        ('kernel.data("vm_swapines").write', "no data symbol 'vm_swapines' in the kernel"),
        ('kernel.data("vfs_read").write', "'vfs_read' is a function"),
    ],
)  # fmt: skip
def test_data_that_can_not_be_watched(point: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p2", "-r", "6.1", "-e", f"probe {point} {{ println(1) }}"]) == 1
    assert said in capsys.readouterr().err
