"""The engines on a real kernel in a guest, with tables and handlers written by hand: no script is compiled."""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass

import pytest

from pystap import paths
from pystap.build import build
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.kernels import Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm


HEAD = r"""
#define STP_NO_OVERLOAD
#define MAXSTRINGLEN 512
#define STAP_BUCKETS 1
#include "stap.h"

static const char *const stap_marks[] = { "" };
static atomic64_t counts[64];

static void say(struct stap_context *c, const char *text, s64 number)
{
	stap_print_format(c, "%s %lld\n", text, number);
}
"""

TAIL = r"""
static const struct stap_part stap_parts[] = {
	{ "contexts", stap_contexts_load, stap_contexts_unload },
};
static const struct stap_engine stap_engines[] = {
	%s
};
STAP_MODULE(stap_parts, stap_engines);
#include "module_info.h"
"""


@dataclass(frozen=True)
class Text:
    """What build() compiles."""

    name: str
    files: dict[str, str]


@pytest.fixture
def guest(series: str, guests: Guests) -> Guest:
    return guests.get(series)


def run(guest: Guest, code: str, engines: tuple[str, ...], command: str, options: str = "") -> tuple[str, str, int]:
    """Builds a module around hand-written code and runs it while `command` runs in the guest."""
    tree = guest.kernel.build_tree
    assert tree is not None
    rows = "\n\t".join(f'{{ "{e}", stap_{e}_start, stap_{e}_stop }},' for e in engines)
    source = Text("engines", {"module.c": HEAD + code + TAIL % rows})
    built = build(source, tree, cache=paths.cache(), runtime=paths.runtime())
    guest.put("/tmp/pystap-run", binaries.runner().read_bytes(), 0o755)
    guest.put("/tmp/stap_engines.ko", built.path.read_bytes())
    guest.put("/tmp/command", command.encode(), 0o755)
    with keeps_quiet(guest):
        done = guest.sh(f"/tmp/pystap-run {options} -c 'sh /tmp/command' /tmp/stap_engines.ko", timeout=60)
    assert guest.sh("grep -q ^stap_ /proc/modules").status == 1, "the module is gone"
    return done.stdout.decode(), done.stderr.decode(), done.status


def probe(handler: str, entry: str = "NULL", saved: int = 0, point: str = "") -> str:
    name = point or handler
    return f'{{ .handler = {handler}, .entry = {entry}, .saved_size = {8 * saved}, .point = "{name}" }},'


def probes(*handlers: str) -> str:
    return "static struct stap_probe stap_probes[] = {" + "".join(map(probe, handlers)) + "};"


def numbers(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in re.findall(r"^(\S+) (-?\d+)$", text, re.MULTILINE)}


REPORT = r"""
static void report(struct stap_context *c)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(counts); i++)
		if (atomic64_read(&counts[i]))
			stap_print_format(c, "count%d %lld\n", i, (s64)atomic64_read(&counts[i]));
}
"""
BEGIN_TABLE = r"""
#include "engines/begin.h"
static const struct stap_begin_site stap_begin_sites[] = {
	{ .probe = &stap_probes[0], .when = STAP_STATE_STOPPING },
};
static const unsigned int stap_begin_count = 1;
"""


def count(number: int) -> str:
    return f"static void h{number}(struct stap_context *c)\n{{\n\tatomic64_inc(&counts[{number}]);\n}}\n"


def test_timers(guest: Guest) -> None:
    """Each kind of timer runs about as often as its interval says."""
    code = REPORT + "".join(count(i) for i in (1, 2, 3, 4))
    code += (
        "static struct stap_probe stap_probes[] = {" + "".join(map(probe, ("report", "h1", "h2", "h3", "h4"))) + "};"
    )
    code += BEGIN_TABLE
    code += r"""
#include "engines/timer.h"
static const struct stap_timer_site stap_timer_sites[] = {
	{ .probe = &stap_probes[1], .kind = STAP_TIMER_HRTIMER, .interval = 10000000LL },
	{ .probe = &stap_probes[2], .kind = STAP_TIMER_HRTIMER, .interval = 10000000LL, .randomize = 9000000LL },
	{ .probe = &stap_probes[3], .kind = STAP_TIMER_JIFFIES, .interval = 5 },
	{ .probe = &stap_probes[4], .kind = STAP_TIMER_TICK, .interval = 0 },
};
static const unsigned int stap_timer_count = ARRAY_SIZE(stap_timer_sites);
"""
    out, err, status = run(guest, code, ("begin", "timer"), "sleep 1")
    seen = numbers(out)
    assert status == 0, err
    most = 3 if guest.kernel.watched else 1  # seconds: such a kernel takes long to start a command
    assert 70 <= seen["count1"] <= 130 * most
    assert 60 <= seen["count2"] <= 160 * most
    assert 30 <= seen["count3"] <= 60 * most
    cpus = int(guest.sh("nproc").stdout)
    assert 60 * cpus <= seen["count4"] <= 400 * cpus * most  # 250 Hz on each; a busy machine loses ticks


