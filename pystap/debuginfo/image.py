"""A kernel image -> files in the cache, once per build-id: symbols, BTF with indexes, systems of tracepoints."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from pystap import kept
from pystap.debuginfo.btf import Btf
from pystap.debuginfo.ctype import Struct, find_member, offset_of
from pystap.debuginfo.damage import reading
from pystap.debuginfo.elf import SHT_RELA, SHT_SYMTAB, STT_OBJECT, Elf, Section
from pystap.debuginfo.extracted import fingerprint
from pystap.debuginfo.symtab import (
    KernelSymbol,
    NameTable,
    SymbolTable,
    kernel_symbols,
    read_proc_kallsyms,
    with_data,
)
from pystap.diagnostics import StapError, Unresolved

_R_X86_64_64 = 1
_R_AARCH64_ABS64 = 257


def from_image(source: Path, store: Path) -> Path:
    """Facts of a boot image or a vmlinux."""
    from pystap.debuginfo import kallsyms
    from pystap.debuginfo.compressed import kernel_image

    elf = Elf.open(source) if _is_elf(source) else Elf(kernel_image(source.read_bytes()), str(source))
    text, constants = elf.section(".text"), elf.section(".rodata")
    names = [(s.value, _letter(elf, s.section, s.binding), s.name) for s in elf.symbols() if s.kind < 3 and s.section]
    if not names and text is not None and constants is not None:
        names = kallsyms.decode(elf.contents(".rodata") or b"", text.address, constants.address) or []
    symbols = kernel_symbols(elf, with_data(names))
    return _write(store, elf.build_id() or fingerprint(source), elf, symbols, elf.contents(".BTF"))


def from_running(store: Path) -> Path:
    """What the running kernel says of itself; without privilege the addresses are hidden, names are not."""
    names = with_data(read_proc_kallsyms(Path("/proc/kallsyms").read_text()))
    symbols = [KernelSymbol(name, address, letter) for address, letter, name in names]
    return _write(store, fingerprint(Path("/sys/kernel")), None, symbols, Path("/sys/kernel/btf/vmlinux").read_bytes())


def _write(store: Path, name: str, elf: Elf | None, symbols: list[KernelSymbol], blob: bytes | None) -> Path:
    """Writes all files beside, then renames: a half-written folder is never seen."""
    final = store / name
    if kept.intact(final):
        return final
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=store))
    try:
        systems: Iterable[tuple[str, str]] = ()
        if blob:
            btf = Btf(blob, name=elf.name if elf else "the running kernel")
            offsets, names = btf.index_files()
            (folder / "btf").write_bytes(blob)
            (folder / "btf.offsets").write_bytes(offsets)
            (folder / "btf.names").write_bytes(names)
            systems = kernel_systems(elf, symbols, btf) if elf else ()
            symbols = symbols or [KernelSymbol(f, 0, "T") for f in btf.functions("*")]
        (folder / "symbols").write_bytes(SymbolTable.build(symbols))
        (folder / "symbols.addresses").write_bytes(SymbolTable.open(folder / "symbols").by_address())
        (folder / "systems").write_bytes(NameTable.build(f"{n}\t{s}" for n, s in systems))
        if elf:
            (folder / "machine").write_text(str(elf.machine))
        kept.seal(folder)
        folder.chmod(0o755)
        os.rename(folder, final)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if not final.exists():  # else: another pystap was faster
            raise StapError(f"cannot write the cache {store}: {error}") from None
    return final


def _is_elf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _letter(elf: Elf, section: int, binding: int) -> str:
    if section >= len(elf.sections):
        return "A"
    letter = "t" if elf.sections[section].flags & 4 else "d"
    return letter.upper() if binding else letter


def kernel_systems(image: Elf, symbols: list[KernelSymbol], btf: Btf) -> list[tuple[str, str]]:
    """(tracepoint, system): `event_NAME` is a struct trace_event_call; it points to its class, that to its system."""
    offsets = _event_offsets(btf)
    if offsets is None:
        return []
    to_class, to_system = offsets
    out = []
    for symbol in symbols:
        if symbol.name.startswith("event_") and not symbol.is_function:
            owner = _pointer(image, symbol.address + to_class)
            text = _pointer(image, owner + to_system) if owner else 0
            system = _text(image, text) if text else ""
            if system:
                out.append((symbol.name.removeprefix("event_"), system))
    return out


def _event_offsets(btf: Btf) -> tuple[int, int] | None:
    try:
        call, owner = btf.type("struct trace_event_call"), btf.type("struct trace_event_class")
    except Unresolved:
        return None
    assert isinstance(call, Struct)
    assert isinstance(owner, Struct)
    to_class, to_system = find_member(call, "class"), find_member(owner, "system")
    return (offset_of(to_class) // 8, offset_of(to_system) // 8) if to_class and to_system else None


def _pointer(image: Elf, address: int) -> int:
    data = image.read(address, 8)
    return int.from_bytes(data, "little") if data and len(data) == 8 else 0


def _text(image: Elf, address: int) -> str:
    data = (image.read(address, 64) or b"").partition(b"\0")[0]
    text = data.decode("ascii", "replace")
    return text if text.replace("-", "_").isidentifier() else ""


def module_systems(module: Elf) -> dict[str, str]:
    """tracepoint -> system of a module: its only TRACE_SYSTEM, or the one that each event's relocations lead to."""
    events = [s for s in module.symbols() if s.name.startswith("event_") and s.kind == STT_OBJECT]
    if not events:
        return {}
    names = [s.name for s in module.symbols() if s.name.startswith("str__") and s.name.endswith("__trace_system_name")]
    systems = sorted({_strip_system(n) for n in names})
    if len(systems) == 1:
        return {e.name.removeprefix("event_"): systems[0] for e in events}
    return _systems_by_relocation(module)


