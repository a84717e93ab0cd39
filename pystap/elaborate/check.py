"""Rules that only report: loops, arrays changed while they are walked, guru mode, failed targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pystap.diagnostics import Diagnostics, Unresolved
from pystap.elaborate.collect import error_of
from pystap.elaborate.program import Body, Function
from pystap.elaborate.tokens import token
from pystap.options import Options
from pystap.syntax import ast
from pystap.syntax.walk import walk

Functions = dict[tuple[str, int], list[Function]]


@dataclass(slots=True)
class Checker:
    """The rules, over one program."""

    functions: Functions
    failures: dict[ast.Node, Unresolved]
    options: Options
    diagnostics: Diagnostics
    kinds: set[type]
    _writes: dict[tuple[str, int], frozenset[str]] = field(default_factory=dict)

    def body(self, body: Body) -> None:
        """All rules on one body."""
        for node in (*walk(body.block), *(n for e in body.entry for n in walk(e))):
            self._node(node)

    def _node(self, node: ast.Node) -> None:
        failure = self.failures.get(node)
        if failure is not None:
            self.diagnostics.add(error_of(failure, node, _where(failure, node)))
        match node:
            case ast.Foreach(base=ast.Name(name=name)):
                self._walked(node.body, name)
            case ast.Call():
                self._allowed(node)
            case ast.Deref(user=False) | ast.Register(user=False) if not self.options.guru:
                if node.span.file.is_user:
                    name = "kderef" if isinstance(node, ast.Deref) else "kregister"
                    self._error(node, "guru", f"using @{name} operator not permitted; need stap -g")
            case _:
                pass

    def _error(self, node: ast.Node, code: str, text: str) -> None:
        self.diagnostics.error(node.span, code, text, token=token(node))

    # --- arrays that change while they are walked --------------------------------------------------------

    def _walked(self, body: ast.Stmt, array: str) -> None:
        for node in walk(body):
            for base in _element_writes(node):
                if base.name == array:
                    self._error(base, "foreach", f"variable '{_shown(array)}' modified during 'foreach' iteration")
            if isinstance(node, ast.Call) and array in self._written((node.name, len(node.arguments))):
                text = f"function call modifies var '{_shown(array)}' during 'foreach' iteration"
                self._error(node, "foreach", text)

    def _written(self, key: tuple[str, int]) -> frozenset[str]:
        """The arrays in which a function writes elements, itself or through those that it calls."""
        known = self._writes.get(key)
        if known is not None:
            return known
        self._writes[key] = frozenset()
        found: set[str] = set()
        for function in self.functions.get(key, ()):
            found |= {value for kind, value in function.pragmas if kind == "write"}
            if not isinstance(function.body, Body):
                continue
            for node in walk(function.body.block):
                found |= {base.name for base in _element_writes(node)}
                if isinstance(node, ast.Call):
                    found |= self._written((node.name, len(node.arguments)))
        self._writes[key] = frozenset(found)
        return self._writes[key]

    # --- who may call what ---------------------------------------------------------------------------------

    def _allowed(self, call: ast.Call) -> None:
        if not call.span.file.is_user:
            return
        for function in self.functions.get((call.name, len(call.arguments)), ()):
            if not isinstance(function.body, ast.EmbeddedExpr):
                continue
            if "guru" in function.tags and not self.options.guru:
                self._error(call, "guru", "function may not be used unless -g is specified")


def _element_writes(node: ast.Node) -> Iterator[ast.Name]:
    match node:
        case ast.Assign(target=ast.Index(base=ast.Name() as base)):
            yield base
        case ast.IncDec(target=ast.Index(base=ast.Name() as base)):
            yield base
        case ast.Delete(target=ast.Index(base=ast.Name() as base)):
            yield base
        case _:
            pass


def _shown(name: str) -> str:
    from pystap.elaborate.symbols import shown_name

    return shown_name(name)


def _where(failure: Unresolved, node: ast.Node) -> str:
    """The token at which a target expression failed."""
    if failure.span is None or failure.span == node.span:
        return token(node)
    for below in walk(node):
        if below.span == failure.span:
            return token(below)
    return ""
