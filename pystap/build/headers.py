"""C headers -> the types that they declare, by compiling them with BTF: @cast(p, "struct x", "kernel<linux/x.h>")."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pystap import kept, paths
from pystap.diagnostics import Unresolved

if TYPE_CHECKING:
    from pystap.build.kbuild import Recipe
    from pystap.debuginfo.btf import Btf

_WITH_TYPES = ("-gbtf", "-fno-eliminate-unused-debug-types")  # gcc 12 and later


def finder(tree: Path | None, cache: Path, runtime: Path, variables: tuple[str, ...] = ()) -> Callable[[str], Btf]:
    """A function from `kernel<linux/x.h>` (for a kernel tree) or `<sys/x.h>` (for programs) to its types."""
    known: dict[str, Btf] = {}

    def types(name: str) -> Btf:
        if name not in known:
            known[name] = _types(name, tree, cache, runtime, variables)
        return known[name]

    return types


def _types(name: str, tree: Path | None, cache: Path, runtime: Path, variables: tuple[str, ...]) -> Btf:
    from pystap.build.kbuild import recipe
    from pystap.debuginfo.btf import Btf

    header = name.removeprefix("kernel").strip("<>")
    made_by = None
    if name.startswith("kernel<"):
        if tree is None:
            raise Unresolved(f"cannot compile <{header}>: there are no kernel headers")
        made_by = recipe(tree, cache, runtime, variables)
    key = hashlib.sha256(f"kept {name} {made_by.identity if made_by else ''}".encode()).hexdigest()[:32]
    place = cache / "headers" / f"{key}.btf"
    blob = kept.read(place)
    if blob is None:
        blob = _compiled(header, made_by)
        place.parent.mkdir(parents=True, exist_ok=True)
        kept.write(place, blob)
    return Btf(blob, name=header)


def _compiled(header: str, made_by: Recipe | None) -> bytes:
    from pystap.debuginfo.elf import Elf

    with tempfile.TemporaryDirectory(prefix="stap", dir=paths.temporary()) as work:
        source, result = Path(work, "types.c"), Path(work, "types.o")
        source.write_text(f"#include <{header}>\n")
        command = _command(source, result, made_by)
        folder = made_by.tree if made_by else work
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            first = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise Unresolved(f"cannot compile <{header}>: {first}")
        blob = Elf.open(result).contents(".BTF")
    if not blob:
        raise Unresolved(f"<{header}> declares no types, or {command[0]} writes no BTF", hint="gcc 12 or later does")
    return blob


def _command(source: Path, result: Path, made_by: Recipe | None) -> list[str]:
    if made_by is None:
        return ["gcc", *_WITH_TYPES, "-w", "-c", "-o", str(result), str(source)]
    words = [w for w in made_by.compile_command(source, result) if w != "-Winvalid-pch"]  # made without -gbtf
    return [*words, *_WITH_TYPES, "-w"]
