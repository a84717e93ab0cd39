"""DWARF of compiled programs: functions, inlined copies, lines; values, as the module would read them, against gdb."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap
from functools import cache
from pathlib import Path

import pytest

from pystap.arch import X86_64
from pystap.debuginfo import dw
from pystap.debuginfo.api import Root
from pystap.debuginfo.ctype import Pointer, Struct, size_of, strip
from pystap.debuginfo.dwarf import Covering, Dwarf
from pystap.debuginfo.index import Index, build, index_in_memory, open_index
from pystap.debuginfo.lines import LineTable
from pystap.debuginfo.sections import Sections
from pystap.debuginfo.spec import parse
from pystap.diagnostics import Unresolved
from pystap.ir import nodes as ir
from tests.support.cc import compile_c

SOURCE = r"""
#include <stdlib.h>
struct point { int x, y; char tag[4]; unsigned low:3, high:7; };
static int counter = 7;
int shared = 3;
volatile int sink;

static inline int square(int v)
{
	int twice = v * 2;
	sink = twice;
	return v * v;
}

__attribute__((noinline)) int six(int a, long b, char c, unsigned short d, void *e, long long f, int g, short h)
{
	sink = a;
	sink += g + h;
	return a + b + c + d + (e != 0) + f + g + h;
}

__attribute__((noinline)) long walk(struct point *p, int count)
{
	long total = 0;
	int i;

	for (i = 0; i < count; i++) {
		long part = square(p[i].x) + p[i].y;
		total += part;
		if (part > 1000)
			goto out;
	}
	counter += total;
out:
	sink = total;
	return total;
}

int main(int argc, char **argv)
{
	struct point points[3] = {{1, 2, "ab", 5, 99}, {3, -4, "cd", 1, 2}, {5, 6, "ef", 7, 127}};
	void *room = malloc(argc * 10);
	long sum = walk(points, 3) + six(argc + 9, -2, 'c', 65535, room, 1LL << 40, -7, -8);

	free(room);
	return sum == 12345;
}
"""
OPTIONS = [("-O0",), ("-O2",), ("-O2", "-gdwarf-4"), ("-O2", "-fno-omit-frame-pointer"), ("-Os",)]
IDS = [" ".join(o) for o in OPTIONS]


HALVES = r"""
volatile int sink;

static int halves(int *p)
{
	if (!p)
		return 0;
	for (int i = 0; i < *p; i++) {
		sink += i * *p;
		sink ^= p[i];
		sink -= p[i + 1] / (p[2] | 1);
		sink *= p[3] % (p[4] | 1);
	}
	return sink;
}

