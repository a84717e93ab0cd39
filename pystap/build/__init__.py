"""Pass 4: a module's sources become a .ko, from the cache where the same text was built for the same kernel before."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pystap import kept
from pystap.build import explain, frames, symvers
from pystap.build.kbuild import Recipe, recipe
from pystap.diagnostics import StapError

__all__ = ["BuiltModule", "Source", "build"]


# objtool asks it for the architecture's folder (since v6.10)
_FOLDERS = {"x86_64": "x86", "aarch64": "arm64"}
# Of a script with hundreds of handlers gcc's time is most of what one waits for, and these passes are a fifth of it.
# They order and merge instructions that are there; none of them makes a handler take fewer.
_LARGE = 1 << 18  # bytes of module.c
_LARGE_FLAGS = tuple(
    f"-fno-{name}"
    for name in ("schedule-insns2", "tree-pta", "ipa-cp", "ipa-icf", "tree-slp-vectorize", "tree-loop-vectorize")
)
_ENVIRONMENT = {**os.environ, "SRCARCH": _FOLDERS.get(os.uname().machine, os.uname().machine)}


class Source(Protocol):
    """What codegen hands over: file names and texts; `module.c` is the one that is compiled."""

    @property
    def name(self) -> str: ...
    @property
    def files(self) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class BuiltModule:
    """A loadable module."""

    path: Path
    from_cache: bool


def build(
    source: Source,
    tree: Path,
    *,
    cache: Path,
    runtime: Path,
    use_cache: bool = True,
    variables: tuple[str, ...] = (),
    keep: Path | None = None,
    verbose: int = 0,
) -> BuiltModule:
    """Compiles a module for the kernel whose build tree is given; raises StapError with the compiler's words explained.

    `keep` is a folder that receives the sources (option -k).
    """
    made_by = recipe(tree, cache, runtime, variables)
    key = _key(source, made_by, runtime)
    path = cache / "modules" / key[:2] / f"stap_{key[2:]}.ko"
    if use_cache and kept.whole_elf(path):
        os.utime(path)
        return BuiltModule(path, True)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="new-") as name:
        work = Path(name) if keep is None else keep
        _compile(source, made_by, runtime, work, key, verbose)
        (work / "module.ko").chmod(0o644)
        if keep is None:
            (work / "module.ko").rename(path)
        else:
            shutil.copy(work / "module.ko", path)
    return BuiltModule(path, False)


def _key(source: Source, made_by: Recipe, runtime: Path) -> str:
    digest = hashlib.sha256(f"{made_by.identity}\0{source.name}".encode())
    for name, text in sorted(source.files.items()):
        digest.update(f"{name}\0{len(text)}\0".encode())
        digest.update(text.encode("utf-8", "surrogateescape"))
    digest.update(f"{frames.USUAL} {frames.LARGEST}".encode())
    digest.update(f"{_LARGE} {_LARGE_FLAGS}".encode())
    for file in sorted(runtime.rglob("*.h")):
        stat = file.stat()
        digest.update(f"{file}{stat.st_size}{stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:34]


def _name(source: Source, key: str) -> str:
    """What the kernel calls the module: as -m says, else by its content."""
    return f"stap_{key[:24]}" if source.name == "stap" else source.name


def _compile(source: Source, made_by: Recipe, runtime: Path, work: Path, key: str, verbose: int) -> None:
    for name, text in source.files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    command = made_by.compile_command(work / "module.c", work / "module.o")
    command[-4:-4] = [f"-I{work}", f"-I{runtime}", f"-I{runtime.parent}", f'-DSTAP_MODULE_NAME="{_name(source, key)}"']
    command.insert(-4, "-fstack-usage")
    if len(source.files["module.c"]) > _LARGE:
        command[-4:-4] = _LARGE_FLAGS
    _run(command, made_by.tree, source, verbose)
    frame = frames.largest(work / "module.su")
    frames.check(frame)
    if frame.size > frames.USUAL:
        command.insert(-4, f"-DSTAP_LARGEST_FRAME={frame.size}")
        _run(command, made_by.tree, source, verbose)
    for step in made_by.after_compile:
        _run([*step, str(work / "module.o")], made_by.tree, source, verbose)
    _add_versions(made_by, work)
    _run(["as", "--64", "-o", str(work / "versions.o"), str(work / "versions.S")], made_by.tree, source, verbose)
    link = [*made_by.linker, "-o", str(work / "module.ko"), str(work / "module.o"), str(work / "versions.o")]
    _run(link, made_by.tree, source, verbose)
    for step in made_by.after_link:
        _run([*step, str(work / "module.ko")], made_by.tree, source, verbose)


def _add_versions(made_by: Recipe, work: Path) -> None:
    symbols = symvers.imported((work / "module.o").read_bytes())
    if "module_layout" not in symbols:
        symbols.append("module_layout")
    table = symvers.exports(made_by.tree, set(symbols))
    versions = "module_layout" in table  # CONFIG_MODVERSIONS exports it
    if not versions:
        symbols.remove("module_layout")
    (work / "versions.S").write_text(symvers.assembly(symbols, table, versions))


def _run(command: list[str], tree: Path, source: Source, verbose: int) -> None:
    if verbose > 1:
        print("Running", " ".join(command))
    try:
        done = subprocess.run(command, cwd=tree, capture_output=True, text=True, errors="replace", env=_ENVIRONMENT)
    except FileNotFoundError:
        raise StapError(f"{command[0]} is not installed (apt-get install gcc binutils make)") from None
    if done.returncode != 0:
        raise StapError(explain.compiler_failure(done.stderr or done.stdout, source))
    if verbose > 2 and done.stderr:
        print(done.stderr.rstrip())
