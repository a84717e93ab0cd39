"""`probe syscall.*` beside strace: a program's 60 and more different system calls, each argument of each call."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.program import libraries
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, available, can_boot

pytestmark = pytest.mark.vm
SOURCES = Path(__file__).parent / "user"
BARE_32 = "-m32 -O1 -nostdlib -static -ffreestanding -fno-pie -no-pie -fno-stack-protector -idirafter".split()
BARE_32 += ["/usr/include/x86_64-linux-gnu"]
SCRIPT = """
global narrow, wide
probe syscall.* {
    if (execname() != "calls") next
    if (@__compat_task) narrow++; else wide++
    printf("%d %s(%s)\\n", tid(), name, argstr)
}
probe end { printf("sizes %d\\n", (narrow > 100) * 2 + (wide > 100)) }
"""
OURS = {  # what strace calls by the number's name
    "newfstatat": "fstatat",
    "pread64": "pread",
    "pwrite64": "pwrite",
    "getdents64": "getdents",
    "pipe2": "pipe",
    "eventfd2": "eventfd",
    "umount2": "umount",
    "mmap": "mmap2",
    "signalfd4": "signalfd",
}
ABSENT = {  # in some kernels
    "uselib", "memfd_secret", "lookup_dcookie", "compat_lookup_dcookie", "kexec_file_load", "sysfs", "modify_ldt",
}  # fmt: skip
NARROW = {  # what 32-bit programs call, by strace and by the aliases
    "_llseek": "llseek",
    "_newselect": "compat_select",
    "chown": "chown16",
    "fchown": "fchown16",
    "clock_gettime64": "clock_gettime",
    "clock_nanosleep": "compat_clock_nanosleep",
    "clock_nanosleep_time64": "clock_nanosleep",
    "execve": "compat_execve",
    "fadvise64": "compat_fadvise64",
    "fadvise64_64": "compat_fadvise64_64",
    "fallocate": "compat_fallocate",
    "fstatat64": "fstatat",
    "ftruncate64": "compat_ftruncate64",
    "futex": "compat_futex",
    "getitimer": "compat_getitimer",
    "mmap2": "mmap2",
    "nanosleep": "compat_nanosleep",
    "ppoll": "compat_ppoll",
    "ppoll_time64": "compat_ppoll",
    "prlimit64": "prlimit64",
    "pwrite64": "pwrite32",
    "readahead": "compat_readahead",
    "recvmsg": "compat_sys_recvmsg",
    "rt_sigaction": "rt_sigaction32",
    "sendmsg": "compat_sys_sendmsg",
    "setitimer": "compat_setitimer",
    "statfs64": "statfs64",
    "truncate64": "compat_truncate64",
    "msgctl": "compat_sys_msgctl",
    "msgrcv": "compat_sys_msgrcv",
    "msgsnd": "compat_sys_msgsnd",
    "select": "compat_select",
    "semctl": "compat_sys_semctl",
    "semtimedop": "compat_sys_semtimedop",
    "shmat": "compat_sys_shmat",
    "shmctl": "compat_sys_shmctl",
    "ugetrlimit": "getrlimit",
    "adjtimex": "compat_adjtimex",
    "fstatfs64": "fstatfs64",
    "futimesat": "compat_futimesat",
    "lookup_dcookie": "compat_lookup_dcookie",
    "pselect6": "compat_pselect6",
    "pselect6_time64": "compat_pselect6",
    "recvmmsg": "compat_recvmmsg",
    "recvmmsg_time64": "compat_recvmmsg",
    "setregid": "setregid16",
    "setresuid": "setresuid16",
    "setreuid": "setreuid16",
    "settimeofday": "settimeofday32",
    "signalfd4": "compat_signalfd",
    "ustat": "ustat32",
    "utime": "compat_utime",
    "utimensat": "compat_utimensat",
    "utimensat_time64": "utimensat",
    "utimes": "compat_sys_utimes",
}
# Calls by way of ipc, or whose arguments lie in memory: their registers, which strace -e raw shows, have another order.
INDIRECT = set(
    "semget semop semtimedop semctl msgget msgsnd msgrcv msgctl shmget shmat shmdt shmctl select mmap".split()
)
IN_MEMORY = {("msgrcv", 1): "0x10000500", ("semctl", 3): "0x77"}  # what calls_32.c put where ipc's registers point to
LINE = re.compile(r"^(\d+) +(\w+)\((.*?)\)(?: += .*)?$", re.MULTILINE)
OTHERWISE = (  # what strace writes in another way
    (r"IOPRIO_PRIO_VALUE\((\w+), (\d+)\)", r"\1|\2"),
    (r"QCMD\((\w+), (\w+)\)", r"\1|\2"),
    (r"(FUTEX_\w+)_PRIVATE", r"\1|FUTEX_PRIVATE_FLAG"),
    (r"SIGRT_(\d+)", r"SIGRTMIN+\1"),
)
Call = tuple[str, list[str]]
ZERO = {"AT_STATX_SYNC_AS_STAT", "IPPROTO_IP", "FAN_CLASS_NOTIF"}  # names of what adds nothing to a set


def name_of(call: str, narrow: bool) -> str:
    """What a call that strace names is named here."""
    if narrow and (call in NARROW or call not in OURS):
        return NARROW.get(call) or re.sub(r"(?<=\D)(_time64|32|64)$", "", call)
    return OURS.get(call, call)


@pytest.mark.parametrize("source", ["hundred_calls.c", "more_calls.c", "calls_32.c"])
def test_arguments_of_every_call(source: str, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each argument is what strace decodes or, where that decodes more, what it shows as a number."""
    strace = shutil.which("strace")
    reason = can_boot() or ("" if strace else "needs strace (apt-get install strace)")
    kernel = available(series)
    if reason or kernel is None or strace is None:
        pytest.skip(reason or f"no kernel {series}")
    narrow = source == "calls_32.c"
    program = compile_c((SOURCES / source).read_text(), "-w", *(BARE_32 if narrow else ()), name="calls.c")
    assert cli.main(["-p4", "-w", "-r", series, "-e", SCRIPT]) == 0
    module = Path(capsys.readouterr().out.strip())
    files = {RUNNER: binaries.runner(), "/tmp/module.ko": module, "/bin/calls": program}
    needed = dict.fromkeys((strace, *libraries(strace), *(() if narrow else libraries(str(program)))))
    with Guest(kernel, files=files, host_files=tuple(needed)) as guest:
        work = "strace -f -o /tmp/decoded /bin/calls; strace -f -o /tmp/raw -e raw=all /bin/calls"
        guest.put("/tmp/command", work.encode())
        done = guest.run([RUNNER, "-c", "sh /tmp/command", "/tmp/module.ko"], timeout=120)
        decoded, raw = (calls(guest.sh(f"cat /tmp/{name}").stdout.decode()) for name in ("decoded", "raw"))
    assert (done.stderr, done.status) == (b"", 0)
    assert f"sizes {1 + narrow}\n" in done.stdout.decode()
    seen = calls(done.stdout.decode())
    if narrow:
        seen = [call for call in seen if call[0] not in ("ftruncate64", "sigaction32")]  # which have two aliases
    assert len({name for name, _ in seen}) > 100
    theirs_in_order = [name_of(name, narrow) for name, _ in (*decoded, *raw)]
    absent = {theirs for (name, _), theirs in zip(seen, theirs_in_order, strict=False) if name == "ni_syscall"}
    assert absent <= ABSENT
    assert [name for name, _ in seen] == ["ni_syscall" if name in absent else name for name in theirs_in_order]
    wrong = [
        f"{name}({', '.join(ours)}): strace: {', '.join(theirs)}: {', '.join(numbers)}"
        for (name, ours), (called, theirs), (_, numbers) in zip(seen, decoded, raw, strict=False)
        if not (
            same_indirect(called, ours, theirs, numbers)
            if narrow and called in INDIRECT
            else same_arguments(ours, theirs, numbers)
        )
    ]
    assert wrong == [], "\n" + "\n".join(wrong)


