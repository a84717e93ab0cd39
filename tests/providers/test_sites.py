"""What points resolve to, against a small made-up kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from pystap.debuginfo.api import Function, Tracepoint
from pystap.debuginfo.ctype import Int, Lazy, Pointer, Struct
from pystap.debuginfo.symtab import KernelSymbol, SymbolTable
from pystap.diagnostics import Unresolved
from pystap.elaborate.points import PointTree
from pystap.options import Options
from pystap.providers import ENGINES, PROVIDERS
from pystap.providers.base import NoScope, Request, Resolved
from pystap.providers.begin import BeginSite
from pystap.providers.kprobe import KprobeSite
from pystap.providers.netfilter import NetfilterSite
from pystap.providers.timer import TimerSite
from pystap.providers.tracepoint import TracepointSite

from .test_points import point

LONG = Int("long", 8, True)
WIDE = Struct("struct", "wide", 24, lambda: ())

SYMBOLS = [
    KernelSymbol("sprint_symbol", 0x1000, "T", "f", 64),
    KernelSymbol("vfs_read", 0x2000, "T", "f", 64),
    KernelSymbol("vfs_write", 0x3000, "t", "", 64),
    KernelSymbol("twice", 0x4000, "t", "f", 64),
    KernelSymbol("twice", 0x800, "t", "f", 64),
    KernelSymbol("vfs_gone", 0x5000, "T", "i", 64),
    KernelSymbol("vfs_table", 0x6000, "d", "", 64),
    KernelSymbol("vfs_read.cold", 0x7000, "t", "", 64),
    KernelSymbol("preempt_schedule_notrace", 0x8000, "T", "", 64),
    KernelSymbol("preempt_schedule_irq", 0x9000, "T", "f", 64),
]


@dataclass
class Info:
    module: str | None
    names: tuple[str, ...]

    def functions(self, pattern: str) -> Iterator[Function]:
        from fnmatch import fnmatchcase

        return (Function(n, self.module) for n in self.names if fnmatchcase(n, pattern))

    def scope(self, function: Function) -> Any:
        return NoScope(function.name)


@dataclass
class FakeTarget:
    exports: dict[str, str] = field(default_factory=lambda: {"vfs_read": "EXPORT_SYMBOL"})
    debuginfo_advice: str = "pystap-prep --debuginfo"

    def has_config(self, name: str) -> bool:
        return name == "NETFILTER"

    def symbols(self) -> SymbolTable:
        return SymbolTable.of(SYMBOLS)

    def dwarf(self, module: str | None = None) -> None:
        """No DWARF: symbols and BTF answer."""

    def demand_dwarf(self, module: str | None = None) -> None:
        """No DWARF: symbols and BTF answer."""

    def kernel_info(self) -> Info:
        return Info(None, tuple(s.name for s in SYMBOLS))

    def modules(self, pattern: str) -> list[str]:
        from fnmatch import fnmatchcase

        return [m for m in ("ext4", "nf_nat") if fnmatchcase(m, pattern)]

    def module_info(self, name: str) -> Info:
        if name not in ("ext4", "nf_nat"):
            raise Unresolved(f"no module '{name}'")
        return Info(name, (f"{name}_read", f"{name}_write", f"__pfx_{name}_read"))

    def tracepoints(self, pattern: str) -> Iterator[Tracepoint]:
        from fnmatch import fnmatchcase

        known = [
            Tracepoint("sched", "sched_switch", (("prev", Pointer(Lazy.of(LONG))), ("next", LONG))),
            Tracepoint("sched", "wide", (("w", WIDE),)),
        ]
        return (t for t in known if fnmatchcase(t.name, pattern) or fnmatchcase(f"{t.system}:{t.name}", pattern))


def resolve(text: str, guru: bool = False) -> list[Resolved]:
    found: list[Resolved] = []
    for match in PointTree(PROVIDERS).match(point(text)):
        target: Any = FakeTarget()
        request = Request(match.pattern, match.arguments, match.point, target, Options(guru=guru))
        found.extend(match.owner.resolve(request))
    return found


def sites(text: str) -> list[Any]:
    return [r.site for r in resolve(text)]


def why(text: str) -> Unresolved:
    with pytest.raises(Unresolved) as caught:
        resolve(text)
    return caught.value


def test_session_points() -> None:
    assert sites("begin") == [BeginSite("begin", 0)]
    assert sites("end(-5)") == [BeginSite("end", -5)]
    assert BeginSite("error").state == "STAP_STATE_ERROR"
    assert sites("never")[0].engine not in ENGINES


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("timer.s(2)", TimerSite("hrtimer", 2_000_000_000)),
        ("timer.ms(10).randomize(3)", TimerSite("hrtimer", 10_000_000, 3_000_000)),
        ("timer.nsec(100000)", TimerSite("hrtimer", 100_000)),
        ("timer.hz(4)", TimerSite("hrtimer", 250_000_000)),
        ("timer.jiffies(5).randomize(5)", TimerSite("jiffies", 5, 5)),
        ("timer.profile.tick", TimerSite("tick", 0)),
    ],
)
def test_timers(text: str, site: TimerSite) -> None:
    assert sites(text) == [site]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("timer.s(0)", "interval value out of range (1, 86400)"),
        ("timer.ms(-3)", "interval value out of range (1, 86400000)"),
        ("timer.us(10)", "interval value out of range (100, 86400000000)"),
        ("timer.ns(5)", "interval value out of range (100000, 86400000000000)"),
        ("timer.hz(0)", "frequency must be greater than 0"),
        ("timer.hz(100000000)", "interval value out of range (100000, 86400000000000)"),
        ("timer.s(1).randomize(4)", "randomization value out of range"),
    ],
)
def test_timers_out_of_range(text: str, reason: str) -> None:
    assert why(text).reason == reason


def test_kernel_functions_are_placed_by_their_distance() -> None:
    assert sites('kernel.function("vfs_read")') == [KprobeSite("vfs_read", distance=0x1000, fentry=True)]
    assert sites('kernel.function("vfs_*").call') == [
        KprobeSite("vfs_read", distance=0x1000, fentry=True),
        KprobeSite("vfs_write", distance=0x2000),
    ]
    assert {s.distance for s in sites('kprobe.function("twice")')} == {0x3000, -0x800}
    assert KprobeSite("twice", distance=-0x800).place == 2**64 - 0x800


def test_returns() -> None:
    (resolved,) = resolve('kernel.function("vfs_write").return.maxactive(9)')
    assert resolved.site == KprobeSite("vfs_write", distance=0x2000, is_return=True, maxactive=9)
    assert resolved.is_return
    assert resolved.point == 'kernel.function("vfs_write").return.maxactive(9)'
    assert "maxactive" in why('kernel.function("vfs_write").return.maxactive(0)').reason


def test_returns_that_the_way_out_of_a_return_calls_are_never_probed() -> None:
    """As a kernel with PREEMPT_RT showed, whose stack ran over."""
    assert [s.symbol for s in sites('kernel.function("preempt_*").return')] == ["preempt_schedule_irq"]
    assert [s.symbol for s in sites('kprobe.function("preempt_*").return')] == ["preempt_schedule_irq"]
    assert len(sites('kernel.function("preempt_*")')) == 2


def test_exported_functions() -> None:
    assert [s.symbol for s in sites('kernel.function("vfs_*").exported')] == ["vfs_read"]


def test_module_functions() -> None:
    found = resolve('module("*").function("*_read").return')
    assert [r.site for r in found] == [
        KprobeSite("ext4_read", "ext4", fentry=True, is_return=True),
        KprobeSite("nf_nat_read", "nf_nat", fentry=True, is_return=True),
    ]
    assert found[0].point == 'module("ext4").function("ext4_read").return'
    assert why('module("nosuch").function("f")').reason == "no module 'nosuch'"
    assert why('kprobe.module("ext4").function("f")').reason == "no match"


def test_near_misses_are_named() -> None:
    assert "similar functions: vfs_read" in why('kernel.function("vfs_raed")').reason


@pytest.mark.parametrize(
    "text", ['kernel.function("f@x.c")', 'kernel.function("f").inline', 'kernel.statement("f@x.c:3")']
)
def test_what_needs_dwarf_says_so(text: str) -> None:
    error = why(text)
    assert "DWARF" in error.reason
    assert error.hint == "pystap-prep --debuginfo"


def test_raw_addresses_need_guru_mode() -> None:
    assert "need stap -g" in why("kprobe.statement(4096).absolute").reason
    assert [r.site for r in resolve("kprobe.statement(4096).absolute", guru=True)] == [KprobeSite("", address=4096)]


def test_tracepoints() -> None:
    (resolved,) = resolve('kernel.trace("sched_switch")')
    assert resolved.site == TracepointSite("sched_switch", 2)
    assert resolved.point == 'kernel.trace("sched:sched_switch")'
    assert resolved.scope.names("parms") == ("prev", "next")
    assert "larger than a register" in why('kernel.trace("wide")').reason
    assert sites('kernel.trace("*")') == [TracepointSite("sched_switch", 2)], "those by value are left out of globs"
    assert why('kernel.trace("nosuch")').reason == "no match"


def test_netfilter_hooks() -> None:
    assert sites('netfilter.hook("NF_INET_LOCAL_OUT").pf("NFPROTO_IPV4")') == [NetfilterSite(3, 2)]
    assert sites('netfilter.pf("NFPROTO_ARP").hook("NF_ARP_OUT").priority("-7")') == [NetfilterSite(1, 3, -7)]
    assert sites('netfilter.hook("2").pf("NFPROTO_IPV6").priority("NF_IP6_PRI_MANGLE")') == [NetfilterSite(2, 10, -150)]
    assert "NF_ARP_IN" in why('netfilter.hook("NF_INET_LOCAL_IN").pf("NFPROTO_ARP")').reason
    assert "NFPROTO_IPV4" in why('netfilter.hook("NF_INET_LOCAL_IN").pf("IPV4")').reason
    (resolved,) = resolve('netfilter.hook("NF_INET_FORWARD").pf("NFPROTO_IPV4")')
    assert resolved.scope.names("vars") == ("hooknum", "skb", "in", "out", "okfn")
    assert resolved.scope.lookup("verdict").writable
