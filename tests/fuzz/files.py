"""Damaged files through the command line, up to pass 3: python -m tests.fuzz.files [COUNT [SEED [NAME]]].

None may end in anything but success or a message of pystap's with exit status 1, soon, and in less than a gigabyte.
What did otherwise is shown with the numbers that make it; the exit status is then 1.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

from pystap import cli, paths
from pystap.debuginfo import user
from pystap.debuginfo.elf import SHT_NOBITS, Elf
from tests.support.kernels import SERIES, available

SOURCE = Path(__file__).with_name("subject.c")
SECONDS = 10  # of CPU time
MEMORY = 1 << 30  # beyond what is used at the start
HUGE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, (1 << 64) - 1)
OWN_MISTAKE = "pystap made a mistake of its own"
NO_MEMORY = "there is not enough memory"

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """A file that is damaged, and command lines that read it: FILE stands for its path."""

    name: str
    data: bytes
    commands: tuple[Command, ...]
    path: str  # in the folder of a run
    sections: tuple[tuple[int, int], ...] = ()  # (offset, size): each is damaged as often as any other


# --- what is damaged ------------------------------------------------------------------------------------------

_BODY = """
probe process("FILE").function("work") {
    println($$vars$$, $it->next->name$, $it->inner->bits, $it->real, $text$, @var("counter@subject.c"))
    println(usymname(1), usymfileline(1), sprint_ubacktrace(), @var("of_thread"), $things[1]->number)
}
probe process("FILE").function("work").return { println($return, @entry($x)) }
probe process("FILE").function("real") { println($$parms$, @choose_defined($passed->more, 0)) }
probe process("FILE").statement("work@subject.c+*") { println($$locals) }
probe process("FILE").mark("*") { println($arg1, user_string($arg2), $$vars) }
probe process("FILE").function("twice").inline, process("FILE").function("work").label("*") { println($$vars) }
probe begin { println(@cast(0, "struct thing", "FILE")->inner$, @cast(0, "thing_t", "FILE")->colour) }
"""
_OF_PROGRAMS: tuple[Command, ...] = (
    ("-L", 'process("FILE").function("*")'),
    ("-L", 'process("FILE").statement("*@*subject.c:*")'),
    ("-L", 'process("FILE").mark("*")'),
    ("-l", 'process("FILE").plt("*")'),
    ("-l", 'process("FILE").library("*").function("malloc")'),
    ("-l", 'process("FILE").function("work").label("*")'),
    ("-L", 'process("FILE").function("*").callee("*")'),
    ("-p3", "-d", "FILE", "-e", _BODY),
    ("-p3", "-d", "FILE", "-e", _BODY),
    ("-p3", "-d", "FILE", "--ldd", "-e", "probe timer.s(1) { println(usymname(1)) }"),
    ("-p3", "-d", "FILE", "-e", "probe timer.s(1) { println(usymname(1), usymfileline(1), sprint_ubacktrace()) }"),
    ("-d", "FILE", "--resolve", "work+0x5"),
)
_OF_MODULE = """
probe module("FILE").function("work") { println($$vars$$, $it->next->name$, @var("counter@subject.c"), $text$) }
probe module("FILE").function("work").return { println($return, @entry($x)) }
probe module("FILE").statement("*@subject.c:*") { println($$vars) }
probe begin { println(@cast(0, "struct thing", "FILE")->inner$, symname(1)) }
"""
_OF_MODULES: tuple[Command, ...] = (
    ("-L", 'module("FILE").function("*")'),
    ("-L", 'module("FILE").statement("*@*:*")'),
    ("-p3", "-d", "FILE", "-e", _OF_MODULE),
    ("-p3", "-e", 'probe module("FILE").function("*").call { println($$parms$) }'),
    ("-d", "FILE", "--resolve", "work+0x5"),
    ("-l", 'module("FILE").function("work").callee("*")'),
)
_OF_TYPES: tuple[Command, ...] = (
    ("-L", 'module("FILE").function("*")'),
    ("-p3", "-e", 'probe module("FILE").function("*").call { println($$parms$$) }'),
    ("-p3", "-e", 'probe module("FILE").function("*").return ? { println($$return$, @entry($skb->len)) }'),
    ("-p3", "-e", 'probe begin { println(@cast(0, "struct module", "FILE")->name$) }'),
)
_OF_KERNELS: tuple[Command, ...] = (
    ("-L", 'kernel.function("*")'),
    ("-L", 'kernel.trace("*")'),
    ("-L", 'kernel.statement("*@*:*")'),
    ("-p3", "-e", 'probe kernel.function("work") { println($$vars$$, $it->next->name$) }'),
    ("-p3", "-e", 'probe kernel.trace("fuzzed") { println($$vars$$, @choose_defined(@var("things"), 0)) }'),
    ("-p3", "-e", 'probe begin { println(@cast(0, "struct thing")->inner$, symname(1), symfileline(1)) }'),
)  # fmt: skip
_TREE = "tree"
_PLACED = ("-Ttext=0xffffffff81000000", "--defsym=_stext=0xffffffff81000000", "--defsym=_end=0xffffffff82000000")


def subjects(work: Path) -> Iterator[Subject]:
    """Small files of each kind; made in the folder `work`."""
    programs = {
        "program": ("gcc", "-O2", "-g"),
        "dwarf4": ("gcc", "-O1", "-gdwarf-4"),
        "compressed": ("gcc", "-O0", "-g", "-gz"),
        "indexed": ("clang", "-O2", "-g"),
        "library": ("gcc", "-O2", "-g", "-shared", "-fPIC"),
    }
    for name, command in programs.items():
        if shutil.which(command[0]):
            yield _subject(name, _built(work / name, *command), _OF_PROGRAMS, name)
    module = _built(work / "module", "gcc", "-O2", "-g", "-c", "-DBARE", "-Wa,--noexecstack")
    yield _subject("module", module, _OF_MODULES, "subject.ko")
    vmlinux = _built(work / "vmlinux", "gcc", "-O2", "-g", "-c", "-DBARE")
    if shutil.which("pahole"):
        linked = work / "linked"
        subprocess.run(["ld", "-e", "main", *_PLACED, "-o", linked, vmlinux], check=True)
        subprocess.run(["pahole", "-J", linked], check=True)
        yield _subject("vmlinux", linked, _OF_KERNELS, f"{_TREE}/vmlinux")
        shutil.copy(linked, work / "stripped")
        subprocess.run(["objcopy", "--strip-debug", work / "stripped"], check=True)
        without = tuple(c for c in _OF_KERNELS if "statement" not in c[1])
        yield _subject("btf", work / "stripped", without, f"{_TREE}/vmlinux")


def module_of(root: Path) -> Subject | None:
    """A small module of a kernel's, with BTF."""
    found = next((p for p in sorted(root.rglob("xt_pkttype.ko*"))), None)
    return None if found is None else _subject("module BTF", found, _OF_TYPES, found.name)