def calls(text: str) -> list[Call]:
    """The calls of a listing between the two marks, a process's in its order, the processes one after another."""
    text = whole(text)
    found: list[Call] = []
    children: list[Call] = []
    first = ""
    for process, name, arguments in LINE.findall(text):
        if (name, split(arguments)) == ("alarm", ["4242"]) or arguments == "0x1092":
            first = process
        if first and process not in ("", first):
            children.append((name, split(arguments)))
        elif first:
            found.append((name, split(arguments)))
        if arguments in ("4243", "0x1093"):
            found += children
            first, children = "", []
    return found


def whole(text: str) -> str:
    """The listing with the calls that others interrupted in one piece, where they ended."""
    begun: dict[str, str] = {}
    lines = []
    for line in text.splitlines():
        process, _, call = line.partition(" ")
        if line.endswith(" <unfinished ...>"):
            begun[process] = call.removesuffix(" <unfinished ...>")
        elif resumed := re.match(r" *<\.\.\. \w+ resumed>", call):
            lines.append(f"{process} {begun.pop(process)}{call[resumed.end() :]}")
        else:
            lines.append(line)
    return "\n".join(lines)


def split(text: str) -> list[str]:
    """Arguments at their commas, but for those in strings and brackets; without strace's comments and names."""
    text = re.sub(r" /\*.*?\*/", "", text)
    parts, depth = [""], 0
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|.', text):
        depth += (token in "{[(") - (token in "}])")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [re.sub(r"^\w+=(?![^{\[]*[{\[])", "", part.strip()) for part in parts if part.strip()]


