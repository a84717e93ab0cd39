"""What the aliases say of packets, beside what the wire carries: two networks behind a guest that forwards and bridges.

The guest's packets/lab.sh makes two name spaces, A and B, with a routed network each (devices ra and rb of the guest)
and a bridged one (sa and sb of br0). `net sniff` shows what tcpdump would: each packet of each device.
"""

from __future__ import annotations

import re
import shutil
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pystap import paths
from pystap.run import binaries
from pystap.run.kernels import Kernel, module_content
from pystap.run.program import libraries
from pystap.run.vm import Guest
from tests.support.cc import compile_c
from tests.support.kernels import RUNNER, can_boot
from tests.support.quiet import kept_guests
from tests.support.stage import Scene

pytestmark = pytest.mark.vm
HERE = Path(__file__).parent
SCRIPTS = HERE / "packets"
TC = shutil.which("tc") or "/usr/sbin/tc"
BPDU = bytes.fromhex("4242030000000001800100112233445500000004800200112233446680030100140002000f00")
LINKS = "for p in 1 $(cat /tmp/a) $(cat /tmp/b); do nsenter -t $p -n ip link; done"


class Lab(Scene):
    """Networks, a program that talks, and a command `a` that runs another in the name space A."""

    scripts = SCRIPTS

    def boot(self, kernel: Kernel) -> Guest:
        net = compile_c((HERE / "user" / "net.c").read_text(), "-static", "-O1", name="net.c")
        files = {RUNNER: binaries.runner(), "/bin/net": net, "/usr/local/sbin/tc": Path(TC)}
        modules = ("veth", "bridge", "dummy", "sch_netem")
        return Guest(kernel, modules=modules, files=files, host_files=tuple(libraries(TC)), cpus=2)

    def prepare(self, guest: Guest) -> None:
        guest.put("/bin/a", b'#!/bin/sh\nexec nsenter -t $(cat /tmp/a) -n "$@"\n', 0o755)
        guest.put("/tmp/lab", (SCRIPTS / "lab.sh").read_bytes())
        self.sh("sh /tmp/lab")


@pytest.fixture(scope="module")
def labs() -> Iterator[dict[str, Guest]]:
    yield from kept_guests()


