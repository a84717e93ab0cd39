"""@perf("NAME"): each counter that is read must be there, and count the program whose probes read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pystap.diagnostics import Diagnostics
from pystap.elaborate.program import Body, Function, Probe
from pystap.elaborate.tokens import token
from pystap.syntax import ast
from pystap.syntax.walk import find_all

Functions = dict[tuple[str, int], list[Function]]


def settle(probes: list[Probe], functions: Functions, diagnostics: Diagnostics) -> list[Probe]:
    """The probes, where counters of no program have got that of the first probe that reads them."""
    counters: dict[str, Any] = {}
    for probe in probes:
        if name := getattr(probe.site, "counter", ""):
            counters.setdefault(name, probe.site)
    for probe in probes:
        for node in _reads(probe.body):
            _settle_read(node, program_of(probe.site), counters, diagnostics)
    for function in (f for same in functions.values() for f in same):
        for node in _reads(function.body) if isinstance(function.body, Body) else ():
            _settle_read(node, None, counters, diagnostics)
    return list(_settled(probes, counters, diagnostics))


def program_of(site: object) -> str | None:
    """The program whose processes a site of user space is in; None where it names none."""
    return getattr(site, "program", None) or getattr(site, "path", None)


def _reads(body: Body) -> Iterator[ast.AtPerf]:
    for block in (body.block, *body.entry):
        yield from find_all(block, ast.AtPerf)


def _settle_read(node: ast.AtPerf, program: str | None, counters: dict[str, Any], diagnostics: Diagnostics) -> None:
    site = counters.get(node.counter)
    if site is not None and site.program is None and program is not None:
        site = counters[node.counter] = replace(site, program=program)
    if site is None or (program is not None and program != site.program):
        text = f"perf counter '{node.counter}' not defined"
        diagnostics.error(node.span, "perf-counter", text, token=token(node))


def _settled(probes: list[Probe], counters: dict[str, Any], diagnostics: Diagnostics) -> Iterator[Probe]:
    for probe in probes:
        name = getattr(probe.site, "counter", "")
        if not name or getattr(probe.site, "program", None) is not None:
            yield probe
        elif counters[name].program is not None:
            yield replace(probe, site=replace(probe.site, program=counters[name].program))  # type: ignore[type-var]
        else:
            text = f"perf counter '{name}' counts no program: no probe of one reads it"
            diagnostics.warn(probe.span, "perf-counter", text, token="keyword")
