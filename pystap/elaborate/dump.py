"""Program -> the text of -p2: embedded code, globals, functions and probes with their types, in stap's layout."""

from __future__ import annotations

from collections.abc import Iterator

from pystap.elaborate.program import Body, Function, GlobalVariable, Probe, Program, Variable
from pystap.elaborate.symbols import shown_name


def dump(program: Program) -> str:
    """The whole text, ending in a newline."""
    return "".join(f"{line}\n" for line in lines(program)).rstrip("\n")


def lines(program: Program) -> Iterator[str]:
    """The text's lines."""
    if program.embedded:
        yield "# global embedded code"
        for code in program.embedded:
            yield f"%{{{code.code}%}}"
    if program.globals:
        yield "# globals"
        yield from map(_global, program.globals)
    functions = [f for same in program.functions.values() for f in same]
    if functions:
        yield "# functions"
        for function in sorted(functions, key=lambda f: (f.name, len(f.parameters))):
            yield from _function(function)
    if program.probes:
        yield "# probes"
        for probe in program.probes:
            yield from _probe(probe)
    for variable in program.globals:
        if variable.display:
            yield "end /* <- end */"  # shows the global at exit


def _global(variable: GlobalVariable) -> str:
    declaration = variable.declaration
    size = f"[{declaration.size}]" if declaration.size else ""
    keys = f" [{', '.join(variable.keys)}]" if variable.keys else ""
    mark = "%" if declaration.wrap else ""
    return f"{shown_name(variable.name)}{mark}{size}:{variable.variable.type}{keys}"


def _function(function: Function) -> Iterator[str]:
    parameters = ", ".join(f"{p.name}:{p.type}" for p in function.parameters)
    yield f"{shown_name(function.name)}:{function.result} ({parameters})"
    if isinstance(function.body, Body):
        names = {p.name for p in function.parameters}
        yield from _locals([v for n, v in function.body.locals.items() if n not in names])


def _probe(probe: Probe) -> Iterator[str]:
    chain = " ".join(f"<- {link}" for link in reversed(probe.chain)) or f"<- {probe.written}"
    condition = " if (...)" if probe.condition is not None else ""
    yield f"{probe.point}{condition} /* {chain} */"
    yield from _locals(list(probe.body.locals.values()))


def _locals(variables: list[Variable]) -> Iterator[str]:
    if variables:
        yield "  # locals"
        for variable in variables:
            yield f"  {variable.name}:{variable.type}"
