"""--resolve: `func+0x5/0x11 [mod]`, or an oops on standard input -> files and lines, inlined calls included."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from pystap.diagnostics import StapError, Unresolved, similar_names

if TYPE_CHECKING:
    from pystap.debuginfo.dwarf import Dwarf
    from pystap.debuginfo.frames import CodeFrame, CodeMap
    from pystap.options import Options
    from pystap.target import Target

_PLACE = re.compile(
    r"(?P<symbol>[A-Za-z_.$][\w.$]*)\+(?P<offset>0x[0-9a-fA-F]+|\d+)(?:/(?P<size>0x[0-9a-fA-F]+|\d+))?"
    r"(?:\s*\[(?P<module>[\w-]+)[^\]]*\])?"
)
_EXACT = re.compile(r"RIP:|\bpc\s*:|\bIP:")  # the other lines of a trace hold addresses that calls return to


def run(options: Options, text: str) -> int:
    """Resolves one place, or with "-" every place of a text; exit status 0 where at least one was found."""
    resolver = Resolver(options)
    if text == "-":
        return _annotate(resolver)
    place = _PLACE.fullmatch(text.strip())
    if place is None:
        raise StapError(
            f"'{text}' is not of the form func+0x5, func+0x5/0x11 or func+0x5/0x11 [module]; or - for a text"
        )
    try:
        found = resolver.places(place)
    except Unresolved as failure:
        hint = f"\n  {failure.hint}" if failure.hint else ""
        raise StapError(f"{failure}{similar_names(failure.similar)}{hint}") from None
    for frames in found:
        print("\n".join([*_lines(text.strip(), frames), *_source(frames[0])]))
    return 0


def _source(frame: CodeFrame, around: int = 2) -> Iterator[str]:
    """The lines around a place, where the source is at hand."""
    try:
        lines = Path(frame.file).read_text(errors="replace").splitlines() if frame.file.startswith("/") else []
    except OSError:
        return
    for number, line in enumerate(lines, 1):
        if abs(number - frame.line) <= around:
            yield f"{'->' if number == frame.line else '  '} {number:5}  {line}".rstrip()


def _lines(text: str, frames: list[CodeFrame]) -> Iterator[str]:
    yield f"{text}: {frames[0].function} at {frames[0].file}:{frames[0].line}"
    for frame in frames[1:]:
        yield f"  inlined into {frame.function} at {frame.file}:{frame.line}"


def _annotate(resolver: Resolver) -> int:
    """Each line of standard input, with the places that it names appended."""
    known = 0
    trouble: list[str] = []
    for line in sys.stdin:
        notes: list[str] = []
        for place in _PLACE.finditer(line):
            if place["size"] is None:
                continue  # in running text only the full form is meant
            try:
                found = resolver.places(place, back=0 if _EXACT.search(line) else 1)
            except Unresolved as failure:
                if (
                    not line[: place.start()].rstrip().endswith("?")
                ):  # such a word on the stack may be no address of a call
                    trouble.append(f"{place[0]}: {failure}")
                continue
            notes += [" <- ".join(f"{f.file}:{f.line}" for f in frames) for frames in found]
        known += len(notes)
        print(line.rstrip("\n") + "".join(f" ({note})" for note in notes))
    for reason in dict.fromkeys(trouble):
        print(f"WARNING: {reason}", file=sys.stderr)
    return 0 if known else 1


class Resolver:
    """Finds places in one kernel, its modules, and the objects of -d."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._maps: dict[str, CodeMap] = {}

    @property
    def target(self) -> Target:
        """The kernel of -r or --vm, else the running one."""
        return _target(self._options.release or self._options.vm)

    def places(self, place: re.Match[str], back: int = 0) -> list[list[CodeFrame]]:
        """The frames of every symbol of that name that fits; `back` steps back into the call before the address."""
        offset = int(place["offset"], 0)
        size = int(place["size"], 0) if place["size"] else None
        if size is not None and offset - back >= size:
            raise Unresolved(f"the offset {offset:#x} is not below the size {size:#x}")
        dwarf, starts = self._symbol(place["symbol"], place["module"], size)
        code = self._map(dwarf)
        name = place["symbol"].split(".")[0]
        found = [frames for start in starts if (frames := code.frames(start + max(offset - back, 0), name))]
        if not found:
            raise Unresolved(f"the debug-info knows no code at {place['symbol']}+{offset:#x}")
        return found

    def _symbol(self, name: str, module: str | None, size: int | None) -> tuple[Dwarf, list[int]]:
        """The DWARF that describes a symbol, and the symbol's link-time addresses."""
        path = self._object(module)
        if path is not None and not path.endswith((".ko", ".xz", ".zst", ".gz")):
            return _in_program(path, name)
        if module is not None:
            return _in_module(self.target, path or module, name)
        if path is None:
            return _in_kernel(self.target, name, size)
        try:
            return _in_module(self.target, path, name)
        except Unresolved:
            if not self.target.symbols().lookup_all(name):  # an oops names the module of what is in one
                raise
            return _in_kernel(self.target, name, size)

    def _object(self, module: str | None) -> str | None:
        """The object of -d that is meant: the module's own file, or for a place without a module the first program."""
        for given in self._options.objects:
            stem = Path(given).name.split(".ko")[0].replace("-", "_")
            if module is None or stem == module.replace("-", "_"):
                return given if "/" in given or Path(given).is_file() else None
        return None

    def _map(self, dwarf: Dwarf) -> CodeMap:
        from pystap.debuginfo.frames import CodeMap

        return self._maps.setdefault(dwarf.module or "", CodeMap(dwarf))


