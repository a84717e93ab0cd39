"""Constant tables that bodies refer to by number while they are written: marks, string literals, formats, symbols."""

from __future__ import annotations

from pystap.codegen import names
from pystap.ir.nodes import Mark, SymbolAddress
from pystap.source import NOWHERE


class Tables:
    """Numbers handed out in order of first use."""

    def __init__(self, string_limit: int) -> None:
        self._string_limit = string_limit
        self._marks: dict[str, int] = {"": 0}
        self._literals: dict[bytes, int] = {}
        self._formats: dict[str, int] = {}
        self._symbols: dict[tuple[str | None, str], int] = {}
        self._objects: dict[str, int] = {}
        self.parts: set[str] = set()  # of the runtime, that values need

    def mark(self, mark: Mark) -> int:
        """Where a run-time error is said to have happened; 0 when that is unknown."""
        if mark.span is NOWHERE or mark.span.file is NOWHERE.file:
            return 0
        text = f"{mark.token or 'statement'} at {mark.span}"
        return self._marks.setdefault(text, len(self._marks))

    def literal(self, text: str) -> str:
        """The C name of a string constant."""
        held = names.encode(text).split(b"\0")[0][: self._string_limit - 1]
        return names.literal(self._literals.setdefault(held, len(self._literals)))

    def format(self, text: str) -> int:
        """A print format's number, by which the runner knows it."""
        return self._formats.setdefault(text.replace("\0", ""), len(self._formats))

    def symbol(self, symbol: SymbolAddress) -> int:
        """The number of a symbol whose address is found when the session starts."""
        return self._symbols.setdefault((symbol.module, symbol.symbol), len(self._symbols))

    def object(self, path: str) -> int:
        """The number of a program or library, whose place in a process is found at run time."""
        return self._objects.setdefault(path, len(self._objects))

    def literal_lines(self) -> list[str]:
        """The definitions of the string constants: aligned, and whole words long, as script strings are."""
        lines = []
        for text, index in self._literals.items():
            spelt = names.c_string(text.decode("utf-8", "surrogateescape"))
            size = len(text) // 8 * 8 + 8
            lines.append(f"static const char {names.literal(index)}[{size}] __aligned(8) = {spelt};")
        return lines

    def table_lines(self) -> list[str]:
        """The tables of marks, formats and symbols, at the module's end."""
        lines = ["static const char *const stap_marks[] = {"]
        lines += [f"\t{names.c_string(text)}," for text in self._marks]
        lines += ["};", "", "static const char stap_formats[] __used __section(STAP_FORMATS_SECTION) ="]
        lines += [f'\t{names.c_string(text)} "\\0"' for text in self._formats] or ['\t""']
        lines[-1] += ";"
        return lines

    def symbol_lines(self) -> list[str]:
        """The symbols that are looked up when the session starts."""
        lines = ["static struct stap_symbol stap_symbols[] = {"]
        for module, symbol in self._symbols:
            spelt = "NULL" if module is None else names.c_string(module)
            lines.append(f"\t{{ .module = {spelt}, .name = {names.c_string(symbol)} }},")
        return [*lines, "};", "static const unsigned int stap_symbol_count = ARRAY_SIZE(stap_symbols);"]

    @property
    def object_paths(self) -> list[str]:
        """The programs and libraries that have numbers, in their order."""
        return list(self._objects)

    @property
    def uses_symbols(self) -> bool:
        """Whether any symbol is looked up."""
        return bool(self._symbols)

    @property
    def modules(self) -> set[str]:
        """The modules of symbols that are looked up."""
        return {module for module, _ in self._symbols if module is not None}
