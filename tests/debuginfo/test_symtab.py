"""Tables of names: bisection finds what a plain search finds."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from pystap.debuginfo.symtab import KernelSymbol, NameTable, SymbolTable

NAMES = st.lists(st.text("ab_c", min_size=1, max_size=6), max_size=40)


@given(NAMES, st.text("ab_c*?", min_size=1, max_size=5))
def test_globs_find_what_a_plain_search_finds(names: list[str], pattern: str) -> None:
    table = NameTable(NameTable.build(f"{name}\t{k}" for k, name in enumerate(names)))
    wanted = sorted((name, str(k)) for k, name in enumerate(names) if fnmatchcase(name, pattern))
    assert sorted(table.glob(pattern)) == wanted


@given(NAMES, st.text("ab_c", min_size=1, max_size=6))
def test_names_are_found_whole(names: list[str], name: str) -> None:
    table = NameTable(NameTable.build(f"{n}\t{k}" for k, n in enumerate(names)))
    assert sorted(table.find(name)) == sorted(str(k) for k, n in enumerate(names) if n == name)


def table() -> SymbolTable:
    return SymbolTable.of([
        KernelSymbol("first", 0x100, "T", "f", 0x20),
        KernelSymbol("second", 0x120, "t", "", 0x10),
        KernelSymbol("also_second", 0x120, "T", "", 0x10),
        KernelSymbol("booting", 0x200, "t", "i", 8),
        KernelSymbol("delicate", 0x208, "T", "n", 8),
        KernelSymbol("data", 0x300, "D", "", 8),
        KernelSymbol("second", 0x400, "t", "", 4),
    ])  # fmt: skip


def test_only_what_can_be_probed_is_listed() -> None:
    assert table().functions("*") == ["also_second", "first", "second"]


def test_symbols_by_address() -> None:
    found = table().at(0x11F)
    assert found is not None
    assert (found[0].name, found[1]) == ("first", 0x1F)
    global_first = table().at(0x124)
    assert global_first is not None
    assert global_first[0].name == "also_second"
    assert table().at(0x130) is None, "past the end of the last symbol before it"
    assert table().at(0x50) is None


def test_statics_share_names() -> None:
    assert [s.address for s in table().lookup_all("second")] == [0x120, 0x400]


def test_near_names() -> None:
    assert table().similar("secnd") == ["second"]
    assert "also_second" in table().similar("so_second")
    assert table().similar("cond") == ["second"], "inside another"
    wrapped = SymbolTable.of([KernelSymbol("__x64_sys_mkdir", 0x100, "T", "", 0x10)])
    assert wrapped.similar("sys_mkdir") == ["__x64_sys_mkdir"], "however much longer it is"
