"""The README's commands run as they stand and print what it shows; its tables name every example."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import available, can_boot

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
EXAMPLES = sorted((ROOT / "examples").glob("*.stp"))
PROMPT = "    # "
SELDOM = ("...", "value |")  # lines that stand for others, and from where figures decide what is printed


def sessions() -> list[tuple[str, list[str]]]:
    """Each command that a prompt stands before, and what the README shows below it."""
    found: list[tuple[str, list[str]]] = []
    for line in README.splitlines():
        if line.startswith(PROMPT):
            found.append((line.removeprefix(PROMPT), []))
        elif found and line.startswith("    ") and not _complete(found[-1][0]):
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found and line.startswith("    "):
            found[-1][1].append(line)
        elif line.startswith(("#", "`", "[")):
            found.append(("", []))
    return [(command, shown) for command, shown in found if command.startswith("pystap")]


def _complete(command: str) -> bool:
    return command.count("'") % 2 == 0


def _shape(line: str) -> str:
    """A line without its figures, its spaces, and what debug-info adds to a point."""
    return re.sub(r"\d+", "N", re.sub(r'@[^"]*"\)', '")', "".join(line.split())))


def _begins(wanted: str, printed: tuple[str, ...]) -> bool:
    return any(line.startswith(wanted) for line in printed)


def test_there_are_some() -> None:
    assert len(sessions()) >= 7


@pytest.mark.vm
@pytest.mark.parametrize("number", range(len(sessions())))
def test_command(number: int) -> None:
    if reason := can_boot() or ("" if available("6.1") else "no kernel 6.1: pystap-prep 6.1"):
        pytest.skip(reason)
    command, shown = sessions()[number]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
    printed = tuple(_shape(line) for line in done.stdout.splitlines())
    histogram = next((k for k, line in enumerate(shown) if SELDOM[1] in line), len(shown))
    wanted = [line for line in shown[:histogram] if not line.strip().startswith(SELDOM[0])]
    assert not [line for line in wanted if not _begins(_shape(line), printed)], done.stdout
    assert histogram == len(shown) or any(SELDOM[1] in line for line in done.stdout.splitlines())


def _summary(example: Path) -> str:
    """The first sentence of an example's header."""
    lines = []
    for line in example.read_text().splitlines()[1:]:
        if not line.startswith("# ") or re.match(r"# [a-z]+: ", line):
            break
        lines.append(line.removeprefix("# "))
    return re.split(r"(?<=[a-z)])\. ", " ".join(lines))[0].rstrip(".")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.stem)
def test_example_is_listed(example: Path) -> None:
    name = example.stem
    assert f"[{name}](examples/{name}.stp)" in README
    assert f"| [{name}]({name}.stp) | {_summary(example)} |\n" in (ROOT / "examples" / "README.md").read_text()


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "examples" / "README.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
        assert links
        assert not [link for link in links if not (page.parent / link).exists()]
