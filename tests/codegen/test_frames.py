"""How much room strings and calls need."""

from __future__ import annotations

from pystap.codegen.frames import Storage, depth, recursive_functions, storage
from pystap.ir import nodes as ir


def test_storage_finds_temporaries_and_what_is_assigned() -> None:
    body = (
        ir.If(
            ir.Compare("<", ir.Temp(3), ir.Const(1)),
            (ir.Concat(ir.StrLocal("a"), ir.StrTemp(2), ir.Literal("x")),),
            (ir.Call(ir.StrTemp(5), ("f",), (ir.StrLocal("b"),)),),
        ),
        ir.Charge(1),
    )
    found = storage(body, ("c",), ("a", "b"))
    assert found.longs == [3]
    assert found.slots == ["l_c", "l_a", "t2", "t5"]  # b is never written: it stays where the caller has it
    assert found.local("b") == "a_b"
    assert found.local("a") == "S->l_a"
    assert found.calls == {"f"}
    assert found.charges


def test_recursion_is_found_through_other_functions() -> None:
    calls = {"a": {"b"}, "b": {"c"}, "c": {"a", "leaf"}, "leaf": set[str](), "outer": {"a"}}
    assert recursive_functions(calls) == {"a", "b", "c"}


def _with(slots: int, calls: set[str]) -> Storage:
    return Storage(slots=[f"s{i}" for i in range(slots)], calls=calls)


def test_depth_is_the_deepest_chain() -> None:
    functions = {"a": _with(2, {"b", "c"}), "b": _with(1, set()), "c": _with(5, {"b"})}
    needed = depth([_with(3, {"a"}), _with(1, set())], functions, frozenset())
    assert needed.strings == 3 + 2 + 5 + 1
    assert needed.levels == 3


def test_depth_of_recursion_has_room_for_what_it_calls() -> None:
    functions = {"r": _with(2, {"r", "leaf"}), "leaf": _with(4, set())}
    needed = depth([_with(1, {"r"})], functions, frozenset({"r"}))
    assert needed.per_nesting == 2
    assert needed.strings >= 1 + 4
