"""ast -> text as `stap -p1` prints it: fully parenthesised, one statement a line, no types.

Parsing the text again gives the same tree, but for what stap leaves out (types, priorities, private).
"""

from __future__ import annotations

from typing import assert_never

from pystap.syntax import ast

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f",
            "\v": "\\v"}  # fmt: skip


def unparse_file(file: ast.File) -> str:
    """A whole file as pass 1 prints it, after its `# file NAME` line."""
    lines: list[str] = []
    embedded = "".join(f"%{{{item.code}%}}" for item in file.items if isinstance(item, ast.EmbeddedCode))
    for kind in (ast.Global, ast.Alias, ast.Probe, ast.Function):
        lines.extend(unparse_item(item) for item in file.items if isinstance(item, kind))
    return embedded + "".join(f"{line}\n" for line in lines)


def unparse_item(item: ast.Item) -> str:
    """A global, function, probe, alias or embedded code."""
    match item:
        case ast.Global():
            return _global(item)
        case ast.Function():
            return _function(item)
        case ast.Probe():
            return f"probe {','.join(map(unparse_point, item.points))}{unparse_stmt(item.body)}"
        case ast.Alias():
            return _alias(item)
        case ast.EmbeddedCode():
            return f"%{{{item.code}%}}"
        case _:
            assert_never(item)


def _global(item: ast.Global) -> str:
    size = f"[{item.size}]" if item.size else ""
    initial = "" if item.initializer is None else f" = {unparse_expr(item.initializer)}"
    return f"global {item.name}{'%' if item.wrap else ''}{size}{initial}"


def _function(item: ast.Function) -> str:
    parameters = ", ".join(p.name for p in item.parameters)
    body = f"%{{{item.body.code}%}}" if isinstance(item.body, ast.EmbeddedExpr) else unparse_stmt(item.body)
    return f"function {item.name} ({parameters})\n{body}"


def _alias(item: ast.Alias) -> str:
    names = "".join(f"{unparse_point(name)} {item.operator if n == len(item.names) else '='} "
                    for n, name in enumerate(item.names, 1))  # fmt: skip
    body = item.prologue if item.prologue is not None else item.epilogue
    after = ""
    if item.prologue is not None and item.epilogue is not None:
        after = f", {unparse_stmt(item.epilogue)}"
    text = unparse_stmt(body) if body is not None else "{\n}"
    return f"probe {names}{', '.join(map(unparse_point, item.points))}{text}{after}"


def unparse_point(point: ast.Point) -> str:
    """A probe point as it was written, brace sets apart."""
    mark = "!" if point.sufficient else "?" if point.optional else ""
    condition = "" if point.condition is None else f" if {_in(point.condition)}"
    return ".".join(map(_component, point.components)) + mark + condition


def _component(component: ast.Component) -> str:
    match component.argument:
        case None:
            return component.name
        case int() as number:
            return f"{component.name}({number})"
        case text:
            return f"{component.name}({quoted(text)})"


