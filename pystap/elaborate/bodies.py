"""The bodies that run at sites: blocks of aliases and probes -> folded code with its locals, shared where equal."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Protocol

from pystap.diagnostics import Diagnostics
from pystap.elaborate.access import Access
from pystap.elaborate.derive import Derived
from pystap.elaborate.fold import TARGETS, Folder
from pystap.elaborate.program import Body
from pystap.elaborate.rebuild import with_fields
from pystap.elaborate.symbols import Namespace, Scan
from pystap.options import Options
from pystap.providers.base import NoScope
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.target import Target

_TARGETS = frozenset((*TARGETS, ast.Defined))


@dataclass(slots=True)
class Seen:
    """What kinds of nodes there are: passes for rare ones are skipped by it."""

    kinds: set[type] = field(default_factory=set)
    autocast: bool = False  # `->` or `[ ]` stands on a script value somewhere


@dataclass(slots=True)
class _Plan:
    """What is known of a sequence of blocks before any site is looked at."""

    block: ast.Block
    has_targets: bool
    bodies: dict[Any, Body] = field(default_factory=dict)


class Owner(Namespace, Protocol):
    """The collector, as bodies see it."""

    def declared(self, name: str) -> list[ast.Function]:
        """The functions of a name that are known so far."""
        ...

    def noted(self, access: Access) -> None:
        """Takes over what a site's resolver found out."""
        ...


class Bodies:
    """Makes the bodies of one program's sites."""

    def __init__(
        self, namespace: Owner, seen: Seen, target: Target, options: Options, diagnostics: Diagnostics
    ) -> None:
        self.namespace = namespace
        self.seen = seen
        self.target = target
        self.options = options
        self.diagnostics = diagnostics
        self.contextual: set[tuple[str, int]] = set()  # functions whose $variables are those of the calling probe
        self._plans: dict[tuple[int, ...], _Plan] = {}
        self._parts: list[tuple[ast.Block, ...]] = []  # keeps the objects alive whose ids key _plans
        self._copies: dict[Any, str] = {}
        self._numbers = count()

    def at(self, derived: Derived) -> Body:
        """What runs at one site."""
        plan = self._plan(derived.parts)
        if not plan.has_targets:
            body = plan.bodies.get(None)
            if body is None:
                body = plan.bodies[None] = self._scanned(Folder(None)(plan.block), ())
            return body
        resolved = derived.resolved
        none = resolved.scope if isinstance(resolved.scope, NoScope) else None
        scope, instead = (resolved.scope, "") if none is None else (None, none.hint)
        access = Access(scope, self.target, self.options, resolved.home, resolved.is_return, instead)
        access.texts = dict(resolved.texts)
        access.values = dict(resolved.values)
        access.is_global = self.namespace.is_global
        if self.contextual:
            access.copy = self._copy
        folded = Folder(access)(plan.block)
        key = (resolved.is_return, *access.outcomes, *access.kept())
        body = plan.bodies.get(key)
        if body is None:
            self.namespace.noted(access)
            self._warn_confusions(access)
            body = plan.bodies[key] = self._scanned(folded, tuple(access.entry))
        return body

    def _plan(self, parts: tuple[ast.Block, ...]) -> _Plan:
        key = tuple(map(id, parts))
        plan = self._plans.get(key)
        if plan is None:
            block = parts[0] if len(parts) == 1 else ast.Block(parts, span=parts[-1].span)
            has_targets = not self.survey(block).isdisjoint(_TARGETS) or self._calls_contextual(block)
            plan = self._plans[key] = _Plan(block, has_targets)
            self._parts.append(parts)
        return plan

    def _calls_contextual(self, block: ast.Node) -> bool:
        return bool(self.contextual) and not self.contextual.isdisjoint(called(block))

    def _copy(self, call: ast.Call, access: Access, fold: Any) -> ast.Call:
        """The call of a function with $variables, as a call of a copy in which they are resolved at one site."""
        key = call.name, len(call.arguments)
        if key not in self.contextual:
            return call
        name = self._copies.get((key, id(access)))  # a recursive call
        if name is None:
            name = self._copies[key, id(access)] = f"__{call.name}_{next(self._numbers)}"
            self._resolve_copy(key, name, access, fold)
            del self._copies[key, id(access)]
        return with_fields(call, {"name": name})

    def _resolve_copy(self, key: tuple[str, int], name: str, access: Access, fold: Any) -> None:
        entries = len(access.entry)
        for function in self.namespace.declared(key[0]):
            if key_of(function) == key:
                copy = with_fields(function, {"name": name, "body": fold(function.body)})
                self.namespace.declared(name).append(copy)
        if len(access.entry) > entries:
            text = f"function '{key[0]}' cannot use $variables of a .return probe: hand them over as arguments"
            self.diagnostics.error(self.namespace.declared(name)[0].span, "entry", text, token=f"identifier '{key[0]}'")

    def survey(self, block: ast.Node) -> set[type]:
        """The kinds of nodes in a block, which become known to the later passes."""
        kinds = set()
        for node in walk(block):
            kinds.add(type(node))
            if isinstance(node, ast.TargetVar) and isinstance(node.base, ast.Node):
                self.seen.autocast |= not isinstance(node.base, (ast.Cast, ast.AtVar))
        self.seen.kinds |= kinds
        return kinds

    def _scanned(self, block: ast.Block, entry: tuple[ast.Expr, ...]) -> Body:
        scan = Scan(self.namespace, self.diagnostics, {})
        scan.body(block)
        scan.warn_unassigned()
        at_entry = Scan(self.namespace, self.diagnostics, {})
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


def key_of(function: ast.Function) -> tuple[str, int]:
    return function.name, len(function.parameters)


def called(node: ast.Node) -> set[tuple[str, int]]:
    """What a node calls, by name and arity."""
    return {(n.name, len(n.arguments)) for n in walk(node) if isinstance(n, ast.Call)}


def contextual(functions: list[ast.Function]) -> set[tuple[str, int]]:
    """The functions that use $variables, or call one that does: they are resolved for each probe that calls them."""
    found = {key_of(f) for f in functions if any(isinstance(n, ast.TargetVar) and n.base is None for n in walk(f))}
    grown = bool(found)
    while grown:
        more = {key_of(f) for f in functions if not found.isdisjoint(called(f))} - found
        found |= more
        grown = bool(more)
    return found
