"""What gcc said about a module, in words for the one who wrote the script.

Embedded C carries #line directives, so gcc names the script itself; anything else is pystap's own mistake and says so.
"""

from __future__ import annotations

import re
from typing import Protocol


class _HasFiles(Protocol):
    @property
    def files(self) -> dict[str, str]: ...


_MESSAGE = re.compile(
    r"^(?P<file>[^:\n]+):(?P<line>\d+)(?::(?P<column>\d+))?: (?:fatal )?error: (?P<text>.*)$", re.MULTILINE
)


# What compilers, assemblers and linkers say when the machine has no more of something; gcc's own, and strerror()'s.
_SPENT = (
    (
        re.compile(
            r"out of memory|cannot allocate memory|PCH allocation failure|memory exhausted|failed to map segment|"
            r"signal terminated program|^Killed$",
            re.IGNORECASE,
        ),
        "the compiler had not enough memory: end something else, or allow more (ulimit -v)",
    ),
    (
        re.compile(r"No space left on device|quota exceeded|File too large|cannot write PCH file", re.IGNORECASE),
        "the compiler had no room for its files: a disk is full, that of the temporary folder (TMPDIR) or of the cache",
    ),
)
_OF_CODE = re.compile(r": (?:error|warning|note): |^\s*\d*\s*\|")  # and the lines of it that are shown


def exhausted(output: str) -> str:
    """That memory or a disk was full, where compilers say so; "" where it was something else."""
    told = [line.strip() for line in output.splitlines() if not _OF_CODE.search(line)]
    for pattern, words in _SPENT:
        for line in filter(pattern.search, told):
            return f"{words}\n  {line}"
    return ""


def compiler_failure(output: str, source: _HasFiles) -> str:
    """The message for a failed compilation: the first errors, at the script's lines where they stem from embedded C."""
    if spent := exhausted(output):
        return spent
    errors = list(_MESSAGE.finditer(output))
    if not errors:
        return f"the module could not be compiled:\n{_tail(output)}"
    in_script = [e for e in errors if not _is_ours(e["file"], source)]
    if in_script:
        lines = [f"{e['file']}:{e['line']}: {e['text']}" for e in in_script[:5]]
        return "embedded C does not compile:\n  " + "\n  ".join(lines)
    lines = [f"{e['file'].rpartition('/')[2]}:{e['line']}: {e['text']}" for e in errors[:5]]
    return (
        "the generated module does not compile for this kernel; this is a bug of pystap "
        "(run with -k -vv and report it):\n  " + "\n  ".join(lines)
    )


def _is_ours(path: str, source: _HasFiles) -> bool:
    """Whether a file that gcc names is generated, of the runtime, or the kernel's, and not a script or tapset."""
    name = path.rpartition("/")[2]
    return name in source.files or name.endswith((".h", "module.c"))


def _tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-10:])
