"""Thread-local variables of programs: which block of a thread's memory an object's variables are in.

After Drepper, "ELF Handling For Thread-Local Storage": variant II, as on x86-64. A program's block ends at the thread
pointer. A library's place is known to the loader alone, which leaves it in slots of the library's own.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from pystap.debuginfo.damage import reading
from pystap.debuginfo.elf import EM_X86_64, ET_EXEC, PT_TLS, SHT_RELA, Elf, Section, Segment
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Compare, Const, Expr, Field, Load, Space

_DTPMOD64, _TPOFF64 = 16, 18
_SYMBOLIC_FLAGS, _PIE = 0x6FFFFFFB, 0x08000000  # DT_FLAGS_1, DF_1_PIE
_DTV = 8  # glibc's and musl's thread header: {itself, the vector of blocks, ...}
_DTV_ENTRY = 16


def thread_local(elf: Elf, offset: Expr, run_time: Callable[[int], Expr]) -> Expr:
    """The address, in the current thread, of what lies `offset` bytes into an object's block."""
    segment = next((s for s in elf.segments() if s.kind == PT_TLS), None)
    if segment is None or elf.machine != EM_X86_64:
        raise Unresolved("it is thread-local, and the file has no thread-local variables")
    with reading(elf.name, "what says where its thread-local variables are"):
        return _in_block(elf, segment, offset, run_time)


def _in_block(elf: Elf, segment: Segment, offset: Expr, run_time: Callable[[int], Expr]) -> Expr:
    pointer = Field("thread_pointer")
    if _is_program(elf):
        before = -segment.address % segment.align
        size = -(-(segment.memory_size - before) // segment.align) * segment.align + before
        return _plus(pointer, _plus(offset, Const(-size)))
    for kind, slot, value in sorted(_slots(elf), reverse=True):
        content = Load(run_time(slot), 8, kind == _TPOFF64, Space.USER)
        if kind == _TPOFF64:  # where the variable at `value` is, from the thread pointer
            return _plus(_plus(pointer, content), _plus(offset, Const(-value)))
        return _plus(Load(_entry(pointer, content), 8, False, Space.USER), offset)
    raise Unresolved("it is thread-local, and nothing in the library tells where its thread-local variables are")


def _entry(pointer: Expr, number: Expr) -> Expr:
    """Where the vector of a thread's blocks says where one is: glibc's, whose length lies before its entries.

    A library that was opened after the thread began has no entry yet. Then it is the first one, a number of changes:
    as an address nobody's, so that reading fails as where an entry is there and says that no block is.
    """
    vector = Load(_plus(pointer, Const(_DTV)), 8, False, Space.USER)
    length = Load(_plus(vector, Const(-_DTV_ENTRY)), 8, False, Space.USER)
    known = Binary("*", number, Compare("<=", number, length))
    return _plus(vector, Binary("*", known, Const(_DTV_ENTRY)))


def _plus(left: Expr, right: Expr) -> Expr:
    if isinstance(left, Const) and isinstance(right, Const):
        return Const(left.value + right.value)
    return left if right == Const(0) else Binary("+", left, right)


def _is_program(elf: Elf) -> bool:
    """Whether its block is the first one: what is linked to run, not to be loaded."""
    if elf.type == ET_EXEC:
        return True
    dynamic = elf.contents(".dynamic") or b""
    return any(tag == _SYMBOLIC_FLAGS and value & _PIE for tag, value in struct.iter_unpack("<QQ", dynamic))


def _slots(elf: Elf) -> Iterator[tuple[int, int, int]]:
    """(kind, address, offset in the block) of slots that the loader fills for the object's own variables."""
    for section in elf.sections:
        if section.kind != SHT_RELA or section.name not in (".rela.dyn", ".rela.plt"):
            continue
        own = _defined(elf, elf.sections[section.link])
        for slot, info, addend in struct.iter_unpack("<QQq", elf.bytes_of(section)):
            kind, symbol = info & 0xFFFFFFFF, info >> 32
            if kind in (_DTPMOD64, _TPOFF64) and symbol in own:
                yield kind, slot, own[symbol] + addend


def _defined(elf: Elf, table: Section) -> dict[int, int]:
    """Index -> value, of the symbols that the object defines itself; 0 stands for none."""
    found = {0: 0}
    for index, (_, _, _, section, value, _) in enumerate(struct.iter_unpack("<IBBHQQ", elf.bytes_of(table))):
        if section:
            found[index] = value
    return found
