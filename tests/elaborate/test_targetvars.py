"""Target variables: paths over C types, addresses, saved values, texts, @defined, @cast, remembered pointers."""

from __future__ import annotations

import pytest

from pystap.ir.nodes import Binary, Bits, Const, Expr, Field, Hole, Load, Reg, Space, SymbolAddress
from pystap.options import Options
from pystap.syntax import ast
from pystap.syntax.walk import find_all
from tests.support.elaborating import outcome, program_of

FILE = Reg(5)
READ = 'kernel.function("vfs_read")'


def at(base: Expr, offset: int) -> Expr:
    return Binary("+", base, Const(offset)) if offset else base


def accesses(script: str, options: Options | None = None) -> list[ast.TargetAccess]:
    return list(find_all(program_of(script, options).probes[0].body.block, ast.TargetAccess))


def value(expression: str, point: str = READ) -> Expr:
    return accesses(f"probe {point} {{ println({expression}) }}")[0].value


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$count", Reg(1)),
        ("$flags", Bits(Reg(2), 0, 32, True)),
        ("$file->f_flags", Load(at(FILE, 32), 4, False)),
        ("$file->f_path->dentry", Load(at(FILE, 16), 8, True)),
        ("$file->f_rcuhead", Load(FILE, 4, True)),
        ("$file->flag_a", Bits(Load(at(FILE, 36), 1, False), 0, 3, False)),
        ("$file->flag_b", Bits(Load(at(FILE, 36), 1, False), 3, 5, True)),
        ("$file->counts[2]", Load(at(FILE, 64), 4, True)),
        ("$file->name", at(FILE, 40)),
        ("$file->ratio", Load(at(FILE, 88), 4, False)),  # its bits, as stap
        ("$file->color", Load(at(FILE, 72), 4, False)),
        ("$file->f_inode->i_mode", Load(Load(at(FILE, 24), 8, True), 2, True)),
        ("&$file->f_path->dentry", at(FILE, 16)),
        ("&$file->f_inode->i_ino", at(Load(at(FILE, 24), 8, True), 8)),
        ("$buf[3]", Load(at(Reg(4), 3), 1, True)),
        ('@cast(4096, "struct file")->f_flags', Load(at(Hole(0), 32), 4, False)),
        ('@cast($count, "inode")->i_ino', Load(at(Hole(0), 8), 8, False)),
        ('&@cast(0, "struct file")->f_path', at(Hole(0), 8)),
        ('&@cast(0, "long")[1]', at(Hole(0), 8)),
        ('&@cast($count, "struct file")', Hole(0)),
        ("(@defined($file) ? $file : $nosuch)->f_flags", Load(at(Hole(0), 32), 4, False)),
        ('@var("jiffies_64")', Load(SymbolAddress("jiffies_64"), 8, False)),
    ],
)
def test_paths(expression: str, expected: Expr) -> None:
    assert value(expression) == expected


def test_defined_looks_through_a_ternary_that_it_decided() -> None:
    script = f"probe {READ} {{ println(@defined((@defined($nosuch) ? $nosuch : $file)->nomember) ? $count : $flags) }}"
    (access,) = accesses(script)
    assert access.value == Bits(Reg(2), 0, 32, True)


