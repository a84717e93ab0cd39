"""Stack that functions take: what gcc measured is read, told to the module, and refused where it is too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.build import frames
from pystap.diagnostics import StapError
from pystap.run.kernels import Kernel
from tests.support.kernels import SERIES, available

# Whatever of the runtime takes much: regular expressions, numbers as text, sorting, backtraces, values by their type.
EVERYTHING = r"""
global a, s
probe kernel.function("vfs_read"), process("/bin/busybox").begin {
    a[execname(), tid()]++
    s[tid()] <<< gettimeofday_us()
    if (execname() =~ "^(a+|b*)(c.d)$") printf("%s %#x %-5d|%8m\n", matched(1), tid(), pid(), task_current())
    try { print_backtrace() print_ubacktrace() println(kernel_string(8), task_cwd_path(task_current())) } catch { }
    println(fp_to_string(string_to_fp("1.5"), 3), ctime(0), @cast(task_current(), "task_struct", "kernel")$$)
}
probe end {
    foreach ([e, t] in a- limit 3) println(e, t, a[e, t])
    foreach (t in s-) { print(@hist_log(s[t])) println(@variance(s[t])) }
}"""
EMBEDDED = """%%{ static noinline int many(int n)
{ volatile char room[%d]; int i, sum = 0; for (i = 0; i < n; i++) sum += room[i] = i; return sum; } %%}
function f:long() %%{ STAP_RETVALUE = many(3); %%} probe begin { println(f()) exit() }"""


def test_the_largest_of_a_report(tmp_path: Path) -> None:
    report = tmp_path / "module.su"
    report.write_text("a.h:1:2:f\t16\tstatic\nmodule.c:10:3:p_0\t900\tdynamic,bounded\nb.h:3:1:g\t8\tstatic\n")
    assert frames.largest(report) == frames.Frame("p_0", 900, True)
    report.write_text("a.h:1:2:f\t16\tdynamic\nmodule.c:10:3:p_0\t900\tstatic\n")
    assert frames.largest(report) == frames.Frame("f", 16, False)


def test_refused() -> None:
    frames.check(frames.Frame("f", frames.LARGEST, True))
    with pytest.raises(StapError, match="the function x takes 6145 bytes of the kernel's stack"):
        frames.check(frames.Frame("f_x", 6145, True))
    with pytest.raises(StapError, match="as it needs at run time: give its arrays a size"):
        frames.check(frames.Frame("g", 16, False))


def kernel(series: str) -> Kernel:
    found = available(series)
    if found is None or found.build_tree is None:
        pytest.skip(f"no kernel {series}")
    return found


@pytest.mark.parametrize("series", SERIES)
def test_nothing_of_the_runtime_takes_more_than_usual(
    series: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else each module with it would be compiled twice."""
    kernel(series)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["-p4", "-k", "-w", "-g", "-r", series, "-e", EVERYTHING]) == 0, capsys.readouterr().err
    (report,) = tmp_path.glob("*/module.su")
    assert 256 < frames.largest(report).size <= frames.USUAL


@pytest.mark.parametrize("size", [100, 2000])
def test_what_takes_more_is_told_to_the_module(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kernel(SERIES[0])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(["-vvvv", "-p4", "-k", "-g", "-r", SERIES[0], "-e", EMBEDDED % size]) == 0
    told = [w for w in capsys.readouterr().out.split() if w.startswith("-DSTAP_LARGEST_FRAME=")]
    if size == 100:
        assert told == []
    else:
        assert size <= int(told[0].partition("=")[2]) < size + 100


def test_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    kernel(SERIES[0])
    assert cli.main(["-p4", "-g", "-r", SERIES[0], "-e", EMBEDDED % 9000]) == 1
    assert "ERROR: the function many takes 9" in capsys.readouterr().err


def test_usual_is_what_the_runtime_asks_for() -> None:
    limits = (paths.runtime() / "limits.h").read_text()
    assert f"#define STAP_LARGEST_FRAME {frames.USUAL}\t" in limits
