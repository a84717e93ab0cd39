"""The whole module: every probe, function and global lowered once, tables of regexes and descriptors collected."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from pystap.diagnostics import Diagnostics, StapError
from pystap.ir import nodes as ir
from pystap.ir.effects import MEMORY, Resource
from pystap.lower.descriptors import Descriptors
from pystap.lower.display import display
from pystap.lower.marks import first_token
from pystap.lower.stable import called_again
from pystap.lower.stmt import Statements
from pystap.lower.usage import with_usage
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Program, Variable
    from pystap.options import Options

_PRAGMA = re.compile(r"/\*\s*pragma:(\w+)(?::(\w+))?\s*\*/")


@dataclass(slots=True)
class ModuleLowering:
    """What the bodies share while they are lowered (body.Surroundings)."""

    program: Program
    diagnostics: Diagnostics
    globals: Mapping[str, GlobalVariable]
    optimised: bool = True
    regexes: dict[str, int] = field(default_factory=dict)
    descriptors: Descriptors = field(default_factory=Descriptors)
    handlers: list[ir.Handler] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)
    _by_id: dict[str, Function] = field(default_factory=dict)
    _effects: dict[str, frozenset[Resource]] = field(default_factory=dict)
    _handler_of: dict[tuple[int, bool], int] = field(default_factory=dict)
    _conditions: dict[int, ir.Expr] = field(default_factory=dict)

    # --- Surroundings ---

    def functions(self, name: str, arity: int) -> tuple[Function, ...]:
        """The overloads that a call may reach, in the order in which they are tried."""
        return self.program.functions[name, arity]

    def regex(self, pattern: str) -> int:
        """The number of a pattern's automaton."""
        return self.regexes.setdefault(pattern, len(self.regexes))

    def descriptor(self, ctype: object, depth: int) -> int:
        """The number of a type's descriptor."""
        return self.descriptors.of(ctype, depth)  # type: ignore[arg-type]

    def effects_of(self, ids: Sequence[str]) -> frozenset[Resource]:
        """What functions change, and what they call."""
        if not self._by_id:
            self._compute_effects()
        return frozenset().union(*(self._effects[i] for i in ids))

    def _compute_effects(self) -> None:
        """Least fixed point over the call graph."""
        self._by_id = {f.id: f for overloads in self.program.functions.values() for f in overloads}
        own = {i: direct_effects(f) for i, f in self._by_id.items()}
        calls = {i: self._callees(f) for i, f in self._by_id.items()}
        self._effects = dict(own)
        changed = True
        while changed:
            changed = False
            for i, callees in calls.items():
                total = self._effects[i].union(*(self._effects[c] for c in callees))
                if len(total) > len(self._effects[i]):
                    self._effects[i] = total
                    changed = True

    def _callees(self, function: Function) -> set[str]:
        if isinstance(function.body, ast.EmbeddedExpr):
            return set()
        calls = (n for n in walk(function.body.block) if isinstance(n, ast.Call))
        return {f.id for c in calls for f in self.program.functions[c.name, len(c.arguments)]}

    # --- bodies ---

    def handler(self, body: Body, entry: bool = False) -> int:
        """The handler of a body (or of its entry side), lowered once for all probes that share it."""
        key = (id(body), entry)
        if key not in self._handler_of:
            self._handler_of[key] = len(self.handlers)
            self.handlers.append(self._entry(body) if entry else self._handler(body))
        return self._handler_of[key]

    def _handler(self, body: Body) -> ir.Handler:
        lowering = Statements(self, body.locals, stable=self._stable(body))
        lowering.body(body.block)
        self._note_pragmas(body.block)
        longs, strings = _split(body.locals, ())
        longs = (*longs, *lowering.hidden_longs)
        return ir.Handler(tuple(lowering.ops), longs, (*strings, *lowering.hidden), mark=first_token(body.block.span))

    def _entry(self, body: Body) -> ir.Handler:
        lowering = Statements(self, body.entry_locals)
        for k, e in enumerate(body.entry):
            with lowering.scratch():
                lowering.emit(ir.SaveEntry(k, lowering.arg(e)))
        longs, strings = _split(body.entry_locals, ())
        return ir.Handler(tuple(lowering.ops), longs, strings, mark=first_token(body.block.span))

    def probe(self, probe: Probe) -> ir.Probe:
        """A probe with its handlers."""
        body = probe.body
        types = Statements(self, body.entry_locals)
        return ir.Probe(
            probe.site,
            self.handler(body),
            probe.point,
            probe.written,
            self._condition(probe.condition),
            self.handler(body, entry=True) if body.entry else None,
            tuple("string" if types.type_of(e) == "string" else "long" for e in body.entry),
            mark=first_token(probe.span),
            derived=", ".join(reversed(probe.chain)),
        )

    def _condition(self, e: ast.Expr | None) -> ir.Expr | None:
        if e is None:
            return None
        if id(e) not in self._conditions:
            lowering = Statements(self, {})
            value = lowering.condition(e)
            if lowering.ops:
                token = first_token(e.span).token
                message = "a probe condition can only read global variables"
                self.diagnostics.error(e.span, "condition", message, token=token)
            self._conditions[id(e)] = value
        return self._conditions[id(e)]

    def function(self, function: Function) -> ir.Function:
        """A function, script or embedded C."""
        parameters = tuple((p.name, "string" if p.type == "string" else "long") for p in function.parameters)
        result = None if function.result == "unknown" else function.result
        mark = first_token(function.declaration.span)
        self.needs |= {kind for kind, _ in function.pragmas if kind not in ("read", "write")}
        if isinstance(function.body, ast.EmbeddedExpr):
            return ir.Function(
                function.id, function.name, parameters, result, code=function.body.code,
                tags=tuple(sorted(function.tags)), reads=_named(function, "read"), writes=_named(function, "write"),
                mark=mark, code_mark=first_token(function.body.span),
            )  # fmt: skip
        body, longs, strings = self._function_body(function, function.body)
        return ir.Function(
            function.id, function.name, parameters, result, body, longs=longs, strings=strings,
            tags=tuple(sorted(function.tags)), mark=mark,
        )  # fmt: skip

    def _function_body(self, function: Function, body: Body) -> tuple[ir.Block, tuple[str, ...], tuple[str, ...]]:
        names = tuple(p.name for p in function.parameters)
        everything = {**body.locals, **{p.name: p for p in function.parameters}}
        lowering = Statements(self, everything, frozenset(names), function.result, stable=self._stable(body))
        lowering.body(body.block)
        self._note_pragmas(body.block)
        if function.result != "unknown" and not (lowering.ops and isinstance(lowering.ops[-1], (ir.Return, ir.Next))):
            lowering.emit(ir.Return(lowering.default_result()))
        longs, strings = _split(everything, names)
        return tuple(lowering.ops), (*longs, *lowering.hidden_longs), (*strings, *lowering.hidden)

    def _stable(self, body: Body) -> frozenset[str]:
        return called_again(body.block, self._is_stable) if self.optimised else frozenset()

    def _is_stable(self, name: str) -> bool:
        functions = self.program.functions[name, 0]
        return len(functions) == 1 and "stable" in functions[0].tags and functions[0].result in ("long", "string")

    def _note_pragmas(self, node: ast.Node) -> None:
        for inner in walk(node):
            if isinstance(inner, ast.EmbeddedExpr):
                self.needs |= {kind for kind, _ in _PRAGMA.findall(inner.code)} - {"read", "write"}


