"""--resolve: traces that a real kernel printed, against addr2line."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import kernels
from pystap.target import Target
from tests.support.kernels import Guests, available, build_module
from tests.vm.test_outside import SOURCE as XTUN

pytestmark = pytest.mark.vm
SERIES = "6.1"


@pytest.fixture
def vmlinux() -> str:
    kernel = available(SERIES)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {SERIES}: pystap-prep --debuginfo {SERIES}")
    return str(kernel.debuginfo)


def addr2line(vmlinux: str, symbol: str, offset: int) -> list[str]:
    """What binutils says: file:line of the frames, the innermost first."""
    names = subprocess.run(["nm", vmlinux], capture_output=True, text=True, check=True).stdout
    start = next(
        int(row.split()[0], 16) for row in names.splitlines() if row.split()[1:] in ([t, symbol] for t in "tT")
    )
    command = ["addr2line", "-i", "-e", vmlinux, f"{start + offset:#x}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [re.sub(r"^.*/build_\w+_cloud-amd64/| \(discriminator \d+\)", "", line) for line in said.splitlines()]


def test_a_trace_of_a_kernel(
    guests: Guests, vmlinux: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every line of a printed backtrace gets its file and line; what calls return to is looked up in the call."""
    with guests.silent(SERIES):
        done = guests.sh(SERIES, "dmesg -c > /dev/null; echo l > /proc/sysrq-trigger; sleep 1; dmesg -c")
    trace = done.stdout.decode()
    assert "Call Trace" in trace
    monkeypatch.setattr("sys.stdin", io.StringIO(trace))
    assert cli.main(["-r", SERIES, "--resolve", "-"]) == 0
    resolved = capsys.readouterr()
    assert resolved.err == ""
    lines = resolved.out.splitlines()
    assert len(lines) == len(trace.splitlines())
    place = re.compile(r"([\w.]+)\+(0x[0-9a-f]+)/0x[0-9a-f]+ \((.*)\)$")
    found = [m.groups() for line in lines if "RIP:" not in line and (m := place.search(line))]
    assert len(found) > 5
    for symbol, offset, where in found[:8]:
        assert where.split(" <- ") == addr2line(vmlinux, symbol, int(offset, 16) - 1)


def test_one_place(vmlinux: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Inlined calls are shown from the inside."""
    assert cli.main(["-r", SERIES, "--resolve", "tcp_v4_rcv+0x125"]) == 0
    lines = capsys.readouterr().out.splitlines()
    frames = addr2line(vmlinux, "tcp_v4_rcv", 0x125)
    assert len(frames) > 1
    assert [line.rpartition(" at ")[2] for line in lines] == frames
    assert lines[0].startswith("tcp_v4_rcv+0x125: ")
    assert all(line.startswith("  inlined into ") for line in lines[1:])
    assert lines[-1].startswith("  inlined into tcp_v4_rcv at net/ipv4/tcp_ipv4.c:")


def test_a_place_in_a_module(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Named as an oops names it."""
    kernel = available(series)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {series}: pystap-prep --debuginfo {series}")
    assert cli.main(["-r", series, "--resolve", "nf_nat_setup_info+0x10 [nf_nat]"]) == 0
    said = capsys.readouterr().out
    assert re.fullmatch(
        r"nf_nat_setup_info\+0x10 \[nf_nat\]: nf_nat_setup_info at net/netfilter/nf_nat_core.c:(58|78)\d\n", said
    )


def test_a_module_of_one_s_own(
    series: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One place of it with the source around, and an oops in which the kernel's functions are the kernel's."""
    kernel = available(series)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {series}: pystap-prep --debuginfo {series}")
    module = build_module(XTUN, tmp_path / "work", kernel)
    file = tmp_path / "work" / "src" / "xtun_net.c"
    options = ("-r", series, "-d", str(module), "--resolve")
    for place in ("XtunRx+0x0/0x40", "XtunRx+0x0/0x40 [xtun]"):
        assert cli.main([*options, place]) == 0
        head, *around = capsys.readouterr().out.splitlines()
        assert head == f"{place}: XtunRx at {file}:10"
        source = file.read_text().splitlines()
        shown = [f"{'->' if k == 10 else '  '} {k:5}  {source[k - 1]}".rstrip() for k in range(8, 13)]
        assert around == shown
    oops = "RIP: 0010:XtunRx+0x0/0x40 [xtun]\nCall Trace:\n show+0x15/0x40 [xtun]\n seq_read_iter+0x10/{:#x}\n"
    symbol = Target.of(series, kernels.find).symbols().lookup("seq_read_iter")
    assert symbol is not None
    monkeypatch.setattr("sys.stdin", io.StringIO(oops.format(symbol.size)))
    assert cli.main([*options, "-"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert said.err == ""
    assert lines[0].endswith(f" [xtun] ({file}:10)")
    assert lines[2].startswith(f" show+0x15/0x40 [xtun] ({file}:2")
    assert re.search(r"seq_read_iter\+0x10/0x\w+ \(fs/seq_file\.c:\d+", lines[3])


def test_what_is_not_there(vmlinux: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Misspelt names, sizes of another build, texts of another form: an error that says what to do."""
    for text, said in (
        ("vfs_raed+0x1", r"has no function vfs_raed \(similar: vfs_read,"),
        ("vfs_read+0x1/0x9", r"vfs_read is not 0x9 bytes long in kernel \S+: it was another build \(-r\)"),
        ("vfs_read", r"'vfs_read' is not of the form func\+0x5"),
    ):
        assert cli.main(["-r", SERIES, "--resolve", text]) == 1
        assert re.search(said, capsys.readouterr().err)
