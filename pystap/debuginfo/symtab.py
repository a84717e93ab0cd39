"""Names of a binary's symbols, as a sorted text file over a memory map: looked up by bisection, not parsed.

Each line is `name TAB address TAB type TAB flags TAB size`; flags: i = only there while booting, n = not to be probed,
f = has an ftrace entry.
"""

from __future__ import annotations

import mmap
import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import translate
from functools import cached_property
from pathlib import Path

from pystap.debuginfo.damage import damaged, reading
from pystap.debuginfo.elf import SHF_EXECINSTR, Elf

_FUNCTION_TYPES = frozenset("tTwW")
_NOT_FUNCTIONS = re.compile(r"^(__pfx_|__cfi_|__SCT__|\.L|__kstrtab|__ksymtab|__pi_\.L|_x_|\$)")


@dataclass(frozen=True, slots=True)
class KernelSymbol:
    """One symbol; `address` is link-time (for modules: the offset in its section)."""

    name: str
    address: int
    type: str  # nm's letter
    flags: str = ""
    size: int = 0

    @property
    def is_function(self) -> bool:
        return self.type in _FUNCTION_TYPES

    @property
    def probeable(self) -> bool:
        """Whether a probe can be set on it: not blacklisted, and not gone after boot."""
        return "i" not in self.flags and "n" not in self.flags

    @property
    def refused(self) -> bool:
        """Whether the kernel lets nobody probe it, though it is there."""
        return "n" in self.flags and "i" not in self.flags

    @property
    def has_fentry(self) -> bool:
        """Whether it begins with an ftrace call, so that a probe at its entry is cheap."""
        return "f" in self.flags


