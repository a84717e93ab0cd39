"""Functions that a wildcard leaves out: code that a breakpoint's own handling, or ours, runs through.

The kernel refuses what it knows to be fatal (its kprobe blacklist); this list is for what it lets through. Functions
with an ftrace call are not asked about: they are probed without a breakpoint.
"""

from __future__ import annotations

import re

_FAMILIES = (
    # marks of the linker script
    r"_?_?s?text|_stext|_etext|.*_text_(start|end)|.*_thunk_(start|end)",
    # switching stacks, entering the kernel, and what gcc or paravirt call with registers of their own
    r"__fentry__|__switch_to(_asm)?|asm_.*|.*_asm|.*raw_callee_save.*|__(get|put)_user_.*|__startup.*|early_.*|do_suspend_.*",
    r"_*paravirt_.*|(__)?native_.*|(__)?xen_.*|(__)?pv_.*|.*hypercall.*|_*sev_.*|snp_.*|vc_.*",
    # returns that the kernel patches into each function
    r"_*srso_.*|_*retbleed_.*|.*return_thunk.*|.*_untrain_ret|entry_ibpb|write_ibpb|.*clear_bhb.*",
    # locks, preemption and interrupts
    r".*preempt_count.*|.*spin_(rq_)?(un)?(try)?lock.*|.*raw_(read|write)_(un)?lock.*|_*atomic_.*|.*apic.*|.*_nmi.*",
    r".*softirq.*|_*irq_(enter|exit).*|rcu_.*|_*rcu_(nmi|eqs|dynticks|irq)_.*|(__)?current_.*|hash_64|hash_ptr",
    # clocks that tracing reads
    r".*sched_clock.*|.*cyc2ns.*|read_tsc|ktime_get.*_fast_ns",
    # breakpoints, text patching, tracing and its buffers
    r"text_poke.*|.*int3.*|.*static_call.*|.*kprobe.*|.*rethook.*|.*ftrace.*|.*trace_.*|tracing_.*|ring_buffer_.*|rb_.*",
    r"core_kernel_text|find_bug|search_(exception|extable).*|.*printk.*|bust_spinlocks",
    # page tables and what page faults are made of
    r"_*(pte|pmd|pud|p4d|pgd)(_.*)?|_*set_(pte|pmd|pud|p4d|pgd).*|cr4_.*|clear_page.*|copy_page(_regs)?|copy_user_.*",
)
_BLOCKED = re.compile("|".join(_FAMILIES))
# What the kernel itself calls on its way out of a probed function: its return would be hooked without end. Preemption
# is wanted for as long as interrupts are off: preempt_schedule_notrace() then returns at once, to be called again.
_RETURNS = re.compile(
    r".*objpool_(push|pop|try_add_slot|try_get_slot).*|freelist_.*|.*rethook.*|.*kretprobe.*"
    r"|(dynamic_)?preempt_schedule(_notrace)?(_thunk)?"
)


def unsafe(name: str) -> bool:
    """Whether a wildcard leaves the function out, as far as it has no ftrace call."""
    return _BLOCKED.fullmatch(name) is not None


def fatal_return(name: str) -> bool:
    """Whether nobody may probe the function's return, by whatever means."""
    return _RETURNS.fullmatch(name) is not None
