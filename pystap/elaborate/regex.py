"""Regular expressions of `=~` -> automata as tables that runtime/regex.h runs over a text, one lookup a byte.

POSIX extended syntax without back-references. A pattern compiles to a deterministic automaton that says whether some
part of a text matches; where the script asks for groups, to one that also tracks where groups begin and end
(Laurikari's tagged automata: states are ordered lists of threads, whose tags live in registers).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

from pystap.elaborate.regex_syntax import (
    Alternatives,
    Anchor,
    Group,
    Node,
    PatternError,
    Repeat,
    Sequence,
    Set,
    parse,
)

__all__ = ["Automaton", "PatternError", "compile_pattern"]

DEAD = 0xFFFF  # no transition
NOW = 0xFFFE  # a register source: the position behind the byte just read
NONE = 0xFFFF  # a register source: the tag was not passed
MAX_STATES = 4000
MAX_NFA = 20_000
MAX_REGISTERS = 128
MAX_GROUPS = 32
MAX_LISTS = 0xFFF0
_ANY = frozenset(range(1, 256))


@dataclass(frozen=True, slots=True)
class Automaton:
    """Tables of one pattern. State 0 is the start.

    With groups, `lists` holds lists of register sources one after the other, each behind its length; moves, finals,
    ends and `initial` are indexes into it, and 0 is the empty list.
    """

    pattern: str
    classes: bytes  # byte -> class
    class_count: int
    next: tuple[int, ...]  # [state * class_count + class] -> state or DEAD
    accepting: tuple[int, ...]  # per state: 1 matches here, 2 matches where the text ends
    groups: int = 0  # the whole match included; 0: not tracked
    registers: int = 0
    lists: tuple[int, ...] = ()
    moves: tuple[int, ...] = ()  # like `next`: fills the next state's registers; 0: they stay as they are
    initial: int = 0  # fills the start state's
    finals: tuple[int, ...] = ()  # per state: the tags of a match here, 0 for none
    ends: tuple[int, ...] = ()  # the same where the text ends

    @property
    def states(self) -> int:
        """How many states there are."""
        return len(self.accepting)


# --- the nondeterministic automaton ------------------------------------------------------------------------


@dataclass(slots=True)
class _State:
    """One of: a set of bytes, a split (in order of preference), a tag, an anchor, or the end."""

    kind: str  # set split tag begin end accept
    bytes: frozenset[int] = frozenset()
    out: list[int] = field(default_factory=list)
    tag: int = 0


class _Nfa:
    """Thompson's construction, with splits ordered: the longer try first."""

    def __init__(self, tree: Node, groups: int) -> None:
        self.states: list[_State] = []
        self.accept = self._new("accept")
        body = Group(tree, 0) if groups else tree
        self.start = self._build(body, self.accept)
        # What an unanchored search does before the match: enter here, or skip a byte and ask again.
        skip = self._new("set", _ANY)
        self.search = self._new("split", out=[self.start, skip])
        self.states[skip].out.append(self.search)
        self.skip = skip

    def _new(self, kind: str, bytes_: frozenset[int] = frozenset(), out: list[int] | None = None, tag: int = 0) -> int:
        if len(self.states) >= MAX_NFA:
            raise PatternError("the regular expression is too large")
        self.states.append(_State(kind, bytes_, out or [], tag))
        return len(self.states) - 1

    def _build(self, node: Node, then: int) -> int:
        match node:
            case Set(bytes=members):
                return self._new("set", members, [then])
            case Anchor(at_end=at_end):
                return self._new("end" if at_end else "begin", out=[then])
            case Sequence(items=items):
                for item in reversed(items):
                    then = self._build(item, then)
                return then
            case Alternatives(items=items):
                return self._new("split", out=[self._build(item, then) for item in items])
            case Group(item=item, number=None):
                return self._build(item, then)
            case Group(item=item, number=number):
                close = self._new("tag", out=[then], tag=2 * (number or 0) + 1)
                return self._new("tag", out=[self._build(item, close)], tag=2 * (number or 0))
            case Repeat():
                return self._repeat(node, then)

    def _repeat(self, node: Repeat, then: int) -> int:
        if node.most is None:
            loop = self._new("split")
            self.states[loop].out = [self._build(node.item, loop), then]
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._new("split", out=[self._build(node.item, then), end])
        for _ in range(node.least):
            then = self._build(node.item, then)
        return then