__attribute__((noinline)) int first(int *p) { return halves(p) + 1; }
__attribute__((noinline)) int second(int *p) { return halves(p) * 3; }
int main(int argc, char **argv) { return first(argc > 2 ? &argc : 0) + second(argc > 3 ? &argc : 0); }
"""


@cache
def opened(options: tuple[str, ...]) -> Dwarf:
    return opened_at(program(options))


def opened_at(path: Path) -> Dwarf:
    sections = Sections.open(path)
    symbols = sorted((s.value, s.size, s.name) for s in sections.elf.symbols() if s.kind in (1, 2) and s.size)

    def cover(pc: int) -> Covering | None:
        return next((Covering(name, pc - start) for start, size, name in symbols if start <= pc < start + size), None)

    return Dwarf(sections, lambda: index_in_memory(sections), cover, "code", ir.Space.USER)


def program(options: tuple[str, ...]) -> Path:
    return compile_c(SOURCE, *options, "-fno-pie", "-no-pie", "-Wno-all", name="folder/code.c")


def line_of(text: str) -> int:
    return next(k for k, line in enumerate(SOURCE.splitlines(), 1) if text in line)


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_functions_with_their_files_and_lines(options: tuple[str, ...]) -> None:
    found = {(a.function, a.file, a.line) for a in opened(options).entries(parse("*@code.c"))}
    wanted = {"square": "int square(", "six": "int six(", "walk": "long walk(", "main": "int main("}
    assert found == {(name, "folder/code.c", line_of(text)) for name, text in wanted.items()}


def test_inlined_copies_and_real_functions() -> None:
    optimized, plain = opened(("-O2",)), opened(("-O0",))
    assert [a.inlined for a in optimized.entries(parse("square"))] == [True]
    assert optimized.entries(parse("square"), inlined=False) == []
    assert [a.inlined for a in plain.entries(parse("square"))] == [False]
    assert optimized.entries(parse("walk"), calls=False) == []


def test_what_was_split_off_a_function_is_not_that_function() -> None:
    dwarf = opened_at(compile_c(HALVES, "-O2", "-fno-pie", "-no-pie", name="folder/halves.c"))
    [part] = [e for e in dwarf.index.functions("halves") if e.kind == "f"]  # debug-info gives it the same name
    covering = dwarf.covering(part.pc)
    assert covering is not None
    assert covering.symbol.startswith("halves.part.")
    assert {(a.symbol, a.inlined) for a in dwarf.entries(parse("halves"))} == {("first", True), ("second", True)}
    assert dwarf.entries(parse("halves"), inlined=False) == []
    loop = HALVES.splitlines().index("\t\tsink ^= p[i];") + 1
    assert dwarf.statements(parse(f"halves@halves.c:{loop}")) == []


@pytest.mark.parametrize("pattern", ["walk@code.c", "walk@folder/*.c", "w?lk", "walk@folder/code.c"])
def test_patterns_of_files(pattern: str) -> None:
    assert [a.function for a in opened(("-O2",)).entries(parse(pattern))] == ["walk"]


def test_a_file_pattern_matches_whole_directories_only() -> None:
    assert opened(("-O2",)).entries(parse("walk@ode.c")) == []


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_every_line_of_a_function(options: tuple[str, ...]) -> None:
    """Compared with what readelf decodes, whose own reader this is not."""
    dwarf = opened(options)
    found = {(a.line, a.address) for a in dwarf.statements(parse("six@folder/code.c:*"))}
    text = subprocess.run(
        ["readelf", "--debug-dump=decodedline", str(program(options))], capture_output=True, text=True, check=True
    ).stdout
    rows = re.findall(r"^code\.c\s+(\d+)\s+0x([0-9a-f]+)", text, re.MULTILINE)
    first, last = line_of("int six("), line_of("return a + b + c")
    lowest: dict[int, int] = {}
    for line, address in ((int(a), int(b, 16)) for a, b in rows):
        if first <= line <= last + 1:
            lowest[line] = min(address, lowest.get(line, address))
    assert found <= set(lowest.items())
    assert {a for _, a in found} == set(lowest.values())


def test_lines_by_number_range_list_and_distance() -> None:
    dwarf = opened(("-O0",))
    start = line_of("int six(")
    both = [a.line for a in dwarf.statements(parse(f"six@code.c:{start + 2}-{start + 3}"))]
    assert both == [start + 2, start + 3]
    assert [a.line for a in dwarf.statements(parse(f"six@code.c:{start + 4},{start + 2}"))] == [start + 2, start + 4]
    assert [a.line for a in dwarf.statements(parse("six@code.c+2"))] == [start + 2]
    assert dwarf.statements(parse("six@code.c:1")) == []


def test_the_nearest_line_with_code() -> None:
    dwarf = opened(("-O0",))
    blank = line_of("\tint i;") + 1
    assert dwarf.statements(parse(f"walk@code.c:{blank}")) == []
    assert [a.line for a in dwarf.statements(parse(f"walk@code.c:{blank}"), nearest=True)] == [blank + 1]
    assert dwarf.alternatives(parse(f"walk@code.c:{blank}")) == [blank - 2, blank + 1]


def test_labels_and_callees() -> None:
    dwarf = opened(("-O0",))
    assert [(a.label, a.line) for a in dwarf.labels(parse("walk"), "o*")] == [("out", line_of("out:"))]
    callees = opened(("-O2",)).callees(parse("walk"), "*")
    assert [(caller.function, callee.function) for caller, callee in callees] == [("walk", "square")]
    assert {c.function for _, c in opened(("-O2",)).callees(parse("main"), "*")} == {"walk", "six"}


def test_an_address_has_a_function_and_a_line() -> None:
    dwarf = opened(("-O2",))
    [inlined] = dwarf.entries(parse("square"))
    at = dwarf.at(inlined.address)
    assert at is not None
    assert (at.function, at.inlined, at.file) == ("square", True, "folder/code.c")
    assert dwarf.at(0x10) is None


def test_arguments_at_entry_are_where_the_abi_puts_them() -> None:
    """At -O2 nothing has moved yet at the first instruction: registers in the ABI's order, then the stack."""
    dwarf = opened(("-O2",))
    [entry] = dwarf.entries(parse("six"))
    scope = dwarf.scope_at(entry)
    places = [scope.lookup(n) for n in scope.names("parms")]
    assert [p.value for p in places[:6]] == [ir.Reg(n, ir.Space.USER) for n in X86_64.arguments]
    for k, place in enumerate(places[6:]):
        stack = ir.Binary("+", ir.Reg(X86_64.stack_pointer, ir.Space.USER), ir.Const(X86_64.stack_arguments + 8 * k))
        assert (place.value, place.in_memory) == (stack, True)


