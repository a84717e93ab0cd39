/* SPDX-License-Identifier: GPL-2.0 */
/*
 * fentry.h: the part of the kprobe engine for functions that begin with an
 * ftrace call: one ftrace_ops with a filter serves them all, so that arming
 * thousands takes one pass over the kernel's text, and a hit costs no kprobe.
 * Of a return probe this is the entry side: its kretprobe is registered but
 * not armed, and called from here. There is a group for the kernel and one for each module, and for each
 * condition on which probes are armed one more, to come and go as a whole. A hit may
 * come in any context that ftrace traces, NMI included; it takes no lock and
 * searches a table that is only freed when ftrace has waited for everyone to
 * be out. Set-up and removal sleep.
 */
#ifndef STAP_ENGINE_FENTRY_H
#define STAP_ENGINE_FENTRY_H

#include <linux/sort.h>

struct stap_fentry {
	unsigned long address;	/* of the function */
	struct stap_probe *probe;
	struct kretprobe *kretprobe;	/* NULL: the probe is of the entry */
};

struct stap_fentries {
	struct ftrace_ops ops;
	struct stap_fentries *next;
	const char *module;	/* NULL: the kernel */
	const struct stap_condition *armed_if;
	bool idle;		/* as its condition says: only the filter is there */
	unsigned int most;
	unsigned int count;
	struct stap_fentry table[];	/* by address; several probes may share one */
};

#if defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && defined(CONFIG_X86_64) && STAP_HAVE_FTRACE_SET_FILTER_IPS

enum {
	STAP_FENTRY_SHIFT = 8,	/* the call lies behind the function's endbr64, if it has one */
	STAP_FENTRY_BATCH = 128,
};

/*
 * What the kprobe of a kretprobe would do if it were armed: have the function
 * return into the kernel's hands. What that calls may be probed itself.
 */
static __always_inline void stap_fentry_hook(const struct stap_fentry *at, struct pt_regs *regs)
{
	struct kprobe *kprobe = &at->kretprobe->kp;
	struct stap_context *c;

	if (unlikely(stap_state_now() != STAP_STATE_RUNNING))
		return;
	preempt_disable_notrace();
	c = __this_cpu_read(stap_contexts);
	if (unlikely(c->busy || c->hooking)) {
		stap_skip(at->probe, STAP_SKIP_REENTRANT);
	} else {
		c->hooking = true;
		barrier();
		kprobe->pre_handler(kprobe, regs);
		barrier();
		c->hooking = false;
	}
	preempt_enable_notrace();
}

static __always_inline void stap_fentry_run(const struct stap_fentry *at, struct pt_regs *regs)
{
	struct stap_context *c;

	if (at->kretprobe) {
		stap_fentry_hook(at, regs);
		return;
	}
	c = stap_enter(at->probe);
	if (!c)
		return;
	c->regs = regs;
	c->ip = at->address;
	at->probe->handler(c);
	stap_leave(c);
}