class NameTable:
    """Lines `key TAB payload`, sorted by bytes; in memory or mapped."""

    def __init__(self, data: bytes | mmap.mmap, name: str = "") -> None:
        self._data = data
        self._size = len(data)
        self.name = name  # of the file
        if data and data[-1:] != b"\n":
            raise damaged(name, "it is cut short")

    @classmethod
    def build(cls, lines: Iterable[str]) -> bytes:
        """The file's bytes for lines without their newlines."""
        return b"".join(sorted((line + "\n").encode() for line in set(lines)))

    @classmethod
    def open(cls, path: Path) -> NameTable:
        """The table in a file (empty files are empty tables)."""
        with path.open("rb") as stream:
            if path.stat().st_size == 0:
                return cls(b"")
            return cls(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ), str(path))

    def find(self, name: str) -> list[str]:
        """The payloads of a name."""
        key = name.encode() + b"\t"
        return [line[len(key) :].decode() for line in self._with_prefix(key)]

    def glob(self, pattern: str) -> Iterator[tuple[str, str]]:
        """(name, payload) by a shell pattern, sorted by name."""
        literal = re.match(r"[^*?\[]*", pattern)
        assert literal is not None
        prefix = literal.group()
        if prefix == pattern:
            yield from ((pattern, payload) for payload in self.find(pattern))
            return
        matches = None if pattern == prefix + "*" else re.compile(translate(pattern)).match
        for line in self._with_prefix(prefix.encode()):
            name, _, payload = line.decode().partition("\t")
            if matches is None or matches(name):
                yield name, payload

    def names(self) -> list[str]:
        """All names, with repetitions."""
        return [line.partition(b"\t")[0].decode() for line in bytes(self._data).splitlines()]

    def lines(self) -> Iterator[tuple[int, str, str]]:
        """(where the line stands, name, payload) of all lines."""
        at = 0
        for line in bytes(self._data).splitlines(keepends=True):
            name, _, payload = line.decode().rstrip("\n").partition("\t")
            yield at, name, payload
            at += len(line)

    def line_at(self, place: int) -> tuple[str, str]:
        """(name, payload) of the line that stands there."""
        end = self._data.find(b"\n", place)
        name, _, payload = bytes(self._data[place:end]).decode().partition("\t")
        return name, payload

    def _with_prefix(self, prefix: bytes) -> list[bytes]:
        """Binary search for the first line at or after the prefix, and for the first one past it."""
        start = self._lower_bound(prefix)
        end = self._lower_bound(prefix[:-1] + bytes((prefix[-1] + 1,))) if prefix else self._size
        return bytes(self._data[start:end]).splitlines()

    def _lower_bound(self, key: bytes) -> int:
        low, high = 0, self._size  # both at starts of lines
        while low < high:
            middle = self._data.rfind(b"\n", low, (low + high) // 2) + 1 or low
            end = self._data.find(b"\n", middle, high)
            if end < 0:  # a file that was cut short
                end = high
            if self._data[middle:end] < key:
                low = end + 1
            else:
                high = middle
        return low


class SymbolTable:
    """Symbols by name and by address."""

    def __init__(self, table: NameTable, places: Path | None = None) -> None:
        self._table = table
        self._places = places  # the file that `by_address` was written to

    @classmethod
    def build(cls, symbols: Iterable[KernelSymbol]) -> bytes:
        """The bytes of a table's file."""
        return NameTable.build(f"{s.name}\t{s.address:x}\t{s.type}\t{s.flags}\t{s.size:x}" for s in symbols)

    @classmethod
    def of(cls, symbols: Iterable[KernelSymbol]) -> SymbolTable:
        """A table in memory."""
        return cls(NameTable(cls.build(symbols)))

    @classmethod
    def open(cls, path: Path) -> SymbolTable:
        """A table in a file; `path`.addresses beside it makes look-ups by address fast."""
        places = path.with_name(path.name + ".addresses")
        return cls(NameTable.open(path), places if places.exists() else None)

    def functions(self, pattern: str) -> list[str]:
        """Names of functions that match a glob and can be probed, sorted, each once."""
        return sorted({s.name for s in self.symbols(pattern) if s.is_function and s.probeable and _ordinary(s.name)})

    def symbols(self, pattern: str) -> Iterator[KernelSymbol]:
        """All symbols that match a glob, sorted by name."""
        with self._reading():
            for name, payload in self._table.glob(pattern):
                yield _parse(name, payload)

    def _reading(self) -> reading:
        return reading(self._table.name, "a line of it")

    def lookup(self, name: str) -> KernelSymbol | None:
        """The first symbol of that name, functions before data."""
        found = self.lookup_all(name)
        return min(found, key=lambda s: not s.is_function) if found else None

    def lookup_all(self, name: str) -> list[KernelSymbol]:
        """Every symbol of that name: statics of several files may share one."""
        with self._reading():
            return [_parse(name, payload) for payload in self._table.find(name)]

    def similar(self, name: str, n: int = 5) -> list[str]:
        """Near names of functions, for messages; those that have the name inside, or as their end, come first."""
        every = set(self._table.names())
        names = sorted(k for k in every if abs(len(k) - len(name)) <= max(3, len(name) // 3))
        prefixed = (k for k in every if k.endswith("_" + name) and not k.startswith("__pfx_"))
        inside = sorted({*prefixed, *(k for k in names if name in k)}, key=lambda k: (len(k), k))[:n]
        candidates = names if len(names) < 2000 else [k for k in names if _shares_start(k, name)]
        near = [k for k in get_close_matches(name, candidates, n, 0.7) if k not in inside]
        functions = [k for k in inside + near if any(s.is_function for s in self.lookup_all(k))]
        return functions[:n]

    def at(self, address: int) -> tuple[KernelSymbol, int] | None:
        """The function that covers a link-time address, and the distance from its start."""
        starts, places = self._functions_by_address
        index = bisect_right(starts, address) - 1
        while index > 0 and starts[index - 1] == starts[index]:  # of several names, the first in the file's order
            index -= 1
        if index < 0:
            return None
        with self._reading():
            found = _parse(*self._table.line_at(places[index]))
        distance = address - found.address
        return (found, distance) if distance < max(found.size, 1) else None

    @cached_property
    def _functions_by_address(self) -> tuple[array[int], array[int]]:
        """Addresses of functions, ascending, and where their lines stand: from a file where there is one."""
        numbers: array[int] = array("Q")
        with reading(str(self._places or self._table.name), "its numbers"):
            numbers.frombytes(self._places.read_bytes() if self._places else self.by_address())
        half = len(numbers) // 2
        return numbers[:half], numbers[half:]

    def by_address(self) -> bytes:
        """The table that `at` needs, as a file's bytes."""
        known = sorted(
            (symbol.address, symbol.type.islower(), place)
            for place, symbol in ((place, _parse(name, payload)) for place, name, payload in self._table.lines())
            if symbol.is_function
        )
        return array("Q", [row[0] for row in known] + [row[2] for row in known]).tobytes()


def kernel_symbols(image: Elf, names: list[tuple[int, str, str]]) -> list[KernelSymbol]:
    """The kernel's symbols with sizes and flags, from its kallsyms and what stands in its image."""
    by_name = {name: address for address, _, name in names}
    blacklist = _pointers(image, by_name.get("__start_kprobe_blacklist"), by_name.get("__stop_kprobe_blacklist"))
    fentries = array("Q", _pointers(image, by_name.get("__start_mcount_loc"), by_name.get("__stop_mcount_loc")))
    fentry_set = frozenset(fentries)
    excluded = _ranges(by_name, _NOT_PROBED)
    init = _ranges(by_name, _INIT)
    starts = array("Q", sorted({address for address, _, _ in names}))
    out = []
    for address, letter, name in names:
        index = bisect_right(starts, address)
        size = starts[index] - address if index < len(starts) else 0
        flags = ""
        if letter in _FUNCTION_TYPES:
            flags += "i" if _within(address, init) else ""
            flags += "n" if _within(address, excluded) or address in blacklist else ""
            flags += "f" if any(address + k in fentry_set for k in (0, 4)) else ""
        out.append(KernelSymbol(name, address, letter, flags, size))
    return out


# what the kernel's own kprobes code refuses: arch_within_kprobe_blacklist and its generic part
_NOT_PROBED = (
    ("__kprobes_text_start", "__kprobes_text_end"),
    ("__noinstr_text_start", "__noinstr_text_end"),
    ("__entry_text_start", "__entry_text_end"),
    ("__cpuidle_text_start", "__cpuidle_text_end"),
    ("__indirect_thunk_start", "__indirect_thunk_end"),
)
_INIT = (("_sinittext", "_einittext"), ("__init_begin", "__init_end"), ("_sexittext", "_eexittext"))


def module_symbols(module: Elf) -> list[KernelSymbol]:
    """A module's symbols; addresses are offsets in their sections."""
    out = []
    for s in module.symbols():
        if s.section == 0 or s.section >= len(module.sections) or s.kind > 2:
            continue
        section = module.sections[s.section]
        executable = bool(section.flags & SHF_EXECINSTR)
        if executable and s.kind != 2:
            continue
        letter = "t" if executable else "d"
        gone = section.name.startswith((".init.", ".exit.")) or section.name.startswith(".noinstr")
        out.append(
            KernelSymbol(
                s.name, s.value, letter.upper() if s.binding else letter, "i" if gone and executable else "", s.size
            )
        )
    return out


def with_data(names: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """The same with variables as such: 6.16 and later mark .data as code, and kallsyms with it."""
    data = _ranges({name: address for address, _, name in names}, (("_sdata", "_edata"),))
    wrong = {letter: "D" if letter.isupper() else "d" for letter in _FUNCTION_TYPES}
    return [(at, wrong.get(letter, letter) if _within(at, data) else letter, name) for at, letter, name in names]


def read_proc_kallsyms(text: str) -> list[tuple[int, str, str]]:
    """(address, letter, name) of the kernel itself from /proc/kallsyms; addresses may be hidden (0)."""
    fields = (line.split() for line in text.splitlines() if "[" not in line)
    return [(int(f[0], 16), f[1], f[2]) for f in fields if len(f) == 3]


def _parse(name: str, payload: str) -> KernelSymbol:
    address, letter, flags, size = payload.split("\t")
    return KernelSymbol(name, int(address, 16), letter, flags, int(size, 16))


def _ordinary(name: str) -> bool:
    return _NOT_FUNCTIONS.match(name) is None


def _shares_start(candidate: str, name: str) -> bool:
    return candidate[:2] == name[:2] or candidate.lstrip("_")[:2] == name.lstrip("_")[:2]


def _pointers(image: Elf, start: int | None, end: int | None) -> frozenset[int]:
    if start is None or end is None or not start < end:
        return frozenset()
    data = image.read(start, end - start) or b""
    return frozenset(struct.unpack(f"<{len(data) // 8}Q", data[: len(data) & ~7]))


def _ranges(by_name: dict[str, int], bounds: Iterable[tuple[str, str]]) -> list[tuple[int, int]]:
    return [(by_name[a], by_name[b]) for a, b in bounds if a in by_name and b in by_name]


def _within(address: int, ranges: list[tuple[int, int]]) -> bool:
    return any(a <= address < b for a, b in ranges)
