"""What the functions for stacks and symbols say, beside the kernel's own stack dump, its symbols, and addr2line."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.vm.conftest import Bench

pytestmark = pytest.mark.vm

KERNEL = """
probe kernel.function("uptime_proc_show").call {
    printf("list %s\\n", backtrace())
    for (k = 0; k < 5; k++) printf("%s0x%x", k ? " " : "one by one ", stack(k))
    printf("\\ncallers %s\\n", callers(4))
    printf("caller %s\\n", caller())
    printf("caller_addr %p\\n", caller_addr())
    printf("names %s %s %s %s %s\\n", probefunc(), ppfunc(), symname(addr()), symdata(addr()), modname(addr()))
    printf("registers %x %x %x\\n", register("rsp"), pointer_arg(1), register("rax"))
    print("print_backtrace\\n") print_backtrace()
    print("print_stack\\n") print_stack(backtrace())
    print("print_syms\\n") print_syms(backtrace())
    print("sprint_backtrace\\n") print(sprint_backtrace())
    print("sprint_stack\\n") print(sprint_stack(backtrace()))
    print("sprint_syms\\n") print(sprint_syms(backtrace()))
    print_regs()
    dump_stack()
}
"""
FORMS = ("print_backtrace", "print_stack", "print_syms", "sprint_backtrace", "sprint_stack", "sprint_syms")


def sections(text: str) -> dict[str, list[str]]:
    """What the lines say that begin with a word, and the lines after one that is only a word."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if line and not rest:
            name = line
            found[name] = []
        elif name:
            found[name].append(line)
        else:
            found[word] = [rest]
    return found


def dumped(log: str) -> list[str]:
    """function+offset/size of each frame in a stack of the kernel's log from the probed function on."""
    frames = re.findall(r"\] +([\w.]+\+0x\w+/0x\w+)$", log, re.MULTILINE)
    return frames[next(n for n, frame in enumerate(frames) if frame.startswith("uptime_proc_show")) :]


def symbols(bench: Bench, address: int) -> set[str]:
    """What kallsyms has at the beginning of the function with that address."""
    rows = [line.split() for line in bench.guest().sh("cat /proc/kallsyms").stdout.decode().splitlines()]
    below = max(int(row[0], 16) for row in rows if row[1] in "tT" and int(row[0], 16) <= address)
    return {row[2] for row in rows if int(row[0], 16) == below}


def test_stacks_of_the_kernel(bench: Bench) -> None:
    """The callers are those of the kernel's own dump, their names those of kallsyms, in all forms."""
    bench.guest().sh("dmesg -n 1; dmesg -c")
    done = bench.finish(KERNEL, "sh -c 'cat /proc/uptime > /dev/null'", "-g")
    frames = dumped(bench.guest().sh("dmesg; dmesg -n 5").stdout.decode())
    assert (done.stderr, done.status) == (b"", 0), done
    told = sections(done.stdout.decode())
    words = told["list"][0].split()
    frames[0] = re.sub(r"\+0x\w+", "+0x0", frames[0])
    assert len(frames) > 6
    full = [f" {word} : {frame} [kernel]" for word, frame in zip(words, frames, strict=True)]
    short = [f"{frame.partition('/')[0]} [kernel]" for frame in frames]
    for form in FORMS:
        assert told[form][: len(full)] == (short if form[0] == "s" else full), form
    assert told["one"] == ["by one " + " ".join(words[:5])]
    assert told["callers"] == [" ".join(words[:5])]
    name = frames[1].partition("+")[0]
    assert name in symbols(bench, int(words[1], 16))
    assert (told["caller"], told["caller_addr"]) == ([f"{name} {words[1]}"], [words[1]])
    own = ["uptime_proc_show"] * 3
    assert told["names"] == [" ".join([*own, f"{frames[0]} [kernel]", "kernel"])]
    registers = dict(re.findall(r"(\w+): +([0-9a-f]+)", done.stdout.decode().partition("\nRIP")[2].join(("RIP", ""))))
    assert int(registers["RIP"], 16) - int(words[0], 16) in range(10)  # behind the call at its entry
    assert [int(registers[r], 16) for r in ("RSP", "RDI", "RAX")] == [int(r, 16) for r in told["registers"][0].split()]
    assert len(registers) == 18


PROGRAM = """
probe process("PROGRAMS/fixed").function("leaf").call {
    if (n++) next
    print_ubacktrace_fileline()
    println("registers")
    print_ubacktrace_fileline(uaddr(), register("rsp"), register("rbp"))
    println("lists")
    print_usyms(ubacktrace())
    print_ustack(ubacktrace())
    print_ubacktrace()
    println("texts")
    print(sprint_usyms(ubacktrace()))
    print(sprint_ustack(ubacktrace()))
    print(sprint_ubacktrace())
    println("names")
    for (k = 0; k < 7; k++) {
        printf("%x %s %s ", ustack(k), usymname(ustack(k)), usymdata(ustack(k)))
        printf("%s %s\\n", usymfile(ustack(k)), usymline(ustack(k)))
    }
}
global n
"""