/* The first entry that the ftrace call at `ip` may belong to. */
static __always_inline unsigned int stap_fentry_find(const struct stap_fentries *group, unsigned long ip)
{
	unsigned int low = 0, high = group->count;

	while (low < high) {
		unsigned int middle = (low + high) / 2;

		if (group->table[middle].address + STAP_FENTRY_SHIFT < ip)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void notrace stap_fentry_hit(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
				    stap_ftrace_regs *fregs)
{
	const struct stap_fentries *group = container_of(ops, struct stap_fentries, ops);
	struct pt_regs *regs = stap_ftrace_pt_regs(fregs);
	unsigned int i;

	if (unlikely(!regs))
		return;
	for (i = stap_fentry_find(group, ip); i < group->count && group->table[i].address <= ip; i++)
		stap_fentry_run(&group->table[i], regs);
}

static struct stap_fentries *stap_fentries_new(const char *module, unsigned int most)
{
	struct stap_fentries *group = kvzalloc(struct_size(group, table, most), GFP_KERNEL);

	if (group) {
		group->ops.func = stap_fentry_hit;
		group->ops.flags = FTRACE_OPS_FL_SAVE_REGS;
		group->module = module;
		group->most = most;
	}
	return group;
}

static bool stap_fentries_add(struct stap_fentries *group, unsigned long address, struct stap_probe *probe,
			      struct kretprobe *kretprobe)
{
	if (!group || group->count == group->most)
		return false;
	group->table[group->count++] = (struct stap_fentry){ address, probe, kretprobe };
	return true;
}

/* Puts functions into the filter; those that ftrace does not know are left out and get address 0. */
static void stap_fentries_filter_some(struct stap_fentries *group, unsigned int from, unsigned int count,
				      unsigned long *ips)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		ips[i] = group->table[from + i].address;
	if (!ftrace_set_filter_ips(&group->ops, ips, count, 0, 0))
		return;
	for (i = 0; i < count; i++)
		if (ftrace_set_filter_ip(&group->ops, ips[i], 0, 0))
			group->table[from + i].address = 0;
}

/* The filter of all; those that are left out are told to `refused`. */
static bool stap_fentries_filter(struct stap_fentries *group, void (*refused)(struct stap_probe *probe))
{
	unsigned long *ips = kcalloc(STAP_FENTRY_BATCH, sizeof(*ips), GFP_KERNEL);
	unsigned int i, kept = 0;

	if (!ips)
		return false;
	for (i = 0; i < group->count; i += STAP_FENTRY_BATCH) {
		stap_fentries_filter_some(group, i, min_t(unsigned int, STAP_FENTRY_BATCH, group->count - i), ips);
		cond_resched();
	}
	kfree(ips);
	for (i = 0; i < group->count; i++) {
		if (group->table[i].address)
			group->table[kept++] = group->table[i];
		else
			refused(group->table[i].probe);
	}
	group->count = kept;
	return true;
}

static int stap_fentry_order(const void *left, const void *right)
{
	const struct stap_fentry *a = left, *b = right;

	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return a->probe < b->probe ? -1 : a->probe > b->probe;
}

/* False where nothing of the group is armed; `refused` has then been told of each of its probes. */
static bool stap_fentries_arm(struct stap_fentries *group, void (*refused)(struct stap_probe *probe))
{
	unsigned int i;

	if (!group->count)
		return false;
	sort(group->table, group->count, sizeof(*group->table), stap_fentry_order, NULL);
	if (stap_fentries_filter(group, refused) && group->count) {
		group->idle = group->armed_if && READ_ONCE(group->armed_if->idle);
		if (group->idle || !register_ftrace_function(&group->ops))
			return true;
	}
	for (i = 0; i < group->count; i++)
		refused(group->table[i].probe);
	stap_ftrace_free_filter(&group->ops);
	return false;
}

static void stap_fentries_disarm(struct stap_fentries *group)
{
	if (!group->idle)
		unregister_ftrace_function(&group->ops);
	stap_ftrace_free_filter(&group->ops);
}

/* Brings a group in line with its condition. */
static int stap_fentries_rearm(struct stap_fentries *group)
{
	bool idle = group->armed_if && READ_ONCE(group->armed_if->idle);
	int error;

	if (idle == group->idle)
		return 0;
	error = idle ? unregister_ftrace_function(&group->ops) : register_ftrace_function(&group->ops);
	if (!error)
		group->idle = idle;
	return error;
}

#else

static struct stap_fentries *stap_fentries_new(const char *module, unsigned int most)
{
	return NULL;
}

static bool stap_fentries_add(struct stap_fentries *group, unsigned long address, struct stap_probe *probe,
			      struct kretprobe *kretprobe)
{
	return false;
}

static bool stap_fentries_arm(struct stap_fentries *group, void (*refused)(struct stap_probe *probe))
{
	return false;
}

static void stap_fentries_disarm(struct stap_fentries *group)
{
}

static int stap_fentries_rearm(struct stap_fentries *group)
{
	return 0;
}

#endif
#endif
