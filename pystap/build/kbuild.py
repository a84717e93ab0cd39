"""Learns once per kernel how its own build system compiles a module, then compiles without make.

kbuild takes most of its second for make, modpost and header parsing. A recipe keeps the very command lines that
kbuild used for a trial module (the `.cmd` files, Documentation/kbuild/makefiles.rst "Command change detection") and
a precompiled header of runtime/kernel.h; a module is then one gcc, one objtool, one as and one ld run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pystap import kept
from pystap.build import capabilities
from pystap.build.explain import exhausted
from pystap.diagnostics import StapError

_VERSION = 7  # of the recipe's own layout: part of its cache key
_TRIAL = """#include <linux/module.h>
static int __init trial_init(void) { return 0; }
static void __exit trial_exit(void) { }
module_init(trial_init);
module_exit(trial_exit);
MODULE_LICENSE("GPL");
"""
# Headers that bring a vmlinux (Debian's since 6.12) would give the trial BTF with pahole, which few have installed.
_NO_BTF = ("CONFIG_DEBUG_INFO_BTF_MODULES=",)
# Handlers must not be traced themselves, and nobody reads a module's DWARF.
_DROPPED = {"-g", "-pg", "-mrecord-mcount", "-mfentry"}
# -DKBUILD_MODNAME and its kin are fixed, so that one precompiled header serves every module.
_NAMES = ("-DKBUILD_BASENAME=", "-DKBUILD_MODNAME=", "-D__KBUILD_MODNAME=", "-DKBUILD_MODFILE=", "-Wp,-MMD", "-Wp,-MD")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How modules are made for one kernel build tree. Command lines are argument lists, run in `tree`."""

    tree: Path
    folder: Path  # in the cache: prelude.h[.gch], kernel.h, capabilities.h, module_info.h
    compiler: tuple[str, ...]  # without -c, -o, source and -include
    after_compile: tuple[tuple[str, ...], ...]  # objtool on the object, the last word replaced
    linker: tuple[str, ...]  # ld -r ..., without -o and inputs
    after_link: tuple[tuple[str, ...], ...]
    identity: str  # digest of all that decides the result: part of a module's cache key

    def compile_command(self, source: Path, output: Path) -> list[str]:
        """The gcc line for one C file."""
        prelude = ["-include", str(self.folder / "prelude.h")]
        return [*self.compiler, f"-I{self.folder}", *prelude, "-c", "-o", str(output), str(source)]


def recipe(tree: Path, cache: Path, runtime: Path, variables: tuple[str, ...] = ()) -> Recipe:
    """The recipe of a kernel build tree (`/lib/modules/R/build`), from the cache or from a trial build of about 3 s."""
    identity = _identity(tree, runtime, variables)
    folder = cache / "recipes" / identity
    if not kept.intact(folder):
        _make(folder, tree, runtime, identity, variables)
    return _load(folder)


def _identity(tree: Path, runtime: Path, variables: tuple[str, ...]) -> str:
    """What decides a recipe: the tree, its symbol versions, the prelude's text, and this code."""
    digest = hashlib.sha256(f"{_VERSION}{tree}{variables}{capabilities.identity()}".encode())
    for name in ("Module.symvers", "include/config/kernel.release", "include/generated/autoconf.h", ".config"):
        try:
            stat = (tree / name).stat()
        except OSError:
            continue
        digest.update(f"{name}{stat.st_size}{stat.st_mtime_ns}".encode())
    digest.update((runtime / "kernel.h").read_bytes())
    digest.update(_compiler_version(tree).encode())
    return digest.hexdigest()[:24]


def _compiler_version(tree: Path) -> str:
    """The path, size and time of the gcc that the kernel was built with: cheaper than asking it."""
    name = compiler_name(tree)
    path = shutil.which(name)
    if path is None:
        package = name if name.startswith("gcc") else "gcc"
        raise StapError(
            f"the compiler {name}, which this kernel was built with, is not installed (apt-get install {package})"
        )
    stat = os.stat(path)
    return f"{os.path.realpath(path)}{stat.st_size}{stat.st_mtime_ns}"


def compiler_name(tree: Path) -> str:
    """The compiler that the tree's makefiles ask for: Debian's headers pin one (`CC = ... gcc-12`)."""
    try:
        text = (tree / ".kernelvariables").read_text()
    except OSError:
        return "gcc"
    found = re.search(r"^(?:override )?CC\s*:?=.*?(gcc(?:-\d+)?)\s*$", text, re.MULTILINE)
    return found.group(1) if found else "gcc"


def _check_name(folder: Path, remedy: str) -> None:
    """Makefiles take the names of folders apart, and hand them to a shell as they are."""
    odd = re.search(r"[^\w/.,+@~-]", str(folder))
    if odd:
        raise StapError(
            f"no kernel module can be built in {folder}: makefiles do not take {odd[0]!r} in a name; {remedy}"
        )


