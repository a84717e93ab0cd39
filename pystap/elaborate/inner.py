"""Members that moved into a struct within their struct, or were macros for what is there: for the hints of messages."""

from __future__ import annotations

from collections.abc import Iterator

from pystap.debuginfo.ctype import Struct, find_member, member_names, strip

_DEPTH = 3


def inner_member(struct: Struct, name: str) -> str:
    """`bi_iter->bi_sector` for bi_sector, `__sk_common->skc_state` for sk_state; "" where there is none, or several."""
    ways = list(_ways(struct, "", _DEPTH))
    for wanted in (lambda inner: inner == name, lambda inner: _stem(inner) == _stem(name) and "_" in name):
        found = [way for way, inner in ways if wanted(inner)]
        if found:
            least = min(way.count("->") for way in found)
            near = [way for way in found if way.count("->") == least]
            return near[0] if len(near) == 1 else ""
    return ""


def _stem(name: str) -> str:
    """A member's name without the prefix that tells whose it is: sk_state and skc_state are both state."""
    return name.partition("_")[2] or name


def _ways(struct: Struct, way: str, depth: int) -> Iterator[tuple[str, str]]:
    """How to reach each member of the structs that lie within, and its name."""
    for name in member_names(struct):
        member = (find_member(struct, name) or (None,))[-1]
        inner = strip(member.type.get()) if member is not None else None
        if not isinstance(inner, Struct) or not depth:
            continue
        for each in member_names(inner):
            yield f"{way}{name}->{each}", each
        yield from _ways(inner, f"{way}{name}->", depth - 1)
