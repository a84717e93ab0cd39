"""-l, -L and --dump-*: which probe points there are and which variables they have, one line each."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pystap.debuginfo.ctype import spell
from pystap.diagnostics import Diagnostic, Diagnostics, StapError, Unresolved, render
from pystap.elaborate.derive import Aliases, AliasSource, Derived, Deriver, Failed, mark_of
from pystap.elaborate.points import Match, PointTree
from pystap.options import Options
from pystap.providers import PROVIDERS
from pystap.providers.scopes import listed
from pystap.source import SourceFile
from pystap.syntax import ast

if TYPE_CHECKING:
    from pystap.library import Library
    from pystap.target import Target


def run(options: Options) -> int:
    """Prints what was asked for; the exit status is 0 where something matched."""
    diagnostics = Diagnostics(options.suppress_warnings, options.warnings_are_errors)
    try:
        lines = _lines(options, diagnostics)
    except StapError as failure:
        _say(diagnostics)
        if str(failure):
            print(f"ERROR: {failure}", file=sys.stderr)
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    _say(diagnostics)
    return 0 if lines else 1


def _say(diagnostics: Diagnostics) -> None:
    for item in diagnostics.items:
        print(render(item), end="", file=sys.stderr)


def listing(points: str, library: Library, target: Target, options: Options, diagnostics: Diagnostics) -> list[str]:
    """The lines of -l (or of -L, where the options say so), sorted, each once."""
    import gc

    lister = _Lister(library, target, options)
    asked = _parse(points, library, diagnostics)
    collecting = gc.isenabled()
    gc.disable()  # tens of thousands of places, all kept: the collector would only look at them again and again
    try:
        lines = lister.lines(asked)
    finally:
        if collecting:
            gc.enable()
    for reason in () if lines else lister.reasons(asked):
        diagnostics.add(reason)
    return lines


def _lines(options: Options, diagnostics: Diagnostics) -> list[str]:
    from pystap.library import open_library

    if options.dump == "probe-types":
        return PointTree(PROVIDERS).types()
    target = _target(options)
    library = open_library(options, target, diagnostics)
    if options.dump == "functions":
        return _functions(library)
    if options.dump == "probe-aliases":
        return _aliases(library)
    return listing(options.list_points or "", library, target, options, diagnostics)


def _target(options: Options) -> Target:
    from pystap.run import kernels
    from pystap.target import Target

    wanted = options.release or options.vm
    return Target.of(wanted) if wanted is None or "/" in wanted else Target.of(wanted, kernels.find)


class _LibraryAliases(AliasSource):
    """The aliases of a library, family by family."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def families(self, glob: str) -> Iterable[str]:
        return self._library.alias_families(glob)

    def aliases(self, family: str) -> Iterator[ast.Alias]:
        for path in self._library.aliases(family):
            for item in self._library.file(path).items:
                if isinstance(item, ast.Alias) and any(n.components[0].name == family for n in item.names):
                    yield item


def _parse(points: str, library: Library, diagnostics: Diagnostics) -> tuple[ast.Point, ...]:
    from pystap.syntax.parser import parse_script

    source = SourceFile("<input>", f"probe {points} {{}}\n")
    file = parse_script(source, library.context, library, diagnostics)
    diagnostics.stop_on_errors()
    return tuple(p for item in file.items if isinstance(item, ast.Probe) for p in item.points)


@dataclass(slots=True)
class _Shown:
    """One line to be: its places, and (for an alias) the point that elaboration is asked about."""

    name: str
    places: list[Derived] = field(default_factory=list)
    alias: ast.Point | None = None
    variables: str = ""  # the name that its variables are known by


