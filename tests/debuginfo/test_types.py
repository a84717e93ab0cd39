"""BTF and DWARF of one object tell the same story about its types; both spell them as stap -L does."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from pystap.debuginfo import dw
from pystap.debuginfo.btf import Btf
from pystap.debuginfo.ctype import CType, Enum, FunctionType, Struct, size_of, spell, strip
from pystap.debuginfo.dwarf_types import Types
from pystap.debuginfo.sections import Sections
from pystap.diagnostics import Unresolved
from tests.support.cc import compile_c

SOURCE = r"""
typedef int (*callback)(const char *, int);
typedef unsigned long long u64;
enum colour { RED, GREEN = 5, BLUE = -3 };
enum large { HUGE = 0x123456789abcdefull };
struct inner { int x; char c; };
union either { int i; double d; unsigned char bytes[8]; };
struct bits { unsigned a:3; int b:5; unsigned :0; u64 wide:40; _Bool flag:1; };
struct everything {
	struct inner plain;
	union either u;
	struct bits bits;
	union { long number; void *pointer; };
	struct { short one, two; } named;
	const char *const name;
	callback call;
	int grid[3][4];
	enum colour colour;
	enum large large;
	struct everything *next;
	volatile const int *vc;
	long double ld;
	int tail[];
};
int f(const char *a, char *const b, const struct inner *const *c, int (*d)(int, char *), int (*e)[4],
      volatile int *g, callback h, enum colour k, void *(*const q[2])(void), _Bool z, u64 u, const void *v,
      int *restrict r, int (**pp)(void), struct everything *all)
{ return *a + *b + all->tail[0] + (*c)->x; }
struct opaque;
struct opaque *hidden(struct opaque *o, ...) { return o; }
"""
SPELT = [
    "char const*", "char* const", "struct inner const* const*", "int (*) (int, char*)", "int[]*", "int volatile*",
    "callback", "enum colour", "void* (* const*) (void)", "_Bool", "u64", "void const*", "int* restrict",
    "int (**) (void)", "struct everything*",
]  # fmt: skip


@cache
def dwarf_types(version: str) -> tuple[Types, Sections]:
    sections = Sections.open(compile_c(SOURCE, f"-gdwarf-{version}", "-O1", link=False))
    return Types(sections), sections


def dwarf_type(version: str, name: str) -> CType:
    types, sections = dwarf_types(version)
    for offset in sections.unit_offsets:
        for die in sections.unit(offset).root.children():
            if die.name == name:
                return types.function(die) if die.tag == dw.SUBPROGRAM else types.at(die)
    raise AssertionError(name)


@cache
def btf() -> Btf:
    if shutil.which("pahole") is None:
        pytest.skip("needs pahole (apt install pahole)")
    path = Path(shutil.copy(compile_c(SOURCE, "-gdwarf-4", "-O1", link=False), "/tmp/pystap-btf.o"))
    made = path.with_suffix(".btf")  # into the object itself newer ones write with llvm-objcopy alone
    command = ["pahole", "-J", "--btf_gen_floats", f"--btf_encode_detached={made}", str(path)]
    subprocess.run(command, check=True, capture_output=True)
    blob = made.read_bytes()
    made.unlink()
    path.unlink()
    return Btf(blob)


def layout(ctype: CType, prefix: str = "", depth: int = 3) -> list[str]:
    """A struct's members with everything that reading them needs."""
    plain = strip(ctype)
    if not isinstance(plain, Struct) or depth == 0:
        return []
    lines = []
    for m in plain.members:
        inner = m.type.get()
        lines.append(f"{prefix}{m.name} {spell(inner)} @{m.offset_bits}:{m.bit_size} size {size_of(inner)}")
        lines += layout(inner, f"{prefix}{m.name}.", depth - 1)
    return lines


@pytest.mark.parametrize("version", ["3", "4", "5"])
@pytest.mark.parametrize("name", ["everything", "bits", "inner"])
def test_btf_and_dwarf_agree_on_layouts(version: str, name: str) -> None:
    ours = dwarf_type(version, name)
    theirs = btf().type(f"struct {name}")
    assert size_of(ours) == size_of(theirs) > 0
    assert layout(ours) == layout(theirs) != []


def test_bitfields_are_where_the_compiler_puts_them() -> None:
    assert layout(dwarf_type("5", "bits")) == [
        "a unsigned int @0:3 size 4",
        "b int @3:5 size 4",
        "wide u64 @64:40 size 8",
        "flag _Bool @104:1 size 1",
    ]


@pytest.mark.parametrize("version", ["4", "5"])
def test_spelling_is_staps(version: str) -> None:
    function = dwarf_type(version, "f")
    assert isinstance(function, FunctionType)
    assert [spell(t.get()) for _, t in function.parameters] == SPELT
    known = btf().function("f")
    assert known is not None
    assert [spell(t.get()) for _, t in known.parameters] == SPELT
    assert [n for n, _ in known.parameters] == [n for n, _ in function.parameters]


@pytest.mark.parametrize("of", ["5", "btf"])
def test_enumerators(of: str) -> None:
    colour, large = (btf().type(f"enum {n}") if of == "btf" else dwarf_type(of, n) for n in ("colour", "large"))
    assert isinstance(colour, Enum)
    assert (dict(colour.values), colour.signed) == ({"RED": 0, "GREEN": 5, "BLUE": -3}, True)
    assert isinstance(large, Enum)
    assert (dict(large.values), large.size) == ({"HUGE": 0x123456789ABCDEF}, 8)


def test_variadic_and_opaque() -> None:
    hidden = btf().function("hidden")
    assert hidden is not None
    assert hidden.variadic
    assert spell(hidden.result.get()) == "struct opaque*"
    assert spell(dwarf_type("5", "hidden")) == "struct opaque* (struct opaque*, ...)"


def test_base_types_by_any_spelling() -> None:
    assert spell(btf().type("unsigned long long")) == "long long unsigned int"
    assert spell(btf().type("u64")) == "u64"


def test_near_names_of_types() -> None:
    with pytest.raises(Unresolved) as caught:
        btf().type("struct everythin")
    assert "everything" in caught.value.similar


def test_the_index_survives_its_files() -> None:
    from pystap.debuginfo.btf import load_index
    from pystap.debuginfo.symtab import NameTable

    offsets, names = btf().index_files()
    again = Btf(btf()._blob, index=load_index(offsets, NameTable(names)))
    assert layout(again.type("struct everything")) == layout(btf().type("struct everything"))
