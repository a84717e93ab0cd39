"""Pass 2: the user's files and a library -> a Program in which every name, type and probe point is decided.

`elaborate` is the table of contents: collect, autocast, optimise, types, regexes, checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pystap.diagnostics import Diagnostic, Diagnostics, Severity, similar_names
from pystap.elaborate.effects import uses
from pystap.elaborate.nearest import nearest
from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Program, Type
from pystap.elaborate.symbols import shown_name
from pystap.syntax import ast
from pystap.syntax.walk import find_all, walk

if TYPE_CHECKING:
    from pystap.elaborate.collect import Collected
    from pystap.library import Library
    from pystap.options import Options
    from pystap.source import SourceFile
    from pystap.target import Target

__all__ = ["elaborate", "script_variables"]


def elaborate(
    files: list[ast.File] | ast.File,
    library: Library,
    target: Target,
    options: Options,
    diagnostics: Diagnostics,
    *,
    optimise: bool | None = None,
) -> Program:
    """The program that the files mean; raises StapError where that is none. `optimise`: by default unless -u."""
    from pystap.elaborate.collect import Collector

    given = [files] if isinstance(files, ast.File) else files
    collected = Collector(given, library, target, options, diagnostics).collect()
    work = _Work(collected, options, diagnostics)
    work.write_flags()
    work.counters()
    work.autocast()
    if not options.semantic_keep_going:
        diagnostics.stop_on_errors()
    optimise = not options.unoptimized if optimise is None else optimise
    if optimise:
        work.optimise()
    work.check()
    if not options.semantic_keep_going:
        diagnostics.stop_on_errors()
    work.types()
    diagnostics.stop_on_errors()
    if optimise:
        work.drop_dead()
        diagnostics.stop_on_errors()
    work.uses()
    return work.program()


class _Work:
    """One program between the passes."""

    def __init__(self, collected: Collected, options: Options, diagnostics: Diagnostics) -> None:
        self.collected = collected
        self.options = options
        self.diagnostics = diagnostics
        self.functions = collected.functions
        self.final: dict[tuple[str, int], tuple[Function, ...]] = {}

    @property
    def bodies(self) -> list[Body]:
        """The distinct bodies of probes."""
        return list({id(p.body): p.body for p in self.collected.probes}.values())

    @property
    def blocks(self) -> list[ast.Node]:
        """Everything that probes run or test."""
        entries = [e for b in self.bodies for e in b.entry]
        conditions = [p.condition for p in self.collected.probes if p.condition is not None]
        return [*(b.block for b in self.bodies), *entries, *conditions]

    def _replace(self, new: dict[int, Body]) -> None:
        probes = self.collected.probes
        for i, probe in enumerate(probes):
            body = new[id(probe.body)]
            if body is not probe.body:
                probes[i] = replace(probe, body=body)

    # --- passes --------------------------------------------------------------------------------------

    def write_flags(self) -> None:
        """Decides @probewrite, which needs to have seen all probes."""
        if ast.ProbeWrite not in self.collected.seen.kinds:
            return
        from pystap.elaborate.fold import Folder
        from pystap.elaborate.rebuild import rebuild

        written = {name for b in self.bodies for name in _written(b.block)}

        def decide(node: Any) -> Any:
            node = rebuild(node, decide)
            return ast.Number(int(node.name in written), span=node.span) if isinstance(node, ast.ProbeWrite) else node

        fold = Folder(None, dead=True)
        self._replace({id(b): replace(b, block=fold(decide(b.block))) for b in self.bodies})

    def counters(self) -> None:
        """Decides which program a perf counter counts, which needs to have seen who reads it."""
        named = any(getattr(p.site, "counter", "") for p in self.collected.probes)
        if named or ast.AtPerf in self.collected.seen.kinds:
            from pystap.elaborate.counters import settle

            self.collected.probes = settle(self.collected.probes, self.functions, self.diagnostics)

    def autocast(self) -> None:
        """Resolves `->` on script values."""
        if self.collected.seen.autocast:
            from pystap.elaborate.autocast import Autocast

            casts = Autocast(self.collected.globals, self.functions, self.collected.failures, self.options)
            self._replace(casts.run(self.bodies))

    def optimise(self) -> None:
        """Removes what has no effect."""
        from pystap.elaborate.optimise import Elider, Purity, empty, reached

        self._drop_unreached(reached)
        self._warn_unassigned()
        elider = Elider(Purity(self.functions), self.diagnostics)
        self._replace({id(b): elider.body(b) for b in self.bodies})
        for same in self.functions.values():
            same[:] = [_elided(f, elider) for f in same]
        elider.flush()
        self._warn_empty(empty)
        self._drop_unreached(reached)
        self._drop_empty(empty)

    def drop_dead(self) -> None:
        """Branches that no constant lets run, now that all names and types in them are known to be right."""
        from pystap.elaborate.fold import Folder
        from pystap.elaborate.optimise import empty, reached

        fold = Folder(None, dead=True)
        self._replace({id(b): _with_block(b, fold(b.block)) for b in self.bodies})
        for key, same in self.final.items():
            self.final[key] = tuple(_folded(f, fold) for f in same)
        self.functions = {key: list(same) for key, same in self.final.items()}
        self._drop_unreached(reached)
        self.final = {key: same for key, same in self.final.items() if key in self.functions}
        self._drop_empty(empty)
        self._refuse_nothing()

    def _drop_unreached(self, reached: Any) -> None:
        kept = reached(self.blocks, self.functions)
        self.functions = {key: same for key, same in self.functions.items() if key in kept}

    def _warn_unassigned(self) -> None:
        """Globals that are read and never written, nor given a value."""
        read: set[str] = set()
        written: set[str] = set()
        for block in (*self.blocks, *(b.block for b in _function_bodies(self.functions))):
            for found, names in zip((read, written), uses(block), strict=True):
                found |= names
        for same in self.functions.values():
            written |= {name for f in same for kind, name in f.pragmas if kind == "write"}
        shown = [shown_name(name) for name in self.collected.globals]
        for name, variable in self.collected.globals.items():
            declared = variable.declaration
            if name not in read - written or declared.initializer is not None or not declared.span.file.is_user:
                continue
            own = shown_name(name)
            similar = similar_names((own, *nearest(own, shown, 4)))
            text = f"never-assigned global variable '{own}'{similar}"
            self.diagnostics.warn(declared.span, "never-assigned", text, token=f"identifier '{own}'")

    def _warn_empty(self, empty: Any) -> None:
        for function in (f for same in self.functions.values() for f in same):
            if isinstance(function.body, Body) and empty(function.body) and function.is_user:
                text = f"side-effect-free function '{function.name}'"
                where = f"identifier '{function.name}'"
                self.diagnostics.warn(function.declaration.span, "elided", text, token=where)

    def _drop_empty(self, empty: Any) -> None:
        gone = {id(b) for b in self.bodies if empty(b)}
        dropped = [p for p in self.collected.probes if id(p.body) in gone and not getattr(p.site, "counter", "")]
        self.collected.probes = [p for p in self.collected.probes if p not in dropped]
        for probe in dropped:
            if probe.span.file.is_user:
                text = f"Probe '{probe.point}' has been elided"
                self.diagnostics.warn(probe.span, "elided", text, token="keyword")

    def check(self) -> None:
        """Reports what is not allowed."""
        from pystap.elaborate import privilege
        from pystap.elaborate.check import Checker

        kinds = self.collected.seen.kinds
        checker = Checker(self.functions, self.collected.failures, self.options, self.diagnostics, kinds)
        bodies = [*self.bodies, *_function_bodies(self.functions)]
        for body in bodies:
            checker.body(body)
        privilege.check(bodies, self.functions, self.options, self.diagnostics)
        self._refuse_nothing()

    def _refuse_nothing(self) -> None:
        if not self.collected.probes and not self.diagnostics.failed:
            self.diagnostics.add(Diagnostic(Severity.SEMANTIC, "no-probes", "no probes found"))

    def types(self) -> None:
        """Decides all types."""
        from pystap.elaborate.types import infer

        final, texts = infer(self.collected.probes, self.functions, self.collected.globals, self.diagnostics)
        self.final = final
        self._replace({id(b): texts.get(id(b), b) for b in self.bodies})

    def uses(self) -> None:
        """Which globals are read and written, and which are shown at exit."""
        blocks = [*self.blocks, *(b.block for b in _function_bodies(self.functions))]
        for block in blocks:
            _mark_uses(block, self.collected.globals)
        for same in self.functions.values():
            for function in same:
                _mark_pragmas(function, self.collected.globals)
        for variable in self.collected.globals.values():
            user = variable.declaration.span.file.is_user
            shown = user and variable.written and not variable.read
            variable.display = shown and not self.options.no_global_var_display

    def program(self) -> Program:
        """The result."""
        optimised = not self.options.unoptimized
        globals_ = tuple(
            g for g in self.collected.globals.values() if not optimised or g.read or g.written or g.stat_ops
        )
        probes, embedded = tuple(self.collected.probes), tuple(self.collected.embedded)
        if optimised:
            files = self._files_with_c()
            embedded = tuple(e for e in embedded if e.span.file.is_user or e.span.file in files)
        return Program(probes, self.final, globals_, embedded, self._regexes())

    def _files_with_c(self) -> set[SourceFile]:
        """The library files whose C at the top is needed: some C of theirs is part of the program."""
        functions = [f for same in self.final.values() for f in same]
        found = {f.body.span.file for f in functions if isinstance(f.body, ast.EmbeddedExpr)}
        if ast.EmbeddedExpr in self.collected.seen.kinds:
            blocks = [*self.blocks, *(f.body.block for f in functions if isinstance(f.body, Body))]
            found |= {n.span.file for b in blocks for n in find_all(b, ast.EmbeddedExpr)}
        return found

    def _regexes(self) -> dict[str, Any]:
        if ast.Match not in self.collected.seen.kinds:
            return {}
        patterns: dict[str, ast.Match] = {}
        for block in (*self.blocks, *(b.block for b in _function_bodies(self.functions))):
            for node in walk(block):
                if isinstance(node, ast.Match):
                    patterns.setdefault(node.pattern.value, node)
        if not patterns:
            return {}
        return compile_regexes(patterns, self.final, self.diagnostics)


def compile_regexes(
    patterns: dict[str, ast.Match], functions: Iterable[tuple[str, int]], diagnostics: Diagnostics
) -> dict[str, Any]:
    """Automata by pattern; with subexpressions only where the program asks for them."""
    from pystap.elaborate import regex

    groups = any(name in ("matched", "ngroups", "matched_str") for name, _ in functions)
    found: dict[str, Any] = {}
    for text, node in patterns.items():
        try:
            found[text] = regex.compile_pattern(text, groups)
        except regex.PatternError as error:
            diagnostics.error(node.pattern.span, "regex", str(error), token=f"string '{text}'")
    diagnostics.stop_on_errors()
    return found


def script_variables(probe: Probe) -> tuple[tuple[str, Type], ...]:
    """The variables that a probe's aliases give to its handler, with types (of a program made with optimise=False)."""
    return tuple((v.name, v.type) for v in probe.body.locals.values() if not v.name.startswith("__"))


