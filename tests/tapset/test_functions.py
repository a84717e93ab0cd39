"""The tapset library's functions: all that there should be, in every kernel's module, with right results in a guest."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import paths
from tests.support.kernels import Guests, available

LISTED = Path(__file__).with_name("functions.txt")
FUNCTION = re.compile(r"^function (\w+)(?::(\w+))?\s*\(([^)]*)\)", re.MULTILINE)
UNCALLED = {"panic", "abort", "error", "assert", "raise", "mdelay", "udelay"}  # these end the script or the machine


def _declared(file: Path) -> Iterator[str]:
    for name, result, parameters in FUNCTION.findall(file.read_text()):
        if not name.startswith("_"):
            yield f"{name}({parameters}){' ' + result if result else ''}"


def _pystap(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pystap", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _files() -> list[Path]:
    return sorted(f for f in paths.tapsets().rglob("*.stp") if FUNCTION.search(f.read_text()))


def test_every_listed_function_is_declared_so() -> None:
    declared = {line for file in _files() for line in _declared(file)}
    wanted = [line for line in LISTED.read_text().splitlines() if line and line[0] not in "#-"]
    assert len(wanted) > 400
    assert [line for line in wanted if line not in declared] == []


def test_each_value_is_checked_where_the_table_says() -> None:
    """functions.tsv names for each function a script whose output a test compares, or why there is none."""
    root = Path(__file__).resolve().parent.parent.parent
    table = Path(__file__).with_name("functions.tsv")
    rows = [line.split("\t") for line in table.read_text().splitlines() if not line.startswith("#")]
    listed = re.findall(r"^-?\s*(\w+)\(", LISTED.read_text(), re.MULTILINE)
    assert sorted({row[0] for row in rows}) == sorted(set(listed))
    unchecked = [row for row in rows if row[1] == "-"]
    assert all(len(row) == 3 for row in unchecked), "each has its reason"
    assert len(unchecked) <= 7
    checked = {(name, root / file) for name, file in (row[:2] for row in rows) if file != "-"}
    texts = {path: path.read_text() for _, path in checked}
    assert [n for n, path in checked if not re.search(rf"(?<![\w$>.]){n}\s*\(", texts[path])] == []


def _calls(file: Path) -> str:
    lines = []
    for name, result, parameters in FUNCTION.findall(file.read_text()):
        kinds = [p.split(":")[1].strip() for p in parameters.split(",") if p.strip()]
        call = f"{name}({', '.join({'string': chr(34) * 2, 'long': '0'}[k] for k in kinds)})"
        lines.append(f"  println({call})" if result else f"  {call}")
    return "probe begin {\n" + "\n".join(lines) + "\n}\n"


@pytest.mark.parametrize("file", _files(), ids=lambda f: f.stem)
def test_every_function_compiles(file: Path, series: str, tmp_path: Path) -> None:
    kernel = available(series)
    assert kernel is not None
    script = tmp_path / "calls.stp"
    script.write_text(_calls(file))
    done = _pystap("-g", "-p4", "-r", kernel.release, str(script))
    assert done.returncode == 0, done.stderr


@pytest.mark.vm
def test_addresses_that_can_not_be_read_do_no_harm(guests: Guests, series: str, tmp_path: Path) -> None:
    """Each function is called with zeros and with addresses that nothing is mapped at, one after the other."""
    kernel = available(series)
    assert kernel is not None
    calls = []
    for file in _files():
        for name, _result, parameters in FUNCTION.findall(file.read_text()):
            kinds = [p.split(":")[1].strip() for p in parameters.split(",") if p.strip()]
            if name in UNCALLED or name.startswith(("set_", "_")) or "exit" in name or "system" in name:
                continue
            for number in ("0", "-4096", "0xffffc90000000000", "0x8000000000000000"):
                arguments = ", ".join({"string": '"x"', "long": number}[k] for k in kinds)
                calls.append(f"  try {{ {name}({arguments}) }} catch {{ failed++ }}")
                if not kinds:
                    break
    probes = [
        "probe begin {\n" + "\n".join(calls[i : i + 40]) + f'\n  printf("part {i}\\n")\n}}\n'
        for i in range(0, len(calls), 40)
    ]
    script = tmp_path / "calls.stp"
    script.write_text("".join(probes) + "probe begin(9) { println(\"survived\") exit() }\n")
    done = _pystap("-g", "-p4", "-u", "-w", "-r", kernel.release, str(script))
    assert done.returncode == 0, done.stderr
    with guests.silent(series):  # one of the functions logs a stack
        finished = guests.run(series, Path(done.stdout.split()[-1]))
    assert "survived" in finished.stdout.decode(), finished.stderr.decode()


@pytest.mark.vm
@pytest.mark.parametrize("name", ["values", "kernel_values", "macro_values"])
def test_values(name: str, guests: Guests, series: str) -> None:
    """Each line of a result is followed in the script by what it must be, without escapes and zero bytes."""
    kernel = available(series)
    assert kernel is not None
    script = Path(__file__).with_name(f"{name}.stp")
    wanted = re.findall(r"^\s*# => (.*)$", script.read_text().replace("\x1b", ""), re.MULTILINE)
    done = _pystap("-g", "-w", "-p4", "-r", kernel.release, str(script))
    assert done.returncode == 0, done.stderr
    with guests.silent(series):  # one of the functions logs a stack
        finished = guests.run(series, Path(done.stdout.split()[-1]))
    shown = re.sub("[\x1b\0]", "", finished.stdout.decode())
    assert shown.splitlines() == wanted, finished.stderr.decode()
