"""%( %? %: %), @define and macro calls, $1 @1."""

from __future__ import annotations

import pytest

from pystap.diagnostics import Diagnostics
from pystap.source import SourceFile
from pystap.syntax.preprocess import Macro, PreprocessContext, parse_number, preprocess

CONTEXT = PreprocessContext(
    kernel_release="6.1.0-56-cloud-amd64",
    arch="x86_64",
    kconfig={"CONFIG_SMP": "y", "CONFIG_HZ": "250", "CONFIG_LSM": '"yama"', "CONFIG_XT": "m"},
    arguments=("one", "2", 'kernel.function("x")'),
)


def run(text: str, context: PreprocessContext = CONTEXT, library: dict[str, Macro] | None = None) -> str:
    """The tokens left, or `LINE:COLUMN message` of each error."""
    diagnostics = Diagnostics()
    read = preprocess(SourceFile("t", text), context, (library or {}).get, diagnostics)
    if diagnostics.items:
        return "; ".join(f"{d.span.line}:{d.span.column} {d.message}" for d in diagnostics.items if d.span)
    return " ".join(f'"{t.value}"' if t.kind == "string" else t.text for t in read.tokens)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ('kernel_v >= "2.6.30"', True),
        ('kernel_v < "6.1"', False),
        ('kernel_v == "6.1.*"', True),
        ('kernel_v == "6.1.0"', True),
        ('kernel_v >= "6.10"', False),
        ('kernel_vr == "6.1.0-*-cloud-amd64"', True),
        ('kernel_vr != "6.1.0-56-cloud-amd64"', False),
        ('systemtap_v >= "2.3"', True),
        ('systemtap_v < "5.10"', True),
        ('systemtap_privilege == "stapdev"', True),
        ('systemtap_privilege != "stapusr"', True),
        ("guru_mode == 0", True),
        ("guru_mode != 1", True),
        ('arch == "x86_64"', True),
        ('arch == "x*"', True),
        ('arch != "arm*"', True),
        ('runtime == "kernel"', True),
        ('runtime != "dyninst"', True),
        ('CONFIG_SMP == "y"', True),
        ('CONFIG_SMP == "[ym]"', True),
        ('CONFIG_NOT_THERE == ""', True),
        ('CONFIG_NOT_THERE == "y"', False),
        ("CONFIG_HZ == 250", True),
        ("CONFIG_HZ < 0x100", True),
        ("CONFIG_SMP == CONFIG_XT", False),
        ('CONFIG_LSM == "yama"', True),
        ('"a" < "b"', True),
        ('@1 == "one"', True),
        ("$# == 3", True),
        ("$2 > 1", True),
        ("1 > 2 || 2 > 1", True),
        ("1 > 2 && 1 == 1 || 1 == 1", True),
        ("1 == 1 || 1 == 1 && 1 > 2", True),
        ("1 > 2 || 1 == 1 && 1 > 2", False),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert run(f"%( {condition} %? yes %: no %)") == ("yes" if holds else "no")
    assert run(f"%( {condition} %? yes %)") == ("yes" if holds else "")


def test_conditions_nest() -> None:
    assert run("%( 1==1 %? a %( 2==1 %? b %: c %) d %: %( 1==1 %? e %) %)") == "a c d"
    assert run("%( 1==2 %? a %( 2==2 %? b %: c %) d %: %( 1==1 %? e %: f %) g %)") == "e g"


