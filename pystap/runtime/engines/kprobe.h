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

enum stap_place {
	STAP_PLACE_NAME,	/* the kernel looks the symbol up: slow before 6.2, exact for unique names */
	STAP_PLACE_DISTANCE,	/* `place` bytes from sprint_symbol(), if the symbol is what lies there */
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
};

static const struct stap_kprobe_site stap_kprobe_sites[];
static const unsigned int stap_kprobe_count;

#include "fentry.h"

struct stap_kprobe {
	struct kretprobe kretprobe;	/* its kprobe alone, unless the site is a return */
	const struct stap_kprobe_site *site;
	struct stap_probe *probe;
	char *name;			/* "module:symbol" */
	bool armed;
};

static struct stap_kprobe *stap_kprobes;
static DEFINE_MUTEX(stap_kprobe_mutex);

/* What a return probe keeps between entry and return, when it keeps something. */
struct stap_kretprobe_saved {
	s64 valid;
	s64 values[];
};

static int stap_kprobe_hit(struct kprobe *kprobe, struct pt_regs *regs)
{
	struct stap_probe *probe = container_of(kprobe, struct stap_kprobe, kretprobe.kp)->probe;
	struct stap_context *c = stap_enter(probe);

	if (c) {
		c->regs = regs;
		c->ip = (unsigned long)kprobe->addr;
		probe->handler(c);
		stap_leave(c);
	}
	return 0;
}
NOKPROBE_SYMBOL(stap_kprobe_hit);

static int stap_kretprobe_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct stap_kretprobe_saved *saved = (struct stap_kretprobe_saved *)instance->data;
	struct kretprobe *kretprobe = stap_kretprobe_of(instance);
	struct stap_probe *probe;
	struct stap_context *c;

	saved->valid = 0;
	if (!kretprobe)
		return 1;
	probe = container_of(kretprobe, struct stap_kprobe, kretprobe)->probe;
	c = stap_enter(probe);
	if (!c)
		return 0;
	c->regs = regs;
	c->ip = (unsigned long)kretprobe->kp.addr;
	c->saved = saved->values;
	memset(saved->values, 0, probe->saved_size);
	probe->entry(c);
	saved->valid = 1;
	stap_leave(c);
	return 0;
}
NOKPROBE_SYMBOL(stap_kretprobe_entry);

static int stap_kretprobe_hit(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct stap_kretprobe_saved *saved = (struct stap_kretprobe_saved *)instance->data;
	struct kretprobe *kretprobe = stap_kretprobe_of(instance);
	struct stap_probe *probe;
	struct stap_context *c;

	if (!kretprobe)
		return 0;
	probe = container_of(kretprobe, struct stap_kprobe, kretprobe)->probe;
	c = stap_enter(probe);
	if (!c)
		return 0;
	c->regs = regs;
	c->ip = (unsigned long)stap_kretprobe_address(instance);
	c->retval = regs_return_value(regs);
	if (probe->entry && saved->valid)
		c->saved = saved->values;
	probe->handler(c);
	stap_leave(c);
	return 0;
}
NOKPROBE_SYMBOL(stap_kretprobe_hit);

/* --- where a site is ----------------------------------------------------------------------------------- */

/* The address of a site's symbol, or 0 when the kernel has to look for it by name. */
static unsigned long stap_kprobe_address(const struct stap_kprobe_site *site)
{
	char name[KSYM_SYMBOL_LEN];
	unsigned long address;

	if (site->kind == STAP_PLACE_ADDRESS)
		return site->place;
	if (site->kind != STAP_PLACE_DISTANCE)
		return 0;
	address = (unsigned long)sprint_symbol + site->place;
	sprint_symbol(name, address);
	if (strncmp(name, site->symbol, strlen(site->symbol)) || strncmp(name + strlen(site->symbol), "+0x0/", 5))
		return 0;	/* another kernel, or another name of the same place */
	return address;
}

static bool stap_module_loaded(const char *name)
{
	char file[16 + MODULE_NAME_LEN];
	struct path path;

	snprintf(file, sizeof(file), "/sys/module/%s", name);
	if (kern_path(file, LOOKUP_FOLLOW, &path))
		return false;
	path_put(&path);
	return true;
}

/* --- arming -------------------------------------------------------------------------------------------- */

static void stap_kprobe_refused(const struct stap_probe *probe, int error)
{
	stap_session_message(STAP_ITEM_WARNING, "probe %s registration error [man warning::pass5] (rc %d)",
			     probe->point, error);
}

