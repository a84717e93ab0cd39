"""Type descriptors -> the C tables that runtime/pretty.h walks."""

from __future__ import annotations

from pystap.codegen import names
from pystap.ir import nodes as ir


def descriptor_lines(descriptors: tuple[ir.Descriptor, ...]) -> list[str]:
    """stap_types[] and a table of members for each struct."""
    lines: list[str] = []
    rows = []
    for index, d in enumerate(descriptors):
        members = "NULL"
        if d.members:
            members = f"stap_members_{index}"
            lines.append(f"static const struct stap_member {members}[] = {{")
            lines += [
                f"\t{{ {names.c_string(name)}, {type}, {offset}, {bit_offset}, {bit_size}, {_bases(virtual)} }},"
                for name, type, offset, bit_offset, bit_size, virtual in d.members
            ]
            lines.append("};")
        kind = f"STAP_TYPE_{d.kind.upper()}"
        rows.append(f"\t{{ {kind}, {d.size}, {d.element}, {d.count}, {members}, {len(d.members)} }},")
    return [*lines, "static const struct stap_type stap_types[] = {", *rows, "};"]


def _bases(virtual: tuple[tuple[int, int], ...]) -> str:
    if not virtual:
        return "0, NULL"
    hops = ", ".join(f"{{ {offset}, {before} }}" for offset, before in virtual)
    return f"{len(virtual)}, (const struct stap_virtual_base[]){{ {hops} }}"
