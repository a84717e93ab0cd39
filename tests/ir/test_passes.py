"""Charges, merging and checks on modules that no script makes by itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pystap.diagnostics import Diagnostics
from pystap.ir import nodes as ir
from pystap.ir.check import check
from pystap.ir.effects import all_ops
from pystap.lower import lower
from pystap.options import Options
from tests.support.elaborating import program_of


def module_of(script: str, options: Options) -> ir.Module:
    return lower(program_of(script, options), options, Diagnostics())


def charged(block: ir.Block) -> list[int]:
    return [op.actions for op in all_ops(block) if isinstance(op, ir.Charge)]


_FIVE = "probe begin { a = 1 b = 2 println(a) if (a) println(b) println(a + b) }"


def test_straight_code_is_free() -> None:
    (handler,) = module_of(_FIVE, Options()).handlers
    assert charged(handler.body) == []


def test_unless_it_is_longer_than_the_limit() -> None:
    (handler,) = module_of(_FIVE, Options(defines=(("MAXACTION", "4"),))).handlers
    assert charged(handler.body) == [4, 1, 1]


def test_time_limits_can_be_suppressed() -> None:
    script = "function r(n) { return n ? r(n - 1) : 0 } probe begin { for (i = 0; i < 3; i++) println(r(i)) }"
    module = module_of(script, Options(suppress_time_limits=True, guru=True))
    assert [charged(h.body) for h in module.handlers] == [[]]
    assert [charged(f.body) for f in module.functions] == [[]]
    assert module.functions[0].recursive


def test_long_handlers_charge_what_they_call() -> None:
    script = "function f(x) { println(x) println(x) return x } probe begin { f(1) f(2) f(3) }"
    module = module_of(script, Options(defines=(("MAXACTION", "8"),)))
    assert charged(module.handlers[0].body) == [3]
    assert charged(module.functions[0].body) == [3]


def test_one_body_for_many_sites_is_one_handler() -> None:
    module = module_of('probe kernel.function("vfs_*") { println("x") }', Options())
    assert len(module.probes) > 1
    assert len(module.handlers) == 1


_FAMILY = " ".join(f'probe n.{c} = begin {{ name = "{c}" n = {k} }}' for k, c in enumerate("abcdefgh"))
_USE = "probe n.* { if (n == 3) next m = n * 2 println(name, m, n) }"


def test_endings_of_many_handlers_are_one_function() -> None:
    module = module_of(f"{_FAMILY} {_USE}", Options())
    (function,) = module.functions
    assert function.parameters == (("n", "long"), ("name", "string"))
    assert function.longs == ("m",)
    assert not any(isinstance(op, ir.Next) for op in all_ops(function.body))
    assert [h.body[-1] for h in module.handlers] == [
        ir.Call(None, (function.id,), (ir.Local("n"), ir.StrLocal("name")))
    ] * 8
    assert len({h.body for h in module.handlers}) == 8
    assert check(module) == []


def test_endings_of_few_handlers_stay() -> None:
    module = module_of(f"{_FAMILY} {_USE}".replace("probe n.*", "probe n.{a,b,c}"), Options())
    assert (len(module.handlers), module.functions) == (3, ())


def test_errors_in_a_shared_ending_name_their_own_place() -> None:
    """Two handlers with the same text in different places are not the same."""
    script = f"{_FAMILY} probe n.{{a,b,c,d}} {{ println(1 / n, name) }} probe n.{{e,f,g,h}} {{ println(1 / n, name) }}"
    assert module_of(script, Options()).functions == ()


_GOOD = ir.Module((ir.Handler(()),), (), (ir.Scalar("g", "long"),), ())


@pytest.mark.parametrize(
    ("op", "said"),
    [
        (ir.Break(), "Break outside a loop"),
        (ir.Return(), "return outside a function"),
        (ir.Set(ir.Temp(0), ir.Temp(1)), "before it is written"),
        (ir.Set(ir.Temp(0), ir.Hole(0)), "never filled in"),
        (ir.Set(ir.Temp(0), ir.Local("x")), "unknown local x"),
        (ir.SetGlobal("nope", ir.Const(1)), "unknown global nope"),
        (ir.Concat(ir.StrTemp(0), ir.Literal("a"), ir.StrTemp(0)), "right side"),
        (ir.Call(None, ("f",), ()), "unknown function f"),
        (ir.Print("%d %s", (ir.Const(1),)), "takes 2 arguments"),
        (ir.Print("%s", (ir.Const(1),)), "%s is given Const"),
        (ir.Print("100%%", (ir.Const(1),)), "takes 0 arguments"),
    ],
)
def test_check_finds(op: ir.Op, said: str) -> None:
    assert check(_GOOD) == []
    found = check(replace(_GOOD, handlers=(ir.Handler((op,)),)))
    assert any(said in problem for problem in found), found


def test_check_finds_aliasing() -> None:
    function = ir.Function("f", "f", (("x", "string"),), "string")
    body = (ir.SetStr(ir.StrTemp(0), ir.Literal("a")), ir.Call(ir.StrTemp(0), ("f",), (ir.StrTemp(0),)))
    found = check(replace(_GOOD, handlers=(ir.Handler(body),), functions=(function,)))
    assert any("one of its arguments" in problem for problem in found), found
