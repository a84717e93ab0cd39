/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kprobe.h: entries, returns and single instructions of kernel and module code.
 * A site that can not be armed is reported and the others stay; those in
 * modules wait for the module and leave with it. Handlers run with preemption
 * off in whatever context the probed code has; arming sleeps, under one mutex.
 */
#ifndef STAP_ENGINE_KPROBE_H
#define STAP_ENGINE_KPROBE_H

#ifndef KRETACTIVE
#define KRETACTIVE max_t(int, 15, 6 * num_possible_cpus())
#endif

#ifndef STAP_KPROBE_FEW
#define STAP_KPROBE_FEW 64		/* as many breakpoints may become jumps */
#endif
#ifndef STAP_KPROBE_CROWD
#define STAP_KPROBE_CROWD 10000		/* beside so many traced functions there are no breakpoints */
#endif

enum stap_place {
	STAP_PLACE_NAME,	/* the kernel looks the symbol up: slow before 6.2, exact for unique names */
	STAP_PLACE_DISTANCE,	/* `place` bytes from sprint_symbol(), if the symbol is what lies there */
	STAP_PLACE_MODULE,	/* `place` bytes into a section of the module, if the symbol is what lies there */
	STAP_PLACE_ADDRESS,	/* `place` itself */
};

struct stap_kprobe_site {
	struct stap_probe *probe;
	const char *symbol;
	const char *module;	/* NULL: the kernel */
	u64 place;
	u32 offset;
	u32 maxactive;		/* 0: KRETACTIVE */
	u8 kind;
	bool fentry;		/* begins with an ftrace call */
	bool is_return;
#ifdef STAP_NEED_CALLERS
	s64 caller;		/* only when called from code that begins so far from the symbol, */
	u64 caller_size;	/* and is so long; 0: from anywhere */
#endif
};

static const struct stap_kprobe_site stap_kprobe_sites[];
static const unsigned int stap_kprobe_count;

#include "fentry.h"

struct stap_kprobe {
	struct kretprobe kretprobe;	/* its kprobe alone, unless the site is a return */
	const struct stap_kprobe_site *site;
	struct stap_probe *probe;
	char *name;			/* "module:symbol" */
	bool armed;			/* registered: to be unregistered */
	bool armed_by_group;		/* fentry.h calls it; a kretprobe is registered besides, but disabled */
	bool refused;
	bool tried;			/* its module, or the kernel, was there to be armed in */
	unsigned long address;		/* 0: for the kernel to look up */
};

static struct stap_kprobe *stap_kprobes;
static bool stap_kprobe_plain;		/* no breakpoint is to be made a jump */
static bool stap_kprobe_crowded;	/* no breakpoint is to be set at entries */
static struct stap_fentries *stap_kprobe_groups;	/* of the kernel and of modules that are there */
static DEFINE_MUTEX(stap_kprobe_mutex);

#ifdef STAP_NEED_CALLERS
#include "callers.h"
#else
#define stap_kprobe_called_there(k, regs) true
#define stap_kprobe_has_caller(site) false
#endif

#include "kprobe_hit.h"
#include "kprobe_place.h"

/* --- arming -------------------------------------------------------------------------------------------- */

static void stap_kprobe_refused(const struct stap_probe *probe, int error)
{
	stap_session_message(STAP_ITEM_WARNING, "probe %s registration error [man warning::pass5] (rc %d)",
			     probe->point, error);
}

