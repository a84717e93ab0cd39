"""The print family -> one Print or Sprint with a normalised format; histograms -> charts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.elaborate.formats import Conversion, Piece, join_format, parse_format, plain
from pystap.ir import nodes as ir
from pystap.lower.body import Core, TextPlace
from pystap.lower.marks import first_token
from pystap.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Prints(Core):
    """Lowering of printing."""

    __slots__ = ()

    def print(self, e: ast.Print) -> None:
        """Any of print, println, printd, printdln, printf, print_char."""
        chart = _chart(e)
        if chart is not None:
            with self.scratch():
                self._print_chart(e, chart)
            return
        with self.scratch():
            text, arguments = self._formatted(e)
            if text:
                self.emit(ir.Print(text, arguments, mark=first_token(e.span)))

    def sprint(self, e: ast.Print, place: TextPlace) -> ir.Str:
        """Any of sprint, sprintln, sprintd, sprintdln, sprintf."""
        chart = _chart(e)
        if chart is not None:
            return self._sprint_chart(e, chart)
        with self.scratch():
            text, arguments = self._formatted(e)
            if not arguments:
                return ir.Literal(text.replace("%%", "%"))
            self.emit(ir.Sprint(place, text, arguments, mark=first_token(e.span)))
        return place

    def _formatted(self, e: ast.Print) -> tuple[str, tuple[ir.Arg, ...]]:
        for argument in e.arguments:
            type_ = self.type_of(argument)
            if type_ == "stats" or (e.name == "print_char" and type_ == "string"):
                self.refuse(argument, "print format actual argument evaluation type unsupported")
        pieces = self._pieces(e)
        return folded(pieces, self.values(e.arguments))

    def _pieces(self, e: ast.Print) -> tuple[Piece, ...]:
        if e.format is not None:
            return parse_format(e.format)
        if e.name == "print_char":
            return (plain("c"),)
        between = e.delimiter or ""
        pieces: list[Piece] = []
        for k, argument in enumerate(e.arguments):
            pieces += [between] if k and between else []
            pieces.append(plain("s" if self.type_of(argument) == "string" else "d"))
        return (*pieces, "\n") if e.name.endswith("ln") else tuple(pieces)

    # --- charts ---

    def _print_chart(self, e: ast.Print, chart: ast.HistOp) -> None:
        mark = first_token(e.span)
        self.emit(ir.PrintHist(self._chart_stat(chart), ir.Hist(chart.linear), mark=mark))
        if e.name == "println":
            self.emit(ir.Print("\n", (), mark=mark))

    def _sprint_chart(self, e: ast.Print, chart: ast.HistOp) -> ir.Str:
        mark = first_token(e.span)
        place = self.text_temp()
        with self.scratch():
            self.emit(ir.SprintHist(place, self._chart_stat(chart), ir.Hist(chart.linear), mark=mark))
        if e.name == "sprintln":
            self.emit(ir.Concat(place, place, ir.Literal("\n")))
        return place

    def _chart_stat(self, chart: ast.HistOp) -> ir.StatRef:
        if isinstance(chart.stat, ast.Name):
            return ir.StatRef(chart.stat.name)
        assert isinstance(chart.stat.base, ast.Name)
        return ir.StatRef(chart.stat.base.name, self.values(chart.stat.keys))


def _chart(e: ast.Print) -> ast.HistOp | None:
    """The histogram that a print shows, if it does."""
    if len(e.arguments) == 1 and isinstance(e.arguments[0], ast.HistOp):
        return e.arguments[0]
    return None


def folded(pieces: Sequence[Piece], arguments: Sequence[ir.Arg]) -> tuple[str, tuple[ir.Arg, ...]]:
    """The format and its arguments, with constants printed plainly made part of the format."""
    left: list[ir.Arg] = []
    out: list[Piece] = []
    following = iter(arguments)
    for piece in pieces:
        if isinstance(piece, str):
            out.append(piece)
            continue
        taken = [next(following) for _ in piece.arguments]
        constant = _constant(piece, taken[-1])
        if constant is None:
            out.append(piece)
            left += taken
        else:
            out.append(constant)
    return join_format(tuple(_merged(out))), tuple(left)


def _constant(conversion: Conversion, argument: ir.Arg) -> str | None:
    if not conversion.plain:
        return None
    match argument:
        case ir.Literal(text=text) if conversion.letter == "s":
            return text.split("\0", 1)[0]
        case ir.Const(value=value) if conversion.letter in "di":
            return str(value)
        case _:
            return None


def _merged(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """A literal ends at its NUL, as every text does."""
    for piece in pieces:
        yield piece.split("\0", 1)[0] if isinstance(piece, str) else piece