@cache
def _target(wanted: str | None) -> Target:
    from pystap.run import kernels
    from pystap.target import Target

    return Target.of(wanted) if wanted is None or "/" in wanted else Target.of(wanted, kernels.find)


def _in_kernel(target: Target, name: str, size: int | None) -> tuple[Dwarf, list[int]]:
    symbols = target.symbols()
    found = [s for s in symbols.lookup_all(name) if s.is_function]
    if not found:
        raise Unresolved(f"kernel {target.release} has no function {name}", symbols.similar(name))
    if size is not None:
        fitting = [s for s in found if _spans(target, s.address, size)]
        if not fitting:
            raise Unresolved(
                f"{name} is not {size:#x} bytes long in kernel {target.release}: it was another build (-r)"
            )
        found = fitting
    dwarf = target.dwarf()
    if dwarf is None:
        raise Unresolved(f"kernel {target.release} has no debug-info here", hint=target.debuginfo_advice)
    return dwarf, sorted({s.address for s in found})


def _spans(target: Target, address: int, size: int) -> bool:
    """Whether the function at an address ends where the next one begins `size` bytes on, as the kernel measures it."""
    last, after = target.symbols().at(address + size - 1), target.symbols().at(address + size)
    return last is not None and last[0].address == address and (after is None or after[0].address != address)


def _in_module(target: Target, name: str, symbol: str) -> tuple[Dwarf, list[int]]:
    dwarf = target.module_info(name).dwarf
    if dwarf is None:
        raise Unresolved(f"module {name} has no debug-info here", hint=target.module_advice(name))
    elf = dwarf.sections.elf
    bases = dwarf.sections.bases
    starts = {bases.get(s.section, 0) + s.value for s in elf.symbols() if s.name == symbol and s.section in bases}
    if not starts:
        raise Unresolved(f"module {name} has no function {symbol}")
    return dwarf, sorted(starts)


def _in_program(path: str, symbol: str) -> tuple[Dwarf, list[int]]:
    from pystap.debuginfo.user import open_object

    found = open_object(path)
    functions = found.functions.get(symbol)
    if not functions:
        raise Unresolved(f"{path} has no function {symbol}", found.similar(symbol))
    if found.dwarf is None:
        raise Unresolved(f"{path} has no debug-info here", hint=found.advice)
    return found.dwarf, sorted({f.address for f in functions})