static void stap_kprobe_prepare(struct stap_kprobe *k, unsigned long address)
{
	const struct stap_kprobe_site *site = k->site;
	struct kprobe *kprobe = &k->kretprobe.kp;

	memset(&k->kretprobe, 0, sizeof(k->kretprobe));
	kprobe->flags = stap_idle(k->probe) ? KPROBE_FLAG_DISABLED : 0;
	if (address)
		kprobe->addr = (kprobe_opcode_t *)(address + site->offset);
	else
		kprobe->symbol_name = k->name ? k->name : site->symbol;
	if (!address)
		kprobe->offset = site->offset;
	if (!site->is_return) {
		kprobe->pre_handler = stap_kprobe_hit;
		kprobe->post_handler = stap_kprobe_plain && !site->fentry ? stap_kprobe_after : NULL;
		return;
	}
	k->kretprobe.handler = stap_kretprobe_hit;
	k->kretprobe.maxactive = site->maxactive ? site->maxactive : KRETACTIVE;
	if (site->probe->entry || stap_kprobe_has_caller(site)) {
		k->kretprobe.entry_handler = stap_kretprobe_entry;
		k->kretprobe.data_size = max_t(size_t, sizeof(s64), site->probe->saved_size);
	}
}

static void stap_kprobe_arm(struct stap_kprobe *k, unsigned long address)
{
	int error;

	stap_kprobe_prepare(k, address);
	error = k->site->is_return ? register_kretprobe(&k->kretprobe) : register_kprobe(&k->kretprobe.kp);
	k->armed = !error;
	if (error)
		stap_kprobe_refused(k->probe, error);
}

/* fentry.h could not take the probe: it becomes a kprobe with the others that are none of its. */
static void stap_kprobe_instead(struct stap_probe *probe)
{
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		if (k->probe != probe || !k->armed_by_group)
			continue;
		k->armed_by_group = false;
		if (k->armed && !stap_idle(probe))
			enable_kprobe(&k->kretprobe.kp);
	}
}

static bool stap_kprobe_is_in(const struct stap_kprobe *k, const char *module)
{
	return module ? k->site->module && !strcmp(k->site->module, module) : !k->site->module;
}

/* Of the groups of a module, the one whose probes have this one's condition. */
static struct stap_fentries *stap_kprobe_group_of(struct stap_fentries *group, const struct stap_probe *probe)
{
	while (group && group->armed_if != probe->armed_if)
		group = group->next;
	return group;
}

/*
 * Whether fentry.h takes the site. A return needs a kretprobe nevertheless, but
 * one that is not armed: arming one by one would take a pass over all that
 * ftrace knows for each.
 */
static bool stap_kprobe_join(struct stap_kprobe *k, struct stap_fentries *group)
{
	struct kretprobe *kretprobe = k->site->is_return ? &k->kretprobe : NULL;
	int error;

	if (!group)
		return false;
	if (!kretprobe)
		return k->address && stap_fentries_add(group, k->address, k->probe, NULL);
	stap_kprobe_prepare(k, k->address);
	kretprobe->kp.flags = KPROBE_FLAG_DISABLED;
	error = register_kretprobe(kretprobe);
	k->armed = !error;
	k->refused = error;
	if (error)
		stap_kprobe_refused(k->probe, error);
	else if (stap_kprobe_by_ftrace(&kretprobe->kp) &&
		 stap_fentries_add(group, (unsigned long)kretprobe->kp.addr, k->probe, kretprobe))
		return true;
	else if (!stap_idle(k->probe))
		enable_kprobe(&kretprobe->kp);
	return false;
}

/* A place that is not known is for the kernel to look up; in a module, the first ones at once, to learn of the others. */
static void stap_kprobe_find(struct stap_kprobe *k, struct stap_fentries *group, struct stap_kprobe_bases *bases)
{
	const struct stap_kprobe_site *site = k->site;

	k->address = stap_kprobe_address(site, bases);
	if (site->fentry && !site->offset && (k->address || !site->module))
		k->armed_by_group = stap_kprobe_join(k, stap_kprobe_group_of(group, site->probe));
	if (k->address || site->kind != STAP_PLACE_MODULE || bases->count == ARRAY_SIZE(bases->at))
		return;
	stap_kprobe_arm(k, 0);
	if (k->armed)
		bases->at[bases->count++] = (unsigned long)k->kretprobe.kp.addr - site->offset - site->place;
	else
		k->refused = true;
}

