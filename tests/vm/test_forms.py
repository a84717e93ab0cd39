"""Every form of a target variable at a real function of both kernels, with values that the traffic decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm

# `head` reads /etc/hostname ("vm\n"); other reads are left out by the file's name.
READS = "head /etc/hostname > /dev/null"
GUARD = 'if (execname() != "head" || kernel_string($file->f_path->dentry->d_name->name) != "hostname") next'

Run = Callable[..., list[str]]


@pytest.fixture
def run(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> Run:
    """Compiles a script, runs it while the command runs, and gives the lines that it prints."""

    def run(script: str, command: str = READS, *options: str) -> list[str]:
        status = cli.main(["-p4", "-w", "-r", series, *options, "-e", script])
        compiled = capsys.readouterr()
        assert status == 0, compiled.err
        guests.get(series).put("/tmp/command", command.encode())
        done = guests.run(series, Path(compiled.out.strip()), options=("-c", "sh /tmp/command"))
        assert (done.stderr, done.status) == (b"", 0)
        return done.stdout.decode().splitlines()

    return run


def at_read(body: str) -> str:
    """A script whose body runs at the first read of the file."""
    return f'probe kernel.function("vfs_read") {{ {GUARD} {body} exit() }}'


def test_members_and_indices(run: Run) -> None:
    """Chains of pointers, structs inside of structs, array elements by constant and by variable."""
    lines = run(
        at_read("""
        printf("%d\\n", $count >= 3)
        printf("%s\\n", kernel_string($file->f_path->dentry->d_name->name))
        printf("%d %c%c\\n", $file->f_path->dentry->d_name->len,
               $file->f_path->dentry->d_iname[0], $file->f_path->dentry->d_iname[($pos & 0) + 1])
        printf("%s\\n", kernel_string($file->f_inode->i_sb->s_type->name))
        printf("%d\\n", $file->f_path->dentry == @cast($file, "struct file")->f_path->dentry)
        """)
    )
    assert lines[0] == "1"
    assert lines[1] == "hostname"
    assert lines[2] == "8 ho"
    assert lines[3] in {"rootfs", "tmpfs", "ramfs"}
    assert lines[4] == "1"


def test_addresses(run: Run) -> None:
    """`&` of a member is the pointer plus the member's offset; of @cast(0) it is the offset alone."""
    lines = run(
        at_read("""
        offset = &@cast(0, "struct file")->f_pos
        printf("%d %d\\n", offset > 0, &$file->f_pos == $file + offset)
        printf("%d\\n", &$file->f_path->dentry->d_iname[3] - &$file->f_path->dentry->d_iname[0])
        printf("%d\\n", @cast(&$file->f_path, "struct path")->dentry == $file->f_path->dentry)
        """)
    )
    assert lines == ["1 1", "3", "1"]


def test_defined(run: Run) -> None:
    """What is not there is decided while compiling, and what is under it is not compiled."""
    lines = run(
        at_read("""
        printf("%d%d%d%d\\n", @defined($file), @defined($nonesuch), @defined($file->f_flags), @defined($file->nonesuch))
        println(@defined($nonesuch) ? $nonesuch->x : 7)
        """)
    )
    assert lines == ["1010", "7"]


def test_pretty_forms(run: Run) -> None:
    """`$` shows a struct's members, `$$` those of its structs, $$vars and $$parms the arguments by name."""
    lines = run(
        at_read("""
        println($file->f_path$) println($file->f_path$$) println($$vars) println($$parms) println($$parms$)
        println($file) println($count)
        """)
    )
    address = "0x[0-9a-f]{16}"
    assert re.fullmatch(rf"{{\.mnt={address}, \.dentry={address}}}", lines[0])
    assert re.fullmatch(rf"{{\.mnt={address}, \.dentry={address}}}", lines[1])
    parameters = rf"file=({address}) buf=0x[0-9a-f]+ count=0x([0-9a-f]+) pos=0x[0-9a-f]+"
    shown, also = re.match(parameters, lines[2]), re.fullmatch(parameters, lines[3])
    assert shown
    assert also
    assert shown.groups() == also.groups()
    assert int(also.group(1), 16) == int(lines[5]) % 2**64
    assert int(also.group(2), 16) == int(lines[6])
    assert re.match(r"file=\{[.<]", lines[4])


def test_returns(run: Run) -> None:
    """$return, $$return, @entry and arguments as they were at the entry."""
    script = f"""
        probe kernel.function("vfs_read").return {{
            {GUARD}
            printf("%d %s %d %d\\n", $return, $$return, @entry($count) == $count, @entry($file->f_pos))
        }}
    """
    lines = run(script)
    assert lines[0] == "3 return=0x3 1 0"
    assert lines[1] == "0 return=0x0 1 3"


def test_kernel_variables(run: Run) -> None:
    """@var at no place in particular, and against what the kernel says of itself."""
    script = """
        probe begin {
            printf("%d %s\\n", @cast(&@var("init_task"), "struct task_struct")->pid,
                   kernel_string(&@cast(&@var("init_task"), "struct task_struct")->comm))
            exit()
        }
    """
    assert run(script) == ["0 swapper/0"]


def test_assignment(run: Run, series: str, guests: Guests) -> None:
    """In guru mode a variable may be written: the length of a read becomes 1, and the reader sees 1 byte at a time."""
    script = f"""
        global reads
        probe kernel.function("vfs_read") {{ {GUARD} if ($count > 1) $count = 1; reads++ }}
        probe end {{ println(reads) }}
    """
    assert run(script, READS, "-g")[-1] == "4", "three bytes, and the end of the file"


def test_reading_a_struct_as_a_number(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused with the struct's own place, one of its members, and the position in the script."""
    script = 'probe kernel.function("vfs_read") { x = $file->f_path; println(x) }'
    assert cli.main(["-p2", "-r", series, "-e", script]) == 1
    said = capsys.readouterr().err
    wanted = r"semantic error: 'struct path'( \(\S+:\d+\))? is being accessed instead of a member such as '->mnt': "
    assert re.search(wanted + r"operator '->' at <input>:1:48\n", said), said


def test_reading_a_struct_that_a_variable_is(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same of a whole variable: $curr_tuple is a struct on the stack."""
    from tests.vm.test_mission import need_debuginfo

    need_debuginfo(series)
    script = 'probe module("nf_nat").statement("nf_nat_setup_info@*:606") { println($curr_tuple) }'
    if series != "6.1":
        pytest.skip("the line is 6.1's")
    assert cli.main(["-p2", "-r", series, "-e", script]) == 1
    said = capsys.readouterr().err
    struct = r"'struct nf_conntrack_tuple' \(\S*include/net/netfilter/nf_conntrack_tuple\.h:\d+\)"
    wanted = (
        rf"{struct} is being accessed instead of a member such as '->src': identifier '\$curr_tuple' at <input>:1:71"
    )
    assert re.search(wanted, said), said
