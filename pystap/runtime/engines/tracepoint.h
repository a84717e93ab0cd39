/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tracepoint.h: the kernel's and its modules' static tracepoints. Handlers run
 * with preemption off in the traced code's context, and get the tracepoint's
 * arguments as numbers. Arming sleeps, under one mutex; a tracepoint that lies
 * in a module is armed when the module comes.
 */
#ifndef STAP_ENGINE_TRACEPOINT_H
#define STAP_ENGINE_TRACEPOINT_H

#include <linux/tracepoint.h>

struct stap_tracepoint_site {
	struct stap_probe *probe;
	const char *name;	/* without the system */
	const char *module;	/* NULL: the kernel, or not known */
	u32 arity;
};

static const struct stap_tracepoint_site stap_tracepoint_sites[];
static const unsigned int stap_tracepoint_count;

static struct tracepoint **stap_tracepoints;	/* those found; NULL: waiting for a module */
static bool *stap_tracepoints_armed;
static DEFINE_MUTEX(stap_tracepoint_mutex);

static __always_inline void stap_tracepoint_run(void *data, const unsigned long *values, unsigned int count)
{
	struct stap_probe *probe = ((const struct stap_tracepoint_site *)data)->probe;
	struct stap_context *c = stap_enter(probe);
	unsigned int i;

	if (!c)
		return;
	for (i = 0; i < count; i++)
		c->args[i] = values[i];
	probe->handler(c);
	stap_leave(c);
}

/*
 * One callback for each number of arguments. All of a tracepoint's arguments
 * are numbers or pointers (pystap refuses others), which the ABI passes one in
 * a register or stack slot each; what is narrower leaves the upper bits
 * undefined, so the script's side takes as many as the type has.
 */
#define STAP_TRACEPOINT_HIT(n, ...)						\
	static void stap_tracepoint_hit_##n(void *data, ##__VA_ARGS__)

STAP_TRACEPOINT_HIT(0)
{
	stap_tracepoint_run(data, NULL, 0);
}

STAP_TRACEPOINT_HIT(1, unsigned long a)
{
	const unsigned long values[] = { a };

	stap_tracepoint_run(data, values, 1);
}

STAP_TRACEPOINT_HIT(2, unsigned long a, unsigned long b)
{
	const unsigned long values[] = { a, b };

	stap_tracepoint_run(data, values, 2);
}

STAP_TRACEPOINT_HIT(3, unsigned long a, unsigned long b, unsigned long c)
{
	const unsigned long values[] = { a, b, c };

	stap_tracepoint_run(data, values, 3);
}

STAP_TRACEPOINT_HIT(4, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	const unsigned long values[] = { a, b, c, d };

	stap_tracepoint_run(data, values, 4);
}

STAP_TRACEPOINT_HIT(5, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
	const unsigned long values[] = { a, b, c, d, e };

	stap_tracepoint_run(data, values, 5);
}

/* Six and more: what the ABI puts on the stack is read only as far as the tracepoint has arguments. */
#define STAP_SIX unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e, unsigned long f

STAP_TRACEPOINT_HIT(6, STAP_SIX)
{
	const unsigned long values[] = { a, b, c, d, e, f };

	stap_tracepoint_run(data, values, 6);
}

STAP_TRACEPOINT_HIT(7, STAP_SIX, unsigned long g)
{
	const unsigned long values[] = { a, b, c, d, e, f, g };

	stap_tracepoint_run(data, values, 7);
}

STAP_TRACEPOINT_HIT(8, STAP_SIX, unsigned long g, unsigned long h)
{
	const unsigned long values[] = { a, b, c, d, e, f, g, h };

	stap_tracepoint_run(data, values, 8);
}

STAP_TRACEPOINT_HIT(9, STAP_SIX, unsigned long g, unsigned long h, unsigned long i)
{
	const unsigned long values[] = { a, b, c, d, e, f, g, h, i };

	stap_tracepoint_run(data, values, 9);
}

STAP_TRACEPOINT_HIT(10, STAP_SIX, unsigned long g, unsigned long h, unsigned long i, unsigned long j)
{
	const unsigned long values[] = { a, b, c, d, e, f, g, h, i, j };

	stap_tracepoint_run(data, values, 10);
}

STAP_TRACEPOINT_HIT(11, STAP_SIX, unsigned long g, unsigned long h, unsigned long i, unsigned long j, unsigned long k)
{
	const unsigned long values[] = { a, b, c, d, e, f, g, h, i, j, k };

	stap_tracepoint_run(data, values, 11);
}

STAP_TRACEPOINT_HIT(12, STAP_SIX, unsigned long g, unsigned long h, unsigned long i, unsigned long j, unsigned long k,
		    unsigned long l)
{
	const unsigned long values[] = { a, b, c, d, e, f, g, h, i, j, k, l };

	stap_tracepoint_run(data, values, 12);
}

static void *const stap_tracepoint_hits[] = {
	stap_tracepoint_hit_0, stap_tracepoint_hit_1, stap_tracepoint_hit_2, stap_tracepoint_hit_3,
	stap_tracepoint_hit_4, stap_tracepoint_hit_5, stap_tracepoint_hit_6, stap_tracepoint_hit_7,
	stap_tracepoint_hit_8, stap_tracepoint_hit_9, stap_tracepoint_hit_10, stap_tracepoint_hit_11,
	stap_tracepoint_hit_12,
};