Source = Union[int, str]  # a register of the state before, "now", or "none"
_Thread = tuple[int, int, tuple[Source, ...]]  # (nfa state, which start it has, its tags)


class _Determiniser:
    """Subset construction over ordered threads. Without groups a state is a set, and the first match ends it."""

    def __init__(self, nfa: _Nfa, groups: int) -> None:
        self.nfa = nfa
        self.tags = 2 * groups
        self.classes, self.members = _byte_classes(nfa)
        self.numbers: dict[tuple[_Thread, ...], int] = {}
        self.order: list[tuple[_Thread, ...]] = []
        self.lists: list[int] = [0]
        self._known_lists: dict[tuple[int, ...], int] = {(): 0}
        self.registers = 0

    def run(self, pattern: str, groups: int) -> Automaton:
        """Explores all states that can be reached."""
        begin = self._closure([(self.nfa.search, 0, self._unset())], at_start=True)
        _, initial = self._number(begin)
        following: list[int] = []
        moves: list[int] = []
        at = 0
        while at < len(self.order):
            for byte in self.members:
                target, move = self._step(self.order[at], byte)
                following.append(target)
                moves.append(move)
            at += 1
        finals, ends = self._matches()
        accepting = tuple((f is not None) + 2 * (e is not None) for f, e in zip(finals, ends, strict=True))
        tables = (self.classes, len(self.members), tuple(following), accepting)
        if not groups:
            return Automaton(pattern, *tables)
        tags = tuple(map(self._tag_list, finals)), tuple(map(self._tag_list, ends))
        return Automaton(pattern, *tables, groups, self.registers, tuple(self.lists), tuple(moves), initial, *tags)

    def _unset(self) -> tuple[Source, ...]:
        return ("none",) * self.tags

    # --- threads ---

    def _closure(self, threads: list[_Thread], at_start: bool = False, at_end: bool = False) -> list[_Thread]:
        """What the threads reach without reading, by preference: byte sets, the end, `$` (only `at_end` passes it)."""
        seen: set[int] = set()
        found: list[_Thread] = []
        stack = list(reversed(threads))
        while stack:
            number, group, tags = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            state = self.nfa.states[number]
            match state.kind:
                case "split" if number == self.nfa.search:
                    # What starts here is a group of its own, before those that the search will start later.
                    stack += [(self.nfa.skip, group + 1, tags), (self.nfa.start, group, tags)]
                case "split":
                    stack += [(out, group, tags) for out in reversed(state.out)]
                case "tag":
                    if self.tags:
                        tags = (*tags[: state.tag], "now", *tags[state.tag + 1 :])
                    stack.append((state.out[0], group, tags))
                case "begin" if at_start:
                    stack.append((state.out[0], group, tags))
                case "begin":
                    pass
                case "end" if at_end:
                    stack.append((state.out[0], group, tags))
                case _:
                    found.append((number, group, tags))
        return found

    def _step(self, state: tuple[_Thread, ...], byte: int) -> tuple[int, int]:
        nfa = self.nfa.states
        if not self.tags and any(number == self.nfa.accept for number, _, _ in state):
            return DEAD, 0
        moved = [
            (nfa[n].out[0], group, tags) for n, group, tags in state if nfa[n].kind == "set" and byte in nfa[n].bytes
        ]
        threads = self._closure(moved)
        return self._number(threads) if threads else (DEAD, 0)

    def _number(self, threads: list[_Thread]) -> tuple[int, int]:
        """The state with these threads, and the list that fills its registers from those before."""
        threads = self._decided(threads)
        groups: dict[int, int] = {}
        slots: dict[Source, int] = {}
        key = tuple(
            (n, groups.setdefault(group, len(groups)) if self.tags else 0, tuple(_slot(t, slots) for t in tags))
            for n, group, tags in threads
        )
        if len(slots) > MAX_REGISTERS:
            raise PatternError("the regular expression has too many groups")
        self.registers = max(self.registers, len(slots))
        if key not in self.numbers:
            if len(self.order) >= MAX_STATES:
                raise PatternError(f"the regular expression needs more than {MAX_STATES} states")
            self.numbers[key] = len(self.order)
            self.order.append(key)
        return self.numbers[key], self._list(tuple(_code(s) for s in slots))

    def _decided(self, threads: list[_Thread]) -> list[_Thread]:
        """Where one start has matched, later starts are out; where only the match counts, so is everything."""
        match = next((t for t in threads if t[0] == self.nfa.accept), None)
        if not self.tags:
            return sorted(threads) if match is None else [(match[0], 0, ())]
        return threads if match is None else [t for t in threads if t[1] <= match[1]]

    # --- register lists ---

    def _list(self, sources: tuple[int, ...]) -> int:
        if sources == tuple(range(len(sources))):
            sources = ()  # every register stays where it is
        return self._added(sources)

    def _tag_list(self, sources: tuple[int, ...] | None) -> int:
        return 0 if sources is None else self._added(sources)

    def _added(self, sources: tuple[int, ...]) -> int:
        if sources not in self._known_lists:
            self._known_lists[sources] = len(self.lists)
            self.lists += (len(sources), *sources)
        if len(self.lists) > MAX_LISTS:
            raise PatternError("the regular expression is too large")
        return self._known_lists[sources]

    def _matches(self) -> tuple[list[tuple[int, ...] | None], list[tuple[int, ...] | None]]:
        finals = [self._tags_of(self._accepting(state)) for state in self.order]
        ends = [self._tags_of(self._accepting(self._closure(list(state), at_end=True))) for state in self.order]
        return finals, ends

    def _accepting(self, threads: Union[tuple[_Thread, ...], list[_Thread]]) -> tuple[Source, ...] | None:
        return next((tags for n, _, tags in threads if n == self.nfa.accept), None)

    def _tags_of(self, tags: tuple[Source, ...] | None) -> tuple[int, ...] | None:
        return None if tags is None else tuple(_code(t) for t in tags)