def same_arguments(ours: list[str], theirs: list[str], numbers: list[str]) -> bool:
    """Whether all arguments are the same; strace decodes a few calls into fewer arguments than they have."""
    if len(numbers) < len(ours):
        return False
    if len(theirs) == len(ours) < len(numbers):  # one is of 64 bits, in two registers
        shown = zip(ours, theirs, strict=True)
        return all(same(a, t, "") or (a in numbers if t[:1] == '"' else t[:1] in "{[") for a, t in shown)
    if len(theirs) == len(numbers):
        return all(same(*argument) for argument in zip(ours, theirs, numbers, strict=False))
    return all(any(same(a, decoded, number) for decoded in theirs) for a, number in zip(ours, numbers, strict=False))


def same_indirect(call: str, ours: list[str], theirs: list[str], numbers: list[str]) -> bool:
    """Whether each argument is one of the registers, or what strace or the program's source says of it."""
    return len(ours) == len(theirs) and all(
        argument == IN_MEMORY[call, n]
        if (call, n) in IN_MEMORY
        else any(same(argument, theirs[n], r) for r in (*numbers, theirs[n]))
        for n, argument in enumerate(ours)
    )


def same(ours: str, theirs: str, number: str) -> bool:
    """Whether an argument is the same: as a number, as text, as a set of flags, or as a structure's numbers."""
    if ours == theirs:
        return True
    for pattern, spelt in OTHERWISE:
        theirs = re.sub(pattern, spelt, theirs)
    ours = ours.removeprefix("UNKNOWN VALUE: ")
    if ours == "SIG0" or re.fullmatch(r"\[/\* \d+ vars \*/\]", ours):
        return (ours == "SIG0") == (value(number) == 0)
    if value(ours) is not None and value(number) is not None:
        return (value(ours) or 0) % 2**32 == (value(number) or 0) % 2**32
    if ours.endswith('"...'):  # theirs may be cut elsewhere
        return len(ours) > 25 and theirs.startswith(ours.removesuffix('"...'))
    if ours[:1] in "{[" and theirs[:1] in "{[":
        return members(ours) == members(theirs)
    return flags(ours) == flags(theirs)


def value(text: str) -> int | None:
    """What a number is worth; octal as in C, NULL is 0."""
    if text in ("NULL", "AT_FDCWD"):
        return 0 if text == "NULL" else -100
    if not re.fullmatch(r"-?(0x[0-9a-f]+|\d+)", text):
        return None
    return int(text, 8) if re.fullmatch(r"0[0-7]+", text) else int(text, 0)


def members(text: str) -> list[str]:
    """The numbers and names in capitals in a structure, in any order; the parts of times and addresses one by one."""
    if "/" in text:
        return re.findall(r"[A-Z]\w+|/[^\"}]*", text)
    text = re.sub(r"(?<!\d)0+(?=\d)", "", text.replace("SIG", ""))
    return sorted(re.findall(r"\b[A-Z]\w+|\b\d+", text))


def flags(text: str) -> set[str]:
    """The names of a set, in any order, families by either name; a number among them as a number."""
    words = [re.sub(r"^PF_", "AF_", word).replace("AF_LOCAL", "AF_UNIX") for word in text.split("|")]
    return {str(value(word)) if value(word) is not None else word for word in words} - ZERO - {"0"}