static int stap_tracepoint_register(unsigned int i)
{
	const struct stap_tracepoint_site *site = &stap_tracepoint_sites[i];
	int error = tracepoint_probe_register(stap_tracepoints[i], stap_tracepoint_hits[site->arity], (void *)site);

	stap_tracepoints_armed[i] = !error;
	return error;
}

static void stap_tracepoint_unregister(unsigned int i)
{
	const struct stap_tracepoint_site *site = &stap_tracepoint_sites[i];

	if (stap_tracepoints_armed[i])
		tracepoint_probe_unregister(stap_tracepoints[i], stap_tracepoint_hits[site->arity], (void *)site);
	stap_tracepoints_armed[i] = false;
}

static void stap_tracepoint_arm(unsigned int i, struct tracepoint *tracepoint)
{
	const struct stap_tracepoint_site *site = &stap_tracepoint_sites[i];
	int error;

	stap_tracepoints[i] = tracepoint;
	error = stap_idle(site->probe) ? 0 : stap_tracepoint_register(i);
	if (!error)
		return;
	stap_tracepoints[i] = NULL;
	stap_session_message(STAP_ITEM_WARNING, "probe %s registration error [man warning::pass5] (rc %d)",
			     site->probe->point, error);
}

static void stap_tracepoint_disarm(unsigned int i)
{
	stap_tracepoint_unregister(i);
	stap_tracepoints[i] = NULL;
}

/* Arms every site of a tracepoint; under the mutex. */
static void stap_tracepoint_found(struct tracepoint *tracepoint, void *unused)
{
	unsigned int i;

	for (i = 0; i < stap_tracepoint_count; i++)
		if (!stap_tracepoints[i] && !strcmp(stap_tracepoint_sites[i].name, tracepoint->name))
			stap_tracepoint_arm(i, tracepoint);
}

static void stap_tracepoint_lost(struct tracepoint *tracepoint)
{
	unsigned int i;

	for (i = 0; i < stap_tracepoint_count; i++)
		if (stap_tracepoints[i] == tracepoint)
			stap_tracepoint_disarm(i);
}

#ifdef CONFIG_MODULES
/* Called for modules that are there when it is registered, too. */
static int stap_tracepoint_module_event(struct notifier_block *self, unsigned long event, void *data)
{
	const struct module *module = ((struct tp_module *)data)->mod;
	unsigned int i;

	if (module == THIS_MODULE || stap_build_refused(module->name))
		return NOTIFY_DONE;
	mutex_lock(&stap_tracepoint_mutex);
	for (i = 0; i < module->num_tracepoints; i++) {
		struct tracepoint *tracepoint = tracepoint_ptr_deref(&module->tracepoints_ptrs[i]);

		if (event == MODULE_STATE_COMING)
			stap_tracepoint_found(tracepoint, NULL);
		else if (event == MODULE_STATE_GOING)
			stap_tracepoint_lost(tracepoint);
	}
	mutex_unlock(&stap_tracepoint_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block stap_tracepoint_notifier = {
	.notifier_call = stap_tracepoint_module_event,
};
#endif

static void stap_tracepoint_free(void)
{
	kvfree(stap_tracepoints);
	kvfree(stap_tracepoints_armed);
	stap_tracepoints = NULL;
	stap_tracepoints_armed = NULL;
}

static int stap_tracepoint_start(void)
{
	stap_tracepoints = kvcalloc(stap_tracepoint_count, sizeof(*stap_tracepoints), GFP_KERNEL);
	stap_tracepoints_armed = kvcalloc(stap_tracepoint_count, sizeof(*stap_tracepoints_armed), GFP_KERNEL);
	if (!stap_tracepoints || !stap_tracepoints_armed) {
		stap_tracepoint_free();
		return -ENOMEM;
	}
	mutex_lock(&stap_tracepoint_mutex);
	for_each_kernel_tracepoint(stap_tracepoint_found, NULL);
	mutex_unlock(&stap_tracepoint_mutex);
#ifdef CONFIG_MODULES
	register_tracepoint_module_notifier(&stap_tracepoint_notifier);
#endif
	return 0;
}

static void stap_tracepoint_stop(void)
{
	unsigned int i;

#ifdef CONFIG_MODULES
	unregister_tracepoint_module_notifier(&stap_tracepoint_notifier);
#endif
	for (i = 0; i < stap_tracepoint_count; i++)
		stap_tracepoint_disarm(i);
	tracepoint_synchronize_unregister();
	stap_tracepoint_free();
}

static int stap_tracepoint_rearm(void)
{
	unsigned int i;
	int error = 0;

	mutex_lock(&stap_tracepoint_mutex);
	for (i = 0; i < stap_tracepoint_count; i++) {
		if (!stap_tracepoints[i])
			continue;
		if (stap_idle(stap_tracepoint_sites[i].probe))
			stap_tracepoint_unregister(i);
		else if (!stap_tracepoints_armed[i])
			error |= stap_tracepoint_register(i);
	}
	mutex_unlock(&stap_tracepoint_mutex);
	return error;
}

#endif
