"""Invariants of a module, checked between passes under test and -v: what codegen may rely on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pystap.ir import nodes as ir
from pystap.ir.effects import all_ops, arguments, blocks, nodes_of, places, reads

_LOOPS = (ir.Loop, ir.MapForeach, ir.HistForeach)


def check(module: ir.Module) -> list[str]:
    """What is wrong with a module; nothing, when lowering and the passes are right."""
    return list(_problems(module))


def _problems(module: ir.Module) -> Iterator[str]:
    names = {g.name for g in module.globals}
    functions = {f.id: f for f in module.functions}
    if len(functions) < len(module.functions):
        yield "two functions share an id"
    for k, handler in enumerate(module.handlers):
        where = f"handler {k}"
        known = {*handler.longs, *handler.strings}
        yield from (f"{where}: {p}" for p in _body(handler.body, known, names, functions, in_function=False))
        yield from (f"{where}: {p}" for p in _locks(handler, names))
    for function in module.functions:
        known = {*function.longs, *function.strings, *(n for n, _ in function.parameters)}
        problems = _body(function.body, known, names, functions, in_function=True)
        yield from (f"function {function.id}: {p}" for p in problems)
    for probe in module.probes:
        yield from _probe(probe, len(module.handlers))


def _probe(probe: ir.Probe, handlers: int) -> Iterator[str]:
    for index in (probe.handler, probe.entry):
        if index is not None and not 0 <= index < handlers:
            yield f"probe {probe.point}: there is no handler {index}"
    if probe.saved and probe.entry is None:
        yield f"probe {probe.point}: saves values without an entry handler"


def _locks(handler: ir.Handler, names: set[str]) -> Iterator[str]:
    if len({use.name for use in handler.locks}) < len(handler.locks):
        yield "a lock is taken twice"
    yield from (f"locks unknown global {use.name}" for use in handler.locks if use.name not in names)


def _body(
    body: ir.Block, known: set[str], names: set[str], functions: dict[str, ir.Function], in_function: bool
) -> Iterator[str]:
    yield from _control(body, in_loop=False, in_function=in_function)
    yield from _defined(body, set())
    for op in all_ops(body):
        yield from _names(op, known, names)
        yield from _shape(op, functions)


def _control(block: ir.Block, in_loop: bool, in_function: bool) -> Iterator[str]:
    for op in block:
        if isinstance(op, (ir.Break, ir.Continue)) and not in_loop:
            yield f"{type(op).__name__} outside a loop"
        if isinstance(op, ir.Return) and not in_function:
            yield "return outside a function"
        for inner in blocks(op):
            yield from _control(inner, in_loop or isinstance(op, _LOOPS), in_function)


def _defined(block: ir.Block, before: set[Any]) -> Iterator[str]:
    """Every temporary is written before it is read, on each path (a branch's own writes count for what follows)."""
    for op in block:
        for node in arguments(op):
            if isinstance(node, (ir.Temp, ir.StrTemp)) and node not in before:
                yield f"{type(op).__name__} reads {node} before it is written"
        before |= {p for p in places(op) if isinstance(p, (ir.Temp, ir.StrTemp))}
        for inner in blocks(op):
            yield from _defined(inner, before)


def _names(op: ir.Op, known: set[str], names: set[str]) -> Iterator[str]:
    for node in [n for place in (*places(op), *arguments(op)) for n in nodes_of(place)]:
        match node:
            case ir.Local(name=name) | ir.StrLocal(name=name) if name not in known:
                yield f"{type(op).__name__} names unknown local {name}"
            case ir.GlobalValue(name=name) | ir.StrGlobal(name=name) | ir.StatRef(name=name) if name not in names:
                yield f"{type(op).__name__} names unknown global {name}"
            case ir.Hole():
                yield f"{type(op).__name__} holds an operand that was never filled in"
            case _:
                pass
    target = getattr(op, "name", None)
    if target is not None and not isinstance(op, ir.SetField) and target not in names:
        yield f"{type(op).__name__} names unknown global {target}"


def _shape(op: ir.Op, functions: dict[str, ir.Function]) -> Iterator[str]:
    match op:
        case ir.Call(functions=ids, arguments=given):
            for i in ids:
                if i not in functions:
                    yield f"calls unknown function {i}"
                elif len(functions[i].parameters) != len(given):
                    yield f"calls {i} with {len(given)} arguments"
        case ir.Concat(place=place, right=right) if place == right:
            yield "Concat onto its own right side"
        case ir.Print(format=text) | ir.Sprint(format=text):
            yield from _format(text, op.arguments)
        case _:
            pass
    if isinstance(op, (ir.Call, ir.Sprint, ir.MapGet)):
        yield from _aliased(op)


def _aliased(op: ir.Call | ir.Sprint | ir.MapGet) -> Iterator[str]:
    given = op.keys if isinstance(op, ir.MapGet) else op.arguments
    text = isinstance(op.place, (ir.StrLocal, ir.StrTemp))
    if text and any(reads(op.place) & reads(a) for a in given):
        yield f"{type(op).__name__} writes a text that is one of its arguments"


def _format(text: str, given: tuple[ir.Arg, ...]) -> Iterator[str]:
    """Conversions, `*` included, are as many as arguments; %s takes a text and nothing else does."""
    letters = list(_conversion_letters(text))
    if len(letters) != len(given):
        yield f"format {text!r} takes {len(letters)} arguments, not {len(given)}"
        return
    for letter, argument in zip(letters, given, strict=True):
        is_text = isinstance(argument, (ir.Literal, ir.StrLocal, ir.StrTemp, ir.StrGlobal, ir.SavedStr))
        if (letter == "s") != is_text:
            yield f"format {text!r}: %{letter} is given {type(argument).__name__}"


def _conversion_letters(text: str) -> Iterator[str]:
    at = text.find("%")
    while at >= 0:
        at += 1
        if text.startswith("%", at):
            at = text.find("%", at + 1)
            continue
        while text[at] in "0+- #.*123456789":
            if text[at] == "*":
                yield "*"
            at += 1
        yield text[at]
        at = text.find("%", at + 1)
