"""STAP_GLOBAL_GET_x and STAP_GLOBAL_SET_x: what embedded C that names a global by pragma gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.variables import Shape, Variables


def global_macros(variables: Variables, name: str) -> list[str]:
    """Both macros of one global. Statistics have none."""
    g = variables.globals[name]
    if isinstance(g, ir.Scalar):
        return _scalar(variables, g)
    if isinstance(g, ir.Map) and g.value != "stats":
        return _map(name, variables.shape(name))
    return []


def key_strings(variables: Variables, named: set[str]) -> int:
    """How many strings of frame the macros use at once: C's keys are copied to where script strings may lie."""
    maps = [variables.globals[name] for name in named if name in variables.globals]
    return max((m.keys.count("string") for m in maps if isinstance(m, ir.Map)), default=0)


def _scalar(variables: Variables, g: ir.Scalar) -> list[str]:
    c = names.variable(g.name)
    if g.type == "string":
        set = f"strscpy({c}, (v), MAXSTRINGLEN)"
        return [f"#define STAP_GLOBAL_GET_{g.name}() ({c})", f"#define STAP_GLOBAL_SET_{g.name}(v) {set}"]
    statements = " ".join(variables.write(g.name, "(v)"))
    return [
        f"#define STAP_GLOBAL_GET_{g.name}() {variables.read(g.name)}",
        f"#define STAP_GLOBAL_SET_{g.name}(v) do {{ {statements} }} while (0)",
    ]


def _map(name: str, shape: Shape) -> list[str]:
    c = names.variable(name)
    keys = ", ".join(f"stap_key(c, k{k.index})" if k.is_text else f"k{k.index}" for k in shape.keys)
    text = shape.value == "string"
    node = f"struct m_{shape.name}_node *found"
    get, set = ("const char *", "const char *v") if text else ("s64 ", "s64 v")
    missing = '""' if text else "0"
    store = "strscpy(found->value, v, MAXSTRINGLEN);" if text else "found->value = v;"
    return [
        f"static __maybe_unused {get}stap_get_{c}(struct stap_context *c, {shape.parameters})",
        "{",
        "\tchar *frame = c->frame;",
        f"\tconst {node} = m_{shape.name}_find(&{c}, {keys});",
        "",
        "\tc->frame = frame;",
        f"\treturn found ? found->value : {missing};",
        "}",
        f"static __maybe_unused void stap_set_{c}(struct stap_context *c, {shape.parameters}, {set})",
        "{",
        "\tchar *frame = c->frame;",
        f"\t{node} = m_{shape.name}_obtain(c, &{c}, 0, {keys});",
        "",
        "\tc->frame = frame;",
        "\tif (found)",
        f"\t\t{store}",
        "}",
        f"#define STAP_GLOBAL_GET_{name}(...) stap_get_{c}(CONTEXT, __VA_ARGS__)",
        f"#define STAP_GLOBAL_SET_{name}(...) stap_set_{c}(CONTEXT, __VA_ARGS__)",
    ]
