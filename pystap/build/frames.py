"""How much of the kernel's stack a module's functions take by themselves, as gcc has measured it (-fstack-usage)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pystap.diagnostics import StapError

USUAL = 768  # bytes that every hit has to find free beside MINSTACKSPACE: STAP_LARGEST_FRAME in runtime/limits.h
LARGEST = 6144  # of the 16 kB that a kernel's stack has; more would hardly ever be free


@dataclass(frozen=True, slots=True)
class Frame:
    """A function's locals and saved registers."""

    function: str
    size: int
    bounded: bool


def largest(report: Path) -> Frame:
    """The largest frame of a .su file: lines of `file:line:column:function`, bytes, `static` or `dynamic[,bounded]`."""
    found = Frame("", 0, True)
    for line in report.read_text(errors="replace").splitlines():
        place, size, kind = line.split("\t")
        frame = Frame(place.rpartition(":")[2], int(size), kind != "dynamic")
        if (not frame.bounded, frame.size) > (not found.bounded, found.size):
            found = frame
    return found


def check(frame: Frame) -> None:
    """Refuses what no kernel's stack has room for."""
    name = frame.function.removeprefix("f_").partition(".")[0]
    if not frame.bounded:
        raise StapError(
            f"the function {name} takes as much of the kernel's stack as it needs at run time: give its arrays a size"
        )
    if frame.size > LARGEST:
        raise StapError(
            f"the function {name} takes {frame.size} bytes of the kernel's stack, of which there are few kB "
            f"(at most {LARGEST} are allowed): use fewer or smaller local variables"
        )
