"""The scripts that pystap was made for, in guests: packets, NAT, filter tables, and what the listings say of them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.program import libraries
from pystap.run.vm import Finished, Guest
from tests.support.kernels import RUNNER, SERIES, available, can_boot
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm
SCRIPTS = Path(__file__).resolve().parent / "mission"
IPTABLES = Path("/usr/sbin/xtables-legacy-multi")
EXTENSIONS = Path("/usr/lib/x86_64-linux-gnu/xtables")
EXTENSION_NAMES = ("xt_DNAT", "xt_SNAT", "xt_NAT", "xt_tcp", "xt_standard", "ipt_icmp")
SECONDS = 90.0


def filter_guest(series: str, *modules: str) -> Guest:
    """A guest that has iptables with its modules."""
    reason = can_boot() or ("" if IPTABLES.exists() else "needs iptables (apt-get install iptables)")
    kernel = available(series)
    if reason or kernel is None:
        pytest.skip(reason or f"no kernel {series}: pystap-prep {series}")
    extensions = (EXTENSIONS / f"lib{name}.so" for name in EXTENSION_NAMES)
    host = (*libraries(str(IPTABLES)), *(str(path) for path in extensions if path.exists()))
    files = {RUNNER: binaries.runner(), "/usr/sbin/iptables": IPTABLES}
    return Guest(kernel, modules=modules, files=files, host_files=host)


@pytest.fixture(scope="module")
def filters() -> Iterator[dict[str, Guest]]:
    """One guest of each kernel."""
    guests: dict[str, Guest] = {}
    with contextlib.ExitStack() as stack:
        for series in SERIES:
            if available(series) is not None:
                guests[series] = stack.enter_context(filter_guest(series, "iptable_nat", "xt_nat", "xt_tcpudp"))
        yield guests


def need_debuginfo(series: str) -> None:
    kernel = available(series)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {series}: pystap-prep --debuginfo {series}")


class Bench:
    """Compiles a script for one kernel and runs it there while a command runs."""

    def __init__(self, series: str, guest: Guest, capsys: pytest.CaptureFixture[str]) -> None:
        self.series = series
        self.guest = guest
        self._capsys = capsys

    def build(self, *words: str) -> Path:
        status = cli.main(["-p4", "-r", self.series, *words])
        compiled = self._capsys.readouterr()
        assert (status, compiled.err) == (0, "")
        return Path(compiled.out.strip())

    def run(self, module: Path, command: str, *options: str) -> Finished:
        self.guest.put("/tmp/command", f"set -e\n{command}\n".encode())
        self.guest.put("/tmp/module.ko", module.read_bytes())
        with keeps_quiet(self.guest):
            return self.guest.run([RUNNER, *options, "-c", "sh /tmp/command", "/tmp/module.ko"], timeout=SECONDS)

    def listed(self, option: str, points: str) -> list[str]:
        status = cli.main(["-r", self.series, option, points])
        out = self._capsys.readouterr().out
        assert (status == 0) == bool(out)
        return out.splitlines()


@pytest.fixture
def bench(series: str, filters: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(series, filters[series], capsys)


SERVE = "(echo answer | nc -l -p 4242 > /dev/null) & sleep 0.3; echo question | nc"
UP = "ip link set lo up; ip addr flush dev lo; ip addr add 127.0.0.1/8 dev lo; ip addr add 10.9.0.1/32 dev lo"


def passes_in_order(hooks: list[str]) -> None:
    """Packets may overlap on two CPUs, but none is at a hook before it was at the one before."""
    order = ("LOCAL_OUT", "POST_ROUTING", "PRE_ROUTING", "LOCAL_IN")
    counts = dict.fromkeys(order, 0)
    for hook in hooks:
        counts[hook] += 1
        assert sorted(counts.values(), reverse=True) == [counts[h] for h in order], hooks
    assert len(set(counts.values())) == 1, hooks


def test_packets_at_the_filters_hooks(bench: Bench) -> None:
    """Example 5a: each packet of a conversation passes four hooks, with the addresses and ports of the two ends."""
    module = bench.build(str(SCRIPTS / "netfilter_trace.stp"))
    done = bench.run(module, f"{UP}; {SERVE} 127.0.0.1 4242 > /dev/null; ping -c 1 127.0.0.1 > /dev/null")
    assert (done.stderr, done.status) == (b"", 0)
    head, *lines = done.stdout.decode().splitlines()
    assert head == "netfilter_trace begin..."
    form = re.compile(
        r'netfilter\.hook\("NF_INET_(\w+)"\)\.pf\("NFPROTO_IPV4"\)   127\.0\.0\.1:(\d+)->127\.0\.0\.1:(\d+)'
    )
    packets = [form.fullmatch(line) for line in lines]
    assert all(packets), lines
    seen = [m.groups() for m in packets if m]
    assert len(seen) % 4 == 0
    for ports in {m[1:] for m in seen}:
        passes_in_order([hook for hook, *its in seen if tuple(its) == ports])
    syn = seen[0]
    answer = next(m for m in seen if m[1:] != syn[1:])
    assert syn[2] == "4242"
    assert answer[1:] == (syn[2], syn[1])
    assert sum(ports == ("0", "0") for _, *ports in seen for ports in [tuple(ports)]) == 8, "ICMP has no ports"


NAT = f"""{UP}
iptables -t nat -F
iptables -t nat -A OUTPUT -p tcp -d 10.9.0.1 --dport 80 -j DNAT --to-destination 127.0.0.1:4242
iptables -t nat -A POSTROUTING -p icmp -d 10.9.0.1 -j SNAT --to-source 192.168.122.61
{SERVE} 10.9.0.1 80 > /dev/null
ping -c 1 -W 1 10.9.0.1 > /dev/null || true
iptables -t nat -F"""


MOVED = {"6.1": 0, "6.12": 197}  # where nf_nat_setup_info's lines stand, later than in 6.1


def at_lines_of(series: str, script: str) -> str:
    """A script with the line numbers of another kernel."""
    text = (SCRIPTS / script).read_text()
    return re.sub(r"(?<=[:,])\d{3}\b", lambda m: str(int(m[0]) + MOVED[series]), text)


def test_nat_decisions(series: str, filters: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> None:
    """Example 3: many statements of three functions, whole structs with unions, arrays, chars and strings."""
    need_debuginfo(series)
    bench = Bench(series, filters[series], capsys)
    done = bench.run(bench.build("-DMAXSTRINGLEN=2048", "-e", at_lines_of(series, "nat.stp")), NAT)
    lines = done.stdout.decode().splitlines()
    assert done.status == 0
    point = r'module\("nf_nat"\)\.statement\("{}@net/netfilter/nf_nat_core\.c:(\d+)"\)'
    inner = [re.fullmatch(point.format("get_unique_tuple"), line) for line in lines]
    assert len({m.group(1) for m in inner if m}) > 5
    proto = [re.fullmatch(point.format("nf_nat_l4proto_unique_tuple"), line) for line in lines]
    assert len({m.group(1) for m in proto if m}) > 5
    head = re.compile(point.format("nf_nat_setup_info") + r", maniptype:([01])")
    heads = [(number, *m.groups()) for number, line in enumerate(lines) if (m := head.fullmatch(line))]
    first, middle, last = (str(line + MOVED[series]) for line in (595, 603, 606))
    assert {line for _, line, _ in heads} == {first, middle, last}
    address = ".all=[1031448768, ...], .ip=1031448768, .ip6=[1031448768, ...], .in={.s_addr=1031448768}"
    bytes_ = r'.in6={.in6_u={.u6_addr8="\300\250z=", .u6_addr16=[43200, ...], .u6_addr32=[1031448768, ...]}}'
    wanted = f"range==> {{.flags=1, .min_addr={{{address}, {bytes_}}}, .max_addr={{{address}, {bytes_}}}, .min_proto="
    assert any(lines[n + 1].startswith(wanted) for n, line, kind in heads if (line, kind) == (first, "0")), "SNAT"
    echo = next(n for n, line, _ in heads if line == last and r".icmp={.type='\b', .code='\000'}" in lines[n + 2])
    assert lines[echo + 2].startswith("curr_tuple==> {.src={.u3={.all=[16779530, ...], .ip=16779530, ")
    marker = "" if series == "6.1" else ".__nfct_hash_offsetend={}, "
    assert f".protonum='\\001', {marker}.dir='" in lines[echo + 2]
    assert lines[echo + 3].startswith("new_tuple==> {.src={")
    assert lines[echo + 4] == ""


def test_nat_follows_the_rules(series: str, filters: dict[str, Guest], capsys: pytest.CaptureFixture[str]) -> None:
    """What the variables say is what the rules ask for and the connection does."""
    need_debuginfo(series)
    bench = Bench(series, filters[series], capsys)
    done = bench.run(bench.build("-e", at_lines_of(series, "nat_decided.stp")), NAT)
    text = done.stdout.decode()
    here, local, source = (
        int.from_bytes(bytes(a), "little") for a in ([10, 9, 0, 1], [127, 0, 0, 1], [192, 168, 122, 61])
    )
    dnat = re.search(rf"^1 6 {here}:(\d+) {here}:80\n=> {here}:(\d+) {local}:4242$", text, re.MULTILINE)
    assert dnat
    assert dnat.group(1) == dnat.group(2)
    assert re.search(rf"^=> {source}:\d+ {here}:2048$", text, re.MULTILINE), text
    assert (done.stderr, done.status) == (b"", 0)


RULES = f"""{UP}
iptables -F
iptables -A INPUT -p tcp -d 10.9.0.1 --dport 81 -j DROP
iptables -L -n > /dev/null
iptables -F"""


def test_filter_tables(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Example 5b: pointers computed with the offset of a member, types of headers, flexible and indexed arrays."""
    need_debuginfo(series)
    with filter_guest(series, "iptable_filter", "xt_tcpudp") as guest:
        bench = Bench(series, guest, capsys)
        done = bench.run(bench.build(str(SCRIPTS / "x_tables.stp")), RULES)
    assert (done.stderr, done.status) == (b"", 0)
    head, *parts = done.stdout.decode().split("\n\n")
    assert head == "x_tables_trace begin..."
    table = re.compile(
        r"\s*net->xt.tables\[2\]==> .*\.valid_hooks=14, .*\.af='\\002', \.priority=0, \.name=\"filter\"}"
    )
    assert any(table.fullmatch(p) for p in parts)
    entries = {p for p in parts if p.startswith("ipt_entry==> ")}
    rule = next(p for p in entries if f".dst={{.s_addr={int.from_bytes(bytes([10, 9, 0, 1]), 'little')}}}" in p)
    assert ".dmsk={.s_addr=4294967295}" in rule
    assert ".proto=6," in rule
    assert ".target_offset=160, .next_offset=200," in rule, "an entry, its tcp match and its target"
    assert "elems==> 112" in parts
    assert any(re.match(r"xt_entry_target==> {\.u={\.user={\.target_size=40, ", p) for p in parts)
    infos = [p for p in parts if p.startswith("xt_table_info==> ")]
    assert any(".number=5, " in p for p in infos), "four policies and the rule"
    assert all(".hook_entry=[4294967295, ...]" in p for p in infos)


# --- listings ----------------------------------------------------------------------------------------------


def test_functions_by_name(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Functions of the kernel and of a module, as the kernel's own symbols name them."""
    need_debuginfo(series)
    status = cli.main(["-r", series, "-l", 'kernel.function("tcp_v4_*")'])
    listed = capsys.readouterr().out.splitlines()
    assert status == 0
    assert len(listed) == 33
    assert any(re.fullmatch(r"kernel\.function\(\"tcp_v4_rcv@net/ipv4/tcp_ipv4\.c:\d+\"\)", line) for line in listed)


def test_a_renamed_function_is_suggested(series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """printk is a macro today."""
    assert cli.main(["-r", series, "-l", 'kernel.function("printk")']) == 1
    assert cli.main(["-p2", "-r", series, "-e", 'probe kernel.function("printk") {}']) == 1
    assert re.search(r"no match \(similar functions: _printk\b", capsys.readouterr().err)
