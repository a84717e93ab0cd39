"""Functions that points by DWARF leave out unless -g is given: probing them is unsafe, or was, on some kernel.

The same families that SystemTap leaves out, so that wildcards mean the same sets. What the kernel itself refuses
(NOKPROBE_SYMBOL, noinstr) is known from its image and left out besides.
"""

from __future__ import annotations

import re
from functools import cache

_FAMILIES = (
    # locks, and what takes and drops them
    r".*spin_(un|try)?lock.*", r".*spin_is_locked", r".*raw_.*_(un|try)?lock.*", r".*(read|write)_(un|try)?lock.*",
    r".*mutex_.*lock.*", r".*mutex_(un|try)?lock.*", r".*write_seq(un)?lock.*", r"rwsem_is_locked",
    r"rwsem_.*_(try)?lock.*",
    # atomic operations, and notifier chains (most of which are named so)
    r"atomic.*", r"notifier_call_chain", r"get_bh", r"put_bh",
    # interrupts and their controllers
    r".*apic.*", r".*APIC.*", r".*softirq.*", r".*IRQ.*", r".*_intr.*",
    # faults, traps, the end of an oops
    r"io_check_error", r"unknown_nmi_error", r"default_do_nmi", r"__die", r"die_nmi", r"oops_(begin|end)",
    r"do_(int3|debug|trap|general_protection|page_fault|IRQ)", r"mem_parity_error", r"sync_regs", r"unhandled_fault",
    # what the probe's own path uses
    r"get_current", r"current_.*", r".*preempt_count.*", r"__switch_to", r"hash_(64|ptr)", r"__delay",
    r".*kernel_text.*", r".*exception_tables", r".*setup_rt_frame",
    # page tables, and what paravirtualized kernels patch
    r".*_pte_.*", r"set_pte(_.*)?", r"xen_[gs]et_debugreg", r"xen_(irq_.*|iret.*|sysret64.*|sysexit.*)",
    r"xen_.*_fl_direct.*", r"special_mapping_.*",
)  # fmt: skip
_FUNCTION = re.compile("|".join(_FAMILIES))
_FILES = r"(.*/)?kernel/kprobes\.c|.*/include/asm/(io|bitops|paravirt)\.h|arch/.*/kernel/paravirt\.c|fs/seq_file\.c"
_FILE = re.compile(_FILES)
_NO_RETURN = frozenset(("do_exit", "sys_exit", "sys_exit_group"))


@cache
def left_out(function: str, file: str, is_return: bool) -> bool:
    """Whether a point on that function is left out."""
    if is_return and function in _NO_RETURN:
        return True
    return _FUNCTION.fullmatch(function) is not None or _FILE.fullmatch(file) is not None
