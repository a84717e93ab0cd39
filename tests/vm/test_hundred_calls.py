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
SOURCE = Path(__file__).parent / "user" / "hundred_calls.c"
SCRIPT = 'probe syscall.* { if (execname() == "calls") printf("%d %s(%s)\\n", tid(), name, argstr) }'
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
LINE = re.compile(r"^(\d+) +(\w+)\((.*?)\)(?: += .*)?$", re.MULTILINE)
Call = tuple[str, list[str]]
ZERO = {"AT_STATX_SYNC_AS_STAT", "IPPROTO_IP"}  # names of what adds nothing to a set


def test_arguments_of_every_call(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each argument is what strace decodes or, where that decodes more, what it shows as a number."""
    strace = shutil.which("strace")
    reason = can_boot() or ("" if strace else "needs strace (apt-get install strace)")
    kernel = available(series)
    if reason or kernel is None or strace is None:
        pytest.skip(reason or f"no kernel {series}")
    program = compile_c(SOURCE.read_text(), "-w", name="calls.c")
    assert cli.main(["-p4", "-w", "-r", series, "-e", SCRIPT]) == 0
    module = Path(capsys.readouterr().out.strip())
    files = {RUNNER: binaries.runner(), "/tmp/module.ko": module, "/bin/calls": program}
    needed = dict.fromkeys((strace, *libraries(strace), *libraries(str(program))))
    with Guest(kernel, files=files, host_files=tuple(needed)) as guest:
        work = "strace -f -o /tmp/decoded /bin/calls; strace -f -o /tmp/raw -e raw=all /bin/calls"
        guest.put("/tmp/command", work.encode())
        done = guest.run([RUNNER, "-c", "sh /tmp/command", "/tmp/module.ko"], timeout=120)
        decoded, raw = (calls(guest.sh(f"cat /tmp/{name}").stdout.decode()) for name in ("decoded", "raw"))
    assert (done.stderr, done.status) == (b"", 0)
    seen = calls(done.stdout.decode())
    assert len({name for name, _ in seen}) > 100
    assert [name for name, _ in seen] == [OURS.get(name, name) for name, _ in (*decoded, *raw)]
    wrong = [
        f"{name}({', '.join(ours)}): strace: {', '.join(theirs)}: {', '.join(numbers)}"
        for (name, ours), (_, theirs), (_, numbers) in zip(seen, decoded, raw, strict=False)
        if not same_arguments(ours, theirs, numbers)
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
    if len(theirs) == len(numbers):
        return all(same(*argument) for argument in zip(ours, theirs, numbers, strict=False))
    return all(any(same(a, decoded, number) for decoded in theirs) for a, number in zip(ours, numbers, strict=False))


def same(ours: str, theirs: str, number: str) -> bool:
    """Whether an argument is the same: as a number, as text, as a set of flags, or as a structure's numbers."""
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
