"""What the aliases say of a program's sockets: each call with its size and result, each packet that begins or ends."""

from __future__ import annotations

import pytest

from tests.support.stage import SCRIPTS, Stage

pytestmark = pytest.mark.vm


def test_sockets(stage: Stage) -> None:
    """socket, tcp, udp: 100, 300 and 50 bytes by IPv4 and by IPv6; packets are received whenever the kernel likes."""
    lines = stage.lines("sockets.stp", "deeds sockets", "-DMAXTRYLOCK=100000", "-DINTERRUPTIBLE=0")
    assert sorted(lines) == (SCRIPTS / "sockets.expect").read_text().splitlines()


OLDER = """
probe tcp.receive
{
    network = __get_skb_iphdr($skb)
    transport = __get_skb_tcphdr($skb)
    bits = sprintf("%d%d%d%d%d%d", __tcp_skb_urg(transport), __tcp_skb_ack(transport), __tcp_skb_psh(transport),
        __tcp_skb_rst(transport), __tcp_skb_syn(transport), __tcp_skb_fin(transport))
    ports = sprintf("%d %d", __tcp_skb_sport(transport), __tcp_skb_dport(transport))
    whom = format_ipaddr(__ip_skb_saddr(network), family) . " " . format_ipaddr(__ip_skb_daddr(network), family)
    same += bits == sprintf("%d%d%d%d%d%d", urg, ack, psh, rst, syn, fin) && ports == sprintf("%d %d", sport, dport)
        && whom == saddr . " " . daddr && __ip_skb_proto(network) == protocol
    families[family]++
    all++
}
probe tcp.sendmsg
{
    sent += format_ipaddr(__ip_sock_daddr(sock), __ip_sock_family(sock)) == inet_get_ip_dest(sock)
    sends++
}
global same, all, families, sent, sends
probe end { printf("%d %d %d %d\\n", same == all, families[2] > 3, families[10] > 3, sent == sends && sends > 1) }
"""


def test_names_of_headers_that_older_scripts_use(stage: Stage) -> None:
    """The parts of a packet and the ends of a socket, taken one by one, are those of the aliases."""
    assert stage.lines(OLDER, "deeds sockets", "-DMAXTRYLOCK=100000", "-DINTERRUPTIBLE=0") == ["1 1 1 1"]
