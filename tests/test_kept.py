"""Damaged files of the cache: they are made anew without a word, or named with what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pystap import kept, paths
from pystap.debuginfo.damage import Damaged
from pystap.debuginfo.symtab import SymbolTable
from tests.support.kernels import available

SCRIPT = """
probe kernel.trace("sched_switch") { println(@cast($prev, "struct task_struct")->pid) }
probe begin { println(ctime(0)) }
"""


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: tuple[Callable[[Path], None], ...] = (_empty, _half, _folder)


def test_what_was_written_is_read_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert kept.read(path) is None
    kept.write(path, b"some data")
    assert kept.read(path) == b"some data"
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert kept.read(path) is None
        path.write_bytes(whole[:at])
        assert kept.read(path) is None
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_was_changed_is_removed(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for change in DAMAGES:
        folder.mkdir()
        (folder / "a").write_text("text")
        (folder / "b").write_bytes(bytes(100_000))
        kept.seal(folder)
        assert kept.intact(folder)
        change(folder / "b")
        assert not kept.intact(folder)
        assert not folder.exists()


def test_a_linked_file_that_is_cut_is_not_whole(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copy(Path(sys.executable).resolve(), copy)
    assert kept.whole_elf(copy)
    _half(copy)
    assert not kept.whole_elf(copy)
    assert not kept.whole_elf(tmp_path)


def compiled(folder: Path, release: str) -> bytes:
    command = [sys.executable, "-m", "pystap", "-p4", "-r", release, "-e", SCRIPT]
    environment = {**os.environ, "PYSTAP_CACHE": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return Path(done.stdout.strip()).read_bytes()


def test_a_cache_of_damaged_files_is_made_anew(tmp_path: Path) -> None:
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "kernels").symlink_to(paths.cache("kernels"))
    first = compiled(cache, kernel.release)
    files = sorted(p for p in cache.rglob("*") if p.is_file() and not p.is_symlink())
    kinds = {p.relative_to(cache).parts[0] for p in files}
    assert kinds == {"grammar", "images", "library", "modules", "recipes", "scripts", "trees"}
    for number, path in enumerate(files):
        DAMAGES[number % len(DAMAGES)](path)
    assert compiled(cache, kernel.release) == first


def test_a_table_that_makes_no_sense_names_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path))
    path = tmp_path / "symbols"
    path.write_bytes(b"a\tx\nb\t1\tt\t\t0\n")
    table = SymbolTable.open(path)
    with pytest.raises(Damaged) as raised:
        table.lookup("a")
    assert str(raised.value) == f"{path} is damaged (a line of it): pystap --clean-cache removes it"
    path.write_bytes(b"b\t1\tt\t\t0\na\t1")
    with pytest.raises(Damaged):
        SymbolTable.open(path)
