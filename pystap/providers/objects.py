"""process, process("PATH"), process(PID), each with .library("GLOB"): which files are meant, in which processes."""

from __future__ import annotations

import glob
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pystap.debuginfo.damage import text_of
from pystap.debuginfo.elf import Elf
from pystap.debuginfo.user import UserObject, dynamic_texts, interpreter, is_elf, needed_libraries, open_object
from pystap.diagnostics import Unresolved
from pystap.providers.base import Request

if TYPE_CHECKING:
    from pystap.options import Options

PREFIXES = tuple(head + tail for head in ("process", "process(str)", "process(num)") for tail in ("", ".library(str)"))
_MULTIARCH = "/usr/lib/x86_64-linux-gnu"
_LIBRARY_FOLDER = re.compile(r"(?:/usr)?/lib(?:64|\*|\?\?|\{[^/]*\})?/(?=[^/]+$)")
_DT_RPATH, _DT_RUNPATH = 15, 29
_SEARCHED = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


@dataclass(frozen=True, slots=True)
class Processes:
    """Which processes are meant: those that run a program, one by number, the session's target, or (none set) all."""

    program: str | None = None
    process: int = 0
    targets: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A file in which a point may lie, and how points in it are spelt."""

    object: UserObject
    prefix: str  # process("/bin/ls").library("/lib/libc.so.6")
    among: Processes


def places(request: Request) -> list[Place]:
    """The files that the first components of a point mean; raises Unresolved where there is none."""
    require_uprobes(request)
    found = []
    for place in _programs(request):
        found += _libraries(request, place) if len(_prefix(request)) > 1 else [place]
    if not found:
        raise Unresolved("no match")
    return found


def require_uprobes(request: Request) -> None:
    """Refuses user space where the kernel has no uprobes."""
    config = request.target.kconfig
    if config and config.get("CONFIG_UPROBES") != "y":
        text = "process probes not available: this kernel has no uprobes (CONFIG_UPROBES)"
        raise Unresolved(text, hint=f"kernel {request.target.release} must be built with CONFIG_UPROBES=y")


def programs(name: str) -> list[str]:
    """The files that a path, a glob or a command's name means, scripts replaced by their interpreters."""
    if set("*?[{").intersection(name):
        return _matching(name) or _matching(_in_multiarch(name))
    path = find_program(name)
    seen: list[str] = []
    while (following := interpreter(path)) is not None and path not in seen:
        seen.append(path)
        path = find_program(following)
    return [os.path.realpath(path)]


def _matching(pattern: str) -> list[str]:
    found = [p for part in _braces(pattern) for p in sorted(glob.glob(part)) if is_elf(p)]
    return list(dict.fromkeys(os.path.realpath(p) for p in found))


def _in_multiarch(name: str) -> str:
    """A library's path in Debian's folder: scripts written elsewhere say /lib*/libc.so.6 or /usr/lib64/libc.so.6."""
    return _LIBRARY_FOLDER.sub(_MULTIARCH + "/", name)


def find_program(name: str) -> str:
    """A file by its path, else in PATH, else here; raises Unresolved where it is not found."""
    path = os.path.expanduser(name)
    candidate = path if "/" in path else shutil.which(path) or path
    if not os.path.isfile(candidate):
        candidate = _in_multiarch(candidate)
    if not os.path.isfile(candidate):
        where = "" if "/" in path else f" in PATH ({os.environ.get('PATH', '')}) or here"
        raise Unresolved(f"cannot find executable '{name}'", hint=f"there is no such file{where}")
    return os.path.abspath(candidate)


def target_program(options: Options) -> str | None:
    """The program of -c CMD or -x PID; None where neither is given."""
    if options.pid is not None:
        return program_of(options.pid)
    if options.command is None:
        return None
    try:
        words = shlex.split(options.command)
    except ValueError:
        words = options.command.split()
    words = [w for w in words if not re.match(r"\w+=", w)]
    return programs(words[0])[0] if words else None


def program_of(pid: int) -> str:
    """What a process runs: by its path, or where another file or none lies there by the process itself."""
    link = f"/proc/{pid}/exe"
    try:
        path = os.readlink(link)
    except FileNotFoundError:
        raise Unresolved(f"cannot probe pid {pid}: No such process") from None
    except OSError as error:
        raise Unresolved(f"cannot probe pid {pid}: {error.strerror}") from None
    return path if os.path.exists(path) and os.path.samefile(path, link) else link


