"""What stops a run before it begins: each a message that says what to do, exit status 1, and never a traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.kernels import available

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = "probe begin { exit() }"


def pystap(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pystap", *words]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL
    )


def refused(done: subprocess.CompletedProcess[str], *texts: str) -> None:
    assert done.returncode == 1, done.stdout + done.stderr
    for text in texts:
        assert text in done.stderr
    assert "Traceback" not in done.stderr
    assert "mistake of its own" not in done.stderr


needs_kernel = pytest.mark.skipif(available("6.1") is None, reason="no kernel 6.1: pystap-prep 6.1")


def test_a_kernel_that_is_not_there() -> None:
    refused(pystap("-r", "9.9.9-nosuch", "-p4", "-e", SCRIPT), "no kernel 9.9.9-nosuch", "pystap-prep 9.9.9-nosuch")
    refused(pystap("--vm=9.9", "-e", SCRIPT), "no kernel 9.9", "pystap-prep 9.9")


def test_a_build_tree_that_is_none(tmp_path: Path) -> None:
    refused(pystap("-r", str(tmp_path), "-p4", "-e", SCRIPT), "no configured kernel build tree")


def test_headers_that_are_not_installed(tmp_path: Path) -> None:
    """The running kernel of a test machine or container has none in an empty cache."""
    release = os.uname().release
    if Path(f"/lib/modules/{release}/build").exists():
        pytest.skip("this kernel's headers are installed")
    done = pystap("-p4", "-e", SCRIPT, PYSTAP_CACHE=str(tmp_path))
    refused(done, f"kernel headers of {release} is missing", f"linux-headers-{release}")


@needs_kernel
def test_no_qemu(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("gcc", "gcc-12", "make", "ld", "as", "busybox"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    refused(pystap("--vm=6.1", "-e", SCRIPT, PATH=str(tools)), "qemu-system-x86_64", "apt-get install qemu-system-x86")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@needs_kernel
def test_a_full_disk_in_the_cache(small_disk: Path) -> None:
    kernel = available("6.1")
    assert kernel is not None
    (small_disk / "kernels").symlink_to(kernel.vmlinuz.parents[2] if kernel.vmlinuz else "/nonexistent")
    refused(pystap("-r", "6.1", "-p4", "-e", SCRIPT, PYSTAP_CACHE=str(small_disk)), "No space left on device")


@needs_kernel
def test_a_full_disk_for_temporary_files(small_disk: Path) -> None:
    """There is room for the folder, and not for what the compiler writes into it."""
    (small_disk / "filled").write_bytes(bytes(240 << 10))
    script = f'probe begin {{ println("{small_disk}") }}'
    refused(pystap("-r", "6.1", "-p4", "-e", script, TMPDIR=str(small_disk)), "a disk is full", "No space left")
    assert [path.name for path in small_disk.iterdir()] == ["filled"]


@needs_kernel
@pytest.mark.parametrize("megabytes", [25, 32, 48, 64, 80])
def test_little_memory(tmp_path: Path, megabytes: int) -> None:
    """Too little for pystap itself, for a compiler to start, or for its work: nothing is left behind."""
    script = f'probe begin {{ println("{tmp_path}") }}'
    limit = f"ulimit -v {megabytes * 1024}; exec {sys.executable} -m pystap -r 6.1 -p4 -e '{script}'"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(["sh", "-c", limit], capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    refused(done, "not enough memory")
    assert list(tmp_path.iterdir()) == []


@needs_kernel
def test_a_function_that_the_kernel_does_not_have() -> None:
    done = pystap("-r", "6.1", "-p2", "-e", 'probe kernel.function("printk") {}')
    refused(done, "while resolving probe point", "no match (similar functions:", "_printk")


@needs_kernel
@pytest.mark.parametrize(
    ("script", "text"),
    [
        ("probe begin { nosuch(1) }", "unresolved function nosuch"),
        ('probe begin { x = 1 x = "a" println(x) }', "type mismatch"),
        ("probe begin {", "parse error"),
        ("probe begin { %{ x %} }", "need stap -g"),
        ("", "is empty"),
    ],
)
def test_scripts_that_are_wrong(script: str, text: str) -> None:
    refused(pystap("-r", "6.1", "-p4", "-e", script), text)


@needs_kernel
def test_another_kernel_s_module_is_built_not_run() -> None:
    done = pystap("-r", "6.1", "-e", SCRIPT)
    assert done.returncode == 0
    assert "forcing -p4" in done.stderr
    assert done.stdout.strip().endswith(".ko")


@needs_kernel
def test_files_that_are_no_scripts(tmp_path: Path) -> None:
    binary, folder, marked = tmp_path / "binary.stp", tmp_path / "folder.stp", tmp_path / "marked.stp"
    binary.write_bytes(b"\x7fELF\0\1")
    folder.mkdir()
    marked.write_bytes(b"\xef\xbb\xbfprobe begin {\r\n exit()\r\n}\r\n")
    refused(pystap("-p1", "-r", "6.1", str(binary)), f"Input file '{binary}' is not a script: it holds binary data.")
    refused(pystap("-p1", "-r", "6.1", str(folder)), f"Input file '{folder}' cannot be read: Is a directory.")
    refused(pystap("-p1", "-r", "6.1", "/dev/null"), "Input file '/dev/null' is empty.")
    done = pystap("-p1", "-r", "6.1", str(marked))
    assert (done.returncode, done.stderr) == (0, ""), "a byte order mark and CRLF do no harm"


@needs_kernel
def test_a_list_of_nothing_says_why() -> None:
    refused(pystap("-r", "6.1", "-l", "syscall.opne"), "probe point mismatch (similar: open,")
    refused(pystap("-r", "6.1", "-L", 'kernel.function("vfs_raed")'), "no match (similar functions: vfs_read,")


@needs_kernel
@pytest.mark.vm
def test_a_full_disk_and_a_variable_that_is_not_there() -> None:
    script = "global many = 1 probe begin { println(many) exit() }"
    refused(pystap("--vm", "-o", "/dev/full", "-e", script), "cannot write the output to '/dev/full': No space left")
    done = pystap("--vm", "-G", "mnay=2", "-G", "many=3", "-e", script)
    assert done.stdout == "3\n"
    assert done.stderr == "WARNING: -G sets 'mnay', but the script has no such global variable\n"


@needs_kernel
def test_pass_lines() -> None:
    """-v: what each pass did and took, in stap's layout."""
    done = pystap("-v", "-p4", "-r", "6.1", "-e", "global g probe begin { println(g++) exit() }")
    taken = r"\d+usr/\d+sys/\d+real ms\."
    used = rf"using \d+virt/\d+res/\d+shr/\d+data kb, in {taken}"
    lines = done.stderr.splitlines()
    assert done.returncode == 0
    if "using cached" not in lines[-1]:
        assert re.fullmatch(rf"Pass 1: parsed user script and \d+ library scripts {used}", lines[0])
        counts = r"1 probe, 1 function, \d embeds?, 1 global"
        assert re.fullmatch(rf"Pass 2: analyzed script: {counts} {used}", lines[1])
        assert re.fullmatch(rf"Pass 3: translated to C {used}", lines[2])
        assert re.fullmatch(rf'Pass 4: compiled C into "stap_\w+\.ko" in {taken}', lines[3])
    cached = pystap("-v", "-p4", "-r", "6.1", "-e", "global g probe begin { println(g++) exit() }")
    path = cached.stdout.strip()
    assert cached.stderr == f"Pass 3: using cached {path}\nPass 4: using cached {path}\n"


