"""The pure headers of the runtime, compiled in userspace with the sanitizers on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import paths
from pystap.codegen.environment import render
from pystap.codegen.variables import Shape
from pystap.ir import nodes as ir

HERE = Path(__file__).parent
MAPS = (
    ir.Map("a", ("long", "string"), "long"),
    ir.Map("b", ("long",), "string"),
    ir.Map("c", ("long",), "stats"),
)
FLAGS = [
    *("-std=gnu11", "-O1", "-g", "-Wall", "-Werror", "-fwrapv", "-fno-strict-aliasing"),
    *("-Wno-unused-function", "-Wno-unused-variable", "-Wno-address-of-packed-member"),
    *("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-sanitize=shift,signed-integer-overflow"),
]


@pytest.mark.parametrize("length", [512, 100])
@pytest.mark.parametrize("source", sorted(HERE.glob("test_*.c")), ids=lambda p: p.stem)
def test_header(source: Path, length: int, tmp_path: Path) -> None:
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    if length == 100 and source.stem == "test_pretty":
        pytest.skip("its texts are longer than 100 bytes")
    (tmp_path / "shapes.h").write_text(render("map.h.j2", shapes=[Shape.of(m) for m in MAPS]))
    program = tmp_path / source.stem
    folders = [f"-I{HERE / 'shim'}", "-iquote", str(tmp_path), "-iquote", str(paths.runtime())]
    command = ["gcc", *FLAGS, *folders, f"-DMAXSTRINGLEN={length}", "-o", str(program), str(source), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    ran = subprocess.run([str(program)], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
