/* SPDX-License-Identifier: GPL-2.0 */
/*
 * cpu_events.h: perf events that each CPU has one of for each site of an engine
 * (samples, watched memory). A CPU's come and go with it; those of probes that
 * are idle keep their place but do not count. Everything here sleeps; it takes
 * no lock but that of CPUs.
 */
#ifndef STAP_ENGINE_CPU_EVENTS_H
#define STAP_ENGINE_CPU_EVENTS_H

#include <linux/perf_event.h>
#include "hotplug.h"

struct stap_cpu_events {
	const unsigned int *sites;	/* how many */
	struct perf_event *(*create)(unsigned int site, unsigned int cpu);
	const struct stap_probe *(*probe)(unsigned int site);
	void (*refused)(unsigned int site, long error);	/* says it */
	struct perf_event **events;	/* nr_cpu_ids for each site */
	int hotplug;
};

static struct perf_event **stap_cpu_events_of(const struct stap_cpu_events *all, unsigned int site)
{
	return all->events + array_size(site, nr_cpu_ids);
}

static int stap_cpu_event_add(const struct stap_cpu_events *all, unsigned int site, unsigned int cpu)
{
	struct perf_event *event = all->create(site, cpu);

	if (IS_ERR(event))
		return PTR_ERR(event);
	stap_cpu_events_of(all, site)[cpu] = event;
	if (stap_idle(all->probe(site)))
		perf_event_disable(event);
	return 0;
}

static void stap_cpu_event_remove(const struct stap_cpu_events *all, unsigned int site, unsigned int cpu)
{
	struct perf_event **event = stap_cpu_events_of(all, site) + cpu;

	if (*event)
		perf_event_release_kernel(*event);
	*event = NULL;
}

static void stap_cpu_events_disarm(const struct stap_cpu_events *all, unsigned int site)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		stap_cpu_event_remove(all, site, cpu);
}

static int stap_cpu_events_arm(const struct stap_cpu_events *all, unsigned int site)
{
	unsigned int cpu;
	int error = 0;

	for_each_online_cpu(cpu) {
		error = stap_cpu_event_add(all, site, cpu);
		if (error)
			break;
	}
	if (error)
		stap_cpu_events_disarm(all, site);
	return error;
}

/* A site that this kernel has refused is left alone. */
static bool stap_cpu_events_armed(const struct stap_cpu_events *all, unsigned int site)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		if (stap_cpu_events_of(all, site)[cpu])
			return true;
	return false;
}

static int stap_cpu_events_up(const struct stap_cpu_events *all, unsigned int cpu)
{
	unsigned int site;
	int error;

	for (site = 0; site < *all->sites; site++) {
		error = stap_cpu_events_armed(all, site) ? stap_cpu_event_add(all, site, cpu) : 0;
		if (error)
			all->refused(site, error);
	}
	return 0;
}

static int stap_cpu_events_down(const struct stap_cpu_events *all, unsigned int cpu)
{
	unsigned int site;

	for (site = 0; site < *all->sites; site++)
		stap_cpu_event_remove(all, site, cpu);
	return 0;
}

static int stap_cpu_events_rearm(const struct stap_cpu_events *all)
{
	unsigned int site, cpu;

	cpus_read_lock();
	for (site = 0; site < *all->sites; site++) {
		for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
			struct perf_event *event = stap_cpu_events_of(all, site)[cpu];

			if (event && stap_idle(all->probe(site)))
				perf_event_disable(event);
			else if (event)
				perf_event_enable(event);
		}
	}
	cpus_read_unlock();
	return 0;
}

static int stap_cpu_events_start(struct stap_cpu_events *all, int (*up)(unsigned int cpu), int (*down)(unsigned int cpu))
{
	unsigned int site;
	int error;

	all->events = kvcalloc(array_size(*all->sites, nr_cpu_ids), sizeof(*all->events), GFP_KERNEL);
	if (!all->events)
		return -ENOMEM;
	all->hotplug = stap_hotplug_start(up, down);
	cpus_read_lock();
	for (site = 0; site < *all->sites; site++) {
		error = stap_cpu_events_arm(all, site);
		if (error)
			all->refused(site, error);
	}
	cpus_read_unlock();
	return 0;
}

static void stap_cpu_events_stop(struct stap_cpu_events *all)
{
	unsigned int site;

	stap_hotplug_stop(all->hotplug);
	for (site = 0; site < *all->sites; site++)
		stap_cpu_events_disarm(all, site);
	synchronize_rcu();	/* handlers */
	kvfree(all->events);
	all->events = NULL;
}

#endif
