"""The IR as readable text: one op per line, blocks indented. For `--dump ir` and for the golden files of tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, assert_never

from pystap.ir import nodes as ir


def dump(module: ir.Module) -> str:
    """The whole module."""
    lines: list[str] = []
    lines += (f"global {_global(g)}" for g in module.globals)
    lines += (f"regex {k} {_quote(r.pattern)}" for k, r in enumerate(module.regexes))
    lines += (f"type {k} {_descriptor(d)}" for k, d in enumerate(module.descriptors))
    for function in module.functions:
        lines += _function(function)
    for number, handler in enumerate(module.handlers):
        lines += _handler(number, handler)
    lines += (_probe(p) for p in module.probes)
    return "\n".join(lines) + "\n"


def dump_block(block: ir.Block, depth: int = 0) -> Iterator[str]:
    """The lines of a block."""
    for op in block:
        yield from _op(op, "  " * depth, depth)


# --- the module's parts ------------------------------------------------------------------------------------


def _global(variable: ir.Global) -> str:
    match variable:
        case ir.Scalar(name=name, type=kind, initial=initial, per_cpu=per_cpu):
            shown = _quote(initial) if isinstance(initial, str) else str(initial)
            return f"{name}: {kind} = {shown}{' per-cpu' if per_cpu else ''}"
        case ir.Stat(name=name):
            return f"{name}: {_stat(variable)}"
        case ir.Map(name=name, keys=keys, value=value, size=size, wrap=wrap, stat=stat):
            kind = value if stat is None else _stat(stat)
            bounds = (f" size {size}" if size else "") + (" wrap" if wrap else "")
            return f"{name}[{', '.join(keys)}]: {kind}{bounds}"
        case _:
            assert_never(variable)


def _stat(stat: ir.Stat) -> str:
    hist = f" {_hist(stat.hist)}" if stat.hist else ""
    return f"stats({', '.join(sorted(stat.ops))}){hist}{f' shift {stat.shift}' if stat.shift else ''}"


def _hist(hist: ir.Hist) -> str:
    return "hist_log" if hist.linear is None else f"hist_linear({', '.join(map(str, hist.linear))})"


def _descriptor(d: ir.Descriptor) -> str:
    if d.kind == "array":
        return f"array of {d.count} x {d.element} ({d.size} bytes each)"
    members = ", ".join(f".{n}={t}@{at}{f':{bit}+{size}' if size else ''}" for n, t, at, bit, size, _ in d.members)
    return f"{d.kind} {d.size}" + (f" {{{members}}}" if d.members else "")


def _function(function: ir.Function) -> Iterator[str]:
    parameters = ", ".join(f"{n}: {t}" for n, t in function.parameters)
    result = f" -> {function.result}" if function.result else ""
    flags = " recursive" if function.recursive else ""
    yield f"function {function.id}({parameters}){result}{flags}{_locals(function.longs, function.strings)}"
    if function.code is not None:
        yield "  embedded"
    yield from dump_block(function.body, 1)


def _handler(number: int, handler: ir.Handler) -> Iterator[str]:
    locks = "".join(f" {'write' if use.write else 'read'}({use.name})" for use in handler.locks)
    yield f"handler {number}{_locals(handler.longs, handler.strings)}{f' locks{locks}' if locks else ''}"
    yield from dump_block(handler.body, 1)


def _locals(longs: tuple[str, ...], strings: tuple[str, ...]) -> str:
    names = (*longs, *(f"{s}$" for s in strings))
    return f" locals({', '.join(names)})" if names else ""


def _probe(probe: ir.Probe) -> str:
    condition = f" if {expr(probe.condition)}" if probe.condition is not None else ""
    entry = f" entry {probe.entry} saves({', '.join(probe.saved)})" if probe.entry is not None else ""
    return f"probe {probe.point} -> {probe.handler}{entry}{condition}"


# --- ops -----------------------------------------------------------------------------------------------


def _op(op: ir.Op, pad: str, depth: int) -> Iterator[str]:
    match op:
        case ir.If(condition=condition, then=then, otherwise=otherwise):
            yield f"{pad}if {expr(condition)}"
            yield from dump_block(then, depth + 1)
            if otherwise:
                yield f"{pad}else"
                yield from dump_block(otherwise, depth + 1)
        case ir.Loop(body=body, step=step):
            yield f"{pad}loop"
            yield from dump_block(body, depth + 1)
            if step:
                yield f"{pad}step"
                yield from dump_block(step, depth + 1)
        case ir.Try(body=body, message=message, handler=handler):
            yield f"{pad}try"
            yield from dump_block(body, depth + 1)
            yield f"{pad}catch{f' {expr(message)}' if message else ''}"
            yield from dump_block(handler, depth + 1)
        case ir.MapForeach(body=body):
            yield f"{pad}{_foreach(op)}"
            yield from dump_block(body, depth + 1)
        case ir.HistForeach(place=place, stat=stat, hist=hist, limit=limit, body=body):
            bound = f" limit {expr(limit)}" if limit is not None else ""
            yield f"{pad}foreach {expr(place)} in {_hist(hist)} of {_ref(stat)}{bound}"
            yield from dump_block(body, depth + 1)
        case _:
            yield pad + _line(op)


def _foreach(op: ir.MapForeach) -> str:
    value = f"{expr(op.value)} = " if op.value is not None else ""
    within = f"[{_keys(op.slice)}]" if op.slice is not None else ""
    by = "" if not op.sort else f" sort {'+' if op.sort > 0 else '-'}{op.aggregate or op.sort_by}"
    limit = f" limit {expr(op.limit)}" if op.limit is not None else ""
    return f"foreach {value}[{_keys(op.keys)}] in {op.name}{within}{by}{limit}"


def _line(op: Any) -> str:  # noqa: C901
    match op:
        case ir.Set(place=place, value=value) | ir.SetStr(place=place, value=value):
            return f"{expr(place)} = {expr(value)}"
        case ir.SetGlobal(name=name, value=value) | ir.SetGlobalStr(name=name, value=value):
            return f"@{name} = {expr(value)}"
        case ir.AddGlobal(name=name, value=value):
            return f"@{name} += {expr(value)}"
        case ir.Store(address=address, size=size, value=value, space=space):
            return f"store{size * 8} {space.value} {expr(address)} = {expr(value)}"
        case ir.SetReg(number=number, value=value, width=width):
            return f"reg{number}.{width} = {expr(value)}"
        case ir.SetField(name=name, value=value):
            return f"field {name} = {expr(value)}"
        case ir.Concat(place=place, left=left, right=right):
            return f"{expr(place)} = {expr(left)} . {expr(right)}"
        case ir.Call(place=place, functions=functions, arguments=arguments):
            return f"{_to(place)}call {'|'.join(functions)}({_keys(arguments)})"
        case ir.MapGet(place=place, name=name, keys=keys):
            return f"{expr(place)} = {name}[{_keys(keys)}]"
        case ir.MapSet(name=name, keys=keys, value=value):
            return f"{name}[{_keys(keys)}] = {expr(value)}"
        case ir.MapUpdate(name=name, keys=keys, operator=operator, value=value, old=old, new=new):
            taken = "".join(f" {word} {expr(p)}" for word, p in (("old", old), ("new", new)) if p is not None)
            return f"{name}[{_keys(keys)}] {operator}= {expr(value)}{taken}"
        case ir.MapIn(place=place, name=name, keys=keys):
            return f"{expr(place)} = [{_keys(keys)}] in {name}"
        case ir.MapDelete(name=name, keys=keys):
            return f"delete {name}{f'[{_keys(keys)}]' if keys else ''}"
        case ir.StatAdd(stat=stat, value=value):
            return f"{_ref(stat)} <<< {expr(value)}"
        case ir.StatGet(place=place, operator=operator, stat=stat):
            return f"{expr(place)} = {operator}({_ref(stat)})"
        case ir.StatClear(name=name):
            return f"clear {name}"
        case ir.HistBucket(place=place, stat=stat, hist=hist, index=index):
            return f"{expr(place)} = {_hist(hist)} of {_ref(stat)} [{expr(index)}]"
        case ir.Print(format=text, arguments=arguments):
            return f"print {_quote(text)}{_given(arguments)}"
        case ir.Sprint(place=place, format=text, arguments=arguments):
            return f"{expr(place)} = sprint {_quote(text)}{_given(arguments)}"
        case ir.PrintHist(stat=stat, hist=hist):
            return f"print {_hist(hist)} of {_ref(stat)}"
        case ir.SprintHist(place=place, stat=stat, hist=hist):
            return f"{expr(place)} = sprint {_hist(hist)} of {_ref(stat)}"
        case ir.Pretty(place=place, parts=parts, depth=depth, space=space):
            return f"{expr(place)} = pretty {depth} {space.value} {', '.join(map(_part, parts))}"
        case ir.Regex(place=place, regex=number, subject=subject):
            return f"{expr(place)} = match {number} {expr(subject)}"
        case ir.Break() | ir.Continue() | ir.Next():
            return type(op).__name__.lower()
        case ir.Return(value=value):
            return "return" if value is None else f"return {expr(value)}"
        case ir.Fail(text=text):
            return f"fail {_quote(text)}"
        case ir.Charge(actions=actions):
            return f"charge {actions}"
        case ir.Embedded(place=place, code=code):
            return f"{expr(place)} = embedded {_quote(code)}"
        case ir.SaveEntry(number=number, value=value):
            return f"save {number} = {expr(value)}"
        case _:
            raise AssertionError(f"no text for {type(op).__name__}")


def _to(place: Any) -> str:
    return "" if place is None else f"{expr(place)} = "


def _given(arguments: tuple[ir.Arg, ...]) -> str:
    return f" ({_keys(arguments)})" if arguments else ""


def _keys(keys: tuple[Any, ...]) -> str:
    return ", ".join("*" if k is None else expr(k) for k in keys)


def _ref(stat: ir.StatRef) -> str:
    return f"{stat.name}[{_keys(stat.keys)}]" if stat.keys else stat.name


def _part(part: ir.PrettyPart) -> str:
    if part.value is None and part.address is None:
        return part.label if part.bare else f"{part.label}?"
    where = expr(part.value) if part.value is not None else f"at {expr(part.address)}"
    return f"{part.label}{where} as {part.type}"


# --- values ----------------------------------------------------------------------------------------------


def expr(e: Any) -> str:  # noqa: C901
    """A value, a text or a place."""
    match e:
        case ir.Const(value=value):
            return str(value)
        case ir.Local(name=name):
            return name
        case ir.StrLocal(name=name):
            return f"{name}$"
        case ir.Temp(number=number):
            return f"t{number}"
        case ir.StrTemp(number=number):
            return f"s{number}"
        case ir.GlobalValue(name=name) | ir.StrGlobal(name=name):
            return f"@{name}"
        case ir.Literal(text=text):
            return _quote(text)
        case ir.SavedStr(number=number):
            return f"saved{number}$"
        case ir.Reg(number=number, space=space):
            return f"{'u' if space is ir.Space.USER else ''}reg{number}"
        case ir.Field(name=name, number=number):
            return f"field {name}{number or ''}"
        case ir.Saved(number=number):
            return f"saved{number}"
        case ir.SymbolAddress(symbol=symbol, offset=offset, module=module):
            return f"&{module + ':' if module else ''}{symbol}{f'+{offset}' if offset else ''}"
        case ir.Load(address=address, size=size, signed=signed, space=space):
            return f"{'u' if space is ir.Space.USER else ''}load{'s' if signed else ''}{size * 8}({expr(address)})"
        case ir.Bits(value=value, offset=offset, width=width, signed=signed):
            return f"bits{'s' if signed else ''}({expr(value)}, {offset}, {width})"
        case ir.Unary(operator=operator, operand=operand):
            return f"{operator}{expr(operand)}"
        case ir.Compare(unsigned=True):
            return f"({expr(e.left)} {e.operator}u {expr(e.right)})"
        case ir.Binary() | ir.Compare() | ir.StrCompare():
            return f"({expr(e.left)} {e.operator} {expr(e.right)})"
        case ir.Select(condition=condition, then=then, otherwise=otherwise):
            return f"({expr(condition)} ? {expr(then)} : {expr(otherwise)})"
        case ir.Hole(number=number):
            return f"hole{number}"
        case _:
            raise AssertionError(f"no text for {type(e).__name__}")


def _quote(text: str) -> str:
    return json.dumps(text)
