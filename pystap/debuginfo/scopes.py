"""Names within namespaces and classes (ns::Class::member): what encloses a DIE, and what a qualified name means.

A name says the last of its scopes or all; those that C++ itself passes over (anonymous, inline) may be left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from pystap.debuginfo import dw
from pystap.debuginfo.die import Die
from pystap.debuginfo.sections import Sections

ANONYMOUS = "(anonymous namespace)"
CLASSES = (dw.CLASS_TYPE, dw.STRUCTURE_TYPE, dw.UNION_TYPE)
SCOPES = (dw.NAMESPACE, *CLASSES)


def around(declared: Die) -> list[Die]:
    """The namespaces and classes around a declaration, outermost first."""
    found: list[Die] = []
    block: Die | None = declared.unit.root
    while block is not None:
        block = next((d for d in block.children() if d.offset < declared.offset < d.past()), None)
        if block is not None and block.tag in SCOPES:
            found.append(block)
    return found


def spelt(scopes: list[Die]) -> list[str]:
    """Scopes as c++filt names them."""
    return [s.name or (ANONYMOUS if s.tag == dw.NAMESPACE else "") for s in scopes]


def lies_in(scopes: list[Die], wanted: list[str]) -> bool:
    """Whether a name's scopes mean these; a first one that is empty (::name) is the outermost."""
    every, shown = spelt(scopes), spelt([s for s in scopes if not _transparent(s)])
    return any(names[-len(wanted) :] == wanted or ["", *names] == wanted for names in (every, shown)) or not wanted


def members(sections: Sections, wanted: list[str], name: str) -> Iterator[Die]:
    """What is declared by a name in a scope: types, variables and static members, by the order of units."""
    for offset in sections.unit_offsets:
        yield from (d for d, scopes in _declared(sections.unit(offset).root, [], name) if lies_in(scopes, wanted))


def _declared(block: Die, scopes: list[Die], name: str) -> Iterator[tuple[Die, list[Die]]]:
    for die in block.children():
        if die.tag in SCOPES and die.abbrev.children:
            yield from _declared(die, [*scopes, die], name)
        if die.tag != dw.SUBPROGRAM and die.name == name:
            yield die, scopes


def _transparent(scope: Die) -> bool:
    return not scope.name or bool(scope.get(dw.EXPORT_SYMBOLS))
