/* SPDX-License-Identifier: GPL-2.0 */
/*
 * callers.h: the part of the kprobe engine for functions that are probed only
 * when a certain function calls them. At a function's entry its return address
 * says who that is, unless a return probe took its place: then the kernel's
 * unwinder knows it. Runs in the probed code's context; takes no lock.
 */
#ifndef STAP_ENGINE_CALLERS_H
#define STAP_ENGINE_CALLERS_H

static unsigned long stap_callers_trampoline;	/* where hooked functions return to */

static void stap_callers_start(void)
{
	static const char *const names[] = { "arch_rethook_trampoline", "__kretprobe_trampoline" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(names) && !stap_callers_trampoline; i++)
		stap_callers_trampoline = stap_symbol_lookup(NULL, names[i]);
}

/* Where the function that was just entered returns to; 0: not known. */
static unsigned long stap_callers_return_address(struct pt_regs *regs)
{
	unsigned long found[2];
#ifdef CONFIG_ARM64
	unsigned long address = procedure_link_pointer(regs);
#else
	unsigned long address = *(unsigned long *)kernel_stack_pointer(regs);
#endif

	if (address != stap_callers_trampoline)
		return address;
	if (!stap_stack_save_regs || stap_stack_save_regs(regs, found, 2, 0) < 2)
		return 0;
	return found[1];
}
NOKPROBE_SYMBOL(stap_callers_return_address);

static bool stap_kprobe_has_caller(const struct stap_kprobe_site *site)
{
	return site->caller_size != 0;
}

static bool stap_kprobe_called_there(const struct stap_kprobe *k, struct pt_regs *regs)
{
	const struct stap_kprobe_site *site = k->site;
	unsigned long low = (unsigned long)k->kretprobe.kp.addr - site->offset + site->caller;

	/* what a call that never returns would return to lies just behind the caller */
	return !site->caller_size || stap_callers_return_address(regs) - low - 1 < site->caller_size;
}
NOKPROBE_SYMBOL(stap_kprobe_called_there);

#endif
