"""Handlers, functions and conditions as whole C functions: declarations, locks, frames around the emitted ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.codegen.embedded import write_embedded
from pystap.codegen.emit import END, Emitter
from pystap.codegen.frames import Storage, storage
from pystap.codegen.values import Values
from pystap.codegen.writer import Writer
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.unit import Unit

_QUOTED_LINES = 12  # of a script's text in a comment


def handler(unit: Unit, index: int, handler: ir.Handler, titles: list[str]) -> tuple[Writer, Storage]:
    """A probe body."""
    held = storage(handler.body, handler.strings)
    body = Writer()
    body.depth = 1
    unit.in_function = False
    emitter = Emitter(unit, body, held)
    emitter.block(handler.body)
    write = Writer()
    name = names.handler(index)
    _comment(write, titles, handler.mark)
    _frame_struct(write, name, held)
    write(f"static void {name}(struct stap_context *c)")
    write("{")
    write.depth = 1
    uses = _lock_table(write, unit, handler)
    _longs(write, handler.longs, held.longs)
    _frame_declaration(write, name, held)
    if uses:
        write(f"if (!stap_lock_all(c, locks, {uses}))")
        write("\treturn;")
    _frame_push(write, held, handler.strings)
    if held.charges or any(unit.storages[f].charges for f in _all_called(unit, held)):
        write("c->actions = c->probe->actions;")
    write.append(body)
    write.label(END)
    _frame_pop(write, held)
    write(f"stap_unlock_all(locks, {uses});" if uses else ";")
    write.depth = 0
    write("}")
    write("")
    return write, held


def function(unit: Unit, function: ir.Function) -> Writer:
    """A script function, or an embedded one."""
    if function.code is None:
        return _scripted(unit, function)
    write = Writer()
    _comment(write, [f"function {function.name}, embedded C"], function.mark, quote=False)
    _frame_struct(write, names.function(function.id), unit.storages[function.id])
    write_embedded(write, unit, function, prototype(function))
    return write


def prototype(function: ir.Function) -> str:
    """A function's declaration."""
    result = "s64" if function.result == "long" else "void"
    is_c = function.code is not None
    spelt = ["struct stap_context *CONTEXT" if is_c else "struct stap_context *c"]
    for name, kind in function.parameters:
        if kind == "string":
            spelt.append(f"const char *{names.argument(name)}")
        else:
            spelt.append(f"s64 STAP_ARG_{names.identifier(name)}" if is_c else f"s64 {names.local(name)}")
    if function.result == "string":
        spelt.append("char *const STAP_RETVALUE" if is_c else "char *const result")
    return f"static {result} {names.function(function.id)}({', '.join(spelt)})"


def condition(unit: Unit, index: int, expression: ir.Expr) -> list[str]:
    """A probe point's `if (...)`: reads globals, without locks."""
    values = Values(unit.tables, unit.variables, Storage())
    return [f"static bool stap_condition_{index}(void)", "{", f"\treturn {values.value(expression)} != 0;", "}", ""]


def _scripted(unit: Unit, function: ir.Function) -> Writer:
    held = unit.storages[function.id]
    name = names.function(function.id)
    body = Writer()
    body.depth = 1
    unit.in_function = True
    Emitter(unit, body, held, function.result).block(function.body)
    write = Writer()
    _comment(write, [f"function {function.name}"], function.mark)
    _frame_struct(write, name, held)
    write(prototype(function))
    write("{")
    write.depth = 1
    if function.result == "long":
        write("s64 result = 0;")
    _longs(write, function.longs, held.longs)
    _frame_declaration(write, name, held)
    _frame_push(write, held, function.strings)
    for parameter, kind in function.parameters:
        if kind == "string" and parameter in held.assigned:
            write(f"stap_assign(S->{names.local(parameter)}, {names.argument(parameter)});")
    if function.result == "string":
        write("result[0] = 0;")
    write.append(body)
    write.label(END)
    _frame_pop(write, held)
    write("return result;" if function.result == "long" else ";")
    write.depth = 0
    write("}")
    write("")
    return write


def _all_called(unit: Unit, held: Storage) -> set[str]:
    seen: set[str] = set()
    stack = list(held.calls)
    while stack:
        id = stack.pop()
        if id not in seen:
            seen.add(id)
            stack.extend(unit.storages[id].calls)
    return seen


def _comment(write: Writer, titles: list[str], mark: ir.Mark, quote: bool = True) -> None:
    """What the script says there, and where."""
    write("/*")
    for title in titles:
        write(" * " + names.c_comment(title))
    if mark.token:
        write(f" * {names.c_comment(str(mark.span))}")
        lines = mark.span.text.split("\n") if quote else []
        for line in lines[:_QUOTED_LINES]:
            write((" *\t" + names.c_comment(line)).rstrip())
        if len(lines) > _QUOTED_LINES:
            write(" *\t...")
    write(" */")


def _lock_table(write: Writer, unit: Unit, handler: ir.Handler) -> int:
    if handler.locks:
        write("static const struct stap_lock_use locks[] = {")
        for use in handler.locks:
            alone = use.write or _replaces(unit.variables.globals.get(use.name))
            write(f"\t{{ &{names.variable(use.name)}_lock, {'true' if alone else 'false'} }},")
        write("};")
    return len(handler.locks)


def _replaces(variable: ir.Global | None) -> bool:
    """Whether adding takes an element away that other CPUs may be adding to: a full array of statistics that wraps."""
    return isinstance(variable, ir.Map) and variable.wrap and variable.value == "stats"


def _longs(write: Writer, locals: tuple[str, ...], temporaries: list[int]) -> None:
    spelt = [names.local(n) for n in locals] + [names.temporary(n) for n in temporaries]
    for at in range(0, len(spelt), 8):
        write("s64 " + ", ".join(f"{n} __maybe_unused = 0" for n in spelt[at : at + 8]) + ";")


def _frame_struct(write: Writer, name: str, held: Storage) -> None:
    if held.slots:
        write(f"struct {name}_strings {{")
        for slot in held.slots:
            write(f"\tchar {slot}[STAP_STRING_BYTES];")
        write("};")
        write("")


def _frame_declaration(write: Writer, name: str, held: Storage) -> None:
    if held.slots:
        write(f"struct {name}_strings *S;")
    write("")


def _frame_push(write: Writer, held: Storage, strings: tuple[str, ...]) -> None:
    if held.slots:
        write("S = stap_push(c, sizeof(*S));")
    for string in strings:
        write(f"S->{names.local(string)}[0] = 0;")


def _frame_pop(write: Writer, held: Storage) -> None:
    if held.slots:
        write("stap_pop(c, S);")