def test_stacks_of_a_program(bench: Bench) -> None:
    done = bench.finish(PROGRAM, "sh -c 'PROGRAMS/fixed > /dev/null'")
    program = bench.programs / "fixed"
    told = sections("print_lines\n" + done.stdout.decode())
    names = [line.split() for line in told["names"][:7]]
    places = known_places(program, [int(words[0], 16) for words in names])
    assert [name for name, *_ in places] == ["leaf", "mid", *["rec"] * 4, "main"]
    whole = [f"{name}+{offset:#x}/{size:#x} [{program}]" for name, offset, size, _ in places]
    assert [words[1:] for words in names] == [
        [name, *text.split(), *line.split(":")] for (name, _, _, line), text in zip(places, whole, strict=True)
    ]
    frames = [f" 0x{words[0]} : {text}" for words, text in zip(names, whole, strict=True)]
    lines = [f"{frame} at {line}" for frame, (_, _, _, line) in zip(frames, places, strict=True)]
    assert [told[key][:7] for key in ("print_lines", "registers")] == [lines, lines]
    assert [line for line in told["lists"] if " : " in line] == frames * 3
    short = [f"{name}+{offset:#x} [fixed]" for name, offset, _, _ in places]
    assert [line for line in told["texts"] if line[0] != "0"] == short * 3


def known_places(program: Path, addresses: list[int]) -> list[tuple[str, int, int, str]]:
    """What binutils say of addresses, the first of a function, the others behind calls: name, offset, size, line."""
    rows = subprocess.run(["nm", "-S", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    starts = {row.split()[3]: [int(w, 16) for w in row.split()[:2]] for row in rows if row.count(" ") == 3}
    asked = [hex(address - (n > 0)) for n, address in enumerate(addresses)]
    command = ["addr2line", "-f", "-e", str(program), *asked]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    found = zip(addresses, said[::2], said[1::2], strict=False)
    return [(name, at - starts[name][0], starts[name][1], line.partition(" ")[0]) for at, name, line in found]


PLACES = """
probe kernel.function("complete_walk").call {
    if (execname() == "stat" && !stats++) printf("walked %s %s\\n", fullpath_struct_nameidata($nd), d_path($nd))
}
probe kernel.trace("net_dev_queue") { if ($skb->protocol == htons(0x800)) devices[get_netdev_name($skb->dev)]++ }
global devices, stats
probe syscall.kill {
    cve_count_metric("naps") cve_count_metric("naps") cve_record_metric("level", 7)
    if (sig == 0) cve_tmpdisable(-1)
}
probe end {
    foreach (d in devices) printf("%s %d\\n", d, devices[d])
    target_set_report()
}
"""
COMMAND = b"""(sh -c 'echo $PPID $$; stat /proc/../tmp/link > /dev/null; exit 3' | cat)
ping -c 3 127.0.0.1 > /dev/null
cd /proc/systemtap/stap_*
cat cve_enabled_p cve_fix_p __prometheus
kill -0 $$
cat cve_enabled_p __prometheus
echo 1 > cve_enabled_p
cat cve_enabled_p
"""


def test_paths_devices_and_families(bench: Bench) -> None:
    """Where a look-up of a path ends, a packet's device, the command's processes, and a band-aid's figures."""
    bench.guest().put("/tmp/command", COMMAND)
    bench.guest().sh("ip link set lo up; ln -sf /tmp/command /tmp/link")
    done = bench.finish(PLACES, "sh /tmp/command")
    assert (done.stderr, done.status) == (b"", 0)
    lines = done.stdout.decode().splitlines()
    outer, inner = next(line for line in lines if re.fullmatch(r"\d+ \d+", line)).split()
    lines.remove(f"{outer} {inner}")
    lines.remove("walked /tmp/link /tmp/link")  # at any time among what the command says
    assert lines[:11] == [
        "1", "1", "cve_enabled_p 1", "cve_fix_p 1",
        "0", "cve_enabled_p 0", "cve_fix_p 1", 'cve_metrics{metric="naps"} 2', 'cve_metrics{metric="level"} 7',
        "1", "lo 6",
    ]  # fmt: skip
    assert lines[11] == "target set:"
    born = [line.split(" begat ") for line in lines[12:]]
    parents = {child: parent for parent, child in born}
    assert parents[inner] == outer
    assert len(born) >= 8
    assert all(parent == min(parents.values()) or parent in parents for parent in parents.values())
