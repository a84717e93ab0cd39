"""Embedded-C functions -> C functions: the names that runtime/embedded.h promises, around the code as written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.codegen.writer import BACK_TO_C, Writer
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.unit import Unit

_RETURNS = {"long": "LONG", "string": "STRING", None: "NOTHING"}


def line_directive(mark: ir.Mark) -> str:
    """Makes gcc name the script for the lines that follow."""
    return f"#line {mark.span.line} {names.c_string(mark.span.file.name)}"


def write_embedded(write: Writer, unit: Unit, function: ir.Function, prototype: str) -> None:
    """The whole function. Its arguments are copied, unless it promises to leave them alone."""
    copies = bool(unit.storages[function.id].slots)
    unmangled = "unmangled" in function.tags
    write.raw(f"#define STAP_RETURN STAP_RETURN_{_RETURNS[function.result]}")
    write.raw(f"#define STAP_FUNCTION_MARK {unit.tables.mark(function.mark)}")
    write(prototype)
    write("{")
    write.depth = 1
    _declarations(write, function, copies)
    if unmangled:
        _this(write, function)
    _start(write, function, copies)
    write("{")
    write.raw(f"{line_directive(function.code_mark)}\n{function.code}\n{BACK_TO_C}")
    write("}")
    write("goto stap_out;")
    write.label("stap_out")
    if unmangled and function.result == "long":
        write("STAP_RETVALUE = STAP_RETVALUE ? STAP_RETVALUE : this.__retvalue;")
    if copies:
        write("stap_pop(CONTEXT, S);")
    write("return STAP_RETVALUE;" if function.result == "long" else ";")
    write.depth = 0
    write("}")
    write.raw("#undef STAP_RETURN\n#undef STAP_FUNCTION_MARK")
    if unmangled:
        write.raw("#undef THIS")
    write("")


def _declarations(write: Writer, function: ir.Function, copies: bool) -> None:
    if function.result == "long":
        write("s64 STAP_RETVALUE = 0;")
    if copies:
        write(f"struct {names.function(function.id)}_strings *S = stap_push(CONTEXT, sizeof(*S));")
    for parameter in _texts(function):
        if copies:
            write(f"char *const STAP_ARG_{parameter} __maybe_unused = S->{names.local(parameter)};")
        else:
            write(f"const char *const STAP_ARG_{parameter} __maybe_unused = {names.argument(parameter)};")


def _start(write: Writer, function: ir.Function, copies: bool) -> None:
    for parameter in _texts(function) if copies else ():
        write(f"stap_assign(S->{names.local(parameter)}, {names.argument(parameter)});")
    if function.result == "string":
        write("STAP_RETVALUE[0] = 0;")
    if "myproc-unprivileged" in function.tags:
        write("STAP_OWN_PROCESS_ONLY();")


def _texts(function: ir.Function) -> list[str]:
    return [name for name, kind in function.parameters if kind == "string"]


def _this(write: Writer, function: ir.Function) -> None:
    """Tag unmangled: parameters and result by their plain names, through THIS."""
    kinds = {"long": "s64 ", "string": "char *"}
    members = [kinds[kind] + names.identifier(name) for name, kind in function.parameters]
    values = [
        f".{name} = {'(void *)' if kind == 'string' else ''}STAP_ARG_{name}" for name, kind in function.parameters
    ]
    if function.result:
        members.append(kinds[function.result] + "__retvalue")
        values.append(".__retvalue = STAP_RETVALUE")
    write(f"struct {{ {' '.join(m + ';' for m in members)} }} this __maybe_unused = {{ {', '.join(values)} }};")
    write.raw("#define THIS (&this)")
