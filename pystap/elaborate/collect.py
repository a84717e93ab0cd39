"""Files -> the probes, functions and globals that a program needs: the one loop with memory.

Pulling one function from a library file may need that file's globals and probes, whose bodies may need more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pystap.debuginfo.ctype import CType, Enum
from pystap.diagnostics import Diagnostic, Diagnostics, Severity, Unresolved, similar_names
from pystap.elaborate.access import Access
from pystap.elaborate.bodies import Bodies, Seen, contextual, key_of
from pystap.elaborate.derive import Aliases, AliasSource, Derived, Deriver, Failed
from pystap.elaborate.entered import declarations
from pystap.elaborate.fold import Folder
from pystap.elaborate.nearest import nearest
from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Variable
from pystap.elaborate.symbols import Scan, parameters, shown_name, unshare
from pystap.elaborate.tokens import token
from pystap.options import Options
from pystap.providers.base import Provider
from pystap.source import NOWHERE, Span
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.library import Library
    from pystap.target import Target

_TAG = re.compile(r"/\*\s*([a-z][a-z:_\-\w]*)\s*\*/")
_TAGS = {
    "pure", "stable", "unprivileged", "myproc-unprivileged", "guru", "string", "bpf", "unmangled", "unmodified-fnargs",
}  # fmt: skip


@dataclass(slots=True)
class Collected:
    """What the loop gathers. Bodies still hold unresolved targets, whose reasons are in `failures`."""

    probes: list[Probe] = field(default_factory=list)
    functions: dict[tuple[str, int], list[Function]] = field(default_factory=dict)
    globals: dict[str, GlobalVariable] = field(default_factory=dict)
    embedded: list[ast.EmbeddedCode] = field(default_factory=list)
    failures: dict[ast.Node, Unresolved] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)


class _Families(AliasSource):
    """Aliases of the library, file by file."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def families(self, glob: str) -> Iterable[str]:
        return list(self._collector.library.alias_families(glob))

    def aliases(self, family: str) -> Iterator[ast.Alias]:
        for path in self._collector.library.aliases(family):
            for item in self._collector.library_file(path).items:
                if isinstance(item, ast.Alias) and any(n.components[0].name == family for n in item.names):
                    yield item


