"""Print formats as lowering uses them. The parser stands in elaborate/formats.py, where types are checked with it."""

from __future__ import annotations

from pystap.elaborate.formats import (
    MAX_ARGUMENTS,
    ArgType,
    Conversion,
    FormatError,
    Piece,
    argument_types,
    conversions,
    join_format,
    parse_format,
    plain,
)

__all__ = [
    "MAX_ARGUMENTS",
    "ArgType",
    "Conversion",
    "FormatError",
    "Piece",
    "argument_types",
    "conversions",
    "join_format",
    "parse_format",
    "plain",
]