static void stap_kprobe_arm_group(struct stap_fentries *group)
{
	if (stap_fentries_arm(group, stap_kprobe_instead)) {
		group->next = stap_kprobe_groups;
		stap_kprobe_groups = group;
	} else {
		kvfree(group);
	}
}

static void stap_kprobe_find_all(const char *module, struct stap_fentries *group)
{
	struct stap_kprobe_bases bases = {};
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		if (!stap_kprobe_is_in(k, module) || k->armed || k->armed_by_group)
			continue;
		k->refused = false;
		stap_kprobe_find(k, group, &bases);
		cond_resched();
	}
}

/* What fentry.h does not take. */
static void stap_kprobe_arm_rest(const char *module)
{
	unsigned int i;

	for (i = 0; i < stap_kprobe_count && !stap_is_ending(); i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		if (!stap_kprobe_is_in(k, module) || k->armed || k->armed_by_group || k->refused)
			continue;
		if (stap_kprobe_crowded && !k->site->fentry && !k->site->is_return)
			continue;
		stap_kprobe_arm(k, k->address);
		k->refused = !k->armed;
		cond_resched();
	}
}

/* One more group, for the sites that are armed by this condition (NULL: always). */
static struct stap_fentries *stap_kprobe_new_group(const char *module, const struct stap_condition *armed_if)
{
	struct stap_fentries *group;
	unsigned int i, most = 0;

	for (i = 0; i < stap_kprobe_count; i++)
		most += stap_kprobe_is_in(&stap_kprobes[i], module) && stap_kprobes[i].site->fentry &&
			stap_kprobes[i].probe->armed_if == armed_if;
	group = most ? stap_fentries_new(module, most) : NULL;
	if (group)
		group->armed_if = armed_if;
	return group;
}

static struct stap_fentries *stap_kprobe_new_groups(const char *module)
{
	struct stap_fentries *groups = stap_kprobe_new_group(module, NULL);
#ifdef STAP_NEED_CONDITIONS
	unsigned int i;

	for (i = 0; i < stap_condition_count; i++) {
		struct stap_fentries *group = stap_kprobe_new_group(module, &stap_conditions[i]);

		if (group) {
			group->next = groups;
			groups = group;
		}
	}
#endif
	return groups;
}

/*
 * All sites of a module, or of the kernel (NULL). Every place is looked up
 * before a breakpoint is set, since breakpoints in the kernel's string functions
 * would make each look-up a hundred times slower, and breakpoints are set before
 * thousands of functions are traced, those that set breakpoints among them.
 */
static void stap_kprobe_arm_all_of(const char *module)
{
	struct stap_fentries *groups, *group;
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++)
		stap_kprobes[i].tried |= stap_kprobe_is_in(&stap_kprobes[i], module);
	if (module && stap_build_refused(module)) {
		stap_build_warn(module);
		return;
	}
	groups = stap_kprobe_new_groups(module);
	stap_kprobe_find_all(module, groups);
	stap_kprobe_arm_rest(module);
	if (!groups)
		return;
	while ((group = groups)) {
		groups = group->next;
		stap_kprobe_arm_group(group);
	}
	stap_kprobe_arm_rest(module);	/* what ftrace refused */
}

static void stap_kprobe_skipped(struct stap_kprobe *k, enum stap_skip cause, int count)
{
	if (count)
		stap_skip_many(k->probe, cause, count);
}

/* Missed hits of what is about to go. */
static void stap_kprobe_count_missed(struct stap_kprobe *k)
{
	struct kretprobe *kretprobe = &k->kretprobe;

	if (k->site->is_return) {
		stap_kprobe_skipped(k, STAP_SKIP_KRETPROBE, kretprobe->nmissed);
		stap_kprobe_skipped(k, STAP_SKIP_KRETPROBE_KPROBE, kretprobe->kp.nmissed);
	} else {
		stap_kprobe_skipped(k, STAP_SKIP_KPROBE, kretprobe->kp.nmissed);
	}
	kretprobe->nmissed = 0;
	kretprobe->kp.nmissed = 0;
}

