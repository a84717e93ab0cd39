"""Points and variables that need DWARF, on real kernels: inside a function, values are what its caller gave."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import kernels
from pystap.target import Target
from tests.support.kernels import Guests, available
from tests.vm.test_families import Bench

pytestmark = pytest.mark.vm

READS = "dd if=/dev/zero of=/dev/null bs=1234 count=25 2> /dev/null"


@pytest.fixture
def bench(series: str, guests: Guests, capsys: pytest.CaptureFixture[str], debuginfo: None) -> Bench:
    return Bench(series, guests, capsys)


def test_a_parameter_at_every_line_of_a_function(bench: Bench) -> None:
    """Wherever vfs_read has a `count`, it is dd's block size: in registers, on the stack, or kept from the entry."""
    script = """
        global lines, right, wrong
        probe kernel.statement("vfs_read@fs/read_write.c:*") {
            if (@defined($count)) {
                if (execname() != "dd") next
                if ($count == 1234) { right++; lines[pp()] = 1 } else if ($count != 832) wrong++
            }
        }
        probe end { n = 0; foreach (l in lines) n++; println(n >= 8); println(right >= 8 * 25); println(wrong) }
    """
    assert bench.numbers(script, READS) == [1, 1, 0]


def test_a_value_that_only_the_entry_knew(bench: Bench) -> None:
    """The entry's own probe sees the same number at each call, and nested calls do not mix."""
    script = """
        global want, same, other
        probe kernel.function("vfs_read").call { want[tid()] = $count }
        probe kernel.statement("vfs_read@fs/read_write.c:*") {
            if (@defined($count)) { if (execname() == "dd") { if ($count == want[tid()]) same++; else other++ } }
        }
        probe end { println(same > 200); println(other) }
    """
    assert bench.numbers(script, READS) == [1, 0]


def test_inlined_functions_and_their_arguments(bench: Bench) -> None:
    """rw_verify_area or its like is inlined or not: by function, both are found, with arguments."""
    script = """
        global inlined
        probe kernel.function("new_sync_read").inline { if (execname() == "dd" && $len == 1234) inlined++ }
        probe end { println(inlined) }
    """
    assert bench.numbers(script, READS) in ([25], [0]), "/dev/zero is read by read_iter, or by read"


def test_locals_and_what_they_point_at(bench: Bench) -> None:
    """The result, a local of vfs_read, is what dd got; the file's name is what dd opened."""
    script = """
        global results, names
        probe kernel.function("vfs_read").return {
            if (execname() == "dd" && $return == 1234) { results++; names[d_name(@entry($file->f_path->dentry))] = 1 }
        }
        probe end { println(results); foreach (n in names) printf("%s\\n", n) }
    """
    done = bench.run(script, READS)
    assert done.stdout.split() == [b"25", b"zero"], done.stderr


def test_globals_and_statics_by_name_and_file(bench: Bench) -> None:
    script = """
        probe oneshot {
            printf("%d %s %d\\n", @var("init_task")->pid, kernel_string(&@var("init_task")->comm[0]),
                @var("jiffies_64@kernel/time/timer.c") > 0)
        }
    """
    done = bench.run(script, "true")
    assert done.stdout == b"0 swapper/0 1\n", done.stderr


def test_symbols_that_no_source_defines(bench: Bench) -> None:
    """Those of the linker's script have the types that headers declare them with."""
    script = """
        probe oneshot {
            printf("%d %d %s\\n", @var("jiffies") - @var("jiffies_64@kernel/time/timer.c") <= 1,
                &@var("_etext") - &@var("_text") > 1 << 20, symname(&@var("_etext") - 64))
        }
    """
    done = bench.run(script, "true")
    assert re.fullmatch(rb"1 1 (?!0x)\S+\n", done.stdout), (done.stdout, done.stderr)


def test_the_listing_of_a_function_names_its_lines(
    series: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["-r", series, "-L", 'kernel.function("vfs_read")']) == 0
    [line] = capsys.readouterr().out.splitlines()
    point = r'kernel\.function\("vfs_read@fs/read_write\.c:\d+"\)'
    assert re.fullmatch(point + r" \$file:struct file\* \$buf:char\* \$count:size_t \$pos:loff_t\*", line)