def test_globals_and_statics() -> None:
    dwarf = opened(("-O2",))
    assert dwarf.variable("counter").value == ir.SymbolAddress("counter", 0, "code")
    assert dwarf.variable("shared", "folder/code.c").in_memory
    with pytest.raises(Unresolved, match="unable to find global 'shared'"):
        dwarf.variable("shared", "other.c")


def test_the_index_is_kept_and_read_back(tmp_path: Path) -> None:
    sections = opened(("-O2",)).sections
    kept = open_index(sections, "id", tmp_path)
    again: Index = open_index(None, "id", tmp_path)  # type: ignore[arg-type]  # not looked at: the file is there
    direct = sorted(index_in_memory(sections).functions("*"))
    assert sorted(kept.functions("*")) == sorted(again.functions("*")) == direct
    assert build(sections).names == (tmp_path / "id.names").read_bytes()


def test_missing_names_say_what_there_is() -> None:
    dwarf = opened(("-O2",))
    [entry] = dwarf.entries(parse("walk"))
    with pytest.raises(
        Unresolved, match=r"unable to find local 'nosuch'.* in walk folder/code.c \(alternatives: .*\$p"
    ):
        dwarf.scope_at(entry).lookup("nosuch")


def test_unoptimized_code_is_entered_past_its_prologue() -> None:
    dwarf = opened(("-O0",))
    [entry] = dwarf.entries(parse("six"))
    [low] = [s.value for s in dwarf.sections.elf.symbols() if s.name == "six"]
    assert entry.address > low
    assert opened(("-O2",)).entries(parse("six"))[0].offset == 0


# --- values, against gdb ---

GDB = r"""
import gdb, json
spec = json.load(open(SPEC))
gdb.execute("set pagination off"); gdb.execute("set confirm off"); gdb.execute("set disable-randomization on")
for address in spec["addresses"]: gdb.Breakpoint("*" + hex(address))
gdb.execute("run > /dev/null")
out = []
while gdb.selected_inferior().pid and len(out) < 60:
    frame = gdb.newest_frame()
    regs = {str(n): int(gdb.parse_and_eval("(unsigned long)$" + r)) for n, r in spec["registers"].items()}
    sp = regs["7"]
    stack = bytes(gdb.selected_inferior().read_memory(sp - 256, 2048))
    values, block = {}, frame.block()
    while block and not block.is_global:
        for s in block:
            if (s.is_variable or s.is_argument) and s.name not in values and not block.is_static:
                try:
                    v = s.value(frame)
                    t = v.type.strip_typedefs()
                    kinds = gdb.TYPE_CODE_INT, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_CHAR
                    if v.is_optimized_out or t.code not in kinds: v = None
                    else: v = int(v) & (1 << 8 * t.sizeof) - 1
                except Exception: v = None
                values[s.name] = v
        if block.function: break
        block = block.superblock
    out.append({"pc": frame.pc(), "regs": regs, "low": sp - 256, "stack": stack.hex(), "values": values})
    gdb.execute("continue")
json.dump(out, open(OUT, "w"))
"""


def signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