enum { STAP_KPROBE_BATCH = 256 };

/* Takes off all armed sites (of one module, or all), a batch at a time: each batch waits once for running handlers. */
static void stap_kprobe_disarm(const char *module, bool returns)
{
	void **batch = kcalloc(STAP_KPROBE_BATCH, sizeof(*batch), GFP_KERNEL);
	void *one[1];
	unsigned int most = batch ? STAP_KPROBE_BATCH : 1, count = 0, i;
	void **list = batch ? batch : one;

	for (i = 0; i <= stap_kprobe_count; i++) {
		if (count == most || (i == stap_kprobe_count && count)) {
			if (returns)
				unregister_kretprobes((struct kretprobe **)list, count);
			else
				unregister_kprobes((struct kprobe **)list, count);
			count = 0;
			cond_resched();
		}
		if (i == stap_kprobe_count || !stap_kprobes[i].armed || stap_kprobes[i].site->is_return != returns)
			continue;
		if (module && (!stap_kprobes[i].site->module || strcmp(stap_kprobes[i].site->module, module)))
			continue;
		stap_kprobes[i].armed = false;
		list[count++] = returns ? (void *)&stap_kprobes[i].kretprobe : (void *)&stap_kprobes[i].kretprobe.kp;
	}
	kfree(batch);
}

/* Of one module (or, NULL, all) the sites that fentry.h has armed. */
static void stap_kprobe_disarm_groups(const char *module)
{
	struct stap_fentries **at = &stap_kprobe_groups;

	while (*at) {
		struct stap_fentries *group = *at;

		if (module && (!group->module || strcmp(group->module, module))) {
			at = &group->next;
			continue;
		}
		*at = group->next;
		stap_fentries_disarm(group);
		kvfree(group);
	}
}

static void stap_kprobe_disarm_module(const char *module)
{
	unsigned int i;

	stap_kprobe_disarm_groups(module);
	stap_kprobe_disarm(module, true);
	stap_kprobe_disarm(module, false);
	for (i = 0; i < stap_kprobe_count; i++) {
		if (module && !stap_kprobe_is_in(&stap_kprobes[i], module))
			continue;
		stap_kprobes[i].armed_by_group = false;
		stap_kprobes[i].tried = false;
		stap_kprobe_count_missed(&stap_kprobes[i]);
	}
}

/* --- conditions ------------------------------------------------------------------------------------------ */

static int stap_kprobe_rearm_one(struct stap_kprobe *k)
{
	struct kprobe *kprobe = &k->kretprobe.kp;
	bool idle = stap_idle(k->probe);

	if (!k->armed || k->armed_by_group || kprobe->flags & KPROBE_FLAG_GONE || idle == kprobe_disabled(kprobe))
		return 0;
	return idle ? disable_kprobe(kprobe) : enable_kprobe(kprobe);
}

static int stap_kprobe_rearm(void)
{
	struct stap_fentries *group;
	unsigned int i;
	int error = 0;

	mutex_lock(&stap_kprobe_mutex);
	for (i = 0; i < stap_kprobe_count; i++)
		if (stap_kprobes[i].probe->armed_if)
			error |= stap_kprobe_rearm_one(&stap_kprobes[i]);
	for (group = stap_kprobe_groups; group; group = group->next)
		error |= stap_fentries_rearm(group);
	mutex_unlock(&stap_kprobe_mutex);
	return error;
}

/* --- modules that come and go ---------------------------------------------------------------------------- */

static const struct stap_kprobe *stap_kprobe_first_in(const char *module)
{
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++)
		if (stap_kprobe_is_in(&stap_kprobes[i], module))
			return &stap_kprobes[i];
	return NULL;
}

