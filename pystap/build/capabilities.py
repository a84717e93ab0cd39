"""What a kernel's headers and exports offer, as STAP_HAVE_* macros for runtime/compat.h.

Asked once per build tree by looking into headers, never by the kernel's version: distributions backport.
A row is (macro, how to know); keep the table short.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class InHeader:
    """True where a header's text matches a regular expression (comments count: choose patterns that no comment has)."""

    header: str
    pattern: str

    def holds(self, tree: _Tree) -> bool:
        return re.search(self.pattern, tree.header(self.header), re.MULTILINE) is not None


@dataclass(frozen=True, slots=True)
class Exported:
    """True where Module.symvers lists the symbol."""

    symbol: str

    def holds(self, tree: _Tree) -> bool:
        return f"\t{self.symbol}\t" in tree.symvers


@dataclass(frozen=True, slots=True)
class _Tree:
    roots: tuple[Path, ...]
    symvers: str

    def header(self, name: str) -> str:
        for root in self.roots:
            try:
                return (root / name).read_text(errors="replace")
            except OSError:
                continue
        return ""


_UPROBES = "include/linux/uprobes.h"

TABLE: tuple[tuple[str, InHeader | Exported], ...] = (
    # hrtimer_setup replaces hrtimer_init (v6.13, 908a1d775422)
    ("STAP_HAVE_HRTIMER_SETUP", InHeader("include/linux/hrtimer.h", r"\bhrtimer_setup\(struct")),
    # uprobe_register returns the uprobe and takes an inode and a consumer (v6.12, 3c83a9ad0295, 04b01625da13)
    ("STAP_HAVE_UPROBE_REGISTER_RETURNS_UPROBE", InHeader(_UPROBES, r"struct uprobe \*uprobe_register\(")),
    ("STAP_HAVE_UPROBE_UNREGISTER_NOSYNC", Exported("uprobe_unregister_nosync")),
    # the uretprobe and uprobe handlers got a cookie argument (v6.13, da09a9e0c3ea)
    (
        "STAP_HAVE_UPROBE_COOKIE",
        InHeader(_UPROBES, r"\(\*handler\)\(struct uprobe_consumer \*self, struct pt_regs \*regs, __u64"),
    ),
    # kretprobes on rethook (v5.18, 73f9b911faa7 and v6.1 for x86)
    ("STAP_HAVE_GET_KRETPROBE", InHeader("include/linux/kprobes.h", r"\bget_kretprobe\(struct kretprobe_instance")),
    # tick of timer_delete_sync (v6.2, 9b13df3fb64e) replacing del_timer_sync
    ("STAP_HAVE_TIMER_DELETE_SYNC", InHeader("include/linux/timer.h", r"\btimer_delete_sync\(")),
    # the data of a file of /proc; PDE_DATA before (v5.17, 359745d78351)
    ("STAP_HAVE_PDE_DATA", InHeader("include/linux/proc_fs.h", r"\bpde_data\(")),
    # relay writes what a channel's callbacks lack into them (until v5.11, 023542f48b57)
    ("STAP_HAVE_RELAY_CONST_CALLBACKS", InHeader("include/linux/relay.h", r"const struct rchan_callbacks \*cb")),
    # subbuf_start() is told the padding of the sub-buffer before (until v6.17)
    ("STAP_HAVE_RELAY_PADDING", InHeader("include/linux/relay.h", r"\bsize_t prev_padding\);")),
    # __trace_puts() is told a length, and is in kernel.h (not in 7.3)
    ("STAP_HAVE_TRACE_PUTS_LENGTH", InHeader("include/linux/kernel.h", r"\b__trace_puts\([^;]*, int size\);")),
    ("STAP_HAVE_FTRACE_REGS", InHeader("include/linux/ftrace.h", r"struct ftrace_regs \*")),
    # many functions put into a filter at once (v5.18, 4f554e955614)
    ("STAP_HAVE_FTRACE_SET_FILTER_IPS", Exported("ftrace_set_filter_ips")),
    ("STAP_HAVE_FTRACE_FREE_FILTER", Exported("ftrace_free_filter")),
    # replaces fcheck_files (v5.11, f36c2943274199cb)
    ("STAP_HAVE_FILES_LOOKUP_FD_RAW", InHeader("include/linux/fdtable.h", r"\bfiles_lookup_fd_raw\(")),
    # pages of another process without their mappings (v6.5, ca5e863233e8)
    (
        "STAP_HAVE_REMOTE_PAGES_MAPPINGS",
        InHeader("include/linux/mm.h", r"get_user_pages_remote\([^;]*struct vm_area_struct \*\*vmas"),
    ),
    # pages that wait for a NUMA hint are brought in only if asked for (v6.6, d74943a2f3cd)
    ("STAP_HAVE_FOLL_HONOR_NUMA_FAULT", InHeader("include/linux/mm_types.h", r"^\tFOLL_HONOR_NUMA_FAULT = ")),
    # what lies on an overlay is mapped as its file below, which knows both paths (v6.8, def3ae83da02)
    ("STAP_HAVE_FILE_USER_PATH", Exported("backing_file_user_path")),
    # a task's vector registers by reference (v5.16, 87d0e5be0fac) and by a function (v6.16, e3bfa3859936)
    ("STAP_HAVE_FPSTATE", InHeader("arch/x86/include/asm/fpu/types.h", r"struct fpstate\s*\*fpstate;")),
    ("STAP_HAVE_X86_TASK_FPU", InHeader("arch/x86/include/asm/processor.h", r"\bx86_task_fpu\b")),
    # memory of modules by kind (v6.4, ac3b43283923)
    ("STAP_HAVE_MODULE_MEMORY", InHeader("include/linux/module.h", r"^struct module_memory \{")),
    # gone since v6.8 (d26270061ae6), and what embedded C copies strings with
    ("STAP_HAVE_STRLCPY", InHeader("include/linux/string.h", r"\bsize_t strlcpy\(")),
)  # fmt: skip


def identity() -> str:
    """Changes whenever the table does: part of a recipe's cache key."""
    return hashlib.sha256(repr(TABLE).encode()).hexdigest()[:16]


def header(tree: Path) -> str:
    """The text of capabilities.h for a build tree."""
    try:
        symvers = (tree / "Module.symvers").read_text()
    except OSError:
        symvers = ""
    known = _Tree(_header_roots(tree), symvers)
    lines = ["/* What this kernel offers; see pystap/build/capabilities.py. */"]
    lines += [f"#define {macro} {int(how.holds(known))}" for macro, how in TABLE]
    return "\n".join(lines) + "\n"


def _header_roots(tree: Path) -> tuple[Path, ...]:
    """Where headers lie: the build tree and the source tree that its Makefile includes (Debian's -common package)."""
    roots = [tree]
    try:
        for name in re.findall(r"^include (\S+)/Makefile", (tree / "Makefile").read_text(), re.MULTILINE):
            roots.append(Path(name))
    except OSError:
        pass
    if (tree / "source").exists():
        roots.append(tree / "source")
    return tuple(roots)
