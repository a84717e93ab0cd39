"""Arguments by prototype and ABI alone are where the compiler's own DWARF says they are."""

from __future__ import annotations

from functools import cache

import pytest

from pystap.arch import AARCH64, X86_64
from pystap.debuginfo import dw
from pystap.debuginfo.abi import EntryScope, UnknownScope, narrow, rearranged
from pystap.debuginfo.api import Part
from pystap.debuginfo.ctype import FunctionType, Int, Lazy, Struct, spell
from pystap.debuginfo.dwarf import Covering, Dwarf
from pystap.debuginfo.index import index_in_memory
from pystap.debuginfo.sections import Sections
from pystap.debuginfo.spec import parse
from pystap.diagnostics import Unresolved
from pystap.elaborate.targetvars import Path, Place
from pystap.ir import nodes as ir
from pystap.syntax import ast
from tests.support.cc import compile_c

SOURCE = r"""
struct small { int v; };
struct pair { long a; int b; char c; };
struct large { long a[3]; };
volatile long sink;
int seven(int a, long b, char c, unsigned short d, void *e, long long f, int g) { sink = a; return g + (e == 0); }
int by_value(struct small s, struct pair p, struct large l, int after) { sink = p.b; return s.v + l.a[1] + after; }
int pair_on_the_stack(long a, long b, long c, long d, long e, struct pair p, int last) { sink = last; return p.b; }
void nothing(void) { sink = 1; }
"""
FUNCTIONS = ["seven", "by_value", "pair_on_the_stack"]


@cache
def dwarf() -> Dwarf:
    sections = Sections.open(compile_c(SOURCE, "-O2", link=False))
    return Dwarf(sections, lambda: index_in_memory(sections), lambda pc: Covering("code", 0))


def prototype(name: str) -> FunctionType:
    d = dwarf()
    for offset in d.sections.unit_offsets:
        for die in d.sections.unit(offset).root.children():
            if die.tag == dw.SUBPROGRAM and die.name == name:
                return d.types.function(die)
    raise AssertionError(name)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_abi_and_the_compiler_agree(name: str) -> None:
    [entry] = dwarf().entries(parse(name))
    theirs = dwarf().scope_at(entry)
    ours = EntryScope(name, prototype(name), X86_64)
    assert ours.names("parms") == theirs.names("parms") != ()
    for parameter in ours.names("parms"):
        a, b = ours.lookup(parameter), theirs.lookup(parameter)
        assert (a.in_memory, spell(a.type)) == (b.in_memory, spell(b.type)), parameter
        if a.parts or b.parts:
            assert [(p.offset, p.value) for p in a.parts] == [(p.offset, p.value) for p in b.parts], parameter
        else:
            assert a.value in (b.value, narrow(b.value, b.type)), parameter


def test_members_of_a_struct_in_registers() -> None:
    """The second half of a struct in two registers, and a struct that fits into one."""
    scope = EntryScope("by_value", prototype("by_value"), X86_64)
    pair, small = scope.lookup("p"), scope.lookup("s")
    assert pair.parts == (Part(0, 8, ir.Reg(4)), Part(8, 8, ir.Reg(1)))
    read = {}
    for name, root in (("b", pair), ("c", pair), ("a", pair), ("v", small)):
        path = Path(Place.of(root, ir.Space.KERNEL))
        path.walk((ast.Member(name),))
        read[name] = path.read().value
    assert read["a"] == ir.Reg(4)
    assert read["b"] == ir.Bits(ir.Reg(1), 0, 32, True)
    assert read["c"] == ir.Bits(ir.Bits(ir.Reg(1), 32, 8, True), 0, 8, True)
    assert read["v"] == ir.Bits(ir.Reg(5), 0, 32, True)


def test_what_is_not_there_says_so() -> None:
    scope = EntryScope("seven", prototype("seven"), X86_64)
    with pytest.raises(Unresolved, match=r"unable to find local 'x' in seven \(alternatives: \$a \$b "):
        scope.lookup("x")
    with pytest.raises(Unresolved, match="because"):
        UnknownScope("because").lookup("a")
    assert EntryScope("nothing", prototype("nothing"), X86_64).result() is None


@pytest.mark.parametrize("name", ["f.isra.0", "g.constprop.1.isra.0", "h.part.3", "k.cold"])
def test_clones_have_parameters_of_their_own(name: str) -> None:
    assert rearranged(name)
    assert not rearranged(name.partition(".")[0])


def test_the_other_architecture_passes_large_structs_by_reference() -> None:
    long = Int("long int", 8, True)
    large = Struct("struct", "large", 24, tuple)
    function = FunctionType(Lazy.of(long), (("a", Lazy.of(large)), ("b", Lazy.of(long))))
    scope = EntryScope("f", function, AARCH64)
    assert (scope.lookup("a").value, scope.lookup("a").in_memory) == (ir.Reg(0), True)
    assert scope.lookup("b").value == ir.Reg(1)