class _Lister:
    def __init__(self, library: Library, target: Target, options: Options) -> None:
        self._library = library
        self._target = target
        self._options = options
        self._deriver = Deriver(Aliases(_LibraryAliases(library), PROVIDERS), target, options)

    def lines(self, points: Iterable[ast.Point]) -> list[str]:
        """Every line, sorted."""
        shown: dict[str, _Shown] = {}
        for point in points:
            before = len(shown)
            self._collect(point, shown)
            if point.sufficient and len(shown) > before:
                break
        if not self._options.list_vars:
            return sorted(shown)
        aliases = {s.variables: s for s in shown.values() if s.alias is not None}
        variables = self._script_variables(list(aliases.values()))
        return sorted(self._with_variables(s, variables.get(s.variables, ())) for s in shown.values())

    def reasons(self, points: Iterable[ast.Point]) -> list[Diagnostic]:
        """Why these points list nothing."""
        outcomes = self._deriver.derive(ast.Probe(tuple(points), ast.Block(())))
        return [o.diagnostic for o in outcomes if isinstance(o, Failed)]

    def _collect(self, point: ast.Point, shown: dict[str, _Shown]) -> None:
        try:
            matches = self._deriver.aliases.match(point)
        except Unresolved:
            return
        for match in matches:
            single = replace(match.point, optional=True)
            probe = ast.Probe((single,), ast.Block(()))
            for outcome in self._deriver.derive(probe):
                if isinstance(outcome, Failed):
                    continue
                for place in outcome:
                    name = self._name(match, place)
                    alias = single if match.is_alias else None
                    entry = shown.setdefault(name, _Shown(name, alias=alias, variables=str(match.point)))
                    entry.places.append(place)

    def _name(self, match: Match, place: Derived) -> str:
        """What a line begins with: the point, or (-v) the place that it means."""
        if any(self._options.verbose):
            mark = place.mark if match.is_alias else mark_of(match.point)
            return " ".join((f"{place.resolved.point}{mark}", *(f"/* {k}={v} */" for k, v in place.resolved.extra)))
        return str(match.point) if match.is_alias else f"{place.resolved.point}{mark_of(match.point)}"

    def _script_variables(self, aliases: list[_Shown]) -> dict[str, tuple[str, ...]]:
        """`name:type` of what the aliases assign; all at once, or one by one where one of them does not elaborate."""
        if not aliases:
            return {}
        try:
            return self._elaborated(aliases)
        except StapError:
            if len(aliases) == 1:
                return {}
        half = len(aliases) // 2
        return {**self._script_variables(aliases[:half]), **self._script_variables(aliases[half:])}

    def _elaborated(self, aliases: list[_Shown]) -> dict[str, tuple[str, ...]]:
        from pystap.elaborate import elaborate, script_variables

        points = [s.alias for s in aliases if s.alias is not None]
        items = tuple(ast.Probe((p,), ast.Block(())) for p in points)
        file = ast.File(SourceFile("<input>", ""), items)
        program = elaborate(file, self._library, self._target, self._options, Diagnostics(True), optimise=False)
        found: dict[str, list[tuple[str, ...]]] = {}
        for probe in program.probes:
            names = tuple(f"{name}:{kind}" for name, kind in script_variables(probe))
            found.setdefault(probe.written, []).append(names)
        return {written: _common(sets) for written, sets in found.items()}

    def _with_variables(self, shown: _Shown, script: tuple[str, ...]) -> str:
        context = _common([tuple(_context(place)) for place in shown.places])
        return " ".join((shown.name, *script, *context))


def _common(sets: list[tuple[str, ...]]) -> tuple[str, ...]:
    """What all have, in the order of the first."""
    others = [frozenset(names) for names in sets[1:]]
    return tuple(name for name in sets[0] if all(name in other for other in others))


def _context(place: Derived) -> Iterator[str]:
    resolved = place.resolved
    result = resolved.scope.result() if resolved.is_return else None
    if result is not None:
        yield f"$return:{spell(result)}"
    for name, ctype in listed(resolved.scope):
        yield f"${name}:{spell(ctype)}"


def _functions(library: Library) -> list[str]:
    """`name:type (argument:type, ...)` of the library's public functions, and the tags of those in C."""
    lines: set[str] = set()
    for item in _items(library):
        if isinstance(item, ast.Function) and not item.private and not item.name.startswith("_"):
            arguments = ", ".join(f"{p.name}:{p.type or 'unknown'}" for p in item.parameters)
            lines.add(f"{item.name}:{item.result or 'unknown'} ({arguments}){_tags(item)}")
    return sorted(lines)


def _tags(function: ast.Function) -> str:
    """` /* pure */ /* unprivileged */`: what the C of a function promises."""
    from pystap.elaborate.collect import tags_of

    if not isinstance(function.body, ast.EmbeddedExpr):
        return ""
    return "".join(f" /* {tag} */" for tag in sorted(tags_of(function.body.code)[0]))


def _aliases(library: Library) -> list[str]:
    """`alias = points` of the library's public aliases."""
    lines: set[str] = set()
    for item in _items(library):
        if isinstance(item, ast.Alias):
            points = ", ".join(f"{p}{'!' if p.sufficient else '?' if p.optional else ''}" for p in item.points)
            lines.update(f"{n} {item.operator} {points}" for n in item.names if not str(n).startswith("_"))
    return sorted(lines)


def _items(library: Library) -> Iterator[ast.Item]:
    for index in library.indexes():
        yield from library.file(index.path).items