def _slot(source: Source, slots: dict[Source, int]) -> Source:
    return source if source == "none" else slots.setdefault(source, len(slots))


def _code(source: Source) -> int:
    if isinstance(source, int):
        return source
    return NOW if source == "now" else NONE


def _byte_classes(nfa: _Nfa) -> tuple[bytes, list[int]]:
    """Bytes that no set tells apart share a class; the list has one byte of each."""
    signatures: dict[tuple[bool, ...], int] = {}
    sets = list(dict.fromkeys(s.bytes for s in nfa.states if s.kind == "set"))
    classes = bytearray(256)
    members: list[int] = []
    for byte in range(1, 256):
        signature = tuple(byte in s for s in sets)
        if signature not in signatures:
            signatures[signature] = len(members)
            members.append(byte)
        classes[byte] = signatures[signature]
    return bytes(classes), members


def compile_pattern(pattern: str, groups: bool = False) -> Automaton:
    """The automaton of a pattern; `groups` tracks what matched() and ngroups() need. Raises PatternError."""
    tree, count = parse(_encoded(pattern))
    tracked = count + 1 if groups else 0
    if tracked > MAX_GROUPS:
        raise PatternError(f"more than {MAX_GROUPS - 1} groups in a regular expression")
    return _Determiniser(_Nfa(tree, tracked), tracked).run(pattern, tracked)


def _encoded(pattern: str) -> bytes:
    """The bytes that a script's text stands for, up to its NUL."""
    return pattern.encode("utf-8", "surrogateescape").split(b"\0", 1)[0]