def quoted(text: str) -> str:
    """A string literal."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c >= " " else f"\\{ord(c):03o}") for c in text) + '"'


# --- statements ----------------------------------------------------------------------------------------


def unparse_stmt(stmt: ast.Stmt) -> str:  # noqa: C901 - one arm for each node
    """A statement, without a newline behind it."""
    match stmt:
        case ast.Block():
            return "{\n" + "".join(f"{unparse_stmt(s)};\n" for s in stmt.statements) + "}"
        case ast.Null():
            return ";"
        case ast.ExprStmt():
            return unparse_expr(stmt.value)
        case ast.If():
            otherwise = "" if stmt.otherwise is None else f"else {unparse_stmt(stmt.otherwise)}\n"
            return f"if {_in(stmt.condition)} {unparse_stmt(stmt.then)}\n{otherwise}"
        case ast.While():
            return f"for (; {unparse_expr(stmt.condition)}; ) {unparse_stmt(stmt.body)}"
        case ast.For():
            return _for(stmt)
        case ast.Foreach():
            return _foreach(stmt)
        case ast.Break():
            return "break"
        case ast.Continue():
            return "continue"
        case ast.Next():
            return "next"
        case ast.Return():
            return "return" if stmt.value is None else f"return {unparse_expr(stmt.value)}"
        case ast.Delete():
            return f"delete {unparse_expr(stmt.target)}"
        case ast.Try():
            caught = "" if stmt.message is None else f" ({stmt.message.name})"
            return f"try {{\n{unparse_stmt(stmt.body)}\n}} catch{caught} {{\n{unparse_stmt(stmt.handler)}\n}}\n"
        case _:
            assert_never(stmt)


def _for(stmt: ast.For) -> str:
    init = "" if stmt.init is None else unparse_expr(stmt.init)
    condition = "1" if stmt.condition is None else unparse_expr(stmt.condition)
    step = "" if stmt.step is None else unparse_expr(stmt.step)
    return f"for ({init}; {condition}; {step}) {unparse_stmt(stmt.body)}"


def _foreach(stmt: ast.Foreach) -> str:
    mark = {0: "", 1: "+", -1: "-"}[stmt.sort]
    keys = ", ".join(f"{key.name}{mark if stmt.sort_by == n else ''}" for n, key in enumerate(stmt.keys, 1))
    value = "" if stmt.value is None else f"{stmt.value.name} = "
    limit = "" if stmt.limit is None else f" limit {unparse_expr(stmt.limit)}"
    order = ""
    if stmt.sort_by == 0 and stmt.sort:
        order = f" @{stmt.sort_aggregate}{mark}" if stmt.sort_aggregate else mark
    return f"foreach ({value}[{keys}] in {unparse_expr(stmt.base)}{_slots(stmt.slice)}{order}{limit}) " + unparse_stmt(
        stmt.body
    )


def _slots(keys: tuple[ast.Expr, ...] | None) -> str:
    return "" if keys is None else f"[{_list(keys)}]"


# --- expressions ---------------------------------------------------------------------------------------


def _in(expr: ast.Expr) -> str:
    return f"({unparse_expr(expr)})"


def _list(exprs: tuple[ast.Expr, ...]) -> str:
    return ", ".join(map(unparse_expr, exprs))


def unparse_expr(expr: ast.Expr) -> str:  # noqa: C901 - one arm for each node
    """An expression: its operands in parentheses, itself not."""
    match expr:
        case ast.Number():
            return str(expr.value)
        case ast.String():
            return quoted(expr.value)
        case ast.Name():
            return expr.name
        case ast.Star():
            return "*"
        case ast.Index():
            return f"{unparse_expr(expr.base)}[{_list(expr.keys)}]"
        case ast.Call():
            return f"{expr.name}({_list(expr.arguments)})"
        case ast.Unary():
            return f"{expr.operator}{_in(expr.operand)}"
        case ast.Binary() | ast.Compare() | ast.Logical():
            return f"{_in(expr.left)} {expr.operator} {_in(expr.right)}"
        case ast.Ternary():
            return f"{_in(expr.condition)}?{_in(expr.then)}:{_in(expr.otherwise)}"
        case ast.Assign():
            return f"{_in(expr.target)} {expr.operator} {_in(expr.value)}"
        case ast.IncDec():
            return f"{expr.operator}{_in(expr.target)}" if expr.prefix else f"{_in(expr.target)}{expr.operator}"
        case ast.Match():
            return f"{_in(expr.subject)} {expr.operator} {quoted(expr.pattern.value)}"
        case ast.In():
            return f"[{_list(expr.keys)}] in {expr.array.name}"
        case ast.TargetVar():
            return _target(expr)
        case ast.Print():
            return _print(expr)
        case ast.EmbeddedExpr():
            return f"%{{ {expr.code} %}}"
        case ast.StatOp():
            shift = f", {expr.shift}" if expr.shift else ""
            return f"@{expr.operator}({unparse_expr(expr.stat)}{shift})"
        case ast.HistOp():
            return _hist(expr)
        case ast.TargetAccess():
            return f"<target access {_list(expr.holes)}>"
        case ast.EntryValue():
            return f"<entry value {expr.number}>"
        case ast.Pretty():
            return f"<pretty {' '.join(field.label for field in expr.fields)}>"
        case _:
            return _at(expr)


_At = (
    ast.Cast | ast.AtVar | ast.AtEnum | ast.AtEnumName | ast.AtConst | ast.AtPerf | ast.Register | ast.Deref
    | ast.Defined | ast.ProbeWrite | ast.Entry
)  # fmt: skip


def _at(expr: _At) -> str:  # noqa: C901 - one arm for each node
    match expr:
        case ast.Cast():
            return f"@cast({unparse_expr(expr.operand)}, {quoted(expr.type_name)}{_optional(expr.module)})"
        case ast.AtVar():
            return f"@var({quoted(expr.name)}{_optional(expr.module)})"
        case ast.AtEnum():
            return f"@enum({quoted(expr.name)})"
        case ast.AtEnumName():
            return f"@enumname({unparse_expr(expr.value)}{_optional(expr.type_name)}{_optional(expr.module)})"
        case ast.AtConst():
            return f"@const({quoted(expr.text)})"
        case ast.AtPerf():
            return f"@perf({quoted(expr.counter)})"
        case ast.Register():
            return f"@{'u' if expr.user else 'k'}register({unparse_expr(expr.number)})"
        case ast.Deref():
            return f"@{'u' if expr.user else 'k'}deref({unparse_expr(expr.size)}, {unparse_expr(expr.address)})"
        case ast.Defined():
            return f"@defined({unparse_expr(expr.operand)})"
        case ast.ProbeWrite():
            return f"@probewrite({expr.name})"
        case ast.Entry():
            return f"@entry({unparse_expr(expr.operand)})"
        case _:
            assert_never(expr)


def _optional(text: str | None) -> str:
    return "" if text is None else f", {quoted(text)}"


def _hist(expr: ast.HistOp) -> str:
    if expr.linear is None:
        return f"@hist_log({unparse_expr(expr.stat)})"
    low, high, width = expr.linear
    return f"@hist_linear({unparse_expr(expr.stat)}, {low}, {high}, {width})"


def _target(expr: ast.TargetVar) -> str:
    if expr.base is None:
        root = f"${expr.name}"
    elif isinstance(expr.base, ast.Cast | ast.AtVar):
        root = unparse_expr(expr.base)
    else:
        root = _in(expr.base)
    steps = "".join(_step(step) for step in expr.steps)
    pretty = f"->{'$' * expr.pretty}" if expr.pretty else ""
    return f"{'&' if expr.address_of else ''}{root}{steps}{pretty}"


def _step(step: ast.Step) -> str:
    match step:
        case ast.Member():
            return f"->{step.name}"
        case ast.Element():
            return f"[{unparse_expr(step.index)}]"
        case _:
            assert_never(step)


def _print(expr: ast.Print) -> str:
    literal = expr.format if expr.format is not None else expr.delimiter
    first = [] if literal is None else [quoted(literal)]
    return f"{expr.name}({', '.join(first + [unparse_expr(a) for a in expr.arguments])})"
