"""`f = $file; f->f_flags`: remembers which C type a script value has, and resolves `->` and `[ ]` on such values.

Types flow through assignments, parameters and results; the only part of inference that iterates, and only where a
script uses it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from pystap.debuginfo.ctype import Array, CType, Pointer, strip
from pystap.diagnostics import Unresolved
from pystap.elaborate.access import finish
from pystap.elaborate.program import Body, Function, GlobalVariable, Variable
from pystap.elaborate.rebuild import rebuild
from pystap.elaborate.targetvars import Path, Place, space_of
from pystap.elaborate.tokens import token
from pystap.ir import nodes as ir
from pystap.options import Options
from pystap.syntax import ast
from pystap.syntax.walk import walk

Known = tuple[CType, ir.Space]
Functions = dict[tuple[str, int], list[Function]]


def _named_base(node: ast.TargetVar) -> bool:
    return isinstance(node.base, (ast.Cast, ast.AtVar))


@dataclass(slots=True)
class Autocast:
    """The remembered types of one program."""

    globals: dict[str, GlobalVariable]
    functions: Functions
    failures: dict[ast.Node, Unresolved]
    options: Options
    _known: dict[Variable, Known] = field(default_factory=dict)
    _results: dict[tuple[str, int], Known] = field(default_factory=dict)
    _locals: Any = field(default_factory=dict)
    _entry: tuple[ast.Expr, ...] = ()
    _result: tuple[str, int] | None = None
    _changed: bool = False

    def run(self, bodies: list[Body]) -> dict[int, Body]:
        """New bodies by the old one's id; functions are replaced in place."""
        current = {id(b): b for b in bodies}
        for _ in range(16):  # a chain of pointers is followed one link a round; nobody writes longer ones
            self._changed = False
            for key, overloads in self.functions.items():
                overloads[:] = [self._function(key, f) for f in overloads]
            current = {key: self._body(b) for key, b in current.items()}
            if not self._changed:
                break
        for body in (*current.values(), *(f.body for same in self.functions.values() for f in same)):
            if isinstance(body, Body):
                self._report(body)
        return current

    def _function(self, key: tuple[str, int], function: Function) -> Function:
        if not isinstance(function.body, Body):
            return function
        self._result = key
        body = self._body(function.body)
        self._result = None
        return function if body is function.body else replace(function, body=body)

    def _body(self, body: Body) -> Body:
        self._locals, self._entry = body.locals, body.entry
        block = self._resolve(body.block)
        self._flow(block)
        return body if block is body.block else replace(body, block=block)

    def _report(self, body: Body) -> None:
        for node in walk(body.block):
            if isinstance(node, ast.TargetVar) and node.base is not None and node not in self.failures:
                hint = "assign the value from a $variable, or say its type with @cast"
                span = node.steps[0].span if node.steps else node.span
                self.failures[node] = Unresolved("unknown type in dereference", hint=hint, span=span)

    # --- which variable has which type -----------------------------------------------------------------

    def _flow(self, block: ast.Node) -> None:
        for node in walk(block):
            match node:
                case ast.Assign(operator="=", target=target, value=value):
                    self._note(self._variable(target), self._type(value))
                case ast.Call(name=name, arguments=arguments):
                    self._call(name, arguments)
                case ast.Return(value=value) if value is not None and self._result is not None:
                    self._note_result(self._type(value))
                case _:
                    pass

    def _call(self, name: str, arguments: tuple[ast.Expr, ...]) -> None:
        for function in self.functions.get((name, len(arguments)), ()):
            for parameter, argument in zip(function.parameters, arguments, strict=True):
                self._note(parameter, self._type(argument))

    def _note(self, variable: Variable | None, known: Known | None) -> None:
        if variable is None or known is None or variable in self._known:
            return
        self._known[variable] = known
        variable.ctype = known[0]
        self._changed = True

    def _note_result(self, known: Known | None) -> None:
        assert self._result is not None
        if known is not None and self._result not in self._results:
            self._results[self._result] = known
            self._changed = True

    def _variable(self, node: ast.Expr) -> Variable | None:
        match node:
            case ast.Name(name=name) | ast.Index(base=ast.Name(name=name)):
                local = self._locals.get(name)
                if local is not None:
                    return local  # type: ignore[no-any-return]
                known = self.globals.get(name)
                return known.variable if known is not None else None
            case _:
                return None

    def _type(self, node: ast.Expr) -> Known | None:
        match node:
            case ast.TargetAccess(ctype=ctype, value=value) if ctype is not None:
                return ctype, space_of(value)
            case ast.EntryValue(ctype=ctype, number=number) if ctype is not None:
                saved = self._entry[number] if number < len(self._entry) else None
                return ctype, space_of(saved.value) if isinstance(saved, ast.TargetAccess) else ir.Space.KERNEL
            case ast.Name() | ast.Index():
                variable = self._variable(node)
                return self._known.get(variable) if variable is not None else None
            case ast.Call(name=name, arguments=arguments):
                return self._results.get((name, len(arguments)))
            case ast.Ternary(then=then, otherwise=otherwise):
                return self._type(then) or self._type(otherwise)
            case ast.Assign(operator="=", value=value):
                return self._type(value)
            case ast.Binary(operator="+" | "-", left=left, right=right):
                return self._type(left) or self._type(right)
            case _:
                return None

    # --- resolution --------------------------------------------------------------------------------------

    def _resolve(self, node: Any) -> Any:
        if isinstance(node, (ast.Assign, ast.IncDec)) and _is_autocast(node.target) and not self.options.guru:
            self.failures[node.target] = Unresolved(
                "write to target variable not permitted; need stap -g", span=node.target.span
            )
        new = rebuild(node, self._resolve)
        if not _is_autocast(new) or new in self.failures:
            return new
        known = self._type(new.base)
        if known is None:
            return new
        return self._access(new, known)

    def _access(self, node: ast.TargetVar, known: Known) -> Any:
        ctype, space = known
        if isinstance(strip(ctype), Array):
            ctype = Pointer(strip(ctype).element)  # type: ignore[union-attr]
        path = Path(Place(ir.Hole(0), ctype, False, space), mark=ir.Mark(node.span, token(node)))
        assert isinstance(node.base, ast.Node)
        path.holes.append(node.base)
        try:
            path.walk(node.steps)
            new = finish(path, node)
        except Unresolved as failure:
            self.failures[node] = failure
            return node
        self._changed = True
        return new


def _is_autocast(node: Any) -> bool:
    return isinstance(node, ast.TargetVar) and node.base is not None and not _named_base(node)