class Machine:
    """Evaluates the IR as the module would."""

    def __init__(self, stop: dict[str, object]) -> None:
        self.registers = stop["regs"]
        self.entered: dict[str, int] = {}  # registers when the function was entered
        self.low = stop["low"]
        self.stack = bytes.fromhex(str(stop["stack"]))

    def load(self, address: int, size: int) -> int:
        start = (address & (1 << 64) - 1) - int(self.low)  # type: ignore[call-overload]
        assert 0 <= start <= len(self.stack) - size, "outside of what was saved of the stack"
        return int.from_bytes(self.stack[start : start + size], "little")

    def value(self, e: ir.Expr) -> int:
        match e:
            case ir.Const(value=value):
                return value
            case ir.Reg(number=number):
                return int(self.registers[str(number)])  # type: ignore[index]
            case ir.Binary(operator=operator, left=left, right=right):
                a, b = self.value(left), self.value(right)
                right_shift = (a & (1 << 64) - 1) >> (b & 63)
                found = {"+": a + b, "-": a - b, "*": a * b, "&": a & b, "|": a | b, "<<": a << (b & 63)}
                return {**found, ">>>": right_shift, ">>": signed(a) >> (b & 63)}[operator]
            case ir.Field(name="entered", number=number):
                return int(self.entered[str(number)])
            case ir.Compare(operator=operator, left=left, right=right):
                a, b = (signed(self.value(e)) for e in (left, right))
                return int({"!=": a != b, "==": a == b, "<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator])
            case ir.Select(condition=condition, then=then, otherwise=otherwise):
                return self.value(then if self.value(condition) else otherwise)
            case ir.Unary(operator="-", operand=operand):
                return -self.value(operand)
            case ir.Bits(value=value, offset=offset, width=width):
                return self.value(value) >> offset & (1 << width) - 1
            case ir.Load(address=address, size=size):
                return self.load(self.value(address), size)
        raise AssertionError(e)

    def read(self, root: Root) -> int:
        size = size_of(root.type)
        number = self.load(self.value(root.value), size) if root.in_memory else self.value(root.value)
        return number & (1 << 8 * size) - 1


@pytest.mark.parametrize("options", OPTIONS, ids=IDS)
def test_values_are_those_that_gdb_sees(options: tuple[str, ...], tmp_path: Path) -> None:
    """At every statement of two functions: each variable that gdb can read has the same value here."""
    if shutil.which("gdb") is None:
        pytest.skip("needs gdb (apt install gdb)")
    dwarf = opened(options)
    places = {a.address: a for f in ("six", "walk") for a in dwarf.statements(parse(f"{f}@code.c:*"))}
    spec, out, script = tmp_path / "spec", tmp_path / "out", tmp_path / "script.py"
    names = {n: r.name for n, r in X86_64.registers.items()}
    entries = {s.value for s in dwarf.sections.elf.symbols() if s.name in ("six", "walk")}
    spec.write_text(json.dumps({"addresses": sorted({*places, *entries}), "registers": names}))
    script.write_text(f"SPEC, OUT = {str(spec)!r}, {str(out)!r}\n" + textwrap.dedent(GDB))
    subprocess.run(
        ["gdb", "-q", "-batch", "-nx", "-x", str(script), str(program(options))], capture_output=True, check=False
    )
    if not out.exists():
        pytest.skip("gdb cannot run programs here")
    compared = 0
    calls: dict[int, dict[str, int]] = {}  # registers at the entry, by the frame's address
    for stop in json.loads(out.read_text()):
        if stop["pc"] in entries:
            calls[stop["regs"]["7"] + X86_64.stack_arguments] = stop["regs"]
        if stop["pc"] not in places:
            continue
        scope = dwarf.scope_at(places[stop["pc"]])
        machine = Machine(stop)
        activation = scope.activation()
        assert activation is not None
        machine.entered = calls[machine.value(activation.frame) & (1 << 64) - 1]
        for name in scope.names("vars"):
            wanted = stop["values"].get(name)
            root = available(scope, name)
            if wanted is not None and root is not None:
                assert machine.read(root) == wanted, f"{name} at {places[stop['pc']].line}"
                compared += 1
    assert compared > 40


def available(scope: object, name: str) -> Root | None:
    try:
        root: Root = scope.lookup(name)  # type: ignore[attr-defined]
    except Unresolved:
        return None
    return None if isinstance(strip(root.type), Struct) else root


def test_structs_say_where_they_are_declared() -> None:
    dwarf = opened(("-O2",))
    [entry] = dwarf.entries(parse("walk"))
    pointer = strip(dwarf.scope_at(entry).lookup("p").type)
    assert isinstance(pointer, Pointer)
    struct = pointer.target.get()
    assert isinstance(struct, Struct)
    assert struct.declared == f"folder/code.c:{line_of('struct point {')}"


def test_line_tables_of_old_and_new_versions_agree() -> None:
    tables = []
    for version in ("2", "3", "4", "5"):
        sections = Sections.open(
            compile_c(SOURCE, "-O1", f"-gdwarf-{version}", "-no-pie", "-fno-pie", name="folder/code.c")
        )
        rows = set()
        for offset in sections.unit_offsets:
            unit = sections.unit(offset)
            if unit.root.tag == dw.COMPILE_UNIT:
                table = LineTable(unit)
                rows |= {(r.address, table.file(r.file), r.line) for r in table.rows if not r.end}
        tables.append({row for row in rows if row[1] == "folder/code.c"})
    assert tables[0]
    assert all(len(t ^ tables[0]) <= len(t) // 5 for t in tables), "versions place views differently, not lines"
