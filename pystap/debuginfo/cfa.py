"""Call-frame information (.debug_frame, .eh_frame): how the canonical frame address is computed at a pc."""

from __future__ import annotations

import struct
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Union

from pystap.debuginfo.damage import reading
from pystap.debuginfo.sections import Data, Sections, sleb, text_at, uleb

Rule = Union[tuple[int, int], bytes]  # (register, offset), or a DWARF expression
_PCREL, _DATAREL, _INDIRECT = 0x10, 0x30, 0x80


@dataclass(frozen=True, slots=True)
class _Cie:
    code_align: int
    data_align: int
    start: int  # of its instructions
    end: int
    encoding: int
    augmented: bool


class Frames:
    """The frame tables of one file."""

    def __init__(self, dwarf: Sections) -> None:
        self._dwarf = dwarf

    def cfa(self, pc: int) -> Rule | None:
        """How the CFA is computed at an address; None where no table covers it."""
        with reading(self._dwarf.name, "its call frames"):
            for name, table in self._tables.items():
                index = bisect_right(table, (pc, 1 << 64, 0, 0)) - 1
                if index >= 0 and table[index][0] <= pc < table[index][1]:
                    low, _, offset, cie_offset = table[index]
                    return self._run(name, pc, low, offset, cie_offset)
        return None

    @cached_property
    def _tables(self) -> dict[str, list[tuple[int, int, int, int]]]:
        """section -> (first pc, past the last, offset of the FDE, offset of its CIE), sorted."""
        names = (".debug_frame", ".eh_frame")
        return {name: sorted(self._scan(name)) for name in names if len(self._dwarf.section(name))}

    def _scan(self, name: str) -> list[tuple[int, int, int, int]]:
        data = self._dwarf.section(name)
        out, at, eh = [], 0, name == ".eh_frame"
        while at + 4 <= len(data):
            (length,) = struct.unpack_from("<I", data, at)
            if length == 0 or length >= 0xFFFFFFF0:
                break
            (cie,) = struct.unpack_from("<I", data, at + 4)
            if cie != (0 if eh else 0xFFFFFFFF):
                cie_at = at + 4 - cie if eh else cie
                out.append(self._range(name, data, at, cie_at))
            at += 4 + length
        return out

    def _range(self, name: str, data: Data, at: int, cie_at: int) -> tuple[int, int, int, int]:
        encoding = self._cie(name, cie_at).encoding
        if encoding == 0:
            low, size = struct.unpack_from("<QQ", data, at + 8)
            return low, low + size, at, cie_at
        low, after = self._encoded(name, data, at + 8, encoding)
        size, _ = self._encoded(name, data, after, encoding & 0x0F)
        return low, low + size, at, cie_at

    def _encoded(self, name: str, data: Data, at: int, encoding: int) -> tuple[int, int]:
        form = {0x00: "<Q", 0x02: "<H", 0x03: "<I", 0x04: "<Q", 0x0A: "<h", 0x0B: "<i", 0x0C: "<q"}[encoding & 0x0F]
        (value,) = struct.unpack_from(form, data, at)
        if encoding & 0x70 == _PCREL:
            section = self._dwarf.elf.section(name)
            value += at + (self._dwarf.bases.get(section.index, section.address) if section else 0)
        return value & 0xFFFFFFFFFFFFFFFF, at + struct.calcsize(form)

    def _cie(self, name: str, at: int) -> _Cie:
        known = self._cies.get((name, at))
        if known is None:
            known = self._cies[name, at] = self._read_cie(self._dwarf.section(name), at)
        return known

    @cached_property
    def _cies(self) -> dict[tuple[str, int], _Cie]:
        return {}

    def _read_cie(self, data: Data, at: int) -> _Cie:
        end = at + 4 + int(struct.unpack_from("<I", data, at)[0])
        version = data[at + 8]
        augmentation = text_at(data, at + 9)
        at += 9 + len(augmentation) + 1 + (2 if version >= 4 else 0)
        code_align, at = uleb(data, at)
        data_align, at = sleb(data, at)
        _, at = uleb(data, at) if version >= 3 else (0, at + 1)
        encoding = 0
        if augmentation.startswith("z"):
            size, at = uleb(data, at)
            encoding = _pointer_encoding(data, at, augmentation[1:])
            at += size
        return _Cie(code_align, data_align, at, end, encoding, augmentation.startswith("z"))

    def _run(self, name: str, pc: int, low: int, fde: int, cie_at: int) -> Rule | None:
        data = self._dwarf.section(name)
        cie = self._cie(name, cie_at)
        at = fde + 8 + 2 * (8 if cie.encoding == 0 else {2: 2, 3: 4, 4: 8}[cie.encoding & 7])
        if cie.augmented:
            size, at = uleb(data, at)
            at += size
        machine = _Machine(data, cie)
        machine.execute(cie.start, cie.end, low, None)
        machine.execute(at, fde + 4 + int(struct.unpack_from("<I", data, fde)[0]), low, pc)
        return machine.rule


