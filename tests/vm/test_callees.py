"""Functions probed only where a certain function calls them."""

from __future__ import annotations

import pytest

from tests.support.kernels import Guests
from tests.vm.test_families import Bench

pytestmark = pytest.mark.vm

READS = "dd if=/dev/zero of=/dev/null bs=1234 count=25 2> /dev/null"


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str], debuginfo: None) -> Bench:
    return Bench(series, guests, capsys)


def test_who_calls_rw_verify_area(bench: Bench) -> None:
    """vfs_read and vfs_write both do; a return probe beside the entry's does not hide where it returns to."""
    script = """
        global reads, writes, returns, wrong, all, results
        probe kernel.function("vfs_read").callee("rw_verify_area").call {
            if (execname() == "dd" && $count == 1234) reads++; if ($read_write != 0) wrong++
        }
        probe kernel.function("vfs_write").callee("rw_verify_area") {
            if (execname() == "dd" && $count == 1234) writes++; if ($read_write != 1) wrong++
        }
        probe kernel.function("vfs_write").callee("rw_verify_area").return {
            if (execname() == "dd" && @entry($count) == 1234) { returns++; results += $return }
        }
        probe kernel.function("rw_verify_area").return { if (execname() == "dd") all++ }
        probe end { printf("%d %d %d %d %d %d\\n", reads, writes, returns, results, wrong, all >= 50) }
    """
    assert bench.numbers(script, READS) == [25, 25, 25, 0, 0, 1]


def test_everything_that_a_function_calls(bench: Bench) -> None:
    """Copies that were inlined and functions that were called, as the point's name says."""
    script = """
        global seen
        probe kernel.function("vfs_read").callees { if (execname() == "dd") seen[pp()]++ }
        probe end { foreach (p+ in seen) if (p =~ "rw_verify_area@|inc_syscr@") println(p, " ", seen[p] >= 25) }
    """
    done = bench.run(script, READS)
    lines = [line.split(b".callee(")[1].split(b"@")[0] for line in done.stdout.splitlines() if line.endswith(b" 1")]
    assert lines == [b'"inc_syscr', b'"rw_verify_area'], done.stdout + done.stderr
