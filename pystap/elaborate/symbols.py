"""Names in a body -> local Variables; everything else it names (globals, functions) is asked of a Namespace.

Only names are decided here, not types. Private names of library files are made unique before (`unshare`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from pystap.diagnostics import Diagnostics, similar_names
from pystap.elaborate.nearest import nearest
from pystap.elaborate.program import Variable
from pystap.elaborate.rebuild import rebuild, with_fields
from pystap.elaborate.tokens import token
from pystap.syntax import ast
from pystap.syntax.walk import children


class Namespace(Protocol):
    """The globals and functions that a body may name."""

    def is_global(self, name: str, user: bool) -> bool:
        """Whether a name means a global (which is then part of the program)."""
        ...

    def call(self, call: ast.Call) -> None:
        """Makes the functions that a call names part of the program, or reports that there are none."""
        ...


@dataclass(slots=True)
class Scan:
    """One walk over a body: its locals in order of appearance, and which of them are assigned."""

    namespace: Namespace
    diagnostics: Diagnostics
    locals: dict[str, Variable]
    user: bool = True
    read: dict[str, ast.Name] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)

    def body(self, node: ast.Node) -> None:
        """Looks at everything below a node, in the order of the source."""
        method = _METHODS.get(type(node))
        if method is None:
            for child in children(node):
                self.body(child)
        else:
            method(self, node)

    def warn_unassigned(self) -> None:
        """Locals that are read and never assigned."""
        for name, node in self.read.items():
            if name in self.assigned or not node.span.file.is_user:
                continue
            similar = similar_names(nearest(name, (n for n in self.locals if n != name)))
            text = f"never-assigned local variable '{name}'{similar}"
            self.diagnostics.warn(node.span, "never-assigned", text, token=token(node))

    def name(self, node: ast.Name) -> None:
        if self._local(node):
            self.read.setdefault(node.name, node)

    def _local(self, node: ast.Name) -> bool:
        name = node.name
        if name in self.locals:
            return True
        if self.namespace.is_global(name, self.user):
            return False
        self.locals[name] = Variable(name, "local", node.span, shown=name)
        return True

    def write(self, node: ast.Assign) -> None:
        if isinstance(node.target, ast.Name):
            if node.operator == "<<<":
                self._statistic(node.target)
            elif self._local(node.target):
                self.assigned.add(node.target.name)
        else:
            self._lvalue(node)
            self.body(node.target)
        self.body(node.value)

    def _lvalue(self, node: ast.Assign | ast.IncDec) -> None:
        if isinstance(node.target, _VALUES):
            self.diagnostics.error(node.span, "lvalue", "Expecting lvalue for assignment", token=token(node))

    def step(self, node: ast.IncDec) -> None:
        if isinstance(node.target, ast.Name) and self._local(node.target):
            self.assigned.add(node.target.name)
            self.read.setdefault(node.target.name, node.target)
        else:
            self._lvalue(node)
            self.body(node.target)

    def index(self, node: ast.Index, wildcards: bool = False) -> None:
        if isinstance(node.base, ast.Name):
            self._array(node.base, len(node.keys))
            if not wildcards and any(isinstance(key, ast.Star) for key in node.keys):
                text = "wildcard not allowed in array index"
                self.diagnostics.error(node.base.span, "wildcard", text, token=token(node.base))
        else:
            self.body(node.base)
        for key in node.keys:
            self.body(key)

    def _array(self, node: ast.Name, arity: int) -> None:
        if node.name in self.locals or not self.namespace.is_global(node.name, self.user):
            text = f"unresolved arity-{arity} global array {node.name}, missing global declaration?"
            self.diagnostics.error(node.span, "unresolved-array", text, token=token(node))

    def _statistic(self, node: ast.Name) -> None:
        if node.name in self.locals or not self.namespace.is_global(node.name, self.user):
            self.locals.setdefault(node.name, Variable(node.name, "local", node.span, shown=node.name))
            self.assigned.add(node.name)

    def member_of(self, node: ast.In) -> None:
        for key in node.keys:
            self.body(key)
        self._array(node.array, len(node.keys))

    def stat(self, node: ast.StatOp | ast.HistOp) -> None:
        self.body(node.stat)

    def delete(self, node: ast.Delete) -> None:
        target = node.target
        if isinstance(target, ast.Name):
            if self._local(target):
                self.assigned.add(target.name)
        elif isinstance(target, ast.Index):
            self.index(target, wildcards=True)
        else:
            text = "invalid operand of delete expression"
            self.diagnostics.error(target.span, "delete", text, token=token(target))

    def foreach(self, node: ast.Foreach) -> None:
        for name in (*node.keys, *(() if node.value is None else (node.value,))):
            if self._local(name):
                self.assigned.add(name.name)
        if isinstance(node.base, ast.Name):
            self._array(node.base, max(len(node.keys), 1))
            if node.slice is not None and len(node.slice) != len(node.keys):
                text = f"unresolved arity-{len(node.slice)} global array {node.base.name}, missing global declaration?"
                self.diagnostics.error(node.base.span, "unresolved-array", text, token=token(node.base))
        else:
            self.body(node.base)
        for part in (*(node.slice or ()), *(() if node.limit is None else (node.limit,)), node.body):
            self.body(part)

    def catch(self, node: ast.Try) -> None:
        self.body(node.body)
        if node.message is not None and self._local(node.message):
            self.assigned.add(node.message.name)
        self.body(node.handler)

    def call(self, node: ast.Call) -> None:
        for argument in node.arguments:
            self.body(argument)
        self.namespace.call(node)

    def probe_write(self, node: ast.ProbeWrite) -> None:
        self.namespace.is_global(node.name, self.user)

    def embedded(self, node: ast.EmbeddedExpr) -> None:
        for name in pragma_globals(node.code):
            if not self.namespace.is_global(name, self.user):
                text = f"unresolved pragma global {name}"
                self.diagnostics.error(node.span, "unresolved-pragma", text, token="embedded-code")


_METHODS: dict[type, Any] = {
    ast.Name: Scan.name,
    ast.Assign: Scan.write,
    ast.IncDec: Scan.step,
    ast.Index: Scan.index,
    ast.In: Scan.member_of,
    ast.StatOp: Scan.stat,
    ast.HistOp: Scan.stat,
    ast.Delete: Scan.delete,
    ast.Foreach: Scan.foreach,
    ast.Try: Scan.catch,
    ast.Call: Scan.call,
    ast.ProbeWrite: Scan.probe_write,
    ast.EmbeddedExpr: Scan.embedded,
    ast.Number: lambda scan, node: None,
    ast.String: lambda scan, node: None,
}

# Expressions that can not be written to.
_VALUES = (
    ast.Number, ast.String, ast.Binary, ast.Unary, ast.Compare, ast.Logical, ast.Ternary, ast.Call, ast.Print, ast.In,
    ast.StatOp, ast.Match, ast.Assign, ast.IncDec,
)  # fmt: skip

_PRAGMA = re.compile(r"/\*\s*pragma:(?:read|write):\s*([A-Za-z_]\w*)\s*\*/")


def pragma_globals(code: str) -> tuple[str, ...]:
    """Globals that embedded C says it uses."""
    return tuple(dict.fromkeys(_PRAGMA.findall(code))) if "pragma:" in code else ()


def unshare(file: ast.File) -> ast.File:
    """A file with its private globals and functions renamed so that they clash with nobody's."""
    names = {i.name for i in file.items if isinstance(i, (ast.Global, ast.Function)) and i.private}
    if not names:
        return file
    path = re.sub(r"\W", "_", file.source.name)
    mangled = {name: f"__private_{path}_{name}" for name in names}
    return with_fields(file, {"items": tuple(_unshared(item, mangled) for item in file.items)})


