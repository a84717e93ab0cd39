"""A program's memory, read and written by scripts: where it ends, what is not text, what can not be had."""

from __future__ import annotations

import re

import pytest

from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm

SHOW = 'probe process("PROGRAMS/edges").function("show") {{ {} }}'
KERNEL = "0xffffffff81000000"


def _said(bench: Bench, *statements: str) -> list[str]:
    """What the program prints, and what a script does when the program shows its memory; without addresses."""
    command = "PROGRAMS/edges > /tmp/edges; cat /tmp/edges"
    lines = bench.run(SHOW.format("\n".join(statements)), command, "-g")
    own = bench.guest().sh("cat /tmp/edges").stdout.decode().splitlines()
    return own + [re.sub(r"0x7[ef]\w{10}", "ADDRESS", line) for line in lines if line not in own]


def test_texts_that_end_with_their_page(bench: Bench) -> None:
    lines = _said(
        bench,
        'println(user_string($edge), "|", user_string_quoted($edge), "|", user_string_n($edge, 3), "|",'
        ' user_string_n_quoted($edge, 3), "|", user_string_n($edge, 100))',
        'println(user_string($open, "none"), "|", user_string_n($open, 4), "|", user_string_n($open, 5, "none"), "|",'
        ' user_string_quoted($open), "|", user_string_n_nofault($open, 5), "|", user_string_nofault($edge))',
        "try { println(user_string($open)) } catch (e) { println(e) }",
        "try { println(user_string_n($open, 5)) } catch (e) { println(e) }",
        "try { println(user_buffer_quoted_error($open, 5, 100)) } catch (e) { println(e) }",
        "println(user_buffer_quoted($open, 4, 100))",
    )
    assert lines[2:] == [
        'hello|"hello"|hel|"hel"|hello',
        "none|abcd|none|ADDRESS||hello",
        *["user string copy fault -14 at ADDRESS [man error::fault]"] * 2,
        "user buffer copy fault at ADDRESS [man error::fault]",
        '"abcd"',
    ]


def test_texts_of_every_kind_of_bytes(bench: Bench) -> None:
    lines = _said(
        bench,
        'println(user_string($utf), "|", user_string_quoted($utf), "|", user_string_quoted($bad), "|",'
        ' user_string_n_quoted($utf, 4), "|", user_buffer_quoted($bad, 7, 20))',
        "println(user_string_quoted(&$b->text))",
        f'println(user_string_quoted(0), " ", user_string_quoted({KERNEL}), " ", user_string({KERNEL}, "kernel"))',
        f"try {{ println(user_string({KERNEL})) }} catch (e) {{ println(e) }}",
        f"try {{ println(user_long_error({KERNEL})) }} catch (e) {{ println(e) }}",
        f'println(user_int(0), " ", user_long({KERNEL}))',
        'println(user_long(&$b->n), " ", user_short(&$b->s), " ", user_int(&$b->i), " ", user_char(&$b->c), " ",'
        ' user_uint8(&$b->c), " ", user_int8(&$b->c), " ", user_uint16(&$b->s), " ", user_int64(&$b->n), " ",'
        ' user_ulong(&$b->n), " ", user_int32(&$b->i), " ", user_uint64(&$b->n))',
    )
    assert lines[2:] == [
        'grüß €|"gr\\303\\274\\303\\237 \\342\\202\\254"|"ok\\377\\303(\\200z"|"gr\\303\\274"|"ok\\377\\303(\\200z"',
        r'"tab\there\n\"q\"\\"',
        f"0x0 {KERNEL} kernel",
        f"user string copy fault -14 at {KERNEL} [man error::fault]",
        f"user long copy fault at {KERNEL} [man error::fault]",
        "0 0",
        "-7 -3 70000 -56 200 -56 65533 -7 -7 70000 -7",
    ]


def test_what_a_script_writes_the_program_sees(bench: Bench) -> None:
    lines = _said(
        bench,
        'set_user_string(&$b->text, "written"); set_user_long(&$b->n, 123456789012); set_user_short(&$b->s, 77)',
        'set_user_int(&$b->i, -1); set_user_char(&$b->c, 65); set_user_string_n(&$b->text, 3, "WRITE")',
        'set_user_string($edge, "HELLO")',
        "try { set_user_int(0, 1) } catch (e) { println(e) }",
        f"try {{ set_user_int({KERNEL}, 1) }} catch (e) {{ println(e) }}",
        'try { set_user_string($open, "longer") } catch (e) { println(e) }',
    )
    assert lines[0] == "WRItten 123456789012 77 -1 65 HELLO"
    assert lines[1:] == [
        "write fault [man error::fault] at 0x0",
        f"write fault [man error::fault] at {KERNEL}",
        "user string write fault at ADDRESS [man error::fault]",
    ]
