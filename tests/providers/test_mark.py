"""SDT marks: their operands in every shape that the assembler writes, and the marks of a compiled program."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pystap.debuginfo.sdt import argument, marks
from pystap.debuginfo.user import UserObject, open_object
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Binary, Bits, Const, Expr, Load, Reg, Space, SymbolAddress

SOURCES = Path(__file__).parent.parent / "vm" / "user"
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc (apt-get install gcc)")


def reg(number: int) -> Reg:
    return Reg(number, Space.USER)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> UserObject:
    path = tmp_path_factory.mktemp("marks") / "marks"
    subprocess.run(["gcc", "-O2", "-w", "-o", path, SOURCES / "marks.c"], check=True)
    return open_object(str(path))


CASES: list[tuple[str, Expr]] = [
    ("-4@%edi", Bits(reg(5), 0, 32, True)),
    ("4@%r9d", Bits(reg(9), 0, 32, False)),
    ("8@%rdx", reg(1)),
    ("1@%ah", Bits(reg(0), 8, 8, False)),
    ("-1@%sil", Bits(reg(4), 0, 8, True)),
    ("2@%r10w", Bits(reg(10), 0, 16, False)),
    ("4@$5", Const(5)),
    ("-8@$-1234567890123", Const(-1234567890123)),
    ("2@$-536", Const(65000)),
    ("-4@-60(%rsp)", Load(Binary("+", reg(7), Const(-60)), 4, True, Space.USER)),
    ("8@(%rax)", Load(reg(0), 8, False, Space.USER)),
    (
        "8@16(%rsp,%rax,8)",
        Load(
            Binary("+", Binary("+", reg(7), Binary("*", reg(0), Const(8))), Const(16)),
            8,
            False,
            Space.USER,
        ),
    ),
    ("4@(%rbx,%rcx)", Load(Binary("+", reg(3), reg(2)), 4, False, Space.USER)),
    ("%rax", reg(0)),
]


@pytest.mark.parametrize(("text", "value"), CASES, ids=[text for text, _ in CASES])
def test_operand(program: UserObject, text: str, value: Expr) -> None:
    assert argument(program, text).value == value


def test_variables_by_name(program: UserObject) -> None:
    (g,) = [s.value for s in program.elf.symbols() if s.name == "g"]
    for text, offset in (("-4@g(%rip)", 0), ("-4@g+8(%rip)", 8), ("-4@4+g(%rip)", 4)):
        assert argument(program, text).value == Load(SymbolAddress("", g + offset, program.path), 4, True, Space.USER)


@pytest.mark.parametrize("text", ["8f@%xmm0", "4@%nosuch", "8@nosuch(%rip)", "16@(%rax)", ""])
def test_not_understood(program: UserObject, text: str) -> None:
    with pytest.raises(Unresolved):
        argument(program, text)


def test_marks_of_a_program(program: UserObject) -> None:
    """As readelf shows them."""
    out = subprocess.run(["readelf", "-n", program.path], capture_output=True, text=True, check=True).stdout
    names = [line.split()[-1] for line in out.splitlines() if line.strip().startswith("Name:")]
    places = [int(line.split()[1].rstrip(","), 16) for line in out.splitlines() if line.strip().startswith("Location:")]
    found = list(marks(program))
    assert [m.name for m in found] == names
    assert [m.address for m in found] == places
    assert {len(m.arguments) for m in found if m.name == "many"} == {6}