class Collector:
    """The worklist."""

    def __init__(
        self, files: list[ast.File], library: Library, target: Target, options: Options, diagnostics: Diagnostics
    ) -> None:
        self.files = [unshare(f) for f in files]
        self.library = library
        self.target = target
        self.options = options
        self.diagnostics = diagnostics
        self.result = Collected()
        self._deriver = Deriver(Aliases(_Families(self), _providers()), target, options)
        self._declared: dict[str, list[ast.Function]] = {}  # functions of the user's files and of files pulled in
        self._user_globals: set[str] = set()
        self._library_files: dict[Any, ast.File] = {}
        self._pulled: set[Any] = set()
        self._pending: list[ast.Function] = []
        self._reached: set[ast.Function] = set()
        self._bodies = Bodies(self, self.result.seen, target, options, diagnostics)
        self._probes: list[ast.Probe] = []
        self._ids: set[str] = set()

    # --- the loop ------------------------------------------------------------------------------------

    def collect(self) -> Collected:
        """Everything that the user's files need."""
        for file in self.files:
            self._declare(file, user=True)
        declared = [f for same in self._declared.values() for f in same]
        found = self._bodies.contextual = contextual(declared)
        self._pending += [f for f in declared if key_of(f) not in found]
        at = 0
        while at < len(self._probes) or self._pending:
            while self._pending:
                self._function(self._pending.pop(0))
            if at < len(self._probes):
                self._probe(self._probes[at])
                at += 1
        self._sort_overloads()
        return self.result

    def _declare(self, file: ast.File, user: bool) -> None:
        for item in file.items:
            match item:
                case ast.Global():
                    self._global(item, user)
                case ast.Function():
                    self._declared.setdefault(item.name, []).append(item)
                case ast.Probe():
                    self._probes.append(item)
                case ast.Alias():
                    if user and self._aliasable(item):
                        self._deriver.aliases.add(item)
                case ast.EmbeddedCode():
                    self.result.embedded.append(item)

    def _aliasable(self, item: ast.Alias) -> bool:
        """Whether the names of an alias can be names; reports those that can not."""
        for component in (c for name in item.names for c in name.components):
            if component.argument is not None:
                why = f"alias component {component.name} contains illegal parameter"
            elif "*" in component.name:
                why = "invalid use of wildcard probe point component"
            else:
                continue
            cause = Diagnostic(Severity.SEMANTIC, "alias-name", why)
            self.diagnostics.error(
                item.span, "alias", "while registering probe alias", token="keyword", cause=cause
            )
            return False
        return True

    def _global(self, item: ast.Global, user: bool) -> None:
        known = self.result.globals.get(item.name)
        if known is not None:
            if known.declaration is not item and user:
                where = f"identifier '{shown_name(item.name)}'"
                self.diagnostics.error(item.span, "duplicate-global", "conflicting global variables", token=where)
            return
        variable = Variable(item.name, "global", item.span, shown=shown_name(item.name))
        self.result.globals[item.name] = GlobalVariable(variable, item)
        if user:
            self._user_globals.add(item.name)

    def library_file(self, path: Any) -> ast.File:
        """One library file, parsed, with its private names made unique."""
        file = self._library_files.get(path)
        if file is None:
            file = unshare(self.library.file(path))
            self._library_files[path] = file
        return file

    def _pull(self, path: Any) -> None:
        """Makes the functions, globals and probes of a library file part of what can be named."""
        if path in self._pulled:
            return
        self._pulled.add(path)
        self._declare(self.library_file(path), user=False)

    # --- Namespace -----------------------------------------------------------------------------------

    def is_global(self, name: str, user: bool) -> bool:
        """Whether a name means a global of the user's files or of the library."""
        if name in self._user_globals and user:
            return True
        if name in self.result.globals and name not in self._user_globals:
            return True
        for path in self.library.globals(name):
            self._pull(path)
        return name in self.result.globals and (user or name not in self._user_globals)

    def call(self, call: ast.Call) -> None:
        """Finds the functions that a call names."""
        arity = len(call.arguments)
        found = self._candidates(call.name, arity)
        if not found:
            self._no_function(call, arity)
        for function in found:
            if function not in self._reached:
                self._reached.add(function)
                self._pending.append(function)

    def _candidates(self, name: str, arity: int) -> list[ast.Function]:
        found = [f for f in self._declared.get(name, ()) if len(f.parameters) == arity]
        if not found:
            for path in self.library.functions(name):
                self._pull(path)
            found = [f for f in self._declared.get(name, ()) if len(f.parameters) == arity]
        return found

    def _no_function(self, call: ast.Call, arity: int) -> None:
        others = self._declared.get(call.name)
        if others:
            counts = len(others[0].parameters)
            text = f"arity mismatch found (function '{call.name}' takes {counts} args)"
            self.diagnostics.error(call.span, "call-arity", text, token=token(call), also=others[0].span)
            return
        similar = similar_names(nearest(call.name, (*self._declared, *self.library.function_names())))
        text = f"unresolved function {call.name}{similar}"
        self.diagnostics.error(call.span, "unresolved-function", text, token=token(call))

    # --- functions -------------------------------------------------------------------------------------

    def _function(self, declaration: ast.Function) -> None:
        key = declaration.name, len(declaration.parameters)
        overloads = self.result.functions.setdefault(key, [])
        if any(f.declaration is declaration for f in overloads):
            return
        self._reached.add(declaration)
        user = declaration.span.file.is_user
        variables = parameters(declaration)
        if isinstance(declaration.body, ast.EmbeddedExpr):
            body: Body | ast.EmbeddedExpr = declaration.body
            tags, pragmas = tags_of(declaration.body.code)
            Scan(self, self.diagnostics, dict(variables), user).embedded(declaration.body)
        else:
            tags, pragmas = frozenset(), ()
            body = self._function_body(declaration.body, variables, user)
        overloads.append(
            Function(
                self._unique(declaration.name), declaration.name, declaration, tuple(variables.values()),
                declaration.result or "unknown", body, tags, pragmas, user,
            )
        )  # fmt: skip

    def _function_body(self, block: ast.Block, variables: dict[str, Variable], user: bool) -> Body:
        self._bodies.survey(block)
        access = Access(None, self.target, self.options)
        folded = Folder(access)(block)
        self.noted(access)
        scan = Scan(self, self.diagnostics, dict(variables), user, assigned=set(variables))
        scan.body(folded)
        scan.warn_unassigned()
        names = {k: v for k, v in scan.locals.items() if k not in variables}
        return Body(folded, {**variables, **names})

    def _unique(self, name: str) -> str:
        candidate, number = name, 1
        while candidate in self._ids:
            candidate, number = f"{name}_{number}", number + 1
        self._ids.add(candidate)
        return candidate

    def _sort_overloads(self) -> None:
        for overloads in self.result.functions.values():
            overloads.sort(key=_priority)

    def declared(self, name: str) -> list[ast.Function]:
        """The functions of a name that are known so far."""
        return self._declared.setdefault(name, [])

    def noted(self, access: Access) -> None:
        """Takes over what a site's resolver found out."""
        self.result.failures.update(access.failures)
        if access.entered is not None:
            fresh = {k: v for k, v in access.entered.needed.items() if k not in self.result.globals}
            self._declare(ast.File(NOWHERE.file, tuple(declarations(fresh))), user=False)
        for name, enum in access.enum_names.items():
            if name not in self._declared:
                self._declared[name] = [enum_function(name, enum)]

    # --- probes ----------------------------------------------------------------------------------------

    def _probe(self, probe: ast.Probe) -> None:
        for outcome in self._deriver.derive(probe):
            if isinstance(outcome, Failed):
                self.diagnostics.add(outcome.diagnostic)
                continue
            for caution in dict.fromkeys(d.resolved.caution for d in outcome if d.resolved.caution):
                self.diagnostics.warn(None, "caution", caution)
            for derived in outcome:
                self.result.probes.append(self._derived(probe, derived))

    def _derived(self, probe: ast.Probe, derived: Derived) -> Probe:
        resolved = derived.resolved
        condition = derived.condition
        if condition is not None:
            condition = self._condition(condition)
        body, written = self._bodies.at(derived), str(derived.written)
        return Probe(resolved.site, body, resolved.point, written, probe.span, condition, derived.chain)

    def _condition(self, condition: ast.Expr) -> ast.Expr:
        folded: ast.Expr = Folder(None)(condition)
        scan = Scan(self, self.diagnostics, {})
        scan.body(folded)
        for name in scan.locals:
            text = "probe condition must not reference undeclared global"
            self.diagnostics.error(scan.locals[name].span, "condition", text, token=f"identifier '{name}'")
        for node in walk(condition):
            if isinstance(node, ast.Call):
                self.diagnostics.error(
                    node.span, "condition", "probe condition must not reference function", token=token(node)
                )
            elif isinstance(node, (ast.Assign, ast.IncDec)):
                text = "probe condition must not modify any variables"
                self.diagnostics.error(node.span, "condition", text, token=token(node))
        return folded


