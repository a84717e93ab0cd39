"""Every message of the table has a test that causes it, and everything that the runtime says is in the table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli, paths
from tests.support.kernels import available, can_boot

TESTS = Path(__file__).resolve().parent
SERIES = "6.1"
SAYS = re.compile(
    r'\b(?:stap_fail|stap_fail_format|stap_report_session_error|stap_session_message)\([^;"]*?"((?:[^"\\]|\\.)*)"'
)
RUNNER_SAYS = re.compile(r'\bsay\(((?:\s*"(?:[^"\\]|\\.)*")+)')
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"')
VARIABLE = re.compile(r"%[-#0-9.*]*l*[a-z]|\\n|\\\"")


def rows() -> Iterator[tuple[str, str]]:
    for line in (TESTS / "messages.tsv").read_text().splitlines():
        if not line.startswith("#"):
            message, how = line.split("\t")
            yield message, how


FILES = [(message, how) for message, how in rows() if how[0] not in "$-!"]
COMMANDS = [(message, how.removeprefix("$ pystap ")) for message, how in rows() if how.startswith("$")]
NEVER = [message for message, how in rows() if how.startswith("-")]


@pytest.mark.parametrize(("message", "file"), FILES)
def test_a_file_expects_it(message: str, file: str) -> None:
    assert message in (TESTS / file).read_text()


@pytest.mark.vm
@pytest.mark.parametrize(("message", "command"), COMMANDS)
def test_a_command_says_it(message: str, command: str, capfd: pytest.CaptureFixture[str]) -> None:
    if available(SERIES) is None or can_boot():
        pytest.skip(f"no kernel {SERIES}")
    words = shlex.split(command)
    status = cli.main(words if command.startswith("--vm") else ["-r", SERIES, *words])
    said = capfd.readouterr()
    assert message in said.out + said.err
    assert status in (0, 1)


@pytest.mark.parametrize("message", NEVER)
def test_what_has_no_test_is_never_said(message: str) -> None:
    """Who adds such a message has to give it a test."""
    files = [p for folder in (paths.PACKAGE, paths.tapsets()) for p in folder.rglob("*") if p.suffix in SOURCES]
    assert [p for p in files if f'"{message}' in p.read_text()] == []


SOURCES = (".py", ".h", ".c", ".j2", ".stp")


def said_by_the_runtime() -> Iterator[tuple[str, str]]:
    """The longest fixed part of each text."""
    for path in sorted(paths.runtime().rglob("*.h")):
        for text in SAYS.findall(path.read_text()):
            part = max(VARIABLE.split(text), key=len)
            if len(part.strip()) > 4:
                yield path.name, part


def said_by_the_runner() -> Iterator[tuple[str, str]]:
    """The same of pystap-run, whose texts go over several lines."""
    for path in sorted(paths.runner_sources().glob("*.c")):
        for texts in RUNNER_SAYS.findall(path.read_text()) if path.name != "guest.c" else ():
            part = max(VARIABLE.split("".join(LITERAL.findall(texts))), key=len)
            if len(part.strip()) > 4:
                yield path.name, part


def test_all_that_runtime_and_runner_say_is_in_the_table() -> None:
    known = [message for message, _ in rows()]
    said = [*said_by_the_runtime(), *said_by_the_runner()]
    missing = [(name, part) for name, part in said if not any(m in part or part in m for m in known)]
    assert missing == []
