"""Functions of programs whose return must not be probed: a uretprobe would break the program.

The kernel probes a return by replacing the word on top of the stack at the function's entry (kernel/events/uprobes.c,
prepare_uretprobe()). That is wrong where this word is no return address, and where the function keeps it for later.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from pystap.diagnostics import Unresolved

if TYPE_CHECKING:
    from pystap.debuginfo.user import UserObject

_GO = "return probes would break it: Go's runtime moves its stacks, and with them the return addresses"
_NOT_CALLED = "it is not called, so it has nowhere to return to"
_LOOKS = "it looks at its own return address to unwind the stack"
_UNSAFE = (
    # begun by the kernel or by a jump: the stack's top is argc, what lazy binding pushed, or a signal's frame
    (re.compile(r"_start|_dl_start_user|_dl_runtime_.*|_dl_tlsdesc_.*|__restore_rt"), _NOT_CALLED),
    # who returns twice: the second time to an address that nobody keeps any more, and the kernel sends SIGILL
    (re.compile(r"_*(sig)?setjmp|(__)?getcontext|(__)?swapcontext"), "it keeps its return address and returns twice"),
    (re.compile(r".*\.cold(\.\d+)?"), "it is a part of a function that is jumped to"),
    (re.compile(r"_Unwind_(RaiseException|ForcedUnwind|Resume|Resume_or_Rethrow|Backtrace)|uw_init_context.*"), _LOOKS),
)
# who looks for the functions that return addresses lie in, and who is called where an exception was caught
_UNWINDS = frozenset({"_Unwind_RaiseException", "_Unwind_ForcedUnwind", "_Unwind_Resume", "_Unwind_Resume_or_Rethrow"})
_CATCHES = "__cxa_begin_catch"
_USUAL = ("libgcc_s.so.1", "libstdc++.so.6")
_RUNTIMES = re.compile(r"lib(gcc_s|unwind|stdc\+\+|c\+\+abi|c\+\+|cxxrt|supc\+\+)[.-]")


@dataclass(frozen=True, slots=True)
class Unwinder:
    """A function that the engine probes on its own account, so that exceptions find the stack as it was."""

    path: str
    offset: int  # in the file
    catches: bool


def refuse_go(program: UserObject) -> None:
    """Raises Unresolved for a program whose stacks move."""
    if program.is_go:
        raise Unresolved(f"{program.path} is a Go program: {_GO}", hint="probe its calls instead")


@lru_cache(maxsize=64)
def unwinders(place: UserObject, program: str) -> tuple[Unwinder, ...]:
    """The functions that throw, unwind and catch in processes of a program (a library: in those that may have it)."""
    from pystap.debuginfo.user import open_object
    from pystap.providers.objects import libraries_of, library

    linked = {os.path.realpath(p) for start in (program, place.path) for p in libraries_of(start).values()}
    if ".so" in os.path.basename(program):
        linked |= {os.path.realpath(p) for p in map(library, _USUAL) if p}
    runtimes = [open_object(p) for p in sorted(linked) if _RUNTIMES.match(os.path.basename(p))]
    own = dict.fromkeys((place, open_object(program)))
    found = [u for each in own for u in _in_program(each)] + [u for each in runtimes for u in _in_library(each)]
    return tuple(dict.fromkeys(found))


def _in_program(program: UserObject) -> Iterator[Unwinder]:
    # the C library's _Unwind_Resume calls libgcc's
    names = sorted(_UNWINDS) if "_Unwind_RaiseException" in program.functions else []
    for name in (*names, _CATCHES):
        for function in program.functions.get(name, ()):
            yield from _unwinder(program, name, function.address)


def _in_library(library: UserObject) -> Iterator[Unwinder]:
    for symbol in library.elf.symbols(".dynsym"):
        name = symbol.name.partition("@")[0]
        if symbol.section and (name in _UNWINDS or name == _CATCHES):
            yield from _unwinder(library, name, symbol.value)


def _unwinder(owner: UserObject, name: str, address: int) -> Iterator[Unwinder]:
    offset = owner.file_offset(address)
    if offset is not None:
        yield Unwinder(owner.path, offset, name == _CATCHES)


def caution(path: str, found: tuple[Unwinder, ...]) -> str:
    """What to say of returns where nothing is known to be called when an exception was caught."""
    if any(u.catches for u in found):
        return ""
    return f"{path}: calls in which an exception is thrown are not seen to return, though it is caught in them"


def caution_of_hidden(place: UserObject) -> str:
    """What to say of returns in code that passes exceptions on to something that has no name here."""
    if place.elf.section(".gcc_except_table") is None:
        return ""
    return (
        f"{place.path}: an exception that passes a call whose return is probed ends the program: what unwinds its "
        "stack is linked into it and has no symbols; probe its calls instead"
    )


def unsafe(program: UserObject) -> dict[int, str]:
    """Link-time addresses whose return must not be probed, with the reason."""
    called = [(f.name, f.address) for f in program.matching("*")] + list(program.plt())
    found = {address: reason for name, address in called for names, reason in _UNSAFE if names.fullmatch(name)}
    return found | {program.entry: _NOT_CALLED}
