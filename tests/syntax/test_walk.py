"""children, walk, find_all, rewrite."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from pystap.diagnostics import Diagnostics
from pystap.source import SourceFile
from pystap.syntax import ast
from pystap.syntax.parser import parse
from pystap.syntax.preprocess import PreprocessContext
from pystap.syntax.unparse import unparse_file
from pystap.syntax.walk import children, find_all, node_fields, rewrite, walk

TEXT = "probe a if (c) { x = y + 1 foreach (v = [k] in m[*] limit n) if (x) delete m[k] else print($p->q[z]) }"
FILE = parse(SourceFile("t", TEXT), PreprocessContext(), None, Diagnostics())


def test_walk_reaches_everything_in_order_of_writing() -> None:
    names = [node.name for node in walk(FILE) if isinstance(node, ast.Name)]
    assert names == ["c", "x", "y", "k", "v", "m", "n", "x", "m", "k", "z"]


def test_children_are_one_level() -> None:
    total = next(find_all(FILE, ast.Binary))
    assert [type(node).__name__ for node in children(total)] == ["Name", "Number"]


def test_fields_that_hold_nodes() -> None:
    assert node_fields(ast.Binary) == ("left", "right")
    assert node_fields(ast.Number) == ()
    assert node_fields(ast.HistOp) == ("stat",)
    for kind in vars(ast).values():
        if isinstance(kind, type) and issubclass(kind, ast.Node):
            assert set(node_fields(kind)) <= {field.name for field in fields(kind)} - {"span"}


def test_rewrite_shares_what_did_not_change() -> None:
    assert rewrite(FILE, lambda node: node) is FILE

    def bigger(node: ast.Node) -> ast.Node:
        return ast.Number(node.value + 1, span=node.span) if isinstance(node, ast.Number) else node

    new = rewrite(FILE, bigger)
    assert unparse_file(new) == unparse_file(FILE).replace("(1)", "(2)")
    old_loop, new_loop = (next(find_all(file, ast.Foreach)) for file in (FILE, new))
    assert old_loop is new_loop


def test_rewrite_goes_from_the_leaves_up() -> None:
    seen: list[str] = []

    def note(node: ast.Node) -> ast.Node:
        if isinstance(node, ast.Name | ast.Number | ast.Binary):
            seen.append(type(node).__name__)
        return node

    rewrite(next(find_all(FILE, ast.Binary)), note)
    assert seen == ["Name", "Number", "Binary"]


def test_nodes_are_frozen_values() -> None:
    one = ast.Binary("+", ast.Name("x"), ast.Number(1))
    with pytest.raises(FrozenInstanceError):
        one.operator = "-"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        one.nosuch = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        ast.Binary("+")  # type: ignore[call-arg]
    assert not hasattr(one, "__dict__")
    assert one != ast.Binary("+", one.left, one.right)
    assert len({one, one}) == 1
    assert repr(one) == "Binary(operator='+', left=Name(name='x'), right=Number(value=1))"
    assert replace(one, operator="-").left is one.left
    assert repr(pickle.loads(pickle.dumps(one))) == repr(copy.deepcopy(one)) == repr(one)
    assert ast.Global("g").size == 0
    match one:
        case ast.Binary("+", left, ast.Number(value)):
            assert (left, value) == (one.left, 1)
