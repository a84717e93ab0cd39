/* SPDX-License-Identifier: GPL-2.0 */
/*
 * perf.h: samples of each CPU when a perf counter overflows: perf_counter.h has
 * the handler. A CPU's counters go and come with it. Arming sleeps; no locks
 * but that of CPUs.
 */
#ifndef STAP_ENGINE_PERF_H
#define STAP_ENGINE_PERF_H

#include "hotplug.h"
#include "perf_counter.h"

struct stap_perf_site {
	struct stap_perf_counter counter;
};

static const struct stap_perf_site stap_perf_sites[];
static const unsigned int stap_perf_count;

static struct perf_event **stap_perf_events;	/* nr_cpu_ids for each site */
static int stap_perf_hotplug;

static int stap_perf_arm_cpu(const struct stap_perf_site *site, struct perf_event **events, unsigned int cpu)
{
	struct perf_event *event = stap_perf_create(&site->counter, cpu, NULL);

	if (IS_ERR(event))
		return PTR_ERR(event);
	events[cpu] = event;
	if (stap_idle(site->counter.probe))
		perf_event_disable(event);
	return 0;
}

static int stap_perf_arm(const struct stap_perf_site *site, struct perf_event **events)
{
	unsigned int cpu;
	int error = 0;

	for_each_online_cpu(cpu) {
		error = stap_perf_arm_cpu(site, events, cpu);
		if (error)
			break;
	}
	return error;
}

static void stap_perf_disarm(struct perf_event **events)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
		if (events[cpu])
			perf_event_release_kernel(events[cpu]);
		events[cpu] = NULL;
	}
}

/* A site that this kernel has refused on all CPUs is left alone. */
static bool stap_perf_armed(unsigned int i)
{
	unsigned int cpu;

	for (cpu = 0; cpu < nr_cpu_ids; cpu++)
		if (stap_perf_events[i * nr_cpu_ids + cpu])
			return true;
	return false;
}

static int stap_perf_cpu_up(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < stap_perf_count; i++)
		if (stap_perf_armed(i))
			stap_perf_arm_cpu(&stap_perf_sites[i], stap_perf_events + i * nr_cpu_ids, cpu);
	return 0;
}

static int stap_perf_cpu_down(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < stap_perf_count; i++) {
		struct perf_event **event = &stap_perf_events[i * nr_cpu_ids + cpu];

		if (*event)
			perf_event_release_kernel(*event);
		*event = NULL;
	}
	return 0;
}

/* A counter whose samples nobody wants for now keeps its place, but does not count. */
static int stap_perf_rearm(void)
{
	unsigned int i, cpu;

	cpus_read_lock();
	for (i = 0; i < stap_perf_count; i++) {
		for (cpu = 0; cpu < nr_cpu_ids; cpu++) {
			struct perf_event *event = stap_perf_events[i * nr_cpu_ids + cpu];

			if (event && stap_idle(stap_perf_sites[i].counter.probe))
				perf_event_disable(event);
			else if (event)
				perf_event_enable(event);
		}
	}
	cpus_read_unlock();
	return 0;
}

static int stap_perf_start(void)
{
	unsigned int i;
	int error;

	stap_perf_events = kvcalloc(array_size(stap_perf_count, nr_cpu_ids), sizeof(*stap_perf_events), GFP_KERNEL);
	if (!stap_perf_events)
		return -ENOMEM;
	stap_perf_hotplug = stap_hotplug_start(stap_perf_cpu_up, stap_perf_cpu_down);
	cpus_read_lock();
	for (i = 0; i < stap_perf_count; i++) {
		error = stap_perf_arm(&stap_perf_sites[i], stap_perf_events + i * nr_cpu_ids);
		if (!error)
			continue;
		stap_perf_disarm(stap_perf_events + i * nr_cpu_ids);
		stap_perf_refused(&stap_perf_sites[i].counter, error);
	}
	cpus_read_unlock();
	return 0;
}

static void stap_perf_stop(void)
{
	unsigned int i;

	stap_hotplug_stop(stap_perf_hotplug);
	for (i = 0; i < stap_perf_count; i++)
		stap_perf_disarm(stap_perf_events + i * nr_cpu_ids);
	synchronize_rcu();
	kvfree(stap_perf_events);
	stap_perf_events = NULL;
}

#endif
