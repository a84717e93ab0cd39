"""Programs and libraries that a module refers to -> the table of runtime/objects.h."""

from __future__ import annotations

from collections.abc import Sequence

from pystap.codegen import names


def object_lines(paths: Sequence[str]) -> list[str]:
    """The table, in the order of the objects' numbers."""
    from pystap.debuginfo.user import open_object

    lines = ["static struct stap_object stap_objects[] = {"]
    for path in paths:
        bias = open_object(path).text_bias & 0xFFFFFFFFFFFFFFFF
        lines.append(f"\t{{ .path = {names.c_string(path)}, .text_bias = {bias:#x}ULL }},")
    return [*lines, "};", "static const unsigned int stap_object_count = ARRAY_SIZE(stap_objects);"]
