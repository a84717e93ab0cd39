"""Functions of the library that anybody may call read no memory of the kernel at an address that they are given."""

from __future__ import annotations

import re

from pystap import paths

FUNCTION = re.compile(r"function\s+(\w+)[^\n]*\n?\s*%\{(.*?)%\}", re.DOTALL)
TAGS = ("/* unprivileged */", "/* myproc-unprivileged */")
READS = re.compile(
    r"\b(kread|kwrite|kderef|store_kderef|stap_read_kernel|stap_write_kernel|stap_load_u\d+|stap_load_s\d+|stap_symbol_\w+"
    r"|stap_stack_kernel|stap_stack_task|stap_register|stap_read_string\([^;]*false\))\b"
)


def harmless() -> dict[str, str]:
    found = {}
    for path in sorted(paths.tapsets().rglob("*.stp")):
        for name, body in FUNCTION.findall(path.read_text()):
            if any(tag in body for tag in TAGS):
                found[name] = body
    return found


def test_no_kernel_memory() -> None:
    functions = harmless()
    assert len(functions) > 200
    assert [name for name, body in functions.items() if READS.search(body)] == []


def test_no_pointer_of_an_argument_is_followed() -> None:
    cast = re.compile(r"\*\s*\)\s*\(?(?:unsigned\s+)?(?:long|uintptr_t|u64)?\)?\s*STAP_ARG_")
    assert [name for name, body in harmless().items() if cast.search(body)] == []
