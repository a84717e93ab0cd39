/* SPDX-License-Identifier: GPL-2.0 */
/*
 * perf_counter.h: what perf probes of CPUs and of tasks share: what is counted,
 * and the handler of an overflow. It runs in the overflow's interrupt, which is
 * an NMI for hardware counters, with the registers of what was interrupted.
 * No locks.
 */
#ifndef STAP_ENGINE_PERF_COUNTER_H
#define STAP_ENGINE_PERF_COUNTER_H

#include <linux/perf_event.h>
#include "interrupted.h"

struct stap_perf_counter {
	struct stap_probe *probe;
	u32 type;
	u64 config;
	u64 period;		/* events from sample to sample, or 0 */
	u64 frequency;		/* samples in a second; neither: it is only read */
};

static void stap_perf_hit(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
	const struct stap_perf_counter *counter = event->overflow_handler_context;
	struct stap_context *c = stap_enter(counter->probe);

	if (!c)
		return;
	stap_interrupted(c, regs);
	counter->probe->handler(c);
	stap_leave(c);
}

/* Of a CPU (`task` NULL) or of a task on any CPU (-1). Sleeps; an ERR_PTR where the kernel has no such counter. */
static struct perf_event *stap_perf_create(const struct stap_perf_counter *counter, int cpu, struct task_struct *task)
{
	bool samples = counter->period || counter->frequency;
	struct perf_event_attr attr = {
		.type = counter->type,
		.size = sizeof(attr),
		.config = counter->config,
	};

	if (counter->frequency) {
		attr.freq = 1;
		attr.sample_freq = counter->frequency;
	} else {
		attr.sample_period = counter->period;
	}
	return perf_event_create_kernel_counter(&attr, cpu, task, samples ? stap_perf_hit : NULL, (void *)counter);
}

static void stap_perf_refused(const struct stap_perf_counter *counter, long error)
{
	stap_session_message(STAP_ITEM_WARNING, "perf probe '%s' is not supported by this kernel (%ld)",
			     counter->probe->point, error);
}

#endif
