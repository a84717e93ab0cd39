"""Debug-info that is not there: the command that brings it, where it was looked for; a server that has it."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pystap import cli
from pystap.debuginfo.elf import Elf
from pystap.debuginfo.user import open_object
from tests.support.fakes import forget_debuginfo
from tests.support.kernels import available, build_module

XTUN = Path(__file__).resolve().parent.parent / "vm" / "mission" / "xtun"
PROGRAM = """
#include <stdio.h>
struct point { int x, y; };
__attribute__((noinline)) int add(struct point *p, int z) { return p->x + p->y + z; }
int main(void) { struct point p = { 3, 4 }; return add(&p, 5) != 12; }
"""


@pytest.fixture
def stripped(tmp_path: Path) -> tuple[Path, Path]:
    """A program, and its debug-info where nobody looks."""
    source, program, debug = (tmp_path / name for name in ("t.c", "program", "kept"))
    source.write_text(PROGRAM)
    subprocess.run(["gcc", "-g", "-O1", "-Wl,--build-id", "-o", program, source], check=True)
    subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
    subprocess.run(["strip", program], check=True)
    return program, debug


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serves what is in tmp_path/served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    folder = tmp_path / "served"
    folder.mkdir()
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()


def refused(capsys: pytest.CaptureFixture[str], script: str, *options: str) -> str:
    assert cli.main(["-p2", *options, "-e", script]) == 1
    return capsys.readouterr().err


def test_a_program(stripped: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    program, _ = stripped
    build_id = Elf.open(program).build_id()
    assert build_id
    said = refused(capsys, f'probe process("{program}").statement("add@t.c:4") {{ println($z) }}')
    assert "source files and lines are known to DWARF debug-info only" in said
    assert f"hint: debug-info of {program}: compile it with -g; looked in {program}" in said
    assert f"under /usr/lib/debug and /usr/local/lib/debug for .build-id/{build_id[:2]}/{build_id[2:]}.debug" in said


def test_a_module(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    module = build_module(XTUN, tmp_path / "work", kernel)
    subprocess.run(["strip", "-g", module], check=True)
    said = refused(capsys, f'probe module("{module}").statement("XtunRx@*:14") {{ println($kept) }}', "-r", "6.1")
    assert f"hint: debug-info of xtun: compile it with -g; looked in {module}, {module}.debug, " in said


def test_the_kernel(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, and locals of a function whose parameters are known."""
    kernel = available("6.1")
    if kernel is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    release = kernel.release
    forget_debuginfo(monkeypatch)
    monkeypatch.setattr("pystap.debuginfo.opening.kernel_file", lambda target: None)
    for point in ('kernel.statement("vfs_read@*:450")', 'kernel.function("vfs_read")'):
        said = refused(capsys, f"probe {point} {{ println($nosuch) }}", "-r", "6.1")
        assert re.search(rf"pystap-prep --debuginfo {release}, or apt install linux-image-{release}-dbg; ", said)
        assert f" for boot/vmlinux-{release}, lib/modules/{release}/vmlinux, " in said


def test_a_program_whose_debug_info_a_server_has(
    stripped: tuple[Path, Path],
    server: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The real debuginfod-find asks a real server, once it is needed, and not without a word."""
    program, debug = stripped
    build_id = Elf.open(program).build_id()
    monkeypatch.setenv("DEBUGINFOD_URLS", server)
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "found"))
    point = f'process("{program}").function("add")'
    said = refused(capsys, f"probe {point} {{ println($z) }}")
    assert said.startswith(f"asking {server} for the debug-info of {program}, build-id {build_id}\n")
    assert "debuginfod-find: Server query failed: No such file or directory" in said
    assert f"no match\n  hint: debug-info of {program}: compile it with -g; looked in" in said
    served = tmp_path / "served" / "buildid" / str(build_id) / "debuginfo"
    served.parent.mkdir(parents=True)
    served.write_bytes(debug.read_bytes())
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "found-2"))  # the other knows that it is not there
    open_object.cache_clear()
    assert cli.main(["-L", point]) == 0
    said = capsys.readouterr()
    assert said.out.strip().endswith('t.c:4") $p:struct point* $z:int'), said
    assert said.err.startswith(f"asking {server} for the debug-info of {program}, build-id {build_id}")