@needs_kernel
def test_what_each_pass_prints(tmp_path: Path) -> None:
    script = "global g probe begin { g = 1 println(g) }"
    assert pystap("-p1", "-r", "6.1", "-e", script).stdout.startswith("# parse tree dump\n# file <input>\nglobal g\n")
    second = pystap("-p2", "-r", "6.1", "-e", script)
    assert second.stdout == "# globals\ng:long\n# probes\nbegin /* <- begin */\n"
    third = pystap("-p3", "-r", "6.1", "-e", script)
    assert "static void p_0(struct stap_context *c)" in third.stdout
    assert third.stderr == ""


@needs_kernel
def test_warnings_off_on_and_fatal() -> None:
    script = "probe begin { x = 1 println(2) }"
    plain = pystap("-p2", "-r", "6.1", "-e", script)
    assert plain.returncode == 0
    assert plain.stderr.startswith("WARNING: Eliding assignment to 'x': operator '=' at <input>:1:17\n source: probe")
    for option in ("-w", "-u"):
        assert pystap(option, "-p2", "-r", "6.1", "-e", script).stderr == ""
    refused(pystap("-W", "-p2", "-r", "6.1", "-e", script), "Pass 2: analysis failed.  [man error::pass2]")


@needs_kernel
def test_objects_whose_symbols_are_not_found(tmp_path: Path) -> None:
    """-d of what is not there: SystemTap's warning, with the reason; also when the module comes from the cache."""
    (tmp_path / "text").write_text("no program")
    names = [f"{tmp_path}/gone", f"{tmp_path}/t*", f"{tmp_path}/text", "nosuchmod", "kernel", "/usr/bin/env"]
    options = [word for name in names for word in ("-d", name)]
    for _ in range(2):
        done = pystap("-p4", "-r", "6.1", *options, "-e", 'probe begin { println(usymname(1), "objects") }')
        said = [line.partition(" for module ") for line in done.stderr.splitlines()]
        assert {head for head, _, _ in said} == {"WARNING: missing unwind/symbol data"}
        what = [(name, why.split(";")[0]) for _, _, rest in said for name, _, why in [rest.partition(" (")]]
        assert what[:3] == [
            (f"'{tmp_path}/gone'", "there is no such file)"),
            (f"'{tmp_path}/t*'", "there is no such file, and patterns mean nothing here)"),
            (f"'{tmp_path}/text'", "it is not an ELF file of 64 bits)"),
        ]
        assert what[3][0] == "'nosuchmod'"
        assert what[3][1].startswith("no module 'nosuchmod' under /")
        assert len(what) == 4
        assert done.returncode == 0
    assert pystap("-w", "-p4", "-r", "6.1", *options, "-e", "probe begin { println(1) }").stderr == ""


