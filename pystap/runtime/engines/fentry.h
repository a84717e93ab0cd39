/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fentry.h: the part of the kprobe engine for entries of functions that begin
 * with an ftrace call: one ftrace_ops with a filter serves them all, so that
 * arming thousands takes one pass over the kernel's text, and a hit costs no
 * kprobe. The hit may come in any context that ftrace traces, NMI included;
 * it takes no lock and searches a table that is only freed when ftrace has
 * waited for everyone to be out. Set-up and removal sleep.
 */
#ifndef STAP_ENGINE_FENTRY_H
#define STAP_ENGINE_FENTRY_H

#include <linux/sort.h>

struct stap_fentry {
	unsigned long address;	/* of the function */
	struct stap_probe *probe;
};

static struct stap_fentry *stap_fentries;	/* by address; several probes may share one */
static unsigned int stap_fentry_count;

#if defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && defined(CONFIG_X86_64) && STAP_HAVE_FTRACE_SET_FILTER_IPS

enum {
	STAP_FENTRY_SHIFT = 8,	/* the call lies behind the function's endbr64, if it has one */
	STAP_FENTRY_BATCH = 128,
};

static __always_inline void stap_fentry_run(struct stap_fentry *at, struct pt_regs *regs)
{
	struct stap_context *c = stap_enter(at->probe);

	if (!c)
		return;
	c->regs = regs;
	c->ip = at->address;
	at->probe->handler(c);
	stap_leave(c);
}

/* The first entry that the ftrace call at `ip` may belong to. */
static __always_inline unsigned int stap_fentry_find(unsigned long ip)
{
	unsigned int low = 0, high = stap_fentry_count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (stap_fentries[middle].address + STAP_FENTRY_SHIFT < ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void notrace stap_fentry_hit(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
				    stap_ftrace_regs *fregs)
{
	struct pt_regs *regs = stap_ftrace_pt_regs(fregs);
	unsigned int i;

	if (unlikely(!regs))
		return;
	for (i = stap_fentry_find(ip); i < stap_fentry_count && stap_fentries[i].address <= ip; i++)
		stap_fentry_run(&stap_fentries[i], regs);
}

static struct ftrace_ops stap_fentry_ops = {
	.func = stap_fentry_hit,
	.flags = FTRACE_OPS_FL_SAVE_REGS,
};

/* Puts functions into the filter; those that ftrace does not know are left out and get address 0. */
static void stap_fentry_filter(struct stap_fentry *at, unsigned long *ips, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		ips[i] = at[i].address;
	if (!ftrace_set_filter_ips(&stap_fentry_ops, ips, count, 0, 0))
		return;
	for (i = 0; i < count; i++)
		if (ftrace_set_filter_ip(&stap_fentry_ops, ips[i], 0, 0))
			at[i].address = 0;
}

static int stap_fentry_order(const void *left, const void *right)
{
	const struct stap_fentry *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->probe < b->probe ? -1 : a->probe > b->probe;
}

/* Takes the site at `address`; false where there is no room or the mechanism is not there. */
static bool stap_fentry_add(unsigned long address, struct stap_probe *probe, unsigned int most)
{
	if (!stap_fentries)
		stap_fentries = kvcalloc(most, sizeof(*stap_fentries), GFP_KERNEL);
	if (!stap_fentries || stap_fentry_count == most)
		return false;
	stap_fentries[stap_fentry_count].address = address;
	stap_fentries[stap_fentry_count++].probe = probe;
	return true;
}

/* Where arming fails, the table is empty afterwards and `refused` is told of each site. */
static void stap_fentry_arm(void (*refused)(struct stap_probe *probe))
{
	unsigned long *ips;
	unsigned int i, kept = 0;
	int error = -ENOMEM;

	if (!stap_fentry_count)
		return;
	sort(stap_fentries, stap_fentry_count, sizeof(*stap_fentries), stap_fentry_order, NULL);
	ips = kcalloc(STAP_FENTRY_BATCH, sizeof(*ips), GFP_KERNEL);
	for (i = 0; ips && i < stap_fentry_count; i += STAP_FENTRY_BATCH) {
		stap_fentry_filter(stap_fentries + i, ips, min_t(unsigned int, STAP_FENTRY_BATCH, stap_fentry_count - i));
		cond_resched();
	}
	for (i = 0; ips && i < stap_fentry_count; i++) {
		if (stap_fentries[i].address)
			stap_fentries[kept++] = stap_fentries[i];
		else
			refused(stap_fentries[i].probe);
	}
	if (ips)
		stap_fentry_count = kept;
	if (ips && kept)
		error = register_ftrace_function(&stap_fentry_ops);
	kfree(ips);
	if (!error || !stap_fentry_count)
		return;
	for (i = 0; i < stap_fentry_count; i++)
		refused(stap_fentries[i].probe);
	stap_fentry_count = 0;
}

static void stap_fentry_disarm(void)
{
	if (stap_fentry_count)
		unregister_ftrace_function(&stap_fentry_ops);
	stap_ftrace_free_filter(&stap_fentry_ops);
	stap_fentry_count = 0;
	kvfree(stap_fentries);
	stap_fentries = NULL;
}

#else

static bool stap_fentry_add(unsigned long address, struct stap_probe *probe, unsigned int most)
{
	return false;
}

static void stap_fentry_arm(void (*refused)(struct stap_probe *probe))
{
}

static void stap_fentry_disarm(void)
{
}

#endif
#endif