def test_a_line_without_code_says_which_have_some(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    script = 'probe kernel.statement("vfs_read@fs/read_write.c:1") {}'
    assert cli.main(["-p2", "-r", bench.series, "-e", script]) == 1
    said = capsys.readouterr().err
    assert re.search(r"no line records for fs/read_write\.c:1 \[man error::dwarf\] \(try :\d+\)", said)


def test_a_value_that_is_not_kept(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """As stap says it, with where it is kept; `?` in $$locals, 0 where it is asked for all the same."""
    points = '"pipe_write@fs/pipe.c:*"'
    assert cli.main(["-r", bench.series, "-L", f"kernel.statement({points})"]) == 0
    listed = capsys.readouterr().out
    without = [line for line in listed.splitlines() if "$total_len" not in line and "$pipe:" in line]
    places = [line.partition(" ")[0] for line in without]
    assert cli.main(["-p2", "-r", bench.series, "-e", f"probe {places[0]} {{ println($total_len) }}"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"not accessible at this address \(pc: 0x[0-9a-f]{16}\) \[man error::dwarf\]: identifier '", said)
    assert re.search(r"'total_len' is optimized out here; alternative locations: \[0x[0-9a-f]{16},0x", said)
    script = f"""
        probe {", ".join(places)} {{ if (execname() == "dd") {{ println($total_len); println($$locals); exit() }} }}
    """
    done = bench.run(script, "dd if=/dev/zero bs=6 count=1 2> /dev/null | cat > /dev/null", "--skip-badvars")
    refused = [line for line in done.stderr.decode().splitlines() if "registration error" not in line]
    assert (refused, done.status) == ([], 0), "the kernel has no probes on its static calls"
    zero, shown = done.stdout.decode().splitlines()
    assert zero == "0"
    assert " total_len=? " in shown
    assert re.search(r" pipe=0x[0-9a-f]{16} ", shown)


def test_debuginfo_of_another_build_is_refused(bench: Bench, tmp_path: Path) -> None:
    from pystap.debuginfo.opening import open_kernel
    from pystap.diagnostics import StapError
    from pystap.run import kernels
    from pystap.target import Target
    from tests.support.cc import compile_c

    target = Target.of(bench.series, kernels.find)
    target.debuginfo = compile_c("int main(void) { return 0; }\n", "-Wl,--build-id=0x1234567890")
    with pytest.raises(StapError, match=f"its build-id is 1234567890, that of kernel .* is {target.build_id}"):
        open_kernel(target)


def test_addresses_as_source_lines(bench: Bench) -> None:
    """symfileline() within a function, and of addresses all over the kernel, says what addr2line says."""
    script = """
        global first
        probe kernel.function("vfs_read") { if (!first) first = addr() }
        probe end {
            printf("%s %s %s\\n", symfileline(first), symfile(first), symline(first))
            println(symfileline(1234), symfileline(-1))
            for (i = 0; i < 300; i += 3) printf("%d %s\\n", i, symfileline(first + i))
            for (i = -300; i < 300; i++) printf("%d %s\\n", i * 9973, symfileline(first + i * 9973))
        }
    """
    done = bench.run(script, READS, "-DMAXACTION_INTERRUPTIBLE=100000")
    assert (done.stderr, done.status) == (b"", 0)
    summary, unknown, *rows = done.stdout.decode().splitlines()
    place, file, line = summary.split()
    assert (place, file, unknown) == (f"{file}:{line}", "fs/read_write.c", "0x4d20xffffffffffffffff")
    kernel = available(bench.series)
    assert kernel is not None
    assert kernel.debuginfo is not None
    symbol = Target.of(bench.series, kernels.find).symbols().lookup("vfs_read")
    assert symbol is not None
    offsets, ours = zip(*(row.split() for row in rows), strict=True)
    theirs = _addr2line(kernel.debuginfo, [symbol.address + int(offset) for offset in offsets])
    different = [(o, a, b) for o, a, b in zip(offsets, ours, theirs, strict=True) if not _same_line(a, b)]
    assert (len(rows), different) == (700, [])


def _addr2line(debuginfo: Path, addresses: list[int]) -> list[str]:
    command = ["addr2line", "-e", str(debuginfo), *map(hex, addresses)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def _same_line(ours: str, theirs: str) -> bool:
    """addr2line has the folder of the build before the path, and a discriminator behind the line.

    A function that a header defines (a tracepoint's, say) it puts into the file that includes it, at the header's
    line; gdb and llvm-addr2line name the header, as the table does.
    """
    theirs = theirs.partition(" ")[0]
    if theirs.startswith("??"):
        return ours.startswith("0x")
    file, _, line = ours.rpartition(":")
    return theirs.endswith(f"/{ours}") or (file.endswith(".h") and theirs.endswith(f":{line}"))
