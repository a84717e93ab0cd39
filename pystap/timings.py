"""The figures that -v prints of each pass: time and memory."""

from __future__ import annotations

import resource
import time
from pathlib import Path


class Timer:
    """Time since its making, as stap prints it: usr/sys/real ms, children included."""

    def __init__(self) -> None:
        self._start = (*self._cpu(), time.monotonic())

    def __str__(self) -> str:
        now = (*self._cpu(), time.monotonic())
        user, system, real = (round(1000 * (b - a)) for a, b in zip(self._start, now, strict=True))
        return f"{user}usr/{system}sys/{real}real ms"

    @staticmethod
    def _cpu() -> tuple[float, float]:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + children.ru_utime, own.ru_stime + children.ru_stime


def memory() -> str:
    """Virtual, resident, shared and data sizes of this process (proc(5), statm)."""
    try:
        pages = [int(n) * 4 for n in Path("/proc/self/statm").read_text().split()]
    except OSError:
        return "0virt/0res/0shr/0data kb"
    return f"{pages[0]}virt/{pages[1]}res/{pages[2]}shr/{pages[5]}data kb"