def _pointer_encoding(data: Data, at: int, letters: str) -> int:
    for letter in letters:
        if letter == "R":
            return int(data[at])
        at += {"L": 1, "P": 5}.get(letter, 0)
    return 0


class _Machine:
    """Runs call-frame instructions, minding only the CFA."""

    def __init__(self, data: Data, cie: _Cie) -> None:
        self._data = data
        self._cie = cie
        self._saved: list[Rule | None] = []
        self.rule: Rule | None = None

    def execute(self, at: int, end: int, location: int, stop: int | None) -> None:
        """Until the end, or until the location passes `stop`."""
        data = self._data
        while at < end:
            code = data[at]
            at += 1
            step, at = self._advance(code, at)
            if step:
                location += step * self._cie.code_align
                if stop is not None and location > stop:
                    return
            elif code & 0xC0 == 0x80:  # offset
                _, at = uleb(data, at)
            elif code < 0x40:
                at = self._extended(code, at)

    def _advance(self, code: int, at: int) -> tuple[int, int]:
        if code & 0xC0 == 0x40:
            return code & 0x3F, at
        width = {2: 1, 3: 2, 4: 4}.get(code)
        return (int.from_bytes(self._data[at : at + width], "little"), at + width) if width else (0, at)

    def _extended(self, code: int, at: int) -> int:
        data, align = self._data, self._cie.data_align
        if code in (0x0C, 0x12):  # def_cfa, def_cfa_sf
            register, at = uleb(data, at)
            offset, at = uleb(data, at) if code == 0x0C else sleb(data, at)
            self.rule = (register, offset if code == 0x0C else offset * align)
        elif code == 0x0D:  # def_cfa_register
            register, at = uleb(data, at)
            self.rule = (register, self.rule[1] if isinstance(self.rule, tuple) else 0)
        elif code in (0x0E, 0x13):  # def_cfa_offset
            offset, at = uleb(data, at) if code == 0x0E else sleb(data, at)
            self.rule = (
                self.rule[0] if isinstance(self.rule, tuple) else 0,
                offset if code == 0x0E else offset * align,
            )
        elif code == 0x0F:  # def_cfa_expression
            size, at = uleb(data, at)
            self.rule, at = bytes(data[at : at + size]), at + size
        elif code == 0x0A:
            self._saved.append(self.rule)
        elif code == 0x0B and self._saved:
            self.rule = self._saved.pop()
        else:
            at = self._skip(code, at)
        return at

    def _skip(self, code: int, at: int) -> int:
        """Instructions about other registers, and those without meaning here."""
        data = self._data
        if code == 0x01:  # set_loc: not emitted for code that pystap meets
            return at + 8
        for _ in range({0x05: 2, 0x06: 1, 0x07: 1, 0x08: 1, 0x09: 2, 0x11: 2, 0x14: 2, 0x15: 2, 0x2E: 1}.get(code, 0)):
            _, at = uleb(data, at)
        if code in (0x10, 0x16):
            _, at = uleb(data, at)
            size, at = uleb(data, at)
            at += size
        return at
