"""gcc's messages in the script writer's words."""

from __future__ import annotations

import pytest

from pystap.build.explain import compiler_failure


class Source:
    files = {"module.c": ""}


def test_an_error_in_embedded_c_names_the_script() -> None:
    text = compiler_failure("In function 'f':\nmine.stp:3:5: error: expected ';' before 'return'\n", Source())
    assert text == "embedded C does not compile:\n  mine.stp:3: expected ';' before 'return'"


def test_an_error_elsewhere_is_ours() -> None:
    text = compiler_failure("/x/runtime/map.h:9:1: error: unknown type name 'u99'\n", Source())
    assert "bug of pystap" in text
    assert "map.h:9: unknown type name 'u99'" in text


def test_no_error_line_at_all() -> None:
    text = compiler_failure("ld: something odd", Source())
    assert text == "the module could not be compiled:\nld: something odd"


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("ld: out of memory", "not enough memory"),
        ("cc1: out of memory allocating 65536 bytes after a total of 303104 bytes", "not enough memory"),
        ("<command-line>: sorry, unimplemented: PCH allocation failure", "not enough memory"),
        ("/usr/lib/cc1: error while loading shared libraries: libc.so.6: failed to map segment", "not enough memory"),
        ("gcc: fatal error: Killed signal terminated program cc1\ncompilation terminated.", "not enough memory"),
        ("module.c:63: fatal error: error writing to /tmp/x.s: No space left on device", "a disk is full"),
        ("/x/prelude.h:6: fatal error: cannot write PCH file\ncompilation terminated.", "a disk is full"),
    ],
)
def test_what_the_machine_lacks(said: str, what: str) -> None:
    text = compiler_failure(f"In file included from x.h:\n{said}\n", Source())
    assert what in text
    assert text.endswith(f"\n  {said.splitlines()[0]}")


def test_words_of_the_script_are_not_the_machines() -> None:
    text = compiler_failure("mine.stp:3:5: error: 'out of memory'\n    3 | f(\"No space left on device\");\n", Source())
    assert text.startswith("embedded C does not compile:\n  mine.stp:3: 'out of memory'")
