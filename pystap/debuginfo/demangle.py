"""C++'s and Rust's linker symbols -> names as they are written in the source, without parameters and hashes.

binutils' c++filt knows both languages; it is asked once for all names of a file. Without it names stay as they are.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from fnmatch import fnmatchcase

_MANGLED = ("_Z", "_R")


def demangle(symbols: Iterable[str]) -> dict[str, str]:
    """Symbol -> name, of those symbols that are mangled."""
    mangled = [s for s in symbols if s.startswith(_MANGLED) and s.isprintable() and " " not in s]
    if not mangled:
        return {}
    try:
        done = subprocess.run(
            ["c++filt", "-p", "-i"], input="\n".join(mangled), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return {}
    names = map(_plain, done.stdout.splitlines())
    return {s: name for s, name in zip(mangled, names, strict=False) if name != s}


def scoped(pattern: str) -> tuple[list[str], str]:
    """ns::class::function as its parts; what stands in <> is no part of its own."""
    parts = [""]
    depth = 0
    for piece in re.split(r"(::|[<>])", pattern):
        depth += {"<": 1, ">": -1}.get(piece, 0)
        if piece == "::" and depth == 0:
            parts.append("")
        else:
            parts[-1] += piece
    return parts[:-1], parts[-1]


def fits(name: str, pattern: str) -> bool:
    """Whether a name's last parts match a pattern's parts, as it is with DWARF's names."""
    (scopes, function), (wanted, last) = scoped(name), scoped(pattern)
    around = scopes[-len(wanted) :] if wanted else []
    return len(around) == len(wanted) and fnmatchcase(function, last) and all(map(fnmatchcase, around, wanted))


def _plain(name: str) -> str:
    """Rust's inherent methods and generics are spelt as DWARF spells them: a::B::f<u32>, not <a::B>::f::<u32>."""
    name = re.sub(r" \[clone [^]]*\]", "", name)
    return re.sub(r"^<([^<> ]+)>(?=::)", r"\1", name).replace("::<", "<")
