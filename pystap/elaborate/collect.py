"""Files -> the probes, functions and globals that a program needs: the one loop with memory.

Pulling one function from a library file may need that file's globals and probes, whose bodies may need more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pystap.debuginfo.ctype import CType, Enum
from pystap.diagnostics import Diagnostic, Diagnostics, Severity, Unresolved
from pystap.elaborate.access import Access
from pystap.elaborate.derive import Aliases, AliasSource, Derived, Deriver, Failed
from pystap.elaborate.fold import TARGETS, Folder
from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Variable
from pystap.elaborate.rebuild import with_fields
from pystap.elaborate.symbols import Scan, parameters, shown_name, unshare
from pystap.elaborate.tokens import nearest, token
from pystap.options import Options
from pystap.providers.base import NoScope, Provider
from pystap.source import Span
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.library import Library
    from pystap.target import Target

_TARGETS = frozenset((*TARGETS, ast.Defined))
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
    kinds: set[type] = field(default_factory=set)  # of all nodes seen: passes for rare ones are skipped by it
    autocast: bool = False  # `->` or `[ ]` stands on a script value somewhere


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


@dataclass(slots=True)
class _Plan:
    """What is known of a sequence of blocks before any site is looked at."""

    block: ast.Block
    has_targets: bool
    bodies: dict[Any, Body] = field(default_factory=dict)


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
        self._plans: dict[tuple[int, ...], _Plan] = {}
        self._parts: list[tuple[ast.Block, ...]] = []  # keeps the objects alive whose ids key _plans
        self._probes: list[ast.Probe] = []
        self._ids: set[str] = set()
        self._contextual: set[tuple[str, int]] = set()  # functions whose $variables are those of the calling probe
        self._copies: dict[Any, str] = {}
        self._numbers = count()

    # --- the loop ------------------------------------------------------------------------------------

    def collect(self) -> Collected:
        """Everything that the user's files need."""
        for file in self.files:
            self._declare(file, user=True)
        declared = [f for same in self._declared.values() for f in same]
        self._contextual = contextual(declared)
        self._pending += [f for f in declared if _arity(f) not in self._contextual]
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
                    if user:
                        self._deriver.aliases.add(item)
                case ast.EmbeddedCode():
                    self.result.embedded.append(item)

    def _global(self, item: ast.Global, user: bool) -> None:
        known = self.result.globals.get(item.name)
        if known is not None:
            if known.declaration is not item and user:
                self.diagnostics.error(item.span, "duplicate-global", "duplicate global name", token=token(item))
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
            self.diagnostics.error(call.span, "arity", text, token=token(call))
            return
        similar = nearest(call.name, (*self._declared, *self.library.function_names()))
        shown = f" (similar: {', '.join(similar)})" if similar else ""
        text = f"unresolved function {call.name}{shown}"
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
        self._survey(block)
        access = Access(None, self.target, self.options)
        folded = Folder(access)(block)
        self._noted(access)
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

    def _noted(self, access: Access) -> None:
        self.result.failures.update(access.failures)
        for name, enum in access.enum_names.items():
            if name not in self._declared:
                self._declared[name] = [enum_function(name, enum)]

    # --- probes ----------------------------------------------------------------------------------------

    def _probe(self, probe: ast.Probe) -> None:
        for outcome in self._deriver.derive(probe):
            if isinstance(outcome, Failed):
                self.diagnostics.add(outcome.diagnostic)
                continue
            for derived in outcome:
                self.result.probes.append(self._derived(probe, derived))

    def _derived(self, probe: ast.Probe, derived: Derived) -> Probe:
        resolved = derived.resolved
        condition = derived.condition
        if condition is not None:
            condition = self._condition(condition)
        body, written = self._body(derived), str(derived.written)
        return Probe(resolved.site, body, resolved.point, written, probe.span, condition, derived.chain)

    def _condition(self, condition: ast.Expr) -> ast.Expr:
        folded: ast.Expr = Folder(None)(condition)
        scan = Scan(self, self.diagnostics, {})
        scan.body(folded)
        for name in scan.locals:
            text = f"unresolved global {name} in a probe point's condition"
            self.diagnostics.error(scan.locals[name].span, "condition", text, token=f"identifier '{name}'")
        return folded

    def _body(self, derived: Derived) -> Body:
        plan = self._plan(derived.parts)
        if not plan.has_targets:
            body = plan.bodies.get(None)
            if body is None:
                body = plan.bodies[None] = self._scanned(Folder(None)(plan.block), ())
            return body
        resolved = derived.resolved
        scope = None if isinstance(resolved.scope, NoScope) else resolved.scope
        access = Access(scope, self.target, self.options, resolved.home, resolved.is_return, dict(resolved.texts))
        if self._contextual:
            access.copy = self._copy
        folded = Folder(access)(plan.block)
        key = (resolved.is_return, *access.outcomes)
        body = plan.bodies.get(key)
        if body is None:
            self._noted(access)
            self._warn_confusions(access)
            body = plan.bodies[key] = self._scanned(folded, tuple(access.entry))
        return body

    def _plan(self, parts: tuple[ast.Block, ...]) -> _Plan:
        key = tuple(map(id, parts))
        plan = self._plans.get(key)
        if plan is None:
            block = parts[0] if len(parts) == 1 else ast.Block(parts, span=parts[-1].span)
            has_targets = not self._survey(block).isdisjoint(_TARGETS) or self._calls_contextual(block)
            plan = self._plans[key] = _Plan(block, has_targets)
            self._parts.append(parts)
        return plan

    def _calls_contextual(self, block: ast.Node) -> bool:
        return bool(self._contextual) and not self._contextual.isdisjoint(called(block))

    def _copy(self, call: ast.Call, access: Access, fold: Any) -> ast.Call:
        """The call of a function with $variables, as a call of a copy in which they are resolved at one site."""
        key = call.name, len(call.arguments)
        if key not in self._contextual:
            return call
        name = self._copies.get((key, id(access)))  # a recursive call
        if name is None:
            name = self._copies[key, id(access)] = f"__{call.name}_{next(self._numbers)}"
            self._resolve_copy(key, name, access, fold)
            del self._copies[key, id(access)]
        return with_fields(call, {"name": name})

    def _resolve_copy(self, key: tuple[str, int], name: str, access: Access, fold: Any) -> None:
        entries = len(access.entry)
        for function in self._declared[key[0]]:
            if _arity(function) == key:
                copy = with_fields(function, {"name": name, "body": fold(function.body)})
                self._declared.setdefault(name, []).append(copy)
        if len(access.entry) > entries:
            text = f"function '{key[0]}' cannot use $variables of a .return probe: hand them over as arguments"
            self.diagnostics.error(self._declared[name][0].span, "entry", text, token=f"identifier '{key[0]}'")

    def _survey(self, block: ast.Node) -> set[type]:
        """The kinds of nodes in a block, which become known to the later passes."""
        kinds = set()
        for node in walk(block):
            kinds.add(type(node))
            if isinstance(node, ast.TargetVar) and isinstance(node.base, ast.Node):
                self.result.autocast |= not isinstance(node.base, (ast.Cast, ast.AtVar))
        self.result.kinds |= kinds
        return kinds

    def _scanned(self, block: ast.Block, entry: tuple[ast.Expr, ...]) -> Body:
        scan = Scan(self, self.diagnostics, {})
        scan.body(block)
        scan.warn_unassigned()
        at_entry = Scan(self, self.diagnostics, {})
        for value in entry:
            at_entry.body(value)
        return Body(block, scan.locals, entry, at_entry.locals)

    def _warn_confusions(self, access: Access) -> None:
        for confusion in access.confusions:
            if not confusion.span.file.is_user:
                continue
            text = (
                f"confusing usage, value is captured as @entry({confusion.text}) in .return probe"
                " [man stapprobes] RETURN PROBES"
            )
            token_text = f"identifier '{confusion.text.lstrip('&').partition('->')[0].partition('[')[0]}'"
            self.diagnostics.warn(confusion.span, "entry", text, token=token_text)


def _arity(function: ast.Function) -> tuple[str, int]:
    return function.name, len(function.parameters)


def called(node: ast.Node) -> set[tuple[str, int]]:
    """What a node calls, by name and arity."""
    return {(n.name, len(n.arguments)) for n in walk(node) if isinstance(n, ast.Call)}


def contextual(functions: list[ast.Function]) -> set[tuple[str, int]]:
    """The functions that use $variables, or call one that does: they are resolved for each probe that calls them."""
    found = {_arity(f) for f in functions if any(isinstance(n, ast.TargetVar) and n.base is None for n in walk(f))}
    grown = bool(found)
    while grown:
        more = {_arity(f) for f in functions if not found.isdisjoint(called(f))} - found
        found |= more
        grown = bool(more)
    return found


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


def with_body(probe: Probe, body: Body) -> Probe:
    """The probe with another body."""
    return probe if body is probe.body else replace(probe, body=body)
