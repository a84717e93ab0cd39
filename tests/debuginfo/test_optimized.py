"""What an optimized program keeps in no memory is refused with the reason; what lies beside it is read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pystap import cli

PROGRAM = r"""
__thread int per_thread = 7;
struct pair { int a, b; };
static inline __attribute__((always_inline)) int sum(struct pair *p, int k)
{
	__asm__ volatile("nop");
	return p->a * k + p->b;
}
__attribute__((noinline)) int outer(int x)
{
	struct pair pair = { x, x + 1 };
	int r = sum(&pair, 3);

	__asm__ volatile("nop" :: "r"(r));
	return r;
}
int main(int argc, char **argv) { per_thread += argc; return outer(argc) + per_thread; }
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("optimized")
    (folder / "o.c").write_text(PROGRAM)
    subprocess.run(["gcc", "-O2", "-g", "o.c", "-o", "o"], cwd=folder, check=True)
    return folder / "o"


@pytest.mark.headers
@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        ('function("sum").inline', "$p->a", ""),
        ('function("sum").inline', "$p[0]->b + $p[0]->a", ""),
        ('function("sum").inline', "&$p->a", "cannot take the address of a value that is not in memory"),
        ('function("sum").inline', "$p", "kept in no memory (DW_OP_implicit_pointer)"),
        ('function("sum").inline', "$k", ""),
        ('function("outer")', '@var("per_thread@o.c", "PROGRAM")', ""),
        ('function("outer")', "$x", ""),
    ],
)
def test_values_of_optimized_code(
    program: Path, point: str, value: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = f'probe process("{program}").{point} {{ println({value.replace("PROGRAM", str(program))}) }}'
    status = cli.main(["-r", "6.1", "-p2", "-e", script])
    said = capsys.readouterr().err
    assert (status, "semantic error" in said) == ((1, True) if reason else (0, False)), said
    assert reason in said
