"""ast.File <-> bytes: parsed library files as the cache keeps them. Quicker and smaller than pickling them."""

from __future__ import annotations

import gc
import marshal
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from pystap.source import SourceFile, Span
from pystap.syntax import ast
from pystap.syntax.walk import node_fields

# A node is (class number, span number, field...); a field that can hold nodes is one, a tuple of them, or None.
_KINDS: tuple[type[ast.Node], ...] = tuple(
    kind for kind in vars(ast).values() if isinstance(kind, type) and issubclass(kind, ast.Node)
)
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_FIELDS: list[tuple[str, ...]] = [
    tuple(f.name for f in fields(kind) if f.name not in ("span", "source")) for kind in _KINDS
]
_INNER: list[tuple[bool, ...]] = [
    tuple(name in node_fields(kind) for name in names) for kind, names in zip(_KINDS, _FIELDS, strict=True)
]
_INNER_AT = [tuple(at for at, inner in enumerate(row) if inner) for row in _INNER]
IDENTITY = repr([(kind.__name__, names) for kind, names in zip(_KINDS, _FIELDS, strict=True)])


def encode(file: ast.File) -> bytes:
    """A parsed file without its text."""
    return marshal.dumps(_Encoder(file.source).file(file))


def decode(data: bytes, source: SourceFile, other: Callable[[str], SourceFile]) -> ast.File:
    """The file again; `other` finds the sources of macros by name. ValueError (or the like): it is not whole."""
    names, spans, items = marshal.loads(data)
    sources = [source, *map(other, names)]
    collecting = gc.isenabled()
    gc.disable()  # nothing made here dies here, and the collector would look at all of it again and again
    try:
        decoder = _Decoder(sources, spans)
        return ast.File(source, tuple(map(decoder.node, items)), span=Span(source, 0, 0))
    finally:
        if collecting:
            gc.enable()


class _Encoder:
    def __init__(self, source: SourceFile) -> None:
        self.files: dict[SourceFile, int] = {source: 0}
        self.numbers: dict[Span, int] = {}
        self.spans: list[tuple[int, ...]] = []

    def file(self, file: ast.File) -> tuple[Any, ...]:
        items = tuple(map(self.node, file.items))
        return tuple(f.name for f in self.files if f is not file.source), self.spans, items

    def node(self, node: ast.Node) -> tuple[Any, ...]:
        number = _NUMBERS[type(node)]
        row: list[Any] = [number, self.span(node.span)]
        for name, inner in zip(_FIELDS[number], _INNER[number], strict=True):
            value = getattr(node, name)
            row.append(self.inner(value) if inner else value)
        return tuple(row)

    def inner(self, value: Any) -> Any:
        if type(value) is tuple:
            return tuple(map(self.node, value))
        return self.node(value) if isinstance(value, ast.Node) else value

    def span(self, span: Span) -> int:
        known = self.numbers.get(span)
        if known is not None:
            return known
        via = () if span.via is None else (self.span(span.via),)
        file = self.files.setdefault(span.file, len(self.files))
        row = (span.start, span.end) if not via and not file else (span.start, span.end, file, *via)
        self.numbers[span] = len(self.spans)
        self.spans.append(row)
        return self.numbers[span]


class _Decoder:
    def __init__(self, sources: list[SourceFile], spans: list[tuple[int, ...]]) -> None:
        self.spans: list[Span] = []
        main = sources[0]
        for row in spans:
            if len(row) == 2:
                self.spans.append(Span(main, row[0], row[1]))
            else:
                via = self.spans[row[3]] if len(row) == 4 else None
                self.spans.append(Span(sources[row[2]], row[0], row[1], via))

    def node(self, row: tuple[Any, ...]) -> Any:
        number, span, *values = row
        for at in _INNER_AT[number]:
            value = values[at]
            if type(value) is tuple and value:
                values[at] = self.node(value) if type(value[0]) is int else tuple(map(self.node, value))
        return _KINDS[number](*values, span=self.spans[span])
