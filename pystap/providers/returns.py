"""Functions of programs whose return must not be probed: a uretprobe would break the program.

The kernel probes a return by replacing the word on top of the stack at the function's entry (kernel/events/uprobes.c,
prepare_uretprobe()). That is wrong where this word is no return address, and where the function keeps it for later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pystap.diagnostics import Unresolved

if TYPE_CHECKING:
    from pystap.debuginfo.user import UserObject

_GO = "return probes would break it: Go's runtime moves its stacks, and with them the return addresses"
_NOT_CALLED = "it is not called, so it has nowhere to return to"
_UNSAFE = (
    # begun by the kernel or by a jump: the stack's top is argc, what lazy binding pushed, or a signal's frame
    (re.compile(r"_start|_dl_start_user|_dl_runtime_.*|_dl_tlsdesc_.*|__restore_rt"), _NOT_CALLED),
    # who returns twice: the second time to an address that nobody keeps any more, and the kernel sends SIGILL
    (re.compile(r"_*(sig)?setjmp|(__)?getcontext|(__)?swapcontext"), "it keeps its return address and returns twice"),
)
_THROWING = frozenset({"_Unwind_RaiseException", "__cxa_throw", "__cxa_rethrow", "__cxa_begin_catch"})


def refuse_go(program: UserObject) -> None:
    """Raises Unresolved for a program whose stacks move."""
    if program.is_go:
        raise Unresolved(f"{program.path} is a Go program: {_GO}", hint="probe its calls instead")


def caution(program: UserObject) -> str:
    """What to say of the returns of a program that throws exceptions: the unwinder finds no function at the word."""
    names = {symbol.name.partition("@")[0] for symbol in program.elf.symbols(".dynsym")}
    if _THROWING.isdisjoint(names) and _THROWING.isdisjoint(program.functions):
        return ""
    return f"{program.path} throws C++ exceptions: one that passes a function whose .return is probed ends the program"


def unsafe(program: UserObject) -> dict[int, str]:
    """Link-time addresses whose return must not be probed, with the reason."""
    called = [(f.name, f.address) for f in program.matching("*")] + list(program.plt())
    found = {address: reason for name, address in called for names, reason in _UNSAFE if names.fullmatch(name)}
    return found | {program.entry: _NOT_CALLED}
