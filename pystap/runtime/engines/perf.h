/* SPDX-License-Identifier: GPL-2.0 */
/*
 * perf.h: samples of each CPU when a perf counter overflows: perf_counter.h has
 * the handler, cpu_events.h what each CPU has. Arming sleeps; no locks but that
 * of CPUs.
 */
#ifndef STAP_ENGINE_PERF_H
#define STAP_ENGINE_PERF_H

#include "cpu_events.h"
#include "perf_counter.h"

struct stap_perf_site {
	struct stap_perf_counter counter;
};

static const struct stap_perf_site stap_perf_sites[];
static const unsigned int stap_perf_count;

static struct perf_event *stap_perf_event(unsigned int site, unsigned int cpu)
{
	return stap_perf_create(&stap_perf_sites[site].counter, cpu, NULL);
}

static const struct stap_probe *stap_perf_probe(unsigned int site)
{
	return stap_perf_sites[site].counter.probe;
}

static void stap_perf_site_refused(unsigned int site, long error)
{
	stap_perf_refused(&stap_perf_sites[site].counter, error);
}

static struct stap_cpu_events stap_perf_events = {
	.sites = &stap_perf_count,
	.create = stap_perf_event,
	.probe = stap_perf_probe,
	.refused = stap_perf_site_refused,
};

static int stap_perf_cpu_up(unsigned int cpu)
{
	return stap_cpu_events_up(&stap_perf_events, cpu);
}

static int stap_perf_cpu_down(unsigned int cpu)
{
	return stap_cpu_events_down(&stap_perf_events, cpu);
}

static int stap_perf_rearm(void)
{
	return stap_cpu_events_rearm(&stap_perf_events);
}

static int stap_perf_start(void)
{
	return stap_cpu_events_start(&stap_perf_events, stap_perf_cpu_up, stap_perf_cpu_down);
}

static void stap_perf_stop(void)
{
	stap_cpu_events_stop(&stap_perf_events);
}

#endif