def kprobe_row(number: int, symbol: str, **fields: object) -> str:
    rest = "".join(f", .{name} = {value}" for name, value in fields.items())
    return f'{{ .probe = &stap_probes[{number}], .symbol = "{symbol}"{rest} }},'


def kprobe_table(rows: list[str]) -> str:
    body = "\n\t".join(rows)
    return (
        '#include "engines/kprobe.h"\nstatic const struct stap_kprobe_site stap_kprobe_sites[] = {\n\t'
        + body
        + "\n};\nstatic const unsigned int stap_kprobe_count = ARRAY_SIZE(stap_kprobe_sites);\n"
    )


LOOP = "i=0; while [ $i -lt 50 ]; do cat /proc/uptime > /dev/null; i=$((i+1)); done\n"


def distance(release: str, symbol: str) -> int:
    from pystap.target import Target

    table = Target.of(release).symbols()
    anchor, found = table.lookup("sprint_symbol"), table.lookup(symbol)
    assert anchor is not None
    assert found is not None
    return (found.address - anchor.address) & 0xFFFFFFFFFFFFFFFF


def test_kprobes(guest: Guest) -> None:
    """Entries by name, by distance and through ftrace, an instruction inside, and what can not be armed."""
    code = REPORT + "".join(count(i) for i in (1, 2, 3, 4, 5, 6))
    code += (
        "static struct stap_probe stap_probes[] = {"
        + "".join(map(probe, ("report", "h1", "h2", "h3", "h4", "h5", "h6")))
        + "};"
        + BEGIN_TABLE
    )
    place = f"{distance(guest.kernel.release, 'uptime_proc_show'):#x}"
    rows = [
        kprobe_row(1, "uptime_proc_show", kind="STAP_PLACE_NAME"),
        kprobe_row(2, "uptime_proc_show", kind="STAP_PLACE_DISTANCE", place=place),
        kprobe_row(3, "uptime_proc_show", kind="STAP_PLACE_DISTANCE", place=place, fentry="true"),
        kprobe_row(
            4,
            "uptime_proc_show",
            kind="STAP_PLACE_DISTANCE",
            place=place,
            offset="IS_ENABLED(CONFIG_X86_KERNEL_IBT) ? 9 : 5",
        ),
        kprobe_row(5, "no_such_function", kind="STAP_PLACE_NAME"),
        kprobe_row(6, "uptime_proc_show", kind="STAP_PLACE_DISTANCE", place=place + "+ 16", fentry="true"),
    ]
    out, err, status = run(guest, code + kprobe_table(rows), ("begin", "kprobe"), LOOP)
    seen = numbers(out)
    assert [seen[f"count{i}"] for i in (1, 2, 3, 4, 6)] == [50] * 5
    assert "WARNING: probe h5 registration error [man warning::pass5] (rc -2)" in err
    assert status == 0


def test_returns(guest: Guest) -> None:
    """A return sees the result, and what its entry side saved."""
    code = (
        REPORT
        + r"""
static void entered(struct stap_context *c)
{
	c->saved[0] = 4711;
	c->saved[1] = c->regs->di != 0;
}
static void returned(struct stap_context *c)
{
	atomic64_inc(&counts[1]);
	if (c->retval != 0)
		atomic64_inc(&counts[2]);
	if (c->saved && c->saved[0] == 4711 && c->saved[1] == 1)
		atomic64_inc(&counts[3]);
}
static void plain(struct stap_context *c)
{
	atomic64_inc(&counts[4]);
	if (c->saved)
		atomic64_inc(&counts[5]);
}
"""
    )
    code += (
        "static struct stap_probe stap_probes[] = {"
        + probe("report")
        + probe("returned", "entered", 2)
        + probe("plain")
    )
    code += "};" + BEGIN_TABLE
    rows = [
        kprobe_row(1, "uptime_proc_show", is_return="true"),
        kprobe_row(2, "uptime_proc_show", is_return="true", maxactive=2),
    ]
    out, err, status = run(guest, code + kprobe_table(rows), ("begin", "kprobe"), LOOP)
    assert numbers(out) == {"count1": 50, "count3": 50, "count4": 50}
    assert (err, status) == ("", 0)