static void stap_kprobe_prepare(struct stap_kprobe *k)
{
	const struct stap_kprobe_site *site = k->site;
	struct kprobe *kprobe = &k->kretprobe.kp;
	unsigned long address = stap_kprobe_address(site);

	memset(&k->kretprobe, 0, sizeof(k->kretprobe));
	if (address)
		kprobe->addr = (kprobe_opcode_t *)(address + site->offset);
	else
		kprobe->symbol_name = k->name ? k->name : site->symbol;
	if (!address)
		kprobe->offset = site->offset;
	if (!site->is_return) {
		kprobe->pre_handler = stap_kprobe_hit;
		return;
	}
	k->kretprobe.handler = stap_kretprobe_hit;
	k->kretprobe.maxactive = site->maxactive ? site->maxactive : KRETACTIVE;
	if (site->probe->entry) {
		k->kretprobe.entry_handler = stap_kretprobe_entry;
		k->kretprobe.data_size = sizeof(struct stap_kretprobe_saved) + site->probe->saved_size;
	}
}

static int stap_kprobe_arm(struct stap_kprobe *k)
{
	int error;

	stap_kprobe_prepare(k);
	error = k->site->is_return ? register_kretprobe(&k->kretprobe) : register_kprobe(&k->kretprobe.kp);
	k->armed = !error;
	return error;
}

static void stap_kprobe_arm_or_warn(struct stap_kprobe *k)
{
	int error = stap_kprobe_arm(k);

	if (error)
		stap_kprobe_refused(k->probe, error);
}

/* fentry.h could not take the probe. */
static void stap_kprobe_instead(struct stap_probe *probe)
{
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++)
		if (stap_kprobes[i].probe == probe)
			stap_kprobe_arm_or_warn(&stap_kprobes[i]);
}

static void stap_kprobe_arm_kernel(struct stap_kprobe *k)
{
	const struct stap_kprobe_site *site = k->site;
	unsigned long address;

	if (site->fentry && !site->is_return && !site->offset) {
		address = stap_kprobe_address(site);
		if (address && stap_fentry_add(address, site->probe, stap_kprobe_count))
			return;
	}
	stap_kprobe_arm_or_warn(k);
}

/* Missed hits of what is about to go. Return probes miss when more calls are under way than maxactive. */
static void stap_kprobe_count_missed(struct stap_kprobe *k)
{
	int missed = k->site->is_return ? k->kretprobe.nmissed : 0;

	atomic_add(missed, &k->probe->skipped[STAP_SKIP_MISSED]);
	atomic_add(missed, &stap_skipped_count);
	atomic_add(k->kretprobe.kp.nmissed, &k->probe->skipped[STAP_SKIP_REENTRANT]);
	k->kretprobe.nmissed = 0;
	k->kretprobe.kp.nmissed = 0;
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

static void stap_kprobe_disarm_module(const char *module)
{
	unsigned int i;

	stap_kprobe_disarm(module, true);
	stap_kprobe_disarm(module, false);
	for (i = 0; i < stap_kprobe_count; i++)
		if (!module || (stap_kprobes[i].site->module && !strcmp(stap_kprobes[i].site->module, module)))
			stap_kprobe_count_missed(&stap_kprobes[i]);
}

/* --- modules that come and go ---------------------------------------------------------------------------- */

static void stap_kprobe_arm_module(const char *module)
{
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		if (k->site->module && !k->armed && !strcmp(k->site->module, module))
			stap_kprobe_arm_or_warn(k);
	}
}

static int stap_kprobe_module_event(struct notifier_block *self, unsigned long event, void *data)
{
	const struct module *module = data;

	mutex_lock(&stap_kprobe_mutex);
	if (event == MODULE_STATE_COMING)
		stap_kprobe_arm_module(module->name);
	else if (event == MODULE_STATE_GOING)
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
	bool loaded = false;
	unsigned int i;

	for (i = 0; i < stap_kprobe_count; i++) {
		struct stap_kprobe *k = &stap_kprobes[i];

		if (!k->site->module) {
			stap_kprobe_arm_kernel(k);
		} else {
			if (!module || strcmp(module, k->site->module))
				loaded = stap_module_loaded(k->site->module);
			module = k->site->module;
			if (loaded && !k->armed)
				stap_kprobe_arm_or_warn(k);
		}
		cond_resched();
	}
	stap_fentry_arm(stap_kprobe_instead);
}

static int stap_kprobe_start(void)
{
	int error = stap_kprobe_allocate();

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
	stap_fentry_disarm();
	stap_kprobe_disarm_module(NULL);
	stap_kprobe_free();
}

#endif
