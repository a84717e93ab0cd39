"""gcc's messages in the script writer's words."""

from __future__ import annotations

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
    assert compiler_failure("ld: out of memory", Source()).endswith("ld: out of memory")
