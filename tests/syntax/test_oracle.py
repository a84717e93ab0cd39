"""The same text to `stap -p1` and to us: equal trees. Skipped where stap is not installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pystap.diagnostics import Diagnostics, Severity
from pystap.library import Library
from pystap.source import SourceFile
from pystap.syntax.parser import parse_script
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.unparse import unparse_file

STAP = shutil.which("stap")
EXAMPLES = Path("/usr/share/systemtap/examples")
TAPSET = Path("/usr/share/systemtap/tapset")
pytestmark = [pytest.mark.oracle, pytest.mark.skipif(STAP is None, reason="stap is not installed")]


def release() -> str | None:
    """A kernel that stap can parse for: one whose headers are installed."""
    trees = sorted(Path("/lib/modules").glob("*/build/.config"))
    return trees[0].parent.parent.name if trees else None


@cache
def kconfig() -> dict[str, str]:
    text = Path(f"/lib/modules/{release()}/build/.config").read_text()
    pairs = (line.split("=", 1) for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value.strip('"') for name, value in pairs}


def ask_stap(path: Path, arguments: tuple[str, ...]) -> str | None:
    assert STAP
    command = [STAP, "-r", str(release()), "-g", "-w", "-p1", str(path), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60, check=False)
    return done.stdout.split("\n", 2)[2] if done.returncode == 0 else None


def ask_us(path: Path, arguments: tuple[str, ...]) -> str | None:
    diagnostics = Diagnostics()
    context = PreprocessContext(
        kernel_release=str(release()), kconfig=kconfig(), guru=True, compatible="4.8", arguments=arguments
    )
    library = Library([TAPSET], context, diagnostics)
    source = SourceFile(str(path), path.read_text(encoding="utf-8", errors="surrogateescape"))
    file = parse_script(source, context, library, diagnostics)
    failed = any(d.severity is not Severity.WARNING for d in diagnostics.items)
    return None if failed else unparse_file(file)


def comparable(text: str) -> str:
    """Without what the two spell differently on purpose: escapes in literals, @const, epilogues that stap omits."""
    text = re.sub(r"%\{ /\* pure \*/ /\* unprivileged \*/ /\* stable \*/ (.*?) %\}", r"@const(\1)", text)
    text = re.sub(r'@const\("(.*?)"\)', r"@const(\1)", text)
    text = re.sub(r"\n\}, \{\n(.*?\n)\}(?=\n(?:probe |function |\Z))", "\n}", text.rstrip("\n") + "\n", flags=re.DOTALL)
    return re.sub(r"\\+", r"\\", text).rstrip()


SCRIPTS = sorted(EXAMPLES.rglob("*.stp"))


@pytest.mark.skipif(release() is None, reason="no kernel headers are installed")
@pytest.mark.parametrize("chunk", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 8))])
def test_example_scripts(chunk: int) -> None:
    """All of stap's example scripts: what it parses we parse, into the same tree."""
    different = []
    read = 0
    for path in SCRIPTS[chunk::8]:
        for arguments in (("1000", "2", "3"), ("process", "begin", "a.b", "c", "d")):
            theirs = ask_stap(path, arguments)
            if theirs is not None:
                break
        else:
            continue
        read += 1
        ours = ask_us(path, arguments)
        if ours is None or comparable(ours) != comparable(theirs):
            different.append(path.name)
    assert not different
    assert read >= len(SCRIPTS[chunk::8]) * 0.9


@pytest.mark.skipif(release() is None, reason="no kernel headers are installed")
def test_installed_tapset(tmp_path: Path) -> None:
    """All files of stap's own library, which `-v -p1` prints."""
    assert STAP
    script = tmp_path / "one.stp"
    script.write_text("probe begin { print(1) }")
    command = [STAP, "-r", str(release()), "-w", "-v", "-p1", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=60, check=False)
    sections = dict(part.split("\n", 1) for part in done.stdout.split("# file ")[1:])
    diagnostics = Diagnostics()
    context = PreprocessContext(kernel_release=str(release()), kconfig=kconfig(), compatible="4.8")
    library = Library([TAPSET], context, diagnostics, use_cache=False)
    different = []
    compared = 0
    for index in library.indexes():
        if index.path.suffix == ".stp" and str(index.path) in sections:
            compared += 1
            ours = unparse_file(library.file(index.path))
            if comparable(ours) != comparable(sections[str(index.path)]):
                different.append(index.path.name)
    assert not diagnostics.items
    assert compared > 100
    assert set(different) <= {"ansi.stp"}  # writes \12 where we write \n
