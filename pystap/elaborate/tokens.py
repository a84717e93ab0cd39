"""AST nodes -> the words by which messages name them (`identifier 'x'`, `operator '+'`)."""

from __future__ import annotations

from pystap.syntax import ast

_KEYWORDS = (
    ast.If, ast.While, ast.For, ast.Foreach, ast.Break, ast.Continue, ast.Next, ast.Return, ast.Delete, ast.Try,
    ast.Probe, ast.Alias, ast.Global,
)  # fmt: skip
_OPERATORS = (ast.Unary, ast.Binary, ast.Compare, ast.Logical, ast.Assign, ast.IncDec, ast.Match)
_AT = {
    ast.Cast: "@cast", ast.AtVar: "@var", ast.AtEnum: "@enum", ast.AtEnumName: "@enumname", ast.AtConst: "@const",
    ast.AtPerf: "@perf", ast.Defined: "@defined", ast.ProbeWrite: "@probewrite", ast.Entry: "@entry",
}  # fmt: skip


def token(node: ast.Node) -> str:
    """The kind and text of a node's token, as messages print it."""
    if isinstance(node, _KEYWORDS):
        return "keyword"
    if isinstance(node, _OPERATORS):
        return f"operator '{node.operator}'"
    if type(node) in _AT:
        return f"operator '{_AT[type(node)]}'"
    return _named(node) or _punctuation(node)


def _named(node: ast.Node) -> str:
    match node:
        case ast.Number(value=value):
            written = node.span.text
            return f"number '{written if written[:1].isdigit() else value}'"
        case ast.String(value=value):
            return f"string '{value}'"
        case ast.TargetVar(base=ast.Node() as base) if not isinstance(base, (ast.Cast, ast.AtVar)):
            return token(base)
        case ast.TargetVar(base=ast.Node() as base):
            return f"operator '{_AT[type(base)]}'"
        case ast.TargetVar(name=name):
            return f"identifier '${name}'"
        case ast.Name(name=name) | ast.Call(name=name) | ast.Function(name=name) | ast.Print(name=name):
            return f"identifier '{name}'"
        case ast.Parameter(name=name) | ast.Component(name=name):
            return f"identifier '{name}'"
        case ast.Index(base=base) | ast.StatOp(stat=base) if isinstance(node, ast.Index):
            return token(base)
        case _:
            return ""


def _punctuation(node: ast.Node) -> str:
    match node:
        case ast.Member():
            return "operator '->'"
        case ast.Element():
            return "operator '['"
        case ast.Ternary():
            return "operator '?'"
        case ast.In():
            return "keyword"
        case ast.StatOp(operator=operator):
            return f"operator '@{operator}'"
        case ast.HistOp(linear=linear):
            return f"operator '@hist_{'log' if linear is None else 'linear'}'"
        case ast.EmbeddedExpr() | ast.EmbeddedCode():
            return "embedded-code"
        case ast.Deref(user=user):
            return f"operator '@{'u' if user else 'k'}deref'"
        case ast.Register(user=user):
            return f"operator '@{'u' if user else 'k'}register'"
        case _:
            return "operator '{'" if isinstance(node, ast.Block) else ""
