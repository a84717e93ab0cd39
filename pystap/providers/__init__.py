"""Probe-point families (PROVIDERS, in matching order) and the mechanisms that arm them (ENGINES, in starting order)."""

from __future__ import annotations

from pystap.providers.base import Provider
from pystap.providers.begin import Begin, Never
from pystap.providers.hwbreakpoint import KernelData
from pystap.providers.kernel_function import KernelFunction
from pystap.providers.kprobe import Kprobe
from pystap.providers.mark import MarkPoints
from pystap.providers.netfilter import Netfilter
from pystap.providers.perf import Perf
from pystap.providers.process import ProcessPoints
from pystap.providers.procfs import Procfs
from pystap.providers.timer import Timer
from pystap.providers.tracepoint import KernelTrace
from pystap.providers.uprobe import Uprobe
from pystap.providers.watch import ProcessData

PROVIDERS: tuple[Provider, ...] = (
    Begin(),
    Never(),
    Timer(),
    KernelFunction(),
    Kprobe(),
    KernelTrace(),
    Netfilter(),
    Perf(),
    KernelData(),
    ProcessData(),
    Procfs(),
    Uprobe(),
    MarkPoints(),
    ProcessPoints(),
)

# begin starts first and stops last, so that end probes run when nothing else does; timer starts late, so that the
# first interval is whole, however long the others took to arm; and files appear when they are about to answer.
# Of each: the stem of runtime/engines/STEM.h and codegen/templates/engines/STEM.c.j2. Sites of "never" have no engine.
ENGINES: tuple[str, ...] = (
    "begin", "tracepoint", "kprobe", "netfilter", "perf", "perf_task", "hwbreakpoint", "uprobe", "process", "timer",
    "procfs",
)  # fmt: skip

# Those that arm and disarm a site by its condition; hits of the others ask it.
REARMED = frozenset({"timer", "tracepoint", "kprobe", "uprobe", "perf", "hwbreakpoint"})

__all__ = ["ENGINES", "PROVIDERS", "REARMED"]