@needs_kernel
def test_errors_for_programs() -> None:
    """--semantic-keep-going: errors of one kind do not hide others, and all are listed."""
    script = 'probe begin { println(nosuch(1)) x = 1 x = "s" println(x) } probe nosuch { println(1 . "a") }'
    done = pystap("--semantic-keep-going", "-p2", "-r", "6.1", "-e", script)
    found = done.stderr.partition("SEMANTIC_ERRORS: ")[2].splitlines()
    listed = [line.split("\t") for line in found[1:-2]]
    assert done.returncode == 1
    assert found[0] == "3"
    assert found[-2:] == ["SEMANTIC_ERRORS_END", "Pass 2: analysis failed.  [man error::pass2]"]
    assert all(fields[:2] == ["SEMANTIC_ERROR", "<input>"] for fields in listed)
    assert ["1", "40", "identifier 'x'", "type mismatch (string)"] in [fields[2:] for fields in listed]
    assert ["1", "34", "identifier 'x'", "type was first inferred here (long)"] in [fields[2:] for fields in listed]
    assert any(fields[2:4] == ["1", "23"] and "unresolved function nosuch" in fields[5] for fields in listed)


def _ends(group: int) -> bool:
    """Whether nobody of a process group is left within some seconds."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.headers
@pytest.mark.parametrize("phase", ["Pass 1", "Pass 2", "Pass 3"])
def test_interrupted_between_passes(phase: str) -> None:
    """^C in a terminal reaches pystap and its compilers; one is enough, and nobody is left."""
    script = 'global a probe kernel.function("vfs_*").call { a[ppfunc()]++ } probe syscall.open* { a[name]++ }'
    command = [sys.executable, "-m", "pystap", "-v", "-w", "-p4", "--disable-cache", "-r", "6.1", "-e", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(phase):
                break
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(timeout=30) == 1
    assert said.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in said
    assert _ends(process.pid), "a compiler that got the same signal may end a moment later, and no more"


@needs_kernel
@pytest.mark.parametrize(("closed", "status"), [("<&-", 0), ("2>&-", 0), (">&-", 1), ("<&- >&- 2>&-", 1)])
@pytest.mark.parametrize("words", [("-V",), ("-p4", "-r", "6.1", "-e", SCRIPT)])
def test_standard_files_that_are_closed(words: tuple[str, ...], closed: str, status: int) -> None:
    """Files that are opened do not take their places; output that is lost is an error."""
    command = [sys.executable, "-m", "pystap", *words]
    done = subprocess.run(["sh", "-c", f'"$@" {closed}', "sh", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == status
    assert bool(done.stdout) == (status == 0)
    assert done.stderr == ("ERROR: cannot write the output: Bad file descriptor\n" if closed == ">&-" else "")


def test_output_that_cannot_be_written() -> None:
    command = [sys.executable, "-m", "pystap", "-V"]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered)
    assert (done.returncode, done.stderr) == (1, "ERROR: cannot write the output: No space left on device\n")