def processes(request: Request) -> Processes:
    """The processes that process, process("PATH") or process(PID) means by itself."""
    argument = request.point.components[0].argument
    if isinstance(argument, int):
        return Processes(process=argument)
    targeted = request.options.command is not None or request.options.pid is not None
    return Processes(targets=argument is None and targeted)


def _prefix(request: Request) -> tuple[object, ...]:
    components = request.point.components
    return components[:2] if len(components) > 1 and components[1].name == "library" else components[:1]


def _programs(request: Request) -> Iterator[Place]:
    argument = request.point.components[0].argument
    among = processes(request)
    if isinstance(argument, str):
        paths = programs(argument)
    elif isinstance(argument, int):
        paths = [program_of(argument)]
    else:
        path = target_program(request.options)
        if path is None:
            text = 'process needs a program here: write process("PATH"), or start it with -c, or attach with -x'
            raise Unresolved(text)
        paths = [path]
    for path in paths:
        spelt = f"process({argument})" if isinstance(argument, int) else f'process("{path}")'
        yield Place(open_object(path), spelt, among)


def _libraries(request: Request, program: Place) -> list[Place]:
    pattern = str(request.point.components[1].argument)
    found = [p for names, p in libraries_of(program.object.path).items() if _fits(names, p, pattern)]
    if not found and "/" in pattern:  # what is opened at run time
        found = [p for p in sorted(glob.glob(pattern)) if is_elf(p)]
    if not found:
        known = [os.path.basename(p) for p in libraries_of(program.object.path).values()]
        raise Unresolved(
            f"no library '{pattern}' of {program.object.path}", known, "write its path if it is opened later"
        )
    among = program.among
    if among == Processes():
        among = Processes(program=program.object.path)
    paths = dict.fromkeys(os.path.realpath(p) for p in found)
    return [Place(open_object(p), f'{program.prefix}.library("{p}")', among) for p in paths]


def _fits(name: str, path: str, pattern: str) -> bool:
    if "/" in pattern and not set("*?[").intersection(pattern):
        return os.path.realpath(pattern) == os.path.realpath(path)
    return any(fnmatchcase(text, pattern) for text in (name, path, os.path.realpath(path), os.path.basename(path)))


@lru_cache(maxsize=64)
def libraries_of(path: str) -> dict[str, str]:
    """name -> file, of the shared libraries that a program is linked with, at any depth; its loader included."""
    found: dict[str, str] = {}
    pending = [path]
    while pending:
        elf = Elf.open(Path(pending.pop()))
        interp = elf.contents(".interp")
        names = needed_libraries(elf)
        if interp:
            loader = text_of(interp.rstrip(b"\0"))
            found.setdefault(os.path.basename(loader), os.path.realpath(loader))
        for name in names:
            if name not in found:
                where = _search(name, path)
                if where is not None:
                    found[name] = where
                    pending.append(where)
    return found


def library(name: str) -> str | None:
    """Where the loader finds a library by its name."""
    return _search(name, "")


def _search(name: str, program: str) -> str | None:
    if "/" in name:
        return name if os.path.exists(name) else None
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *(_runpath(program) if program else ())]
    for folder in folders:
        if folder and is_elf(os.path.join(folder, name)):
            return os.path.join(folder, name)
    if name in _loader_cache():
        return _loader_cache()[name]
    return next((os.path.join(f, name) for f in _SEARCHED if is_elf(os.path.join(f, name))), None)


@lru_cache(maxsize=16)
def _runpath(program: str) -> tuple[str, ...]:
    found: list[str] = []
    for text in dynamic_texts(Elf.open(Path(program)), (_DT_RPATH, _DT_RUNPATH)):
        found += text.replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", os.path.dirname(program)).split(":")
    return tuple(found)


@lru_cache(maxsize=1)
def _loader_cache() -> dict[str, str]:
    """What ldconfig knows, of this machine's own kind."""
    command = shutil.which("ldconfig", path="/sbin:/usr/sbin:/bin:/usr/bin")
    if command is None:
        return {}
    done = subprocess.run([command, "-p"], capture_output=True, text=True, check=False)
    rows = re.findall(r"^\s*(\S+) \([^)]*x86-64[^)]*\) => (\S+)", done.stdout, re.MULTILINE)
    known: dict[str, str] = {}
    for name, path in rows:
        known.setdefault(name, path)
    return known


def _braces(pattern: str) -> Iterator[str]:
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        yield pattern
        return
    for part in found[1].split(","):
        yield from _braces(pattern[: found.start()] + part + pattern[found.end() :])