def _built(path: Path, *command: str) -> Path:
    subprocess.run([*command, "-w", str(SOURCE), "-o", str(path)], check=True)
    return path


def _subject(name: str, path: Path, commands: tuple[Command, ...], place: str) -> Subject:
    data = path.read_bytes()
    elf = Elf(data, name)
    sections = [(s.offset, s.size) for s in elf.sections if s.size and s.kind != SHT_NOBITS]
    headers = [(0, 64), (elf.section_header(0), 64 * len(elf.sections)), (64, 56 * len(elf.segments()))]
    return Subject(name, data, commands, place, tuple(sections + [h for h in headers if h[1]]))


# --- damage ---------------------------------------------------------------------------------------------------


def damaged(data: bytes, sections: tuple[tuple[int, int], ...], choice: random.Random) -> bytes:
    """The same with some bytes flipped, lengths overwritten, parts moved or missing."""
    out = bytearray(data)
    for _ in range(choice.choice((1, 1, 1, 2, 4, 16))):
        start, size = choice.choice(sections)
        if start + size <= len(out) and size:
            choice.choice(_DAMAGES)(out, start, size, choice)
    return bytes(out)


def _flip(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    for _ in range(choice.choice((1, 1, 3, 20))):
        out[start + choice.randrange(size)] ^= 1 << choice.randrange(8)


def _overwrite(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    width = choice.choice((1, 2, 4, 4, 8))
    if size >= width:
        at = start + choice.randrange(0, size - width + 1)
        at -= (at - start) % choice.choice((1, width))
        value = choice.choice((*HUGE, len(out), len(out) - 1, size, choice.randrange(1 << 64)))
        out[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def _blank(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    at = choice.randrange(size)
    count = min(size - at, choice.choice((1, 4, 16, 64, size)))
    out[start + at : start + at + count] = bytes([choice.choice((0, 0xFF, 0x80))]) * count


def _shift(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    at, by = choice.randrange(size), choice.choice((1, 2, 4, 8))
    part = out[start + at : start + size]
    out[start + at : start + size] = (bytes(by) + part)[: len(part)]


def _move(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    count = min(size, choice.choice((1, 4, 24, 64, size)))
    source = choice.randrange(max(1, len(out) - count))
    at = start + choice.randrange(size - count + 1)
    out[at : at + count] = out[source : source + count]


def _cut(out: bytearray, start: int, size: int, choice: random.Random) -> None:
    del out[choice.choice((choice.randrange(len(out)), start, start + choice.randrange(size))) :]


_DAMAGES = (_flip, _flip, _overwrite, _overwrite, _overwrite, _blank, _shift, _move, _cut)


# --- the runs --------------------------------------------------------------------------------------------------


class Hang(BaseException):
    """A command took too long."""


def _hang(number: int, frame: FrameType | None) -> None:
    raise Hang(f"longer than {SECONDS} s")


def said(words: list[str]) -> str:
    """What is wrong with how a command ends; "" where nothing is."""
    out, err = io.StringIO(), io.StringIO()
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = cli.main(words)
    except BaseException:
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        user.open_object.cache_clear()
    text = err.getvalue()
    if OWN_MISTAKE in text or NO_MEMORY in text or "Traceback" in text:
        return text[-2500:]
    if status not in (0, 1) or (status and not text and not out.getvalue()):
        return f"status {status}, {len(out.getvalue())} characters printed, {len(text)} of messages"
    return ""


def undamaged(subject: Subject, folder: Path, release: str) -> Iterator[str]:
    """The commands that do not succeed though nothing is damaged: they would test little."""
    file = folder / subject.path
    file.unlink(missing_ok=True)
    file.write_bytes(subject.data)
    for command in dict.fromkeys(subject.commands):
        err = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
            status = cli.main(_words(subject, command, file, release))
        if status:
            yield f"{' '.join(command)}\n{err.getvalue()[-1500:]}"


def _words(subject: Subject, command: Command, file: Path, release: str) -> list[str]:
    kernel = str(file.parent) if subject.path.startswith(_TREE) else release
    return ["-vv", "-r", kernel, *(w.replace("FILE", str(file)) for w in command)]


def attempt(subject: Subject, folder: Path, choice: random.Random, release: str) -> str:
    """Damages the file once and runs some of its commands; what is wrong."""
    file = folder / subject.path
    file.unlink(missing_ok=True)  # the one before may still be mapped
    file.write_bytes(damaged(subject.data, subject.sections, choice))
    if subject.path.startswith(_TREE):  # what is known of an image is kept by its build-id
        shutil.rmtree(folder / "cache/images", ignore_errors=True)
    for command in choice.sample(subject.commands, 2):
        reason = said(_words(subject, command, file, release))
        if reason:
            return f"{' '.join(command)}\n{reason}"
    return ""


def run(count: int, seed: int, release: str, only: str = "") -> int:
    """Tries so many damages of each file; returns how many failed."""
    with tempfile.TemporaryDirectory(prefix="stap-fuzz-") as name:
        folder = Path(name)
        (folder / _TREE / "include/config").mkdir(parents=True)
        (folder / _TREE / "include/config/kernel.release").write_text("0.0.0-fuzz\n")
        (folder / "made").mkdir()
        every = list(subjects(folder / "made"))
        module = module_of(paths.cache("kernels", release, "lib/modules"))
        every += [module] if module else []
        (folder / "cache").mkdir()
        (folder / "cache/kernels").symlink_to(paths.cache("kernels"))
        os.environ["PYSTAP_CACHE"] = str(folder / "cache")
        os.environ.pop("DEBUGINFOD_URLS", None)
        signal.signal(signal.SIGVTALRM, _hang)
        chosen = [s for s in every if only in ("", s.name)]
        unfit = [f"--- {s.name}, undamaged: {reason}" for s in chosen for reason in undamaged(s, folder, release)]
        print("\n".join(unfit))
        return len(unfit) + sum(_many(s, partial(attempt, s, folder), count, seed, release) for s in chosen)


def _many(subject: Subject, once: Callable[[random.Random, str], str], count: int, seed: int, release: str) -> int:
    failed, begun = 0, time.monotonic()
    for number in range(count):
        reason = once(random.Random(f"{subject.name} {seed} {number}"), release)
        if reason:
            failed += 1
            print(f"--- {subject.name}, seed {seed}, number {number}: {reason}", flush=True)
    took = time.monotonic() - begun
    print(f"{subject.name}: {count} damages of seed {seed}, {failed} failed, {took:.0f} s", flush=True)
    return failed


def main(words: list[str]) -> int:
    """Runs what the command line says, in bounded memory."""
    count, seed = [int(word) for word in words[:2]] + [50, 1][len(words[:2]) :]
    release = available(SERIES[0])
    if release is None:
        return 0
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    return 1 if run(count, seed, release.release, "".join(words[2:3])) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
