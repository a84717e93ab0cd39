"""Reads the user's scripts: a file, -e's text or standard input, and the -E texts."""

from __future__ import annotations

import sys
from pathlib import Path

from pystap.diagnostics import PassError
from pystap.options import Options
from pystap.source import SourceFile


def read_scripts(options: Options) -> list[SourceFile]:
    """The user's script and the -E texts; raises StapError where a file cannot be read."""
    scripts: list[SourceFile] = []
    if options.expression is not None:
        scripts.append(SourceFile("<input>", options.expression))
    elif options.script == "-":
        scripts.append(SourceFile("<input>", _text("<input>", sys.stdin.buffer.read())))
    elif options.script is not None:
        scripts.append(SourceFile(options.script, _read(options.script)))
    for number, text in enumerate(options.additional, 1):
        scripts.append(SourceFile(f"<input{number}>", text))
    if scripts and not scripts[0].text.strip():
        raise PassError(1, f"Input file '{scripts[0].name}' is empty.")
    return scripts


def _read(name: str) -> str:
    try:
        return _text(name, Path(name).read_bytes())
    except FileNotFoundError:
        raise PassError(1, f"Input file '{name}' is missing.") from None
    except OSError as error:
        raise PassError(1, f"Input file '{name}' cannot be read: {error.strerror}.") from None


def _text(name: str, data: bytes) -> str:
    """What a file says, without the mark that some editors begin UTF-8 with."""
    if b"\0" in data:
        raise PassError(1, f"Input file '{name}' is not a script: it holds binary data.")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