def module_tracepoints(root: Path, modules: Mapping[str, Path], store: Path) -> Path:
    """A NameTable's file: tracepoint TAB system TAB module; made again when the module tree changes."""
    import hashlib

    newest = max(
        (int(p.stat().st_mtime_ns) for p in (root, root / "modules.dep", root / "modules.order") if p.exists()),
        default=0,
    )
    final = store / f"tracepoints-{hashlib.sha1(f'{root} {newest} {len(modules)}'.encode()).hexdigest()}"
    if not final.exists():
        lines = []
        for name, path in modules.items():
            elf = Elf.open(path)
            marks = [s.name for s in elf.symbols() if s.name.startswith("__tracepoint_") and s.section]
            systems = module_systems(elf) if marks else {}
            points = (m.removeprefix("__tracepoint_") for m in marks)
            lines += [f"{p}\t{systems.get(p, '')}\t{name}" for p in points]
        temporary = final.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(NameTable.build(lines))
        temporary.rename(final)
    return final


def _strip_system(name: str) -> str:
    return name.removeprefix("str__").removesuffix("__trace_system_name")


def _systems_by_relocation(module: Elf) -> dict[str, str]:
    """event_X holds a pointer to event_class_Y, and that one to the system's text."""
    objects = [s for s in module.symbols() if s.kind == STT_OBJECT]
    by_place = {(s.section, s.value): s.name for s in objects}
    spans = [(s.section, s.value, s.value + s.size, s.name) for s in objects if "event_" in s.name]
    links: dict[str, list[str]] = {}
    for section, offset, target in _data_relocations(module):
        source = next((n for k, a, b, n in spans if k == section and a <= offset < b), None)
        name = by_place.get(target)
        if source and name:
            links.setdefault(source, []).append(name)
    out = {}
    for event, targets in links.items():
        owners = [t for t in targets if t.startswith("event_class_")]
        texts = [t for o in owners for t in links.get(o, []) if t.startswith("str__")]
        if event.startswith("event_") and not event.startswith("event_class_") and texts:
            out[event.removeprefix("event_")] = _strip_system(texts[0])
    return out


def _data_relocations(module: Elf) -> Iterable[tuple[int, int, tuple[int, int]]]:
    """(section, offset, (section, offset) of what stands there) for the pointers in data sections."""
    table = next((s for s in module.sections if s.kind == SHT_SYMTAB), None)
    if table is None:
        return
    with reading(module.name, "its relocations"):
        yield from _relocated(module, table)


def _relocated(module: Elf, table: Section) -> Iterable[tuple[int, int, tuple[int, int]]]:
    entries = list(struct.iter_unpack("<IBBHQQ", module.bytes_of(table)))
    for section in module.sections:
        if section.kind == SHT_RELA and section.name.startswith((".rela.data", ".rela.ref.data")):
            info = module.section_info(section.index)
            for offset, what, addend in struct.iter_unpack("<QQq", module.bytes_of(section)):
                if what & 0xFFFFFFFF in (_R_X86_64_64, _R_AARCH64_ABS64):
                    symbol = entries[what >> 32]
                    yield info, offset, (symbol[3], symbol[4] + addend)
