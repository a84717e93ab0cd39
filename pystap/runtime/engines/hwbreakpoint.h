/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hwbreakpoint.h: accesses to kernel memory, seen by each CPU's debug registers,
 * of which there are few: a site for which none is left is reported. Handlers
 * run in the debug exception of the access, which may come anywhere. Arming
 * sleeps; no locks but that of CPUs.
 */
#ifndef STAP_ENGINE_HWBREAKPOINT_H
#define STAP_ENGINE_HWBREAKPOINT_H

#include <linux/hw_breakpoint.h>
#include "cpu_events.h"
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

static struct perf_event *stap_hwbreakpoint_event(unsigned int i, unsigned int cpu)
{
	const struct stap_hwbreakpoint_site *site = &stap_hwbreakpoint_sites[i];
	struct perf_event_attr attr;

	hw_breakpoint_init(&attr);
	attr.bp_addr = stap_hwbreakpoint_address(site);
	attr.bp_len = site->length;	/* HW_BREAKPOINT_LEN_n is n */
	attr.bp_type = site->writes_only ? HW_BREAKPOINT_W : HW_BREAKPOINT_RW;
	if (!attr.bp_addr)
		return ERR_PTR(-ENOENT);
	return perf_event_create_kernel_counter(&attr, cpu, NULL, stap_hwbreakpoint_hit, (void *)site);
}

static const struct stap_probe *stap_hwbreakpoint_probe(unsigned int i)
{
	return stap_hwbreakpoint_sites[i].probe;
}

static void stap_hwbreakpoint_refused(unsigned int i, long error)
{
	const struct stap_hwbreakpoint_site *site = &stap_hwbreakpoint_sites[i];

	if (error == -ENOENT)
		stap_session_message(STAP_ITEM_WARNING, "Probe %s registration failed: invalid symbol '%s'",
				     site->probe->point, site->symbol);
	else if (error == -ENOSPC)
		stap_session_message(STAP_ITEM_WARNING, "Hwbkpt probe %s: registration error (rc %d): each CPU watches %d "
				     "places at most, debuggers' among them", site->probe->point, -ENOSPC,
				     hw_breakpoint_slots(TYPE_DATA));
	else
		stap_session_message(STAP_ITEM_WARNING, "Hwbkpt probe %s: registration error (rc %ld)",
				     site->probe->point, error);
}

static struct stap_cpu_events stap_hwbreakpoint_events = {
	.sites = &stap_hwbreakpoint_count,
	.create = stap_hwbreakpoint_event,
	.probe = stap_hwbreakpoint_probe,
	.refused = stap_hwbreakpoint_refused,
};

static int stap_hwbreakpoint_cpu_up(unsigned int cpu)
{
	return stap_cpu_events_up(&stap_hwbreakpoint_events, cpu);
}

static int stap_hwbreakpoint_cpu_down(unsigned int cpu)
{
	return stap_cpu_events_down(&stap_hwbreakpoint_events, cpu);
}

static int stap_hwbreakpoint_rearm(void)
{
	return stap_cpu_events_rearm(&stap_hwbreakpoint_events);
}

static int stap_hwbreakpoint_start(void)
{
	return stap_cpu_events_start(&stap_hwbreakpoint_events, stap_hwbreakpoint_cpu_up, stap_hwbreakpoint_cpu_down);
}

static void stap_hwbreakpoint_stop(void)
{
	stap_cpu_events_stop(&stap_hwbreakpoint_events);
}

#endif