def test_a_run_time_index_is_a_hole() -> None:
    (access,) = accesses(f"probe {READ} {{ i = 2 println($file->counts[i]) }}")
    assert access.value == Load(Binary("+", at(FILE, 56), Binary("*", Hole(0), Const(4))), 4, True)
    assert isinstance(access.holes[0], ast.Name)


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("$fil", "unable to find local 'fil' (alternatives: $file, $buf, $count, $flags): identifier '$fil' at 1:45"),
        ("$file->f_path", "'struct path' is being accessed instead of a member such as '->mnt': operator '->' at 1:52"),
        (
            "$file->f_inode[0]",
            "'struct inode' (fs.h:9) is being accessed instead of a member such as '->i_mode': operator '[' at 1:60",
        ),
        ("$file->private_data->x", "struct opaque has no known members here"),
        ("$count->x", "invalid access '->x' vs 'long unsigned int': operator '->' at 1:53"),
        ("&$count", "cannot take the address of a value that is not in memory"),
        ("&$file->flag_a", "cannot take the address of a bit-field"),
        ('@cast($file, "nosuch")->x', "type definition 'nosuch' not found in 'kernel'"),
        ('@var("nosuch")', "unable to find global 'nosuch'"),
        ("@entry($count)", "@entry is only valid in .return probes"),
    ],
)
def test_refused(expression: str, message: str) -> None:
    found = outcome(f"probe {READ} {{ println({expression}) }}")
    assert found.program is None
    assert found.error_lines[0].startswith(message)


def test_missing_members_come_with_all_others_nearest_first() -> None:
    found = outcome(f"probe {READ} {{ println($file->f_pth) }}")
    assert found.error_lines[0].startswith(
        "unable to find member 'f_pth' for struct file (alternatives: f_path, f_llist, "
    )
    assert found.error_lines[0].endswith("ratio, next): operator '->' at 1:52")


def test_variables_where_there_are_none() -> None:
    found = outcome("probe begin { println($x) }")
    assert found.error_lines == ["unresolved target-symbol expression: identifier '$x' at 1:23"]


def test_an_unused_bad_variable_is_no_error() -> None:
    assert outcome("probe begin { y = $a exit() }").program is not None


def test_bad_variables_are_zero_on_demand() -> None:
    program = program_of(f"probe {READ} {{ println($nosuch->x) }}", Options(skip_badvars=True))
    assert [n.value for n in find_all(program.probes[0].body.block, ast.Number)] == [0]


def test_defined_prunes_before_names_are_looked_up() -> None:
    script = f"probe {READ} {{ if (@defined($foo)) println(nosuch($foo)) else println(@defined($file->f_flags)) }}"
    program = program_of(script)
    assert [n.value for n in find_all(program.probes[0].body.block, ast.Number)] == [1]


def test_defined_chooses_at_each_site() -> None:
    program = program_of('probe kernel.function("vfs_*") { println(@defined($len) ? $len : $count) }')
    found = [next(find_all(p.body.block, ast.TargetAccess)).value for p in program.probes]
    assert found == [Reg(1), Bits(Reg(4), 0, 32, False)]


def test_writes_need_guru_mode() -> None:
    script = f"probe {READ} {{ $count = 3 $file->f_flags++ }}"
    message = "write to target variable not permitted; need stap -g: identifier"
    assert outcome(script).error_lines == [f"{message} '$count' at 1:37", f"{message} '$file' at 1:48"]
    block = program_of(script, Options(guru=True)).probes[0].body.block
    assert isinstance(next(find_all(block, ast.Assign)).target, ast.TargetAccess)
    assert isinstance(next(find_all(block, ast.IncDec)).target, ast.TargetAccess)


def test_return_probes_save_at_entry() -> None:
    found = outcome(
        f"probe {READ}.return {{ println($return, $count, $count, @entry($file->f_flags), $$parms,"
        " @entry(execname())) }"
    )
    assert found.program is not None
    body = found.program.probes[0].body
    assert [type(e).__name__ for e in body.entry] == ["TargetAccess", "TargetAccess", "Pretty", "Call"]
    values = list(find_all(body.block, ast.EntryValue))
    assert [(v.number, v.result) for v in values] == [
        (0, "long"), (0, "long"), (1, "long"), (2, "string"), (3, "string"),
    ]  # fmt: skip
    assert next(find_all(body.block, ast.TargetAccess)).value == Field("retval")
    assert found.warnings[0] == (
        "confusing usage, value is captured as @entry($count) in .return probe [man stapprobes] RETURN PROBES:"
        " identifier '$count' at 1:61"
    )


