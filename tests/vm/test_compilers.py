"""Programs as other compilers, linkers and options leave them: the same values of each, in guests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import cli
from tests.vm.conftest import SOURCES, Bench

pytestmark = pytest.mark.vm

SOURCE = str(SOURCES / "t.c")
GCC = {
    "dwarf2": "-gdwarf-2 -gstrict-dwarf -O1",
    "dwarf4": "-gdwarf-4 -O2",
    "dwarf5": "-gdwarf-5 -O0",
    "silent": "-g -O0 -gno-record-gcc-switches",
    "zlib": "-g -gz=zlib -O2",
    "lto": "-g -O2 -flto",
    "sections": "-g -O2 -ffunction-sections -Wl,--gc-sections",
    "protected": "-g -O2 -fcf-protection=full -Wl,-z,ibtplt",
    "static_pie": "-g -O1 -static-pie",
    "type_units": "-g -O2 -fdebug-types-section",
}
CLANG = {"clang0": "-g -O0", "clang1": "-g -O1", "clang4": "-gdwarf-4 -O2"}
LEAF = """
    probe process("PROGRAMS/NAME").function("leaf").call {
        printf("NAME %d %d %d\\n", $x, $k, @choose_defined($p->y, -2))
    }
    probe process("PROGRAMS/NAME").function("leaf").return { printf("NAME %d %d\\n", $return, @entry($x)) }
    probe process("PROGRAMS/NAME").function("mid@t.c").call { printf("NAME mid %d\\n", $x) }
"""


def build(folder: Path, compiler: str, programs: dict[str, str]) -> None:
    for name, flags in programs.items():
        subprocess.run([compiler, "-w", "-o", folder / name, SOURCE, *flags.split()], check=True)


def separate(folder: Path, name: str) -> None:
    """Moves a program's debug-info to a file of its own, which .gnu_debuglink names."""
    subprocess.run(["gcc", "-w", "-g", "-O1", "-Wl,--build-id=none", "-o", name, SOURCE], check=True, cwd=folder)
    subprocess.run(["objcopy", "--only-keep-debug", name, f"{name}.debug"], check=True, cwd=folder)
    subprocess.run(["strip", name], check=True, cwd=folder)
    subprocess.run(["objcopy", f"--add-gnu-debuglink={name}.debug", name], check=True, cwd=folder)


def share(folder: Path, *names: str) -> None:
    """Moves what the debug-info of several programs has in common to a file of its own."""
    for name in names:
        subprocess.run(["gcc", "-w", "-g", "-O1", f"-DNAME={name}", "-o", name, SOURCE], check=True, cwd=folder)
    subprocess.run(["dwz", "-m", "common.debug", *names], check=True, cwd=folder)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compiled")
    build(folder, "gcc", GCC)
    separate(folder, "linked")
    share(folder, "shared1", "shared2")
    return folder


def placed(bench: Bench, folder: Path, names: list[str]) -> Bench:
    """The bench, with some programs of a folder in its guest."""
    guest = bench.guest()
    for name in names:
        guest.put(str(folder / name), (folder / name).read_bytes(), 0o755)
    return Bench(bench.series, folder, bench.capsys, bench.guests)


def check_leaf(bench: Bench, folder: Path, names: list[str]) -> None:
    """t.c calls mid(0), and that leaf(0, &origin, GREEN = 5) and leaf(4, &origin, BLUE = 6)."""
    script = "".join(LEAF.replace("NAME", name) for name in names)
    bench = placed(bench, folder, names)
    (folder / "all.sh").write_text("".join(f"{folder}/{name}\n" for name in names))
    bench.guest().put(f"{folder}/all.sh", (folder / "all.sh").read_bytes())
    lines = bench.run(script, "/bin/sh PROGRAMS/all.sh")
    said = {name: [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")] for name in names}
    full = ["mid 0", "0 5 -2", "6 0", "4 6 -2", "19 4"]
    assert said == dict.fromkeys(names, full)


def test_gccs_options(bench: Bench, compiled: Path) -> None:
    """Versions and forms of DWARF, compressed, in files of its own, of optimized and of unoptimized code."""
    names = [*GCC, "linked", "shared1", "shared2"]
    check_leaf(bench, compiled, names[::2] if bench.series == "6.1" else names[1::2])


def test_clang(bench: Bench, compiled: Path) -> None:
    """It does not say how it was called, and keeps addresses and locations in tables."""
    if shutil.which("clang") is None:
        pytest.skip("no clang")
    build(compiled, "clang", CLANG)
    check_leaf(bench, compiled, list(CLANG))


def test_rust(bench: Bench, compiled: Path) -> None:
    """Both ways of mangling; names of methods by their types, of generics with what they were made for."""
    if shutil.which("rustc") is None:
        pytest.skip("no rustc")
    for name, flags in {"rust0": "opt-level=0", "rust2": "opt-level=2 -C symbol-mangling-version=v0"}.items():
        words = ["rustc", "-g", "-o", str(compiled / name), str(SOURCES / "shapes.rs"), "-C", *flags.split()]
        subprocess.run(words, check=True)
    script = """
        probe process("PROGRAMS/rust*").function("total").call { printf("total %d\\n", $scale) }
        probe process("PROGRAMS/rust*").function("*::area@*shapes.rs").call { printf("area %d\\n", $self->side) }
        probe process("PROGRAMS/rust*").function("generic<i32>").call { println("generic ", $x) }
        probe process("PROGRAMS/rust*").function("total").return { println("back ", $return, " ", usymname(uaddr())) }
    """
    bench = placed(bench, compiled, ["rust0", "rust2"])
    for name in ("rust0", "rust2"):
        lines = bench.run(script, f"PROGRAMS/{name}")
        lines.remove("68 5")  # what it says itself
        assert lines == ["total 2", "area 3", "area 5", "back 68 shapes::main", "generic 12345"]


def test_go(bench: Bench, compiled: Path) -> None:
    """Entries, with the arguments that Go passes in its own registers; returns are refused."""
    go = shutil.which("go") or next(map(str, Path("/usr/lib").glob("go-*/bin/go")), None)
    if go is None:
        pytest.skip("no go")
    environment = os.environ | {"GOCACHE": str(compiled / "cache"), "GO111MODULE": "off"}
    source = str(SOURCES / "shapes.go")
    subprocess.run([go, "build", "-o", str(compiled / "go"), source], check=True, env=environment)
    script = """
        probe process("PROGRAMS/go").function("main.(\\*Square).Area") { println("area ", $s->side, " ", $scale) }
        probe process("PROGRAMS/go").function("main.add") {
            println("add ", $a, " ", $b, " ", user_string_n($name->str, $name->len))
        }
        probe process("PROGRAMS/go").function("main.main.func1") { println("closure ", $x) }
    """
    lines = placed(bench, compiled, ["go"]).run(script, "PROGRAMS/go")
    lines.remove("45 32")  # what it says itself
    # where Go's runtime makes a stack larger, the function that needs it is entered again
    assert list(dict.fromkeys(lines)) == ["closure 40", "add 40 2 abc", "area 4 2"]
    returns = f'probe process("{compiled}/go").function("main.add").return {{ }}'
    assert cli.main(["-p2", "-r", bench.series, "-e", returns]) == 1
    assert "Go's runtime moves its stacks" in bench.capsys.readouterr().err