/* What is still armed is of a module of that name that was going when the session started, and could not be told. */
static void stap_kprobe_module_comes(const struct stap_kprobe *first)
{
	if (first->tried)
		stap_kprobe_disarm_module(first->site->module);
	stap_kprobe_arm_all_of(first->site->module);
}

static int stap_kprobe_module_event(struct notifier_block *self, unsigned long event, void *data)
{
	const struct module *module = data;
	const struct stap_kprobe *first;

	mutex_lock(&stap_kprobe_mutex);
	first = stap_kprobe_first_in(module->name);
	if (first && event == MODULE_STATE_COMING)
		stap_kprobe_module_comes(first);
	else if (first && event == MODULE_STATE_LIVE && !first->tried)
		stap_kprobe_arm_all_of(first->site->module);
	else if (first && event == MODULE_STATE_GOING)
		stap_kprobe_disarm_module(module->name);
	mutex_unlock(&stap_kprobe_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block stap_kprobe_notifier = {
	.notifier_call = stap_kprobe_module_event,
};

/* --- the engine ------------------------------------------------------------------------------------------ */

static void stap_kprobe_free(void)
{
	unsigned int i;

	for (i = 0; stap_kprobes && i < stap_kprobe_count; i++)
		kfree(stap_kprobes[i].name);
	kvfree(stap_kprobes);
	stap_kprobes = NULL;
}

static int stap_kprobe_allocate(void)
{
	unsigned int i;

	stap_kprobes = kvcalloc(stap_kprobe_count, sizeof(*stap_kprobes), GFP_KERNEL);
	if (!stap_kprobes)
		return -ENOMEM;
	for (i = 0; i < stap_kprobe_count; i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		k->site = &stap_kprobe_sites[i];
		k->probe = k->site->probe;
		if (!k->site->module)
			continue;
		k->name = kasprintf(GFP_KERNEL, "%s:%s", k->site->module, k->site->symbol);
		if (!k->name)
			return -ENOMEM;
	}
	return 0;
}

/* Sites of one module are neighbours in the table, so each module is looked for once. */
static void stap_kprobe_arm_all(void)
{
	const char *module = NULL;
	unsigned int i, breakpoints = 0;

	for (i = 0; i < stap_kprobe_count; i++)
		breakpoints += !stap_kprobes[i].site->fentry;
	stap_kprobe_plain = breakpoints > STAP_KPROBE_FEW;
	stap_kprobe_crowded = stap_kprobe_plain && stap_kprobe_count - breakpoints > STAP_KPROBE_CROWD;
	if (stap_kprobe_crowded)
		stap_session_message(STAP_ITEM_WARNING, "%u functions without an ftrace call are not probed beside %u others",
				     breakpoints, stap_kprobe_count - breakpoints);
	stap_kprobe_arm_all_of(NULL);
	for (i = 0; i < stap_kprobe_count; i++) {
		const char *next = stap_kprobes[i].site->module;

		if (!next || (module && !strcmp(module, next)))
			continue;
		module = next;
		if (stap_module_loaded(module) || stap_kprobe_is_known(stap_kprobes[i].name))
			stap_kprobe_arm_all_of(module);
	}
}

static int stap_kprobe_start(void)
{
	int error = stap_kprobe_allocate();

#ifdef STAP_NEED_CALLERS
	stap_callers_start();
#endif
	if (!error)
		error = register_module_notifier(&stap_kprobe_notifier);
	if (error) {
		stap_kprobe_free();
		return error;
	}
	mutex_lock(&stap_kprobe_mutex);
	stap_kprobe_arm_all();
	mutex_unlock(&stap_kprobe_mutex);
	return 0;
}

static void stap_kprobe_stop(void)
{
	unregister_module_notifier(&stap_kprobe_notifier);
	stap_kprobe_disarm_module(NULL);
	stap_kprobe_free();
}

#endif
