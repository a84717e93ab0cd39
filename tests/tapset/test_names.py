"""The library's tables of numbers and names, beside the C headers that define those: the system's and the kernel's."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from pystap import paths
from tests.support.cc import compile_c
from tests.support.kernels import available

HEADERS = (  # what can be included together
    "errno resolv sys/mount sys/mman netinet/tcp netinet/udp sys/ptrace sys/eventfd sys/swap sys/resource sys/timex"
    " signal sched linux/nfs linux/bpf linux/if_tunnel sys/socket linux/prctl",
    "linux/shm linux/signal linux/stat linux/sem linux/wait linux/msg linux/mman linux/sound linux/xattr"
    " linux/resource linux/fcntl linux/futex linux/keyctl linux/inotify linux/mempolicy linux/kcmp linux/seccomp"
    " linux/membarrier linux/perf_event linux/random linux/module linux/kexec linux/ioprio linux/userfaultfd"
    " asm/prctl linux/sched linux/timerfd linux/eventpoll linux/reboot linux/quota linux/fanotify linux/time"
    " linux/netlink",
)
PREFIXES = {
    "tapset_sock_prot_num2str": "IPPROTO_", "tapset_sock_fam_num2str": "AF_", "tapset_sock_type_num2str": "SOCK_",
    "tapset_sock_state_num2str": "SS_", "sock_flags_num2str": "SOCK_",
    "describe_device_state": "SDEV_", "describe_data_direction": "DMA_",
    "nfs3_cmode": "NFS3_CREATE_",
}  # fmt: skip
KERNEL = (
    "linux/interrupt linux/errno linux/socket scsi/scsi_device linux/dma-direction linux/net uapi/linux/net"
    " uapi/linux/in6 net/tcp_states uapi/linux/in uapi/linux/nfs uapi/linux/nfs3 linux/nfs4"
).split()
BITS = "sock_flags_num2str"  # the headers number the bits
NOWHERE = {"NFSERR_EAGAIN", "SOCK_ASYNC_NOSPACE", "SOCK_ASYNC_WAITDATA", "MSG_PROXY"}  # of kernels that have gone
TABLE = re.compile(r"^static const .*?(\w+)\[\] = \{\n(.*?)^\};", re.MULTILINE | re.DOTALL)
FUNCTION = re.compile(r"^function (\w+)[^\n]*\n%\{(.*?)^%\}", re.MULTILINE | re.DOTALL)
SCRIPT = re.compile(r"^function (\w+)[^\n]*\n\{\n((?:\tif \(\w+ == \d+\) return \"\w+\"\n)+)", re.MULTILINE)


def tables() -> Iterator[tuple[str, str, int]]:
    """Each name in a table of the library, as C has it: table, name, number."""
    for file in paths.tapsets().rglob("*.stp"):
        text = file.read_text()
        for table, body in (*TABLE.findall(text), *FUNCTION.findall(text), *SCRIPT.findall(text)):
            prefix = PREFIXES.get(table, "")
            for number, name in re.findall(r'\{ (0x[0-9a-f]+|\d+), "(\w+)" \}', body):
                yield table, prefix + name, int(number, 0)
            for number, name in re.findall(r'(?:\[| == )(\d+)(?:\] =|\) return) "(\w+)"', body):
                yield table, prefix + name, int(number)


@cache
def wanted() -> dict[str, set[tuple[str, int]]]:
    """The places of each name, but of those of system calls."""
    found: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for table, name, number in tables():
        if not table.startswith("tapset_syscalls"):
            found[name].add((table, number))
    return found


def of_headers(headers: str) -> dict[str, int]:
    """What a C compiler makes of the names that those headers have."""
    includes = "#define _GNU_SOURCE\n" + "".join(f"#include <{h}.h>\n" for h in ["stdio", *headers.split()])
    command = ["gcc", "-E", "-dD", "-x", "c", "-"]
    text = subprocess.run(command, input=includes, capture_output=True, text=True, check=True).stdout
    names = sorted(set(re.findall(r"\b[A-Z_][A-Z0-9_]\w+\b", text)) & wanted().keys())
    lines = (f'printf("%s %lld\\n", "{name}", (long long)({name}));' for name in names)
    program = compile_c(includes + "int main(void) {\n" + "\n".join(lines) + "\n}\n", "-w")
    said = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return {name: int(number) for name, number in (line.split() for line in said.splitlines())}


def of_kernel(series: str) -> dict[str, set[int]]:
    """The constants of some of a kernel's own headers: macros that are numbers, and enumerations."""
    kernel = available(series)
    assert kernel is not None
    assert kernel.build_tree is not None
    include = sources(kernel.build_tree)
    found: dict[str, set[int]] = defaultdict(set)
    for name in KERNEL:
        text = re.sub(r"/\*.*?\*/", "", (include / f"{name}.h").read_text(), flags=re.DOTALL)
        macros = re.findall(r"^#\s*define\s+(\w+)\s+\(?(0x[0-9a-fA-F]+|\d+)U?\)?\s*$", text, re.MULTILINE)
        for macro, number in macros:
            found[macro].add(int(number, 8 if number[0] == "0" and number.isdigit() else 0))
        bare = re.sub(r"^#.*$", "", text, flags=re.MULTILINE)
        for body in re.findall(r"enum\s*\w*\s*\{(.*?)\}", bare, re.DOTALL):
            for item, value in enumerators(body).items():
                found[item].add(value)
    return found


