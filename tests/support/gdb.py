"""What gdb says of a program: a script of gdb's Python, and the lines that it prints with a mark before them."""

from __future__ import annotations

import subprocess
from pathlib import Path

MARK = "@ "
# The program's frame at each hit of one of the addresses, out of inlined calls; what is asked there follows.
AT_EACH = """
import gdb
for address in {addresses}:
    gdb.execute(f"break *{{address}}")
gdb.execute("run > /dev/null")
while gdb.selected_inferior().pid:
    frame = gdb.selected_frame()
    while frame.type() == gdb.INLINE_FRAME:
        frame = frame.older()
"""


def answers(program: str | Path, script: str, folder: Path) -> list[str]:
    """The marked lines, without their mark; `folder` takes the script."""
    file = folder / "ask.py"
    file.write_text(script)
    command = ["gdb", "-nx", "-batch", "-x", str(file), str(program)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.removeprefix(MARK) for line in said.splitlines() if line.startswith(MARK)]
