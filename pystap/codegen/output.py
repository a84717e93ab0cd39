"""Printing ops -> C: records of a format's number and its arguments, sprintf in place, pretty printing and regexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.elaborate.formats import Conversion, Piece, parse_format
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pystap.codegen.emit import Emitter

_FLAGS = {"-": "LEFT", "+": "PLUS", " ": "SPACE", "#": "SPECIAL", "0": "ZERO"}


class Output:
    """The part of an Emitter that knows printing."""

    def __init__(self, emitter: Emitter) -> None:
        self._e = emitter

    def print(self, op: ir.Print) -> None:
        """A record with the format's number."""
        e = self._e
        pieces = parse_format(op.format)
        conversions = [p for p in pieces if isinstance(p, Conversion)]
        e.unit.item_bytes(_size(conversions))
        with e.write.block(""):
            spelt = iter(e.ready(op.arguments))
            e.write(f"char *at = stap_print_start(c, STAP_ITEM_PRINT, {e.tables.format(op.format)});")
            e.write("")
            for number, conversion in enumerate(conversions):
                self._print_one(conversion, spelt, op, _behind(conversions[number + 1 :]))
            e.write("stap_print_end(c, at);")
        e.check_if(any(p.letter in "mM" for p in conversions))

    def _print_one(self, conversion: Conversion, spelt: Iterator[str], op: ir.Print, behind: str) -> None:
        e = self._e
        count = "1" if conversion.precision is None else str(conversion.precision)
        if conversion.width == "*":
            e.write(f"at = stap_print_long(at, {next(spelt)});")
        if conversion.precision == "*":
            count = next(spelt)
            e.write(f"at = stap_print_long(at, {count});")
        value = next(spelt)
        if conversion.letter == "s":
            e.write(f"at = stap_print_string(at, {value});")
        elif conversion.letter in "mM":
            user = "true" if "#" in conversion.flags else "false"
            e.write(f"at = stap_print_memory(c, at, {behind}, {value}, {count}, {user}, {e.mark(op.mark)});")
        else:
            e.write(f"at = stap_print_long(at, {value});")

    def sprint(self, op: ir.Sprint) -> None:
        """Formats into a string; one that is an argument too is written last."""
        e = self._e
        pieces = parse_format(op.format)
        with e.write.block(""):
            spelt = e.ready(op.arguments)
            place = e.place(op.place)
            to = e.storage.scratch() if place in spelt else place
            e.write(f"struct stap_sink sink = {{ .buffer = {to}, .size = MAXSTRINGLEN - 1 }};")
            e.write("")
            arguments = iter(spelt)
            for piece in pieces:
                self._sprint_one(piece, arguments, op)
            e.write(f"{to}[sink.used] = 0;")
            if to != place:
                e.write(f"stap_assign({place}, {to});")
        e.check_if(any(isinstance(p, Conversion) and p.letter in "mM" for p in pieces))

    def _sprint_one(self, piece: Piece, spelt: Iterator[str], op: ir.Sprint) -> None:
        e = self._e
        if isinstance(piece, str):
            text = names.c_string(piece)
            e.write(f"stap_put(&sink, {text}, sizeof({text}) - 1);")
            return
        if piece.letter == "s" and piece.plain:
            value = next(spelt)
            e.write(f"stap_put(&sink, {value}, stap_length({value}));")
            return
        with e.write.block(""):
            e.write(f"struct stap_field field = {_field(piece)};")
            e.write("")
            if piece.width == "*":
                e.write(f"stap_field_set_width(&field, {next(spelt)});")
            count = "1" if piece.precision is None else str(piece.precision)
            if piece.precision == "*":
                count = next(spelt)
                e.write(f"stap_field_set_precision(&field, {count});")
            value = next(spelt)
            if piece.letter == "s":
                e.write(f"stap_put_string(&sink, &field, {value}, stap_length({value}));")
            elif piece.letter in "mM":
                user = "true" if "#" in piece.flags else "false"
                e.write(f"stap_sprint_memory(c, &sink, &field, {value}, {count}, {user}, {e.mark(op.mark)});")
            else:
                e.write(f"stap_put_long(&sink, &field, {value});")

    def pretty(self, op: ir.Pretty) -> None:
        """Values by their types' descriptors."""
        e = self._e
        e.unit.needs.add("pretty")
        user = "true" if op.space is ir.Space.USER else "false"
        e.write(f"stap_pretty_start(c, {e.place(op.place)}, {op.depth}, {user});")
        for part in op.parts:
            self._pretty_part(part)
        e.write("stap_pretty_end(c);")

    def _pretty_part(self, part: ir.PrettyPart) -> None:
        e = self._e
        label = names.c_string(part.label)
        if part.joined:
            e.write("stap_pretty_join(c);")
        if part.bare:
            e.write(f"stap_pretty_bare(c, {label});")
        elif part.value is not None:
            e.write(f"stap_pretty_value(c, {label}, {part.type}, {e.value(part.value)});")
        elif part.address is not None:
            e.write(f"stap_pretty_address(c, {label}, {part.type}, {e.value(part.address)});")
        else:
            e.write(f"stap_pretty_unknown(c, {label});")

    def regex(self, op: ir.Regex) -> None:
        """Runs a compiled expression over a text."""
        e = self._e
        e.unit.needs.add("regex")
        e.assign(op.place, f"stap_regex_match(c, &stap_regex_{op.regex}, {e.values.text(op.subject)})")


def _field(conversion: Conversion) -> str:
    flags = " | ".join(f"STAP_FIELD_{_FLAGS[f]}" for f in conversion.flags) or "0"
    width = conversion.width if isinstance(conversion.width, int) else "STAP_FIELD_NONE"
    precision = conversion.precision if isinstance(conversion.precision, int) else "STAP_FIELD_NONE"
    return f"{{ .flags = {flags}, .conversion = '{conversion.letter}', .width = {width}, .precision = {precision} }}"


def _behind(conversions: list[Conversion]) -> str:
    """The C size of the arguments of these conversions; %m and %M have what they ask for, within reason."""
    longs = sum(len(c.arguments) - (c.letter in "smM") for c in conversions)
    strings = sum(c.letter == "s" for c in conversions)
    memory = sum(_memory(c) + 16 for c in conversions if c.letter in "mM")
    return f"{8 * longs + memory} + {strings} * (STAP_STRING_BYTES + 16)"


def _memory(conversion: Conversion) -> int:
    return min(conversion.precision, 4096) if isinstance(conversion.precision, int) else 1024


def _size(conversions: list[Conversion]) -> str:
    """The C size of the longest item that a format makes."""
    return f"sizeof(struct stap_item) + {_behind(conversions)} + 16"