def _make(folder: Path, tree: Path, runtime: Path, identity: str, variables: tuple[str, ...]) -> None:
    """Builds the trial module with kbuild and keeps what it did; the folder appears whole or not at all."""
    _check_name(tree, "give the kernel's build tree another path (a link)")
    _check_name(folder.parent, "set PYSTAP_CACHE to another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="new-") as name:
        work = Path(name)
        trial = work / "trial"
        trial.mkdir()
        (trial / "trial.c").write_text(_TRIAL)
        (trial / "Kbuild").write_text("obj-m := trial.o\n")
        command = ["make", "-s", "-C", str(tree), f"M={trial}", *_NO_BTF, *variables, "modules"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise StapError("make is not installed (apt-get install make gcc)") from None
        if done.returncode != 0 or not (trial / "trial.ko").exists():
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
            raise StapError(
                exhausted(done.stderr) or f"the kernel headers in {tree} cannot build even an empty module:\n{tail}"
            )
        _keep(work, trial, tree, runtime, identity)
        shutil.rmtree(trial)
        kept.seal(work)
        try:
            work.rename(folder)
        except OSError:  # another pystap was faster
            if not folder.exists():
                raise
        else:
            work.mkdir()  # for TemporaryDirectory to remove


def _keep(work: Path, trial: Path, tree: Path, runtime: Path, identity: str) -> None:
    compile_line, *after_compile = _commands(trial / ".trial.o.cmd")
    link_line, *after_link = _commands(trial / ".trial.ko.cmd")
    compiler, included = _split_compiler(compile_line, trial)
    facts = {
        "tree": str(tree.resolve()),
        "compiler": compiler,
        "after_compile": [a[:-1] for a in after_compile if _of_trial(a[-1], trial)],
        "linker": [w for w in _without_output(link_line) if not _of_trial(w, trial)],
        "after_link": [a[:-1] for a in after_link if _of_trial(a[-1], trial)],
        "identity": identity,
    }
    (work / "capabilities.h").write_text(capabilities.header(tree))
    (work / "module_info.h").write_text(_module_info(_module_text(trial, tree)))
    prelude = [f'#include "{tree / path}"' for path in included]  # a tree of one piece has relative ones
    prelude += ['#include "capabilities.h"', '#include "kernel.h"']
    (work / "kernel.h").write_bytes((runtime / "kernel.h").read_bytes())  # the cache outlives an installation
    (work / "prelude.h").write_text("\n".join(prelude) + "\n")
    command = [*compiler, f"-I{work}", "-x", "c-header", "-o", str(work / "prelude.h.gch"), str(work / "prelude.h")]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        raise StapError(exhausted(done.stderr) or f"the kernel's headers do not compile:\n{done.stderr.strip()}")
    (work / "recipe.json").write_text(json.dumps(facts))


def _commands(cmd_file: Path) -> list[list[str]]:
    """The command lines that a .cmd file saved (`cmd_x := a ; b`; `savedcmd_x` since v6.3, 92215e7a801d)."""
    line = cmd_file.read_text().partition("\n")[0].partition(":=")[2]
    words = shlex.split(line, posix=True)
    commands: list[list[str]] = [[]]
    for word in words:
        if word.endswith(";"):
            if word[:-1]:
                commands[-1].append(word[:-1])
            commands.append([])
        else:
            commands[-1].append(word)
    return [c for c in commands if c and c != ["true"]]


def _split_compiler(line: list[str], trial: Path) -> tuple[list[str], list[str]]:
    """kbuild's gcc line as (arguments that hold for every module, headers that it includes first)."""
    arguments: list[str] = []
    included: list[str] = []
    words = iter(_without_output(line))
    for word in words:
        if word == "-include":
            included.append(next(words))
        elif word not in _DROPPED and word != "-c" and not word.startswith(_NAMES) and not _of_trial(word, trial):
            arguments.append(word)
    prefix = "kmod_" if "-D__KBUILD_MODNAME=kmod_trial" in line else ""  # newer kernels have none
    arguments += ['-DKBUILD_BASENAME="stap"', '-DKBUILD_MODNAME="stap"', f"-D__KBUILD_MODNAME={prefix}stap"]
    arguments += ['-DKBUILD_MODFILE="stap"', "-Winvalid-pch"]
    return arguments, included


def _of_trial(word: str, trial: Path) -> bool:
    """Whether a word is a file of the trial module; kbuild names them from there since v6.13 (13b25489b6f8)."""
    path = Path(os.path.normpath(trial / word))
    return path.is_relative_to(trial) and path.is_file()


def _without_output(line: list[str]) -> list[str]:
    words = iter(line)
    kept: list[str] = []
    for word in words:
        if word == "-o":
            next(words)
        else:
            kept.append(word)
    return kept


def _module_text(trial: Path, tree: Path) -> str:
    """What modpost wrote; since v6.12 (37d0b1cbbd69) the version magic comes from an object that all modules share."""
    text = (trial / "trial.mod.c").read_text()
    return text if "vermagic" in text else (tree / "scripts/module-common.c").read_text() + text


def _module_info(text: str) -> str:
    """modpost's trial.mod.c without the trial's symbol versions and name: the part that every module shares."""
    lines: list[str] = []
    skipping = False
    for line in text.splitlines():
        if line.startswith("static const struct modversion_info") or line.startswith("KSYMTAB"):
            skipping = True
        if not skipping and not line.startswith(("MODULE_INFO(depends", "MODULE_INFO(srcversion", "MODULE_INFO(name")):
            lines.append(line.replace("KBUILD_MODNAME", "STAP_MODULE_NAME"))
        if skipping and line.startswith("};"):
            skipping = False
    lines.append("MODULE_INFO(name, STAP_MODULE_NAME);")
    return "\n".join(lines) + "\n"


def _load(folder: Path) -> Recipe:
    facts = json.loads((folder / "recipe.json").read_text())
    return Recipe(
        tree=Path(facts["tree"]),
        folder=folder,
        compiler=tuple(facts["compiler"]),
        after_compile=tuple(map(tuple, facts["after_compile"])),
        linker=tuple(facts["linker"]),
        after_link=tuple(map(tuple, facts["after_link"])),
        identity=facts["identity"],
    )
