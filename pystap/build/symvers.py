"""What modpost adds to a module, without modpost: versions of the imported symbols, and the modules depended on.

Sources: scripts/mod/modpost.c (add_versions, add_depends), include/linux/moduleparam.h; struct modversion_info is
{ unsigned long crc; char name[64 - sizeof(unsigned long)]; } (include/linux/module.h).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from pystap.diagnostics import StapError

_NAME_SIZE = 56


@dataclass(frozen=True, slots=True)
class Export:
    crc: int
    owner: str  # "vmlinux" or a module's path


def imported(elf: bytes) -> list[str]:
    """The undefined symbols of a 64-bit little-endian relocatable object, in its own order."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise StapError("the compiler's output is not a 64-bit ELF object")
    (offset,) = struct.unpack_from("<Q", elf, 40)
    size, count = struct.unpack_from("<HH", elf, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + i * size) for i in range(count)]
    names: list[str] = []
    for section in sections:
        if section[1] != 2:  # SHT_SYMTAB
            continue
        text = elf[sections[section[6]][4] :]
        for at in range(section[4] + 24, section[4] + section[5], 24):
            name, _info, _other, index = struct.unpack_from("<IBBH", elf, at)
            if index == 0 and name:
                names.append(text[name : text.index(b"\0", name)].decode())
    return names


def exports(tree: Path, wanted: set[str]) -> dict[str, Export]:
    """The wanted entries of a build tree's Module.symvers."""
    found: dict[str, Export] = {}
    try:
        lines = (tree / "Module.symvers").read_text().splitlines()
    except OSError as error:
        raise StapError(f"{tree} has no Module.symvers ({error.strerror}): install the kernel's headers") from None
    for line in lines:
        crc, _, rest = line.partition("\t")
        name, _, rest = rest.partition("\t")
        if name in wanted:
            found[name] = Export(int(crc, 16), rest.partition("\t")[0])
    return found


def assembly(symbols: list[str], table: dict[str, Export], versions: bool) -> str:
    """Assembler text of the module's __versions section and its `depends` entry; raises for unexported symbols."""
    missing = [s for s in symbols if s not in table]
    if missing:
        raise StapError(f"the kernel does not export {', '.join(missing)}, which the module needs")
    lines = ['.section .note.GNU-stack,"",@progbits']
    if versions:
        lines.append('.section __versions,"a",@progbits')
        for name in sorted(symbols):
            if len(name) < _NAME_SIZE:
                lines += [f".quad {table[name].crc:#x}", f'.ascii "{name}"', f".zero {_NAME_SIZE - len(name)}"]
    owners = sorted({e.owner.rpartition("/")[2].replace("-", "_") for e in table.values() if e.owner != "vmlinux"})
    lines += ['.section .modinfo,"a",@progbits', f'.asciz "depends={",".join(owners)}"']
    return "\n".join(lines) + "\n"
