"""How fast this machine's time stamp counter runs, which an emulated guest sees as its own.

The guest's kernel would measure it against an emulated timer, and on a busy machine be wrong by as much as 25 times.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import time
from collections.abc import Callable
from functools import lru_cache

_RDTSC = bytes.fromhex("0f3148c1e2204809d0c3")  # rdtsc; shl rdx, 32; or rax, rdx; ret
_SECONDS = 0.02
_ROUNDS = 3
_STEP = 100  # kHz: the same machine gives the same answer


@lru_cache(maxsize=1)
def tsc_khz() -> int | None:
    """Its ticks in a millisecond; None where it cannot be read."""
    if platform.machine() != "x86_64":
        return None
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:
        return None
    page.write(_RDTSC)
    anchor = ctypes.c_char.from_buffer(page)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(anchor))
    found = sorted(_measure(read) for _ in range(_ROUNDS))[_ROUNDS // 2]
    del read, anchor
    page.close()
    return round(found / _STEP) * _STEP


def _measure(read: Callable[[], int]) -> float:
    """Both clocks are read next to each other; where something came between, the reading is taken again."""
    first_ticks, first_ns = _reading(read)
    time.sleep(_SECONDS)
    last_ticks, last_ns = _reading(read)
    return (last_ticks - first_ticks) * 1e6 / (last_ns - first_ns)


def _reading(read: Callable[[], int]) -> tuple[int, int]:
    best = (1 << 62, 0, 0)
    for _ in range(10):
        before = time.monotonic_ns()
        ticks = read()
        after = time.monotonic_ns()
        best = min(best, (after - before, ticks, (before + after) // 2))
    return best[1], best[2]