def module_file(guest: Guest, name: str) -> bytes:
    folder = guest.kernel.modules_dir
    assert folder is not None
    path = next(folder.rglob(f"{name}.ko*"))
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def test_modules_that_come_and_go(guest: Guest) -> None:
    """Sites in a module that is not there wait for it, leave with it, and come again."""
    from pystap.debuginfo.elf import Elf
    from pystap.debuginfo.symtab import SymbolTable, module_symbols

    guest.put("/tmp/dummy.ko", module_file(guest, "dummy"))
    folder = guest.kernel.modules_dir
    assert folder is not None
    symbols = SymbolTable.of(module_symbols(Elf.open(next(folder.rglob("dummy.ko*")))))
    setup, attach = symbols.lookup("dummy_setup"), symbols.lookup("dummy_dev_init")
    assert setup is not None
    assert attach is not None
    code = REPORT + "".join(count(i) for i in (1, 2, 3, 4))
    code += probes("report", "h1", "h2", "h3", "h4") + BEGIN_TABLE
    rows = [
        kprobe_row(1, "dummy_setup", module='"dummy"', kind="STAP_PLACE_NAME"),
        kprobe_row(2, "dummy_setup", module='"dummy"', kind="STAP_PLACE_NAME", is_return="true"),
        kprobe_row(3, "dummy_setup", module='"dummy"', kind="STAP_PLACE_MODULE", place=setup.address, fentry="true"),
        kprobe_row(
            4, "dummy_dev_init", module='"dummy"', kind="STAP_PLACE_MODULE", place=attach.address, fentry="true"
        ),
    ]
    command = "insmod /tmp/dummy.ko; rmmod dummy; insmod /tmp/dummy.ko numdummies=2\n"
    out, err, status = run(guest, code + kprobe_table(rows), ("begin", "kprobe"), command)
    assert numbers(out) == {f"count{i}": 3 for i in (1, 2, 3, 4)}, err
    assert (err, status) == ("", 0)
    command = "ip link add d7 type dummy; rmmod dummy"
    out, err, status = run(guest, code + kprobe_table(rows), ("begin", "kprobe"), command)
    assert numbers(out) == {f"count{i}": 1 for i in (1, 2, 3, 4)}, err
    assert (err, status) == ("", 0)


def test_tracepoints(guest: Guest) -> None:
    """Arguments arrive, whatever their number; kernel threads are not the only ones that are scheduled."""
    code = (
        REPORT
        + count(2)
        + r"""
static void switched(struct stap_context *c)
{
	atomic64_inc(&counts[1]);
	if (((struct task_struct *)c->args[1])->pid != current->pid)
		atomic64_inc(&counts[3]);
}
"""
    )
    code += "static struct stap_probe stap_probes[] = {" + probe("report") + probe("switched") + probe("h2") + "};"
    code += BEGIN_TABLE
    code += r"""
#include "engines/tracepoint.h"
static const struct stap_tracepoint_site stap_tracepoint_sites[] = {
	{ .probe = &stap_probes[1], .name = "sched_switch", .arity = 4 },
	{ .probe = &stap_probes[2], .name = "sys_enter", .arity = 2 },
};
static const unsigned int stap_tracepoint_count = ARRAY_SIZE(stap_tracepoint_sites);
"""
    out, err, status = run(guest, code, ("begin", "tracepoint"), LOOP)
    seen = numbers(out)
    assert status == 0, err
    assert seen["count1"] > 20
    assert seen["count2"] > 200
    assert "count3" not in seen


def test_arming_many(guest: Guest) -> None:
    """Over a thousand entries are armed and taken off within two seconds each."""
    if guest.kernel.watched:
        pytest.skip("a small kernel that takes its time")
    from pystap.providers.kprobe import kernel_sites
    from pystap.target import Target

    target = Target.of(guest.kernel.release)
    sites = [
        s
        for p in ("tcp_*", "ip_*", "udp*", "inet*", "vfs_*", "ip6*", "sk_*", "nf_*", "dev_*")
        for s in kernel_sites(target, p)
        if s.fentry
    ]
    assert len(sites) > 1300
    sites = sites[:1310]
    code = REPORT + count(1)
    code += (
        "static struct stap_probe stap_probes[] = {" + probe("report") + probe("h1") * len(sites) + "};" + BEGIN_TABLE
    )
    rows = [kprobe_row(n + 1, s.symbol, kind=s.kind, place=hex(s.place), fentry="true") for n, s in enumerate(sites)]
    command = "cut -d' ' -f1 /proc/uptime; wget -q -T 1 http://127.0.0.1:9/ 2>/dev/null; cat /proc/uptime > /dev/null\n"
    guest.sh("cut -d' ' -f1 /proc/uptime > /tmp/before")
    out, err, _status = run(guest, code + kprobe_table(rows), ("begin", "kprobe"), command)
    after = float(guest.sh("cut -d' ' -f1 /proc/uptime").stdout)
    before = float(guest.sh("cat /tmp/before").stdout)
    armed = float(out.split()[0])
    print(f"armed after {armed - before:.2f} s, all done after {after - before:.2f} s")
    assert numbers(out)["count1"] > 5
    assert err == ""
