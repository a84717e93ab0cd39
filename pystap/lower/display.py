"""Globals that are written and never read -> one `end` handler each that prints them, as stap does at exit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.debuginfo.ctype import Pointer, strip
from pystap.ir import nodes as ir
from pystap.lower.marks import first_token

if TYPE_CHECKING:
    from pystap.elaborate.program import GlobalVariable

_AGGREGATES = ("count", "min", "max", "sum", "avg")
_SHOWN = " ".join(f"@{name}=%d" for name in _AGGREGATES)


def display(variable: GlobalVariable) -> ir.Handler:
    """The handler that prints one global."""
    shown = variable.variable.shown or variable.name
    mark = first_token(variable.declaration.span)
    body = _array(variable, shown) if variable.keys else _scalar(variable, shown)
    return ir.Handler(body, mark=mark)


def _scalar(variable: GlobalVariable, shown: str) -> ir.Block:
    match variable.variable.type:
        case "stats":
            return _statistic(ir.StatRef(variable.name), shown, ())
        case "string":
            return (ir.Print(f'{shown}="%#s"\n', (ir.StrGlobal(variable.name),)),)
        case _:
            return (ir.Print(f"{shown}={_number(variable)}\n", (ir.GlobalValue(variable.name),)),)


def _number(variable: GlobalVariable) -> str:
    ctype = variable.variable.ctype
    return "%#x" if ctype is not None and isinstance(strip(ctype), Pointer) else "%d"


def _statistic(stat: ir.StatRef, label: str, keys: tuple[ir.Arg, ...]) -> ir.Block:
    """An empty one has nothing but its count: reading its minimum would fail."""
    temps = tuple(ir.Temp(10 + k) for k in range(len(_AGGREGATES)))
    count = ir.StatGet(temps[0], "count", stat)
    rest: ir.Block = tuple(ir.StatGet(t, name, stat) for t, name in zip(temps[1:], _AGGREGATES[1:], strict=True))
    full: ir.Block = (*rest, ir.Print(f"{label} {_SHOWN}\n", (*keys, *temps)))
    return (count, ir.If(temps[0], full, (ir.Print(f"{label} @count=0x0\n", keys),)))


def _array(variable: GlobalVariable, shown: str) -> ir.Block:
    keys: list[ir.Place] = []
    formats: list[str] = []
    for k, kind in enumerate(variable.keys):
        keys.append(ir.StrTemp(k) if kind == "string" else ir.Temp(k))
        formats.append('"%#s"' if kind == "string" else "%d")
    label = f"{shown}[{','.join(formats)}]"
    name, kind = variable.name, variable.variable.type
    if kind == "stats":
        body = _statistic(ir.StatRef(name, tuple(keys)), label, tuple(keys))
        return (_walk(name, tuple(keys), None, "count", body),)
    value: ir.Place = ir.StrTemp(len(keys)) if kind == "string" else ir.Temp(20)
    conversion = '"%#s"' if kind == "string" else _number(variable)
    body = (ir.Print(f"{label}={conversion}\n", (*keys, value)),)
    return (_walk(name, tuple(keys), value, None, body),)


def _walk(
    name: str, keys: tuple[ir.Place, ...], value: ir.Place | None, aggregate: str | None, body: ir.Block
) -> ir.MapForeach:
    return ir.MapForeach(name, keys, value, None, -1, 0, aggregate, None, body)