def _function_bodies(functions: dict[tuple[str, int], list[Function]]) -> list[Body]:
    return [f.body for same in functions.values() for f in same if isinstance(f.body, Body)]


def _elided(function: Function, elider: Any) -> Function:
    if not isinstance(function.body, Body):
        return function
    body = elider.body(function.body)
    parameters = {p.name: p for p in function.parameters}
    return replace(function, body=replace(body, locals={**parameters, **body.locals}))


def _written(block: ast.Node) -> set[str]:
    names: set[str] = set()
    for node in walk(block):
        if isinstance(node, (ast.Assign, ast.IncDec, ast.Delete)):
            target = node.target.base if isinstance(node.target, ast.Index) else node.target
            if isinstance(target, ast.Name):
                names.add(target.name)
    return names


def _folded(function: Function, fold: Any) -> Function:
    body = function.body
    return replace(function, body=_with_block(body, fold(body.block))) if isinstance(body, Body) else function


def _with_block(body: Body, block: ast.Block) -> Body:
    return body if block is body.block else replace(body, block=block)


def _mark_uses(block: ast.Node, globals_: dict[str, GlobalVariable]) -> None:
    """A name counts as written where it is only assigned or stepped, with its value unused; else as read."""
    read, written = uses(block)
    for name in read & globals_.keys():
        globals_[name].read = True
    for name in written & globals_.keys():
        globals_[name].written = True


def _mark_pragmas(function: Function, globals_: dict[str, GlobalVariable]) -> None:
    for kind, name in function.pragmas:
        if name in globals_:
            globals_[name].read |= kind == "read"
            globals_[name].written |= kind == "write"
