"""Values of variables beside gdb's, at many places of an optimized program with loops, structs and inlined calls."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.gdb import AT_EACH, MARK, answers
from tests.vm.conftest import Bench

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("gdb") is None, reason="no gdb: apt install gdb"),
]

# What is asked for wherever a statement of the function begins: as gdb spells it.
ASKED = {
    "survey": (
        "list", "scale", "b", "w", "heaviest", "total", "most", "count", "sum.x", "sum.y", "b->at.y", "b->mass",
        "b->kind", "b->flags", "b->spin[2]", "b->next->at.x", "heaviest->name[1]",
    ),
    "sift": ("text", "length", "i", "k", "c", "hash", "row[3]", "row[7]", "text[2]"),
    "add": ("x", "mass", "i", "made", "made->at.x", "made->mass", "made->kind", "list->mass", "name[0]", "list"),
}  # fmt: skip
GDB = AT_EACH + """\
    frame.select()
    said = []
    for name in {asked}[frame.name()]:
        try:
            said.append(str(int(gdb.parse_and_eval(name)) & 0xFFFFFFFFFFFFFFFF))
        except (gdb.error, gdb.MemoryError):
            said.append("?")
    print("@", hex(frame.pc()), *said)
    gdb.execute("continue")
"""


def _ours(name: str) -> str:
    """An expression of gdb as a script's, that fails no probe."""
    spelt = "$" + name.replace(".", "->")
    return f'try {{ printf(" %s", @defined({spelt}) ? sprint({spelt}) : "?") }} catch {{ printf(" ?") }}'


def test_values_are_gdb_s(bench: Bench, tmp_path: Path) -> None:
    """Scalars, members, bit-fields and elements; what gdb knows pystap knows too, and says the same."""
    body = 'printf("@ %#x", uaddr()) {} println()'
    script = "\n".join(
        f'probe process("PROGRAMS/looped").statement("{function}@*:*") {{ {body.format(" ".join(map(_ours, names)))} }}'
        for function, names in ASKED.items()
    )
    ours = [line.split()[1:] for line in bench.run(script, "PROGRAMS/looped") if line.startswith(MARK)]
    addresses = sorted({line[0] for line in ours})
    asked = GDB.format(asked=ASKED, addresses=addresses)
    theirs = [line.split() for line in answers(bench.programs / "looped", asked, tmp_path)]
    assert [line[0] for line in ours] == [line[0] for line in theirs]
    assert len(addresses) >= 20
    assert _differing(ours, theirs) == []
    assert sum(value != "?" for line in theirs for value in line[1:]) > 300


def _differing(ours: list[list[str]], theirs: list[list[str]]) -> list[str]:
    """Values that are not gdb's; of pointers into the heap, which lies elsewhere in each run, whether they are null."""
    found = []
    for mine, other in zip(ours, theirs, strict=True):
        names = next(n for n in ASKED.values() if len(n) == len(other) - 1)
        for name, value, right in zip(names, mine[1:], other[1:], strict=True):
            pointer = name in ("list", "b", "heaviest", "made")
            unset = name.startswith("row") and other[1 + names.index("k")] == "?"  # before the loop that adds it up
            if right != "?" and not unset and not _same(value, right, pointer):
                found.append(f"{other[0]} {name}: {value}, gdb says {right}")
    return found


def _same(value: str, right: str, pointer: bool) -> bool:
    if value == "?":
        return False
    return (value == "0") == (right == "0") if pointer else int(value) & 0xFFFFFFFFFFFFFFFF == int(right)