def _unshared(item: Any, mangled: dict[str, str]) -> Any:
    if isinstance(item, ast.Function):
        hidden = {p.name for p in item.parameters}
        inner = {k: v for k, v in mangled.items() if k not in hidden}
        return _renamed(item, inner, mangled)
    return _renamed(item, mangled, mangled)


def _renamed(node: Any, variables: dict[str, str], functions: dict[str, str]) -> Any:
    def rename(n: Any) -> Any:
        n = rebuild(n, rename)
        if isinstance(n, (ast.Name, ast.Global, ast.ProbeWrite)) and n.name in variables:
            return with_fields(n, {"name": variables[n.name]})
        if isinstance(n, (ast.Call, ast.Function)) and n.name in functions:
            return with_fields(n, {"name": functions[n.name]})
        if isinstance(n, ast.EmbeddedExpr):
            return _pragmas_renamed(n, variables)
        return n

    return rename(node)


def _pragmas_renamed(node: ast.EmbeddedExpr, variables: dict[str, str]) -> ast.EmbeddedExpr:
    code = node.code
    for name in pragma_globals(code):
        if name in variables:
            code = re.sub(rf"(pragma:(?:read|write):\s*){name}\b", rf"\g<1>{variables[name]}", code)
            code = re.sub(rf"(STAP_GLOBAL_(?:GET|SET)_){name}\b", rf"\g<1>{variables[name]}", code)
    return node if code == node.code else ast.EmbeddedExpr(code, span=node.span)


_PRIVATE = re.compile(r"__private_(?:.*_stp_|_input\d*__)")  # of a file, of -e, of -E


def shown_name(name: str) -> str:
    """A name as the script wrote it."""
    return _PRIVATE.sub("", name, count=1) if name.startswith("__private_") else name


def parameters(function: ast.Function) -> dict[str, Variable]:
    """A function's parameters as variables."""
    return {p.name: Variable(p.name, "parameter", p.span, p.type or "unknown", p.name) for p in function.parameters}


def duplicates(names: Iterable[str]) -> set[str]:
    """Names that occur more than once."""
    seen: set[str] = set()
    return {n for n in names if n in seen or seen.add(n)}  # type: ignore[func-returns-value]
