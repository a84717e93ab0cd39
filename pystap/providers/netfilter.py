"""netfilter.hook("h").pf("p").priority("n"): packets on their way through the network stack."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pystap.debuginfo.api import Kind, Root
from pystap.debuginfo.ctype import VOID, CType, Int, Lazy, Pointer
from pystap.diagnostics import Unresolved
from pystap.ir.nodes import Field, Space
from pystap.providers.base import Request, Resolved

if TYPE_CHECKING:
    from pystap.target import Target

_FAMILIES = {
    "NFPROTO_INET": 1, "NFPROTO_IPV4": 2, "NFPROTO_ARP": 3, "NFPROTO_NETDEV": 5, "NFPROTO_BRIDGE": 7,
    "NFPROTO_IPV6": 10, "PF_INET": 2, "PF_BRIDGE": 7, "PF_INET6": 10,
}  # fmt: skip
_STEPS = ("PRE_ROUTING", "LOCAL_IN", "FORWARD", "LOCAL_OUT", "POST_ROUTING")
_INET = {f"{prefix}_{step}": n for prefix in ("NF_INET", "NF_IP", "NF_IP6") for n, step in enumerate(_STEPS)}
_BRIDGE = {f"NF_BR_{step}": n for n, step in enumerate((*_STEPS, "BROUTING"))}
_ARP = {"NF_ARP_IN": 0, "NF_ARP_OUT": 1, "NF_ARP_FORWARD": 2}
_HOOKS = {1: _INET, 2: _INET, 3: _ARP, 5: {"NF_NETDEV_INGRESS": 0, "NF_NETDEV_EGRESS": 1}, 7: _BRIDGE, 10: _INET}
_LEAST, _MOST = -(2**31), 2**31 - 1
_IP_PRIORITIES = {
    "FIRST": _LEAST, "RAW_BEFORE_DEFRAG": -450, "CONNTRACK_DEFRAG": -400, "RAW": -300, "SELINUX_FIRST": -225,
    "CONNTRACK": -200, "MANGLE": -150, "NAT_DST": -100, "FILTER": 0, "SECURITY": 50, "NAT_SRC": 100,
    "SELINUX_LAST": 225, "CONNTRACK_HELPER": 300, "CONNTRACK_CONFIRM": _MOST, "LAST": _MOST,
}  # fmt: skip
_BRIDGE_PRIORITIES = {
    "FIRST": _LEAST, "NAT_DST_BRIDGED": -300, "FILTER_BRIDGED": -200, "BRNF": 0, "NAT_DST_OTHER": 100,
    "FILTER_OTHER": 200, "NAT_SRC": 300, "LAST": _MOST,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class NetfilterSite:
    """A hook of a protocol family, by the kernel's numbers."""

    hook: int
    family: int
    priority: int = 0
    engine: ClassVar[str] = "netfilter"


class NetfilterScope:
    """$hooknum $skb $in $out $okfn, and $verdict, which guru mode may assign."""

    space = Space.KERNEL

    def __init__(self, target: Target) -> None:
        self._target = target

    def lookup(self, name: str) -> Root:
        """The value `name`."""
        if name == "verdict":
            return Root(Field("verdict"), _INT, writable=True)
        if name not in _NAMES:
            listed = " ".join(f"${n}" for n in (*_NAMES, "verdict"))
            raise Unresolved(f"unable to find netfilter variable '${name}' (alternatives: {listed})", _NAMES)
        return Root(Field("arg", list(_NAMES).index(name)), self._type(_NAMES[name]))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """What the hook receives."""
        return () if kind == "locals" else tuple(_NAMES)

    def result(self) -> CType | None:
        """Hooks return their verdict by $verdict."""
        return None

    def _type(self, pointed: str) -> CType:
        if not pointed:
            return _INT
        if pointed == "void":
            return Pointer(Lazy.of(VOID))
        return Pointer(Lazy(lambda: self._target.kernel_info().type(pointed)))


_INT = Int("int", 4, True)
_NAMES = {"hooknum": "", "skb": "struct sk_buff", "in": "struct net_device", "out": "struct net_device", "okfn": "void"}


class Netfilter:
    """netfilter.hook().pf(), in either order, with an optional priority."""

    patterns: ClassVar[tuple[str, ...]] = (
        "netfilter.hook(str).pf(str)[.priority(str)]",
        "netfilter.pf(str).hook(str)[.priority(str)]",
    )

    def resolve(self, request: Request) -> Iterable[Resolved]:
        """The one hook that the point names; raises Unresolved for names that the kernel does not have."""
        given = {c.name: str(c.argument) for c in request.point.components if c.argument is not None}
        if not request.target.has_config("NETFILTER"):
            raise Unresolved("this kernel was built without CONFIG_NETFILTER")
        family = _named(given["pf"], _FAMILIES, "protocol family")
        hooks = _HOOKS[family]
        hook = _named(given["hook"], hooks, f"hook of {given['pf']}")
        priority = _priority(given.get("priority", "0"), family)
        site = NetfilterSite(hook, family, priority)
        yield Resolved(site, NetfilterScope(request.target), str(request.point), context="kernel")


def _named(text: str, known: dict[str, int], what: str) -> int:
    if text in known:
        return known[text]
    if text.isdigit() and int(text) in known.values():
        return int(text)
    raise Unresolved(f"unknown {what} '{text}' (similar: {', '.join(known)})")


def _priority(text: str, family: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        for prefix, known in (
            ("NF_IP_PRI_", _IP_PRIORITIES),
            ("NF_IP6_PRI_", _IP_PRIORITIES),
            ("NF_BR_PRI_", _BRIDGE_PRIORITIES),
        ):
            if text.startswith(prefix) and text.removeprefix(prefix) in known:
                return known[text.removeprefix(prefix)]
        listed = ", ".join(f"NF_IP_PRI_{n}" for n in _IP_PRIORITIES)
        raise Unresolved(f"unknown netfilter priority '{text}' (a number, or one of {listed})") from None
    if not _LEAST <= value <= _MOST:
        raise Unresolved(f"netfilter priority {text} out of range ({_LEAST}, {_MOST})")
    return value
