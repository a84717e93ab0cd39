"""Every C identifier that pystap invents, and script text spelt for C: literals and comments that cannot break out."""

from __future__ import annotations

import re

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def identifier(text: str) -> str:
    """A script name that is one of C too; anything else is our mistake."""
    assert _IDENTIFIER.match(text), f"{text!r} is no identifier"
    return text


def handler(index: int) -> str:
    """A probe body."""
    return f"p_{index}"


def function(id: str) -> str:
    """A script function."""
    return f"f_{identifier(id)}"


def variable(name: str) -> str:
    """A global."""
    return f"g_{identifier(name)}"


def local(name: str) -> str:
    """A local or parameter."""
    return f"l_{identifier(name)}"


def argument(name: str) -> str:
    """A string parameter as it was passed, before any copy."""
    return f"a_{identifier(name)}"


def temporary(number: int) -> str:
    """A temporary of lowering."""
    return f"t{number}"


def literal(index: int) -> str:
    """A string constant."""
    return f"stap_text_{index}"


def encode(text: str) -> bytes:
    """A script string's bytes: undecodable ones came through as lone surrogates."""
    return text.encode("utf-8", "surrogateescape")


def c_string(text: str) -> str:
    """A C string literal; every unusual byte as three octal digits, so that no sequence can continue it."""
    return '"' + "".join(map(_C_BYTE.__getitem__, encode(text))) + '"'


def _spell(byte: int) -> str:
    if byte in b'"\\?' or byte < 32 or byte > 126:
        return f"\\{byte:03o}"
    return chr(byte)


_C_BYTE = tuple(_spell(byte) for byte in range(256))


def c_comment(text: str) -> str:
    """Text that stays inside a C comment."""
    safe = text.replace("*/", "* /").replace("/*", "/ *").replace("\\\n", "\\ \n")
    return "".join(c if c in "\n\t" or " " <= c <= "~" else "." for c in safe)


def c_number(value: int) -> str:
    """A signed 64-bit constant."""
    value = (value + 2**63) % 2**64 - 2**63
    if value == -(2**63):
        return "(-9223372036854775807LL - 1)"
    return f"{value}LL" if value >= 0 else f"({value}LL)"
