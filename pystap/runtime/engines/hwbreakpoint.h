/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hwbreakpoint.h: accesses to kernel memory, seen by each CPU's debug registers,
 * of which there are few: a site for which none is left is reported. Handlers
 * run in the debug exception of the access, which may come anywhere. Arming
 * sleeps; no locks.
 */
#ifndef STAP_ENGINE_HWBREAKPOINT_H
#define STAP_ENGINE_HWBREAKPOINT_H

#include <linux/cpu.h>
#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>
#include "interrupted.h"

struct stap_hwbreakpoint_site {
	struct stap_probe *probe;
	const char *symbol;	/* NULL: `place` is the address */
	const char *names;	/* of all symbols of the place, each between spaces */
	u64 place;		/* distance from sprint_symbol() */
	u8 length;
	bool writes_only;
};

static const struct stap_hwbreakpoint_site stap_hwbreakpoint_sites[];
static const unsigned int stap_hwbreakpoint_count;

static struct perf_event *__percpu **stap_hwbreakpoints;

static void stap_hwbreakpoint_hit(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
	const struct stap_hwbreakpoint_site *site = event->overflow_handler_context;
	struct stap_context *c = stap_enter(site->probe);

	if (!c)
		return;
	stap_interrupted(c, regs);
	site->probe->handler(c);
	stap_leave(c);
}

/* 0 where the running kernel has something else at the symbol's place. */
static unsigned long stap_hwbreakpoint_address(const struct stap_hwbreakpoint_site *site)
{
	unsigned long address = (unsigned long)sprint_symbol + site->place;
	char name[KSYM_SYMBOL_LEN + 1] = " ";
	char *end;

	if (!site->symbol)
		return site->place;
	sprint_symbol(name + 1, address);
	end = strstr(name, "+0x0/");
	if (!end)
		return 0;
	strcpy(end, " ");
	return strstr(site->names, name) ? address : 0;
}

static void stap_hwbreakpoint_arm(unsigned int i)
{
	const struct stap_hwbreakpoint_site *site = &stap_hwbreakpoint_sites[i];
	struct perf_event_attr attr;
	struct perf_event *__percpu *event;

	hw_breakpoint_init(&attr);
	attr.bp_addr = stap_hwbreakpoint_address(site);
	attr.bp_len = site->length;	/* HW_BREAKPOINT_LEN_n is n */
	attr.bp_type = site->writes_only ? HW_BREAKPOINT_W : HW_BREAKPOINT_RW;
	if (!attr.bp_addr) {
		stap_session_message(STAP_ITEM_WARNING, "Probe %s registration failed: invalid symbol '%s'",
				     site->probe->point, site->symbol);
		return;
	}
	event = register_wide_hw_breakpoint(&attr, stap_hwbreakpoint_hit, (void *)site);
	if (!IS_ERR((void __force *)event))
		stap_hwbreakpoints[i] = event;
	else if (PTR_ERR((void __force *)event) == -ENOSPC)
		stap_session_message(STAP_ITEM_WARNING, "Hwbkpt probe %s: registration error (rc %d): each CPU watches %d "
				     "places at most, debuggers' among them", site->probe->point, -ENOSPC,
				     hw_breakpoint_slots(TYPE_DATA));
	else
		stap_session_message(STAP_ITEM_WARNING, "Hwbkpt probe %s: registration error (rc %ld)",
				     site->probe->point, PTR_ERR((void __force *)event));
}

/* A watch that nobody wants for now keeps its place, but is in no CPU's registers. */
static int stap_hwbreakpoint_rearm(void)
{
	unsigned int i, cpu;

	cpus_read_lock();
	for (i = 0; i < stap_hwbreakpoint_count; i++) {
		if (!stap_hwbreakpoints[i])
			continue;
		for_each_online_cpu(cpu) {
			struct perf_event *event = *per_cpu_ptr(stap_hwbreakpoints[i], cpu);

			if (event && stap_idle(stap_hwbreakpoint_sites[i].probe))
				perf_event_disable(event);
			else if (event)
				perf_event_enable(event);
		}
	}
	cpus_read_unlock();
	return 0;
}

static int stap_hwbreakpoint_start(void)
{
	unsigned int i;

	stap_hwbreakpoints = kcalloc(stap_hwbreakpoint_count, sizeof(*stap_hwbreakpoints), GFP_KERNEL);
	if (!stap_hwbreakpoints)
		return -ENOMEM;
	for (i = 0; i < stap_hwbreakpoint_count; i++)
		stap_hwbreakpoint_arm(i);
	return stap_hwbreakpoint_rearm();
}

static void stap_hwbreakpoint_stop(void)
{
	unsigned int i;

	for (i = 0; i < stap_hwbreakpoint_count; i++)
		if (stap_hwbreakpoints[i])
			unregister_wide_hw_breakpoint(stap_hwbreakpoints[i]);
	synchronize_rcu();
	kfree(stap_hwbreakpoints);
	stap_hwbreakpoints = NULL;
}

#endif
