"""Probe points as written -> the sites they mean: aliases, wildcards, suffixes, `?`, `!` and conditions.

The one place (with @defined) where Unresolved is caught: it becomes an error with its chain of causes, or nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pystap.diagnostics import Diagnostic, Severity, Unresolved, similar_names
from pystap.elaborate.points import Match, PointTree
from pystap.elaborate.privilege import allows
from pystap.options import Options
from pystap.providers.base import Provider, Request, Resolved
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.target import Target

_RESOLVING = "while resolving probe point"


@dataclass(frozen=True, slots=True)
class Derived:
    """One site with the blocks that run there, in order."""

    resolved: Resolved
    parts: tuple[ast.Block, ...]
    written: ast.Point
    condition: ast.Expr | None
    chain: tuple[str, ...]
    mark: str = ""  # of the point that was resolved: ! or ?


class Failed(Exception):  # noqa: N818  (an outcome, not a mistake of ours)
    """A point that resolved to nothing, with what to say about it."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@dataclass(frozen=True, slots=True)
class _Use:
    """What surrounds a point on its way down through aliases."""

    parts: tuple[ast.Block, ...]
    written: ast.Point
    condition: ast.Expr | None = None
    chain: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # aliases being expanded, against loops


class Aliases:
    """The tree of all points; a family of the library's aliases is loaded when it is first named."""

    def __init__(self, source: AliasSource, providers: Iterable[Provider]) -> None:
        self.source = source
        self.tree = PointTree(providers)
        self._families: set[str] = set()

    def add(self, alias: ast.Alias) -> None:
        """Makes an alias known under each of its names."""
        self._add(alias, alias.names)

    def _add(self, alias: ast.Alias, names: Iterable[ast.Point]) -> None:
        for name in names:
            self.tree.add_alias(name.components, (name, alias))

    def match(self, point: ast.Point) -> tuple[Match, ...]:
        """What a point names."""
        first = point.components[0].name
        for family in self.source.families(first):
            self._load(family)
        return self.tree.match(point)

    def _load(self, family: str) -> None:
        if family not in self._families:
            self._families.add(family)
            for alias in self.source.aliases(family):
                self._add(alias, [n for n in alias.names if n.components[0].name == family])  # others: in their turn


class AliasSource:
    """Where aliases of the library come from; this one has none."""

    def families(self, glob: str) -> Iterable[str]:
        """First components that match."""
        return ()

    def aliases(self, family: str) -> Iterable[ast.Alias]:
        """The aliases of one first component."""
        return ()


@dataclass(slots=True)
class Deriver:
    """Derives the probes of one script."""

    aliases: Aliases
    target: Target
    options: Options

    def derive(self, probe: ast.Probe) -> Iterator[list[Derived] | Failed]:
        """What each point of a probe resolves to, or why it does not."""
        whole = ",".join(spell(p) for p in probe.points)
        for point in probe.points:
            use = _Use((probe.body,), point, point.condition, (whole,))
            try:
                found = self._point(point, use)
            except Failed as failed:
                if not point.optional and not point.sufficient:
                    yield failed
                continue
            yield found
            if found and point.sufficient:
                return

    # --- one point ---------------------------------------------------------------------------------

    def _point(self, point: ast.Point, use: _Use) -> list[Derived]:
        try:
            found = self._named(point, use)
        except Unresolved as cause:
            raise _failed(point, _explain(cause)) from None
        except Failed as cause:
            raise _failed(point, cause.diagnostic) from None
        if not found:
            raise _failed(point, Diagnostic(Severity.SEMANTIC, "no-match", "no match"))
        return found

    def _named(self, point: ast.Point, use: _Use) -> list[Derived]:
        found: list[Derived] = []
        for match in self.aliases.match(point):
            try:
                found += self._matched(match, use)
            except (Unresolved, Failed):
                if not match.wild:
                    raise
        return found

    def _matched(self, match: Match, use: _Use) -> list[Derived]:
        if match.is_alias:
            name, alias = match.owner
            return self._alias(alias, str(name), match.suffix, use)
        if not allows(self.options, match.owner, match.pattern):
            raise Unresolved(f"probe point is not allowed for --privilege={self.options.privilege}")
        request = Request(match.pattern, match.arguments, match.point, self.target, self.options)
        sites = match.owner.resolve(request)
        mark = mark_of(match.point)
        return [Derived(site, use.parts, use.written, use.condition, use.chain, mark) for site in sites]

    # --- aliases -------------------------------------------------------------------------------------

    def _alias(self, alias: ast.Alias, name: str, suffix: tuple[ast.Component, ...], use: _Use) -> list[Derived]:
        if name in use.names:
            raise Unresolved(f"recursive loop in alias expansion of {name} at {alias.span}")
        parts = use.parts
        if alias.prologue is not None:
            parts = (alias.prologue, *parts)
        if alias.epilogue is not None:
            parts = (*parts, alias.epilogue)
        chain = (*use.chain, f"{name} {alias.operator} {', '.join(spell(p) for p in alias.points)}")
        inner = replace(use, parts=parts, chain=chain, names=(*use.names, name))
        found: list[Derived] = []
        for point in alias.points:
            full = replace(point, components=point.components + suffix) if suffix else point
            new = self._alias_point(full, inner)
            found += new
            if new and point.sufficient:
                break
        return found

    def _alias_point(self, point: ast.Point, use: _Use) -> list[Derived]:
        condition = _both(use.condition, point.condition)
        try:
            return self._point(point, replace(use, condition=condition))
        except Failed:
            if point.optional or point.sufficient:
                return []
            raise


def spell(point: ast.Point) -> str:
    """A point as written, with its mark and condition's presence."""
    return f"{point}{mark_of(point)}"


def mark_of(point: ast.Point) -> str:
    """What a point ends in: ! where it is sufficient, ? where it is optional."""
    return "!" if point.sufficient else "?" if point.optional else ""


def _both(outer: ast.Expr | None, inner: ast.Expr | None) -> ast.Expr | None:
    if outer is None or inner is None:
        return outer or inner
    return ast.Logical("&&", outer, inner, span=inner.span)


def _explain(cause: Unresolved) -> Diagnostic:
    message = cause.reason
    if "(similar" not in message and "(follow" not in message:
        message += similar_names(cause.similar)
    token = getattr(cause, "token", "")
    hints = (cause.hint,) if cause.hint else ()
    return Diagnostic(Severity.SEMANTIC, "unresolved-point", message, cause.span, token, hints)


def _failed(point: ast.Point, cause: Diagnostic) -> Failed:
    first = point.components[0]
    token = f"identifier '{first.name}'"
    return Failed(Diagnostic(Severity.SEMANTIC, "probe-point", _RESOLVING, first.span, token, cause=cause))