def is_one_of(number: int, values: set[int]) -> bool:
    """Whether a table's number is what headers say, in as many bits as they use."""
    return any(number in (value, value & 0xFFFFFFFF) for value in values)


def test_names_and_numbers(series: str) -> None:
    """Each number has the name that C headers give it."""
    known = of_kernel(series)
    for headers in HEADERS:
        for name, number in of_headers(headers).items():
            known[name].add(number)
    assert len(wanted()) > 1000
    assert sorted(wanted().keys() - known.keys() - NOWHERE) == []
    wrong = []
    for name in wanted().keys() & known.keys():
        for table, number in wanted()[name]:
            values = {1 << value for value in known[name]} if table == BITS else known[name]
            if not is_one_of(number, values):
                wrong.append((name, table, hex(number), values))
    assert wrong == []


@pytest.mark.parametrize("bits", [64, 32])
def test_system_calls(bits: int) -> None:
    """The names of system calls and their numbers are those of the system's headers."""
    header = Path(f"/usr/include/x86_64-linux-gnu/asm/unistd_{bits}.h")
    found = {name: int(number) for name, number in re.findall(r"__NR_(\w+) (\d+)\n", header.read_text())}
    table = {name: number for where, name, number in tables() if where == f"tapset_syscalls_{bits}"}
    assert len(found) > 300
    assert {name: table.get(name) for name in found} == found


def sources(build_tree: Path) -> Path:
    """The include folder of a kernel's sources, wherever its build tree says that these are."""
    named = re.findall(r"include (\S+)/Makefile", (build_tree / "Makefile").read_text())
    beside = build_tree.parent.glob("linux-headers-*-common*")
    folders = (build_tree, build_tree / "source", *map(Path, named), *beside)
    return next(f / "include" for f in folders if (f / "include/scsi/scsi_device.h").is_file())


def enumerators(body: str) -> dict[str, int]:
    """The names of an enumeration whose values are plain numbers."""
    found: dict[str, int] = {}
    after = 0
    for item in body.split(","):
        name, _, value = (part.strip() for part in item.partition("="))
        if not re.fullmatch(r"\w+", name) or not re.fullmatch(r"0x[0-9a-fA-F]+|\d*", value):
            continue
        found[name] = int(value, 0) if value else after
        after = found[name] + 1
    return found