def lower_program(program: Program, options: Options, diagnostics: Diagnostics) -> ir.Module:
    """The module as the script says it, before locks, charges and merging."""
    lowering = ModuleLowering(program, diagnostics, program.globals_by_name(), not options.unoptimized)
    probes = [lowering.probe(p) for p in program.probes]
    if not options.no_global_var_display:
        probes += _displays(program, lowering)
    functions = tuple(lowering.function(f) for overloads in program.functions.values() for f in overloads)
    module = ir.Module(
        tuple(lowering.handlers),
        functions,
        tuple(_global(g) for g in program.globals),
        tuple(probes),
        _automata(program, lowering),
        tuple(lowering.descriptors.rows),
        tuple((e.code, first_token(e.span)) for e in program.embedded),
        frozenset(lowering.needs | {kind for e in program.embedded for kind, _ in _PRAGMA.findall(e.code)}),
    )
    return with_usage(module)


def _displays(program: Program, lowering: ModuleLowering) -> list[ir.Probe]:
    from pystap.providers.begin import BeginSite

    probes = []
    for variable in program.globals:
        if variable.display:
            lowering.handlers.append(display(variable))
            mark = first_token(variable.declaration.span)
            probes.append(ir.Probe(BeginSite("end"), len(lowering.handlers) - 1, "end", "end", mark=mark))
    return probes


def _automata(program: Program, lowering: ModuleLowering) -> tuple[ir.Dfa, ...]:
    missing = [p for p in lowering.regexes if p not in program.regexes]
    if missing:
        raise StapError(f"regular expressions were not compiled: {missing}")
    return tuple(ir.Dfa(pattern, program.regexes[pattern]) for pattern in lowering.regexes)


def _global(variable: GlobalVariable) -> ir.Global:
    name, kind = variable.name, variable.variable.type
    hist = ir.Hist(variable.hist.linear) if variable.hist is not None else None
    stat = ir.Stat(name, hist, "variance" in variable.stat_ops, variable.shift, variable.stat_ops)
    declaration = variable.declaration
    if variable.keys:
        keys = tuple("string" if k == "string" else "long" for k in variable.keys)
        value = kind if kind in ("string", "stats") else "long"
        return ir.Map(name, keys, value, declaration.size, declaration.wrap, stat if kind == "stats" else None)
    if kind == "stats":
        return stat
    initial: Union[int, str] = "" if kind == "string" else 0
    if declaration.initializer is not None:
        initial = declaration.initializer.value
    return ir.Scalar(name, "string" if kind == "string" else "long", initial)


def _split(variables: Mapping[str, Variable], without: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of long and of string locals."""
    names = [n for n in variables if n not in without]
    strings = tuple(n for n in names if variables[n].type == "string")
    return tuple(n for n in names if variables[n].type != "string"), strings


def _named(function: Function, kind: str) -> tuple[str, ...]:
    return tuple(sorted({name for k, name in function.pragmas if k == kind}))


def direct_effects(function: Function) -> frozenset[Resource]:
    """What a function itself changes that outlives it: globals, and memory in guru mode."""
    if isinstance(function.body, ast.EmbeddedExpr):
        return frozenset(("global", name) for name in _named(function, "write"))
    own = {p.name for p in function.parameters} | set(function.body.locals)
    found: set[Resource] = set()
    for node in walk(function.body.block):
        for target in _targets(node):
            if isinstance(target, ast.TargetAccess):
                found.add(MEMORY)
            elif isinstance(target, ast.Name) and target.name not in own:
                found.add(("global", target.name))
    return frozenset(found)


def _targets(node: ast.Node) -> list[ast.Node]:
    """What a node assigns to, arrays by their names."""
    match node:
        case ast.Assign(target=target) | ast.IncDec(target=target) | ast.Delete(target=target):
            base = target.base if isinstance(target, ast.Index) else target
            return [base]
        case ast.Foreach(keys=keys, value=value):
            return [*keys, *([value] if value is not None else [])]
        case ast.Try(message=message) if message is not None:
            return [message]
        case _:
            return []
