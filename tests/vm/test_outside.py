"""Modules outside of the kernel's tree: found by name and by path, probed before and after they are loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli, paths
from tests.support.kernels import Guests, available, build_module

pytestmark = pytest.mark.vm
SOURCE = Path(__file__).resolve().parent / "mission" / "xtun"
LINE = 14  # of xtun_net.c: `if (kept > 10)`


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The module's file for each kernel that is there."""
    return {
        series: build_module(SOURCE, tmp_path_factory.mktemp("xtun") / "work", kernel)
        for series in ("6.1", "6.12")
        if (kernel := available(series)) is not None
    }


@pytest.fixture
def loaded(series: str, guests: Guests, built: dict[str, Path]) -> Iterator[None]:
    guests.get(series).put("/tmp/xtun.ko", built[series].read_bytes())
    assert guests.sh(series, "insmod /tmp/xtun.ko").status == 0
    yield
    assert guests.sh(series, "rmmod xtun").status == 0


def script(module: Path) -> str:
    name = f'module("{module}")'
    return f"""
        probe {name}.statement("XtunRx@/src/xtun_net.c:{LINE}") {{
            printf("%s\\n%s\\n%x\\n%x\\n", $$vars$, $$parms, $ks->success, $ks->kstats->received)
        }}
        probe {name}.function("XtunRx") {{ printf("%s %s %d\\n", ppfunc(), $ks->name$, $bytes) }}
        probe {name}.function("XtunRx").return {{ printf("%s %d\\n", probefunc(), $return) }}
    """


def run(series: str, guests: Guests, text: str, command: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    status = cli.main(["-p4", "-r", series, "-e", text])
    compiled = capsys.readouterr()
    assert (status, compiled.err) == (0, "")
    guests.get(series).put("/tmp/command", command.encode())
    done = guests.run(series, Path(compiled.out.strip()), options=("-c", "sh /tmp/command > /dev/null"))
    assert (done.stderr, done.status) == (b"", 0)
    return done.stdout.decode().splitlines()


def check(lines: list[str], success: int, received: int) -> None:
    """What one call of XtunRx(&state, 42) shows."""
    entry, variables, parameters, first, second, left = lines
    assert entry == 'XtunRx "xtun0" 42'
    shown = r"ks=\{\.kstats=0x[0-9a-f]{16}, \.name=\[\.\.\.\], \.success=(\d+)\} bytes=42 kept=21"
    matched = re.fullmatch(shown, variables)
    assert matched
    assert int(matched.group(1)) == success
    assert re.fullmatch(r"ks=0x[0-9a-f]{16} bytes=0x2a", parameters)
    assert (int(first, 16), int(second, 16)) == (success, received)
    assert left == "XtunRx 21"


@pytest.mark.usefixtures("loaded")
def test_a_module_by_path(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its structs, parameters and locals, at a line of its source."""
    lines = run(series, guests, script(built[series]), "cat /proc/xtun; cat /proc/xtun", capsys)
    check(lines[:6], 0, 42)
    check(lines[6:], 1, 84)


def test_a_module_that_comes_later(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its probes are armed when it is loaded, every time."""
    guests.get(series).put("/tmp/xtun.ko", built[series].read_bytes())
    turn = "insmod /tmp/xtun.ko; cat /proc/xtun; rmmod xtun\n"
    lines = run(series, guests, script(built[series]), turn * 2, capsys)
    check(lines[:6], 0, 42)
    check(lines[6:], 0, 42)


def test_a_module_that_goes(
    series: str, guests: Guests, built: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Unloading it during a session ends its probes and nothing else."""
    guests.get(series).put("/tmp/xtun.ko", built[series].read_bytes())
    assert guests.sh(series, "insmod /tmp/xtun.ko").status == 0
    lines = run(series, guests, script(built[series]), "cat /proc/xtun; rmmod xtun", capsys)
    check(lines, 0, 42)


def test_the_lines_of_a_function(series: str, built: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """-L with the tail of the source's path."""
    module = built[series]
    assert cli.main(["-r", series, "-L", f'module("{module}").statement("XtunRx@/src/xtun_net.c:*")']) == 0
    lines = capsys.readouterr().out.splitlines()
    form = r'module\("{}"\)\.statement\("XtunRx@\S*src/xtun_net\.c:(\d+)"\) '
    form += r"\$ks:struct xtun_state\* \$bytes:int( \$kept:int)?"
    found = [re.fullmatch(form.format(re.escape(str(module))), line) for line in lines]
    assert all(found), lines
    assert [int(m.group(1)) for m in found if m] == sorted({int(m.group(1)) for m in found if m})
    assert any(m.group(1) == str(LINE) and m.group(2) for m in found if m)


@pytest.fixture
def store(tmp_path: Path, built: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of kernels that has the module in extra/, at some depth."""
    real = paths.cache()
    for entry in real.iterdir():
        if entry.name != "kernels":
            (tmp_path / entry.name).symlink_to(entry)
    for series, module in built.items():
        kernel = available(series)
        assert kernel is not None
        own = tmp_path / "kernels" / kernel.release
        modules = own / "lib" / "modules" / kernel.release
        (modules / "extra" / "vendor").mkdir(parents=True)
        (modules / "extra" / "vendor" / "xtun.ko").write_bytes(module.read_bytes())
        known = real / "kernels" / kernel.release
        (modules / "kernel").symlink_to(known / "lib" / "modules" / kernel.release / "kernel")
        for name in ("boot", "usr"):
            (own / name).symlink_to(known / name)
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path))


@pytest.mark.usefixtures("store")
def test_a_module_in_extra(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Found by its name at any depth of /lib/modules/RELEASE."""
    assert cli.main(["-r", series, "-l", 'module("xtun").function("Xtun*")']) == 0
    listed = capsys.readouterr().out
    assert re.fullmatch(r'module\("xtun"\)\.function\("XtunRx@\S*src/xtun_net\.c:9"\)\n', listed)


def test_a_module_that_is_nowhere(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says where it was looked for and what can be done."""
    assert cli.main(["-p2", "-r", series, "-e", 'probe module("xtun").function("XtunRx") {}']) == 1
    said = capsys.readouterr().err
    assert re.search(r"no module 'xtun' under /\S+/lib/modules/\S+ \(similar: tun\b", said)
    assert "a module elsewhere can be given by its path" in said
    assert cli.main(["-p2", "-r", series, "-e", 'probe module("/some/where/xtun.ko").function("XtunRx") {}']) == 1
    assert "no module at /some/where/xtun.ko" in capsys.readouterr().err
