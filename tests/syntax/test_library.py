"""The tapset library: which files count, what is in them, and what is kept on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pystap import paths
from pystap.diagnostics import Diagnostics
from pystap.library import Library
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse, parse_script
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.trees import decode, encode
from pystap.syntax.unparse import unparse_file
from pystap.syntax.walk import walk

CONTEXT = PreprocessContext(kernel_release="6.1.0-56-cloud-amd64", arch="x86_64", kconfig={"CONFIG_A": "y"})

FILES = {
    "a.stp": """
        global ga, gb = 3, gc[10], gd%, ge private gf function fa() { return 1 } function fb(x) { return @m(x) }
        %( CONFIG_A == "y" %? function fc() { } %: function fd() { } %) probe al.one = begin { x = 1 }
        """,
    "m.stpm": "@define m(x) %( (@x + 1) %)",
    "linux/b.stp": 'probe al.two = kernel.function("x").return { function_ = 1 } probe c.d = e = f += g { }',
    "linux/x86_64/s.stp": "function special() { return 64 }",
    "linux/s.stp": "function special() { return 0 }",
    "linux/6.1/v.stp": "function version() { return 61 }",
    "linux/v.stp": "function version() { return 0 }",
    "linux/arm64/n.stp": "function never_seen() { }",
    "broken.stp": "function broken() { + }",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path / "cache"))
    for name, text in FILES.items():
        path = tmp_path / "tapset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "tapset"


def names(file: ast.File) -> list[str]:
    return [item.name for item in file.items if isinstance(item, ast.Function)]


def test_what_files_define(folder: Path) -> None:
    library = Library([folder], CONTEXT)
    index = {i.path.name: i for i in library.indexes()}
    assert index["a.stp"].functions == ("fa", "fb", "fc", "fd")
    assert index["a.stp"].globals == ("ga", "gb", "gc", "gd", "ge", "gf")
    assert index["a.stp"].aliases == ("al.one",)
    assert index["b.stp"].aliases == ("al.two", "c.d", "e", "f")
    assert index["m.stpm"].macros == ("m",)
    assert library.functions("fa") == (folder / "a.stp",)
    assert library.functions("nosuch") == ()
    assert library.globals("gd") == (folder / "a.stp",)
    assert set(library.aliases("al")) == {folder / "a.stp", folder / "linux" / "b.stp"}
    assert library.alias_families("?") == ("c", "e", "f")
    assert library.count == len(FILES) - 3


def test_the_most_special_file_counts(folder: Path) -> None:
    library = Library([folder], CONTEXT)
    assert library.functions("special") == (folder / "linux/x86_64/s.stp",)
    assert library.functions("version") == (folder / "linux/6.1/v.stp",)
    assert library.functions("never_seen") == ()


def test_a_users_folder_overrides_by_file_name(folder: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a.stp").write_text("function fa() { return 2 }")
    library = Library([mine, folder], CONTEXT)
    assert library.functions("fa") == (mine / "a.stp",)
    assert library.functions("fb") == ()


def test_files_are_parsed_with_the_librarys_macros(folder: Path) -> None:
    library = Library([folder], CONTEXT)
    file = library.file(folder / "a.stp")
    assert names(file) == ["fa", "fb", "fc"]
    assert "return (x) + (1);" in unparse_file(file)
    assert library.file(folder / "a.stp") is file
    assert not file.source.is_user


def test_a_broken_file_is_reported_when_used_only(folder: Path) -> None:
    diagnostics = Diagnostics()
    library = Library([folder], CONTEXT, diagnostics)
    library.file(folder / "a.stp")
    assert not diagnostics.items
    library.file(folder / "broken.stp")
    assert diagnostics.failed


def test_trees_are_kept_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "a.stp"
    first = Library([folder], CONTEXT).file(path)

    def refuse(*arguments: object) -> ast.File:
        raise AssertionError("parsed again")

    monkeypatch.setattr("pystap.syntax.parser.parse", refuse)
    second = Library([folder], CONTEXT).file(path)
    assert unparse_file(second) == unparse_file(first)
    assert [str(n.span) for n in walk(second)] == [str(n.span) for n in walk(first)]
    expanded = [n.span for n in walk(second) if n.span.via is not None]
    assert expanded
    assert all(span.file.name in (str(path), str(folder / "m.stpm")) for span in expanded)
    other = PreprocessContext(kernel_release="6.1.0-56-cloud-amd64", kconfig={"CONFIG_A": "n"})
    with pytest.raises(AssertionError, match="parsed again"):
        Library([folder], other).file(path)


def test_a_changed_file_is_read_again(folder: Path) -> None:
    path = folder / "a.stp"
    Library([folder], CONTEXT).file(path)
    path.write_text("function fresh() { }")
    os.utime(path, ns=(1, 1))
    library = Library([folder], CONTEXT)
    assert library.functions("fresh") == (path,)
    assert names(library.file(path)) == ["fresh"]


def test_a_changed_macro_is_seen(folder: Path) -> None:
    path = folder / "a.stp"
    Library([folder], CONTEXT).file(path)
    (folder / "m.stpm").write_text("@define m(x) %( (@x * 22) %)")
    assert "(x) * (22)" in unparse_file(Library([folder], CONTEXT).file(path))


def test_a_damaged_cache_does_no_harm(folder: Path) -> None:
    Library([folder], CONTEXT).file(folder / "a.stp")
    for path in (paths.cache() / "trees").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    for path in (paths.cache() / "library").iterdir():
        path.write_bytes(b"x")
    assert names(Library([folder], CONTEXT).file(folder / "a.stp")) == ["fa", "fb", "fc"]


def test_scripts_use_library_macros(folder: Path) -> None:
    diagnostics = Diagnostics()
    library = Library([folder], CONTEXT, diagnostics)
    file = parse_script(SourceFile("s", "probe begin { x = @m(2) }"), library.context, library, diagnostics)
    assert not diagnostics.items
    assert "(2) + (1)" in unparse_file(file)


def test_trees_come_back_whole() -> None:
    text = """
global a = -3, b[7] probe p.{q(1)?, r("s")} if (x > 1) { @hist_linear(s, 0, -1, 2)[3]; m = s =~ "re"
  foreach (v = [k+] in z[*, 1] limit 3) delete z[k]; try { $x->y[i]$$ = 1 } catch (e) { next } }
"""
    diagnostics = Diagnostics()
    source = SourceFile("s", text)
    file = parse(source, CONTEXT, None, diagnostics)
    assert not diagnostics.items
    again = decode(encode(file), source, lambda name: source)
    assert unparse_file(again) == unparse_file(file)
    assert [(type(n), n.span) for n in walk(again)] == [(type(n), n.span) for n in walk(file)]


@pytest.mark.parametrize("path", sorted(paths.tapsets().rglob("*.stp")), ids=lambda p: p.name)
def test_pystaps_own_tapsets(path: Path) -> None:
    """Each parses, and the scan finds what the parser finds."""
    diagnostics = Diagnostics()
    library = Library([paths.tapsets()], CONTEXT, diagnostics)
    file = library.file(path)
    assert not diagnostics.items
    index = next((i for i in library.indexes() if i.path == path), None)
    if index is not None:
        assert set(names(file)) <= set(index.functions)
        assert {item.name for item in file.items if isinstance(item, ast.Global)} <= set(index.globals)