def test_texts() -> None:
    script = f"probe {READ} {{ println($$vars, $$parms$, $file$, $file->f_path$$, $count$) }}"
    texts = list(find_all(program_of(script).probes[0].body.block, ast.Pretty))
    assert [[f.label for f in t.fields] for t in texts] == [
        ["file=", "buf=", "count=", "flags="], ["file=", "buf=", "count=", "flags="], [""], [""], [""],
    ]  # fmt: skip
    assert [t.depth for t in texts] == [0, 1, 1, 2, 1]
    assert texts[0].fields[0].address is None  # plain $$vars shows the pointer
    address = texts[1].fields[0].address  # $$parms$ opens the struct
    assert address is not None
    assert address.value == FILE
    path = texts[3].fields[0].address
    assert path is not None
    assert path.value == at(FILE, 8)


def test_the_result_as_text() -> None:
    program = program_of(f"probe {READ}.return {{ println($$return) }}")
    (text,) = find_all(program.probes[0].body.block, ast.Pretty)
    assert text.fields[0].label == "return="


def test_names_of_tracepoints() -> None:
    program = program_of('probe kernel.trace("sched_switch") { println($$name, $$system, $prev->f_flags) }')
    assert [s.value for s in find_all(program.probes[0].body.block, ast.String)] == ["sched_switch", "sched"]


def test_remembered_pointers() -> None:
    script = (
        f"global kept probe {READ} {{ f = $file; g = f->next; println(f->f_flags, g->color, mine(g)->flag_a)"
        " kept = g }"
        " function mine(x) { println(x->color) return x->next } probe end { println(kept->f_inode->i_ino) }"
    )
    program = program_of(script)
    for block in (*(p.body.block for p in program.probes), program.functions["mine", 1][0].body.block):  # type: ignore[union-attr]
        assert not list(find_all(block, ast.TargetVar))
    last = list(find_all(program.probes[1].body.block, ast.TargetAccess))
    assert last[0].value == Load(at(Load(at(Hole(0), 24), 8, True), 8), 8, False)


def test_a_value_without_a_type_has_no_members() -> None:
    found = outcome("probe begin { x = 3 println(x->y) }")
    assert found.error_lines == ["unknown type in dereference: operator '->' at 1:32"]


def test_enumerators() -> None:
    program = program_of('probe begin { println(@enum("GREEN")) x = pid() println(@enumname(x, "enum color")) }')
    block = program.probes[0].body.block
    assert next(find_all(block, ast.Number)).value == 5
    assert program.functions["__enumname_color", 1][0].result == "string"


def test_probewrite() -> None:
    script = "global x probe begin { if (@probewrite(x)) println(1) else println(2) } probe end { println(x + 1) %s }"
    for tail, expected in (("x = 1", 1), ("", 2)):
        block = program_of(script % tail).probes[0].body.block
        assert [n.value for n in find_all(block, ast.Number)] == [expected]


def test_space_follows_the_scope() -> None:
    assert value("$file->f_flags") == Load(at(FILE, 32), 4, False, Space.KERNEL)


def test_variables_in_functions_are_those_of_the_calling_probe() -> None:
    script = (
        'function n() { return @defined($len) ? $len : $count } function twice() { return n() * 2 }'
        ' probe kernel.function("vfs_*") { println(twice()) }'
    )
    program = program_of(script)
    assert all(len(same) == 1 for same in program.functions.values())
    bodies = [f.body for same in program.functions.values() for f in same]
    found = [a.value for b in bodies for a in find_all(b.block, ast.TargetAccess)]  # type: ignore[union-attr]
    assert found == [Reg(1), Bits(Reg(4), 0, 32, False)]


def test_variables_in_functions_that_nobody_calls_are_no_error() -> None:
    program_of("function n() { return $nosuch } probe begin { exit() }")


def test_variables_in_functions_where_the_probe_has_none() -> None:
    found = outcome("function n() { return $x } probe begin { println(n()) }")
    assert found.error_lines == ["unresolved target-symbol expression: identifier '$x' at 1:23"]