@pytest.fixture
def lab(series: str, labs: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> Lab:
    reason = can_boot()
    if reason:
        pytest.skip(reason)
    return Lab(series, capsys, labs)


def mac(data: bytes) -> str:
    return data.hex(":")


def text(data: bytes) -> str:
    """Bytes as a script shows them: escapes for what can not be printed."""
    known = {7: r"\a", 8: r"\b", 9: r"\t", 10: r"\n", 11: r"\v", 12: r"\f", 13: r"\r", 92: r"\\"}
    return "".join(known.get(b, chr(b) if 32 <= b < 127 else f"\\{b:03o}") for b in data)


def decoded_ip(data: bytes) -> str:
    """What an IP packet holds, in the script's order."""
    if data[0] >> 4 == 4:
        size, family, protocol, ends = (data[0] & 15) * 4, 2, data[9], (data[12:16], data[16:20])
        pair = [socket.inet_ntop(socket.AF_INET, end) for end in ends]
    else:
        size, family, protocol, ends = 40, 10, data[6], (data[8:24], data[24:40])
        pair = [socket.inet_ntop(socket.AF_INET6, end) for end in ends]
    ports = struct.unpack_from("!HH", data, size) if protocol in (6, 17) else (0, 0)
    flags = data[size + 13] if protocol == 6 else 0
    bits = "".join(str(flags >> bit & 1) for bit in (5, 4, 3, 2, 1, 0))
    return f"{family} {pair[0]} {pair[1]} {protocol} {ports[0]} {ports[1]} {bits} {size} {size}"


def decoded_arp(data: bytes) -> str:
    hard, protocol, hlen, plen, op = struct.unpack_from("!HHBBH", data)
    sender, asked = data[8:18], data[18:28]
    ends = (mac(sender[:6]), socket.inet_ntoa(sender[6:]), mac(asked[:6]), socket.inet_ntoa(asked[6:]))
    return f"0 {hard} {protocol} {hlen} {plen} {op} {' '.join(ends)} 8"


def decoded_bridge(data: bytes) -> str:
    """The BPDU in an LLC frame; of other packets only their first byte."""
    if data[0] != 0x42:
        return f"{data[0]} 0 0 0 0 0 . 0 0 . 0 0 0 0 0 3"
    form = struct.unpack_from("!HBBBH6sIH6sHHHHH", data, 3)
    return " ".join((str(data[0]), *(f"{mac(v)}." if isinstance(v, bytes) else str(v) for v in form), "3"))


@dataclass(frozen=True)
class Hit:
    """A packet at a hook, as the script tells it."""

    kind: str
    hook: str
    pf: str
    indev: str
    outdev: str
    macs: tuple[str, str, str, str]
    length: int
    data: str
    rest: str

    @staticmethod
    def of(line: str) -> Hit:
        kind, point, pf, indev, outdev, *middle, rest = line.split(" ", 11)
        found = re.fullmatch(r'netfilter\.hook\("(\w+)"\)\.pf\("NFPROTO_(\w+)"\)', point)
        assert found, point
        assert found[2].lower() == pf
        in_length, in_mac, out_length, out_mac, length, data = middle
        macs = (in_length, in_mac[:-1], out_length, out_mac[:-1])
        data = data[28:] if found[1] == "NF_ARP_OUT" else data  # where the Ethernet header is there already
        return Hit(kind, found[1], pf, indev[:-1], outdev[:-1], macs, int(length), data, rest)


DECODERS = {"ip": decoded_ip, "arp": decoded_arp, "bridge": decoded_bridge}


def test_netfilter(lab: Lab) -> None:
    """Each variable of netfilter.ip, .arp and .bridge at each hook, for each packet that a sniffer sees."""
    lines = lab.lines("netfilter.stp", (SCRIPTS / "talk.sh").read_text(), "-DMAXSTRINGLEN=1024")
    hits = [Hit.of(line) for line in lines if line.startswith(("ip ", "arp ", "bridge "))]
    sniffed = [line.split() for line in lab.sh("cat /tmp/sniffed").splitlines() if line != "ready"]
    addresses = dict(re.findall(r"^\d+: (\w+)[^\n]*\n +link/\w+ (\S+)", lab.sh(LINKS), re.MULTILINE))
    for hit in hits:
        data = bytes.fromhex(hit.data)
        present = [device for device in (hit.indev, hit.outdev) if device]
        tail = f" {int(bool(hit.indev))} {int(bool(hit.outdev))}" if hit.kind == "ip" else ""
        assert hit.rest == DECODERS[hit.kind](data) + tail, hit
        assert hit.length == len(data) + 14 * (hit.hook == "NF_ARP_OUT")
        assert present, hit
        for device, length, address in ((hit.indev, *hit.macs[:2]), (hit.outdev, *hit.macs[2:])):
            assert (length, address) == (("6", addresses[device]) if device else ("0", "")), hit
    own = [h for h in hits if not (h.indev + h.outdev).startswith("veth")]
    check_the_wire(own, sniffed)
    check_the_ways(own)
    assert len(own) < len(hits), "hooks are in every name space"
    assert "constants 6 17 0 1 2 3 4 5 66" in lines
    for line in lines:
        if line.startswith("text "):
            _, data_hex, shown = line.split(" ", 2)
            assert shown == text(bytes.fromhex(data_hex))


def check_the_wire(hits: list[Hit], sniffed: list[list[str]]) -> None:
    """The hooks next to a device have seen what the sniffer has seen there."""
    routed = {"ra", "rb", "br0"}
    for way, kinds, hooks in (
        ("in", ("0800", "86dd"), ("NF_INET_PRE_ROUTING", "NF_IP6_PRE_ROUTING")),
        ("out", ("0800", "86dd"), ("NF_INET_POST_ROUTING", "NF_IP6_POST_ROUTING")),
        ("in", ("0806",), ("NF_ARP_IN",)),
        ("out", ("0806",), ("NF_ARP_OUT",)),
    ):
        wire = Counter((dev, data) for dev, to, kind, data in sniffed if to == way and kind in kinds and dev in routed)
        seen = Counter((h.indev if way == "in" else h.outdev, h.data) for h in hits if h.hook in hooks)
        assert wire, (way, kinds)
        assert wire - seen == Counter(), (way, kinds)
        assert all(dev not in routed or data.startswith("6") for dev, data in seen - wire), (way, kinds)
    for way, hook in (("in", "NF_BR_PRE_ROUTING"), ("out", "NF_BR_POST_ROUTING")):
        ports = [(data, kind) for dev, to, kind, data in sniffed if to == way and dev in ("sa", "sb")]
        wire = Counter(data for data, kind in ports if kind != "86dd")  # what a port itself has to say is IPv6
        seen = Counter(h.data for h in hits if h.hook == hook)
        assert wire, hook
        assert wire - seen == Counter(), hook


def check_the_ways(hits: list[Hit]) -> None:
    """A packet passes the hooks of its way through the guest, in order, with the devices of its way."""

    def way(kind: str, wanted: str) -> list[tuple[str, str, str]]:
        return [(h.hook, h.indev, h.outdev) for h in hits if h.kind == kind and wanted in h.rest]

    through = [("PRE_ROUTING", "ra", ""), ("FORWARD", "ra", "rb"), ("POST_ROUTING", "ra", "rb")]
    assert way("ip", "2 10.1.0.2 10.2.0.2 1 ") == [(f"NF_INET_{hook}", *devices) for hook, *devices in through]
    assert way("ip", "10 fd01::2 fd02::2 58 ") == [(f"NF_IP6_{hook}", *devices) for hook, *devices in through]
    assert way("ip", "2 10.3.0.2 10.3.0.1 1 ") == [("NF_INET_PRE_ROUTING", "br0", ""), ("NF_INET_LOCAL_IN", "br0", "")]
    assert way("ip", "2 10.3.0.1 10.3.0.2 1 ") == [
        ("NF_INET_LOCAL_OUT", "", "br0"), ("NF_INET_POST_ROUTING", "", "br0"),
    ]  # fmt: skip
    ping = "0a0300020a030003"
    assert [(h.hook, h.indev, h.outdev) for h in hits if h.kind == "bridge" and ping in h.data and h.length == 84] == [
        ("NF_BR_PRE_ROUTING", "sa", ""), ("NF_BR_FORWARD", "sa", "sb"), ("NF_BR_POST_ROUTING", "", "sb"),
    ]  # fmt: skip
    bpdu = [h for h in hits if h.data == BPDU.hex()]
    known = "66 0 0 0 1 32769 00:11:22:33:44:55. 4 32770 00:11:22:33:44:66. 32771 256 5120 512 3840 3"
    assert {h.rest for h in bpdu} == {known}
    assert {h.hook for h in bpdu} >= {"NF_BR_PRE_ROUTING", "NF_BR_FORWARD", "NF_BR_LOCAL_IN"}
    assert {h.hook for h in hits if h.kind == "bridge"} >= {"NF_BR_LOCAL_OUT"}


VERDICTS = """
probe netfilter.ipv4.forward {
    if (protocol == ipproto_udp)
        $verdict = dport == 7001 ? nf_drop : dport == 7003 ? nf_stop : dport == 7004 ? nf_repeat
                 : dport == 7005 ? nf_stolen : nf_accept
}
probe netfilter.ipv6.local_in { if (protocol == ipproto_udp && dport == 7001) $verdict = nf_drop }
probe netfilter.arp.in { if (ar_tip == "10.1.0.77") { $verdict = nf_drop; refused++ } }
probe netfilter.bridge.forward { if (length == 84 + 33) $verdict = nf_drop }
global refused
probe end { printf("refused %d\\n", refused) }
"""
SEND = """net sniff > /tmp/sniffed &
sniffer=$!
until grep -q ready /tmp/sniffed; do sleep 0.05; done
for port in 7001 7002 7003 7004 7005; do a net udp 10.2.0.2 $port 5; done
a net udp fd01::1 7001 5
a net udp fd01::1 7002 5
a arping -f -c 2 -w 3 -I veth0 10.1.0.77
a ping -c1 -W1 -s 89 10.3.0.3
a ping -c1 -W1 -s 88 10.3.0.3
sleep 0.2
kill $sniffer
"""


def test_netfilter_verdicts(lab: Lab) -> None:
    """A dropped packet does not come out; others do, those with verdicts that kernels lose too."""
    done = lab.run(VERDICTS, SEND, "-g")
    assert (done.stdout, done.stderr, done.status) == (b"refused 2\n", b"", 0)
    sniffed = [line.split() for line in lab.sh("cat /tmp/sniffed").splitlines() if line != "ready"]

    def ports(device: str, way: str, kind: str, size: int) -> list[int]:
        data = [bytes.fromhex(d) for dev, to, k, d in sniffed if (dev, to, k) == (device, way, kind)]
        return [struct.unpack_from("!H", d, size + 2)[0] for d in data if d[9 if size == 20 else 6] == 17]

    assert ports("ra", "in", "0800", 20) == [7001, 7002, 7003, 7004, 7005]
    assert ports("rb", "out", "0800", 20) == [7002, 7003, 7004, 7005]
    assert ports("ra", "in", "86dd", 40) == [7001, 7002]
    refusals = [d for dev, way, kind, d in sniffed if (dev, way, kind) == ("ra", "out", "86dd") and d[12:14] == "3a"]
    assert len(refusals) == 1, "only the port that was reached is said to be closed"
    said = lab.sh("cat /tmp/said")
    assert said.count("100% packet loss") == 1
    assert said.count(" 0% packet loss") == 1


HALVES = """
    netfilter.ipv4.pre_routing netfilter.ipv4.local_in netfilter.ipv4.forward netfilter.ipv4.local_out
    netfilter.ipv4.post_routing netfilter.ipv6.pre_routing netfilter.ipv6.local_in netfilter.ipv6.forward
    netfilter.ipv6.local_out netfilter.ipv6.post_routing
"""
COUNTS = 'probe {0} {{ if (protocol == ipproto_udp && (sport == 53 || dport == 53)) n["{0}"]++ }}\n'
WAYS = {"local_out": 2, "local_in": 2, "forward": 2, "pre_routing": 4, "post_routing": 4}


def test_netfilter_halves(lab: Lab) -> None:
    """A datagram and its answer, through the guest: each of the three machines' hooks on its way, by family."""
    shows = 'global n probe end { foreach (k+ in n) printf("%s %d\\n", k, n[k]) }'
    script = "".join(map(COUNTS.format, HALVES.split())) + shows
    lines = lab.lines(script, "a net udp 10.2.0.2 53 60; for k in 1 2; do a net udp fd02::2 53 60; done")
    assert dict(line.split() for line in lines) == {
        f"netfilter.{pf}.{hook}": str(count * times)
        for pf, times in (("ipv4", 1), ("ipv6", 2))
        for hook, count in WAYS.items()
    }


FORWARDED_ARP = """
probe netfilter.arp.forward {
    if (ar_op == 1 || ar_op == 2)
        printf("%s %s %d %d %s %s %s\\n", indev_name, outdev_name, ar_op, ar_hln, ar_sip, ar_tip, ar_sha)
}
"""


def test_arp_that_a_bridge_forwards(lab: Lab) -> None:
    """Where bridges call arptables: the question goes one way, its answer the other."""
    kernel = lab.guest().kernel
    file = kernel.module("br_netfilter")
    assert file is not None
    lab.guest().put("/tmp/br_netfilter.ko", module_content(file))
    address = "nsenter -t $(cat /tmp/{}) -n ip link show veth{} | sed -n 's/.*ether \\([^ ]*\\).*/\\1/p'"
    try:
        lab.sh("insmod /tmp/br_netfilter.ko")
        lines = lab.lines(FORWARDED_ARP, "a arping -f -c 1 -w 3 -I veth1 10.3.0.3")
    finally:
        lab.sh("rmmod br_netfilter")
    macs = [lab.sh(address.format(*end)).strip() for end in (("a", 1), ("b", 3))]
    assert lines == [f"sa sb 1 6 10.3.0.2 10.3.0.3 {macs[0]}", f"sb sa 2 6 10.3.0.3 10.3.0.2 {macs[1]}"]


ORDER = """
probe netfilter.hook("NF_INET_LOCAL_OUT").pf("NFPROTO_IPV4").priority("NF_IP_PRI_LAST") { printf("last ") }
probe netfilter.hook("NF_INET_LOCAL_OUT").pf("NFPROTO_IPV4").priority("NF_IP_PRI_FIRST") { printf("first ") }
probe netfilter.pf("NFPROTO_IPV4").hook("NF_INET_LOCAL_OUT").priority("42") { printf("42 ") }
probe netfilter.ipv4.local_out { printf("0 ") }
probe netfilter.ipv4.local_out.priority("-5") { printf("-5 ") }
"""


def test_netfilter_priorities(lab: Lab) -> None:
    """Handlers run by priority, whatever their order in the script: for a datagram and its refusal."""
    (line,) = lab.lines(ORDER, "net udp 10.1.0.2 9 1")
    assert line.split() == ["first", "-5", "0", "42", "last"] * 2


COUNTED = "for p in 1 $(cat /tmp/a) $(cat /tmp/b); do nsenter -t $p -n cat /proc/net/snmp /proc/net/netstat; done"
REACHED = frozenset(  # by the workload, DelayedACKs nearly always; the others stay 0 on both sides
    "InReceives OutRequests ForwDatagrams InNoRoutes ReasmReqds FragOKs ActiveOpens PassiveOpens AttemptFails"
    " EstabResets InSegs OutSegs OutRsts ListenDrops ListenOverflows".split()
)


def counters(lab: Lab) -> Counter[str]:
    """What /proc/net/snmp and netstat of all name spaces add up to."""
    found: Counter[str] = Counter()
    rows = [line.split() for line in lab.sh(COUNTED).splitlines()]
    for names, values in zip(rows[::2], rows[1::2], strict=True):
        found.update({name: int(value) for name, value in zip(names[1:], values[1:], strict=True)})
    return found


def test_counters_of_ip_and_tcp(lab: Lab) -> None:
    """ipmib, tcpmib and linuxmib count what the kernel counts."""
    lab.guest()
    before = counters(lab)
    lines = lab.lines("counters.stp", (SCRIPTS / "count.sh").read_text(), "-DMAXTRYLOCK=100000")
    after = counters(lab)
    seen = {name: int(value) for name, value in (line.split() for line in lines if line.count(" ") == 1)}
    assert {name for name, value in seen.items() if value} - {"DelayedACKs"} == REACHED
    assert {n: value for n, value in seen.items() if value != after[n] - before[n]} == {}
    assert "port 2 2 2 1" in lines
    assert {line for line in lines if line.startswith("forw")} == {"forwarded 10.1.0.2 4", "forwarded 10.2.0.2 4"}
    assert {line for line in lines if line.startswith("cut")} == {
        "cut 127.0.0.1 2", "cut 10.1.0.2 1", "cut 10.2.0.2 1",
    }  # fmt: skip


LOSES = """/usr/local/sbin/tc qdisc add dev rb root netem loss 10%
/usr/local/sbin/tc qdisc add dev ra root netem loss 10%
for k in 1 2 3 4; do a net tcp 10.2.0.2 4242 30000 & done
for k in 1 2; do a net tcp fd02::2 4242 30000 & done
wait
/usr/local/sbin/tc qdisc del dev rb root
/usr/local/sbin/tc qdisc del dev ra root
under_way() { nsenter -t $1 -n cat /proc/net/tcp /proc/net/tcp6 | awk '$4 !~ /st|0A|06/' | grep -q .; }
while under_way $(cat /tmp/a) || under_way $(cat /tmp/b); do sleep 0.1; done
"""
SENT_AGAIN = """
global seen, others
probe tcpmib.RetransSegs {
    seen += op
    others += op < 0 || !sk || key != tcpmib_local_port(sk) * !!op
}
probe end {
    foreach (port in RetransSegs)
        by_port += RetransSegs[port]
    printf("seen %d\\nby port %d\\nothers %d\\n", seen, by_port, others)
}
"""


def test_segments_sent_again(lab: Lab) -> None:
    """Where networks lose a tenth of all packets, the example and tcpmib count /proc/net/snmp's RetransSegs."""
    lab.guest()
    before = counters(lab)
    example = (paths.tapsets().parent / "examples" / "tcp_retransmissions.stp").read_text()
    lines = lab.lines(example + SENT_AGAIN, LOSES, "-DMAXTRYLOCK=100000")
    after = counters(lab)
    again = after["RetransSegs"] - before["RetransSegs"]
    assert again > 0
    assert sum(int(line.split()[1]) for line in lines if line.startswith(("10.", "fd0"))) == again
    assert lines[-4:] == [f"retransmissions: {again}", f"seen {again}", f"by port {again}", "others 0"]


TALKS = "net tcp 10.2.0.2 4242 100; net tcp fd02::2 4242 200; net udp 10.2.0.2 53 60; net udp fd02::2 53 61"


def test_sockets(lab: Lab) -> None:
    """tcp, udp and socket: both ends' bytes, once each, with the addresses and ports that the programs name."""
    lines = lab.lines("sockets.stp", f"{TALKS}; net tcp 10.2.0.2 4999 1", "-DMAXTRYLOCK=100000")
    talked = [line.split() for line in lab.sh("cat /tmp/said").splitlines() if line[0].isdigit()]
    ports = [int(own) for own, *_ in talked]
    assert [rest for _, *rest in talked] == [["101", "101"], ["201", "201"], ["60", "60"], ["61", "61"]]
    wanted = set()
    sums = (("tcp", 2, 202, 202), ("tcp", 10, 402, 402), ("udp", 2, 120, 60), ("udp", 10, 122, 61))
    for p, f, sent, received in sums:
        kind = 1 if p == "tcp" else 2  # the servers' recvfrom is under way when the script starts
        wanted |= {f"bytes {p}.sendmsg {f} 0 {sent}", f"bytes socket.send {f} {kind} {sent}"}
        wanted |= {f"bytes {p}.recvmsg {f} 0 {received}", f"bytes socket.receive {f} {kind} {received}"}
    assert {line for line in lines if line.startswith("bytes")} == wanted
    ends = {line for line in lines if line.startswith("end")}
    four, six = ("10.2.0.1", "10.2.0.2"), ("fd02::1", "fd02::2")
    for name, family, port, server, (here, there) in (
        ("tcp.recvmsg", 2, ports[0], 4242, four), ("tcp.recvmsg", 10, ports[1], 4242, six),
        ("udp.sendmsg", 2, ports[2], 53, four), ("udp.sendmsg", 10, ports[3], 53, six),
        ("udp.recvmsg", 2, ports[2], 53, four), ("udp.recvmsg", 10, ports[3], 53, six),
    ):  # fmt: skip
        assert f"end {name} {family} {here} {port} {there} {server}" in ends, (name, ends)
        if name != "udp.recvmsg":  # that of the server is under way when the script starts
            assert f"end {name} {family} {there} {server} {here} {port}" in ends, (name, ends)
    assert [line for line in lines if not line.startswith(("bytes", "end"))] == [
        "create INET STREAM IP 0 0 1", "2 TCP_NODELAY 1 4", "create INET6 STREAM IP 0 0 1", "10 TCP_NODELAY 1 4",
        "create INET DGRAM IP 0 0 1", "create INET6 DGRAM IP 0 0 1", "10 IPV6_ADDRFORM 1 0",
        "create INET STREAM IP 0 0 1", "2 TCP_NODELAY 1 4", "tcp.disconnect 2 10.2.0.1 10.2.0.2 4999",
    ]  # fmt: skip


DEVICE = """cat /proc/net/dev > /tmp/before
net tcp 127.0.0.1 4242 100; net tcp 10.2.0.2 4242 100; a ping -c 2 10.2.0.2
sleep 0.2
cat /proc/net/dev > /tmp/after
ip link add dx type dummy
ip link set dx address 02:11:22:33:44:55
ip link set dx mtu 1300
ip link set dx up
ip link set dx promisc on
ip link set dx promisc off
ip link set dx down
ip link del dx
"""


def carried(text: str) -> dict[str, list[int]]:
    """Bytes and packets that each device has received and sent, from /proc/net/dev."""
    rows = (line.split(":") for line in text.splitlines()[2:])
    return {name.strip(): [int(v) for v in (*rest.split()[:2], *rest.split()[8:10])] for name, rest in rows}


def test_devices(lab: Lab) -> None:
    """netdev: packets and bytes are /proc/net/dev's; what ip(8) does to a device is told once, with its values."""
    lines = lab.lines("devices.stp", DEVICE, "-DMAXTRYLOCK=100000")
    before, after = (carried(lab.sh(f"cat /tmp/{name}")) for name in ("before", "after"))
    seen = {(line.split()[1], line.split()[2]): [int(v) for v in line.split()[3:]] for line in lines if "seen" in line}
    for device in ("lo", "ra", "rb"):
        got, packets, sent, out = (new - old for new, old in zip(after[device], before[device], strict=True))
        headers = 14 * (out if device == "lo" else 0)  # lo does not count its packets' Ethernet headers
        assert seen["receive", device] == [packets, got - (0 if headers else 14 * packets)], device
        assert seen["transmit", device] == seen["hard", device] == [out, sent + headers], device
        assert seen["rx", device][0] == packets
    told = [line for line in lines if not line.startswith("seen")]
    assert told == [
        "register dx", "mac dx 6 17 02:11:22:33:44:55", "SIOCSIFMTU dx", "mtu dx 1500 1300", "open dx",
        "promiscuity dx 1 0 1", "rx_flag dx 100", "promiscuity dx 0 1 -1", "rx_flag dx 100",
        "close dx", "unregister dx", "stats 1",
    ]  # fmt: skip
