"""Debug-info that several files share (dwz), and sections compressed with zstd: the same answers as of a plain file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pystap.debuginfo.ctype import Struct, spell
from pystap.debuginfo.spec import Spec
from pystap.debuginfo.user import UserObject
from pystap.diagnostics import StapError

SOURCES = Path(__file__).parent.parent / "vm" / "user"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two programs as they are compiled, and as dwz leaves them, with a file that holds what they have in common."""
    if shutil.which("dwz") is None or shutil.which("g++") is None:
        pytest.skip("dwz or g++ is not installed")
    made = tmp_path_factory.mktemp("shared")
    for name, level in (("one", "-O0"), ("two", "-O1")):
        command = ["g++", "-g", "-std=c++17", level, "-o", name, str(SOURCES / "classes.cpp")]
        subprocess.run(command, cwd=made, check=True)
        shutil.copy(made / name, made / f"{name}.shared")
    subprocess.run(["dwz", "-m", "common.debug", "one.shared", "two.shared"], cwd=made, check=True)
    return made


def _parameters(path: Path) -> list[tuple[str, str, int, tuple[tuple[str, str], ...]]]:
    dwarf = UserObject(str(path)).dwarf
    assert dwarf is not None
    found = []
    for name in ("shop::references", "shop::values", "shop::inherited", "shop::Item::method", "twice<int>"):
        for address in dwarf.entries(Spec(name)):
            listed = dwarf.scope_at(address).listed()
            found.append((address.function, address.file, address.line, tuple((n, spell(t)) for n, t in listed)))
    return found


@pytest.mark.parametrize("name", ["one", "two"])
def test_what_is_shared_is_found(folder: Path, name: str) -> None:
    plain = _parameters(folder / name)
    assert len(plain) == 6
    assert _parameters(folder / f"{name}.shared") == plain
    dwarf = UserObject(str(folder / f"{name}.shared")).dwarf
    assert dwarf is not None
    references = dwarf.scope_at(dwarf.entries(Spec("references"))[0])
    item = references.lookup("k").type
    assert spell(item) == "class Item const&"
    box = dwarf.scope_at(dwarf.entries(Spec("inherited"))[0]).lookup("d").type
    target = getattr(box, "target").get()  # noqa: B009
    assert isinstance(target, Struct)
    assert [m.name for m in target.members if m.name and not m.artificial] == ["own"]
    assert len([m for m in target.members if m.base]) == 2


def test_what_is_shared_is_missing(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "one.shared", tmp_path / "alone")
    with pytest.raises(StapError, match=r"shares with other files .dwz. is not there"):
        _parameters(tmp_path / "alone")


def test_sections_compressed_with_zstd(folder: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("zstd is not installed")
    command = ["objcopy", "--compress-debug-sections=zstd", "two", "compressed"]
    if subprocess.run(command, cwd=folder, capture_output=True).returncode:
        pytest.skip("objcopy cannot compress with zstd")
    assert _parameters(folder / "compressed") == _parameters(folder / "two")