def _providers() -> Iterable[Provider]:
    from pystap.providers import PROVIDERS

    return PROVIDERS


def tags_of(code: str) -> tuple[frozenset[str], tuple[tuple[str, str], ...]]:
    """The tags and pragmas in the comments of embedded C."""
    found = _TAG.findall(code)
    tags = frozenset(t for t in found if t in _TAGS)
    if "stable" in tags:
        tags |= {"pure"}
    pragmas = []
    for text in found:
        if text.startswith("pragma:"):
            kind, _, name = text.removeprefix("pragma:").partition(":")
            pragmas.append((kind, name))
    return tags, tuple(pragmas)


def enum_function(name: str, enum: CType) -> ast.Function:
    """`function NAME(v)` that gives an enumerator's name, or the number as text."""
    assert isinstance(enum, Enum)
    value = ast.Name("v")
    names: dict[int, str] = {}
    for text, number in enum.values:
        names.setdefault(number, text)
    statements: list[Any] = [
        ast.If(ast.Compare("==", value, ast.Number(number)), ast.Return(ast.String(text)), None)
        for number, text in names.items()
    ]
    statements.append(ast.Return(ast.Print("sprintf", (value,), "%d")))
    return ast.Function(name, (ast.Parameter("v", "long"),), "string", ast.Block(tuple(statements)))


def _priority(function: Function) -> int:
    given = function.declaration.priority
    if given is not None:
        return given
    return 0 if function.is_user else 1


def error_of(failure: Unresolved, node: ast.Node, text: str) -> Diagnostic:
    """The message for a target expression that could not be had."""
    span: Span = failure.span or node.span
    hints = (failure.hint,) if failure.hint else ()
    return Diagnostic(Severity.SEMANTIC, "unresolved-target", failure.reason, span, text, hints)