def test_an_unused_branch_may_hold_anything_that_is_made_of_tokens() -> None:
    assert run("%( $# > 7 %? $8 @nosuch @define %: 5 %)") == "5"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%( kernel_v > 5 %? %)", "1:15 expected string literal"),
        ('%( kernel_v < "5.*" %? a %)', "1:13 wildcard not allowed with order comparison operators"),
        ("%( 1 < 2 probe %)", "1:1 expected '%?' marker for conditional"),
        ("%( 1 < 2 %? probe", "1:1 incomplete conditional at end of file"),
        ("%: foo", "1:1 incomplete conditional - missing '%('"),
        ('%( arch < "x" %? %)', "1:9 expected '==' or '!='"),
        ("a $4", "1:3 command line argument out of range [1-3]"),
        ("a @0", "1:3 command line argument out of range [1-3]"),
        ('a "b', "1:3 Could not find matching closing quote"),
        ("@define f %( 1", "1:9 incomplete macro definition - missing '%)'"),
        ("@define 3 %( 1 %)", None),
        ("@define f %( @f %) @f", "1:14 recursive invocation of macro '@f'"),
        ("@define f %( @g %) @define g %( @f %) @f", None),
        ("@define f(a) %( @a %) @f", "1:23 expected '(' in invocation of macro '@f' taking 1 parameter"),
        ("@define f(a) %( @a %) @f(1, 2) 3", "1:27 too many parameters for macro '@f' (expected 1)"),
        ("@define f(a, b) %( @a %) @f(1)", "1:30 too few parameters for macro '@f' (expected 2)"),
        ("@define f(a) %( @a %) @f(1", "1:23 could not find end of invocation of macro '@f'"),
    ],
)
def test_errors(text: str, message: str | None) -> None:
    got = run(text)
    assert got == message if message else "1:" in got


def test_macros() -> None:
    assert run("@define f %( 1 + %) x = @f 2") == "x = 1 + 2"
    assert run("@define f(a, b) %( @a + @b %) @f(1, (2, 3))") == "1 + ( 2 , 3 )"
    assert run("@define f(a, b) %( @a + @b %) @f(x[1, g(2, 3)], 4)") == "x [ 1 , g ( 2 , 3 ) ] + 4"
    assert run("@define g %( @f + 1 %) @define f %( 3 %) @g") == "3 + 1"
    assert run('@define f(a) %( %( @a == "x" %? yes %: no %) %) @f("x") @f("y")') == "yes no"
    assert run("@define f(a) %( @g(@a) %) @define g(a) %( < @a > %) @f(@f(1))") == "< < 1 > >"


def test_a_parameter_means_that_of_the_macro_it_stands_in() -> None:
    assert run("@define inner(a) %( @a %) @define outer(a) %( @inner(@a + 1) %) @outer(2)") == "2 + 1"


def test_doubling_macros_end() -> None:
    lines = ["@define m0 %( 1 %)", *(f"@define m{n} %( @m{n - 1} @m{n - 1} %)" for n in range(1, 60)), "@m59"]
    assert "macro expansion grows without bound" in run("\n".join(lines))


def test_library_macros_yield_to_the_files_own() -> None:
    diagnostics = Diagnostics()
    library = preprocess(SourceFile("l", "@define f %( lib %)"), CONTEXT, lambda name: None, diagnostics).macros
    assert run("@f", library=library) == "lib"
    assert run("@define f %( own %) @f", library=library) == "own"


def test_expansions_know_where_they_come_from() -> None:
    read = preprocess(SourceFile("t", "@define f(a) %( @a %)\n@f(x)"), CONTEXT, lambda name: None, Diagnostics())
    span = read.tokens[0].span
    assert str(span) == "t:2:4"
    assert span.via is not None
    assert span.via.text == "@a"
    assert span.via.via is not None
    assert str(span.via.via) == "t:2:1"


def test_arguments() -> None:
    assert run("probe $3 { @1 $2 @2 $# @# }") == 'probe kernel . function ( "x" ) { "one" 2 "2" 3 "3" }'
    nested = PreprocessContext(arguments=("$2", "x"))
    assert run("$1", nested) == "1:1 invalid nested substitution of command line arguments"
    read = preprocess(SourceFile("t", "$1 @3"), CONTEXT, lambda name: None, Diagnostics())
    assert read.arguments_used == {1, 3}


def test_an_argument_goes_on_with_the_letters_after_it() -> None:
    file = PreprocessContext(arguments=("$file",))
    assert run("$1$ $1$$, $1->x $1 $ @1x", file) == '$file$ $file$$ , $file -> x $file $ "$file" x'
    assert run("$1_read $1if $1(2)", PreprocessContext(arguments=("vfs",))) == "vfs_read vfsif vfs ( 2 )"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("017", 15), ("0x1F", 31), ("9223372036854775807", 2**63 - 1), ("18446744073709551615", -1),
        ("0x8000000000000000", -(2**63)),
    ],
)  # fmt: skip
def test_numbers(text: str, value: int) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["08", "5abc", "0b11", "18446744073709551616", "0x", "0x1_0", "1_000", "9" * 5000])
def test_no_numbers(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_number(text)
