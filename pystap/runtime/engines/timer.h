/* SPDX-License-Identifier: GPL-2.0 */
/*
 * timer.h: handlers at intervals. Each site has one timer (profile ticks: one
 * on each CPU); its handler runs in the timer's interrupt, or in the softirq
 * for jiffies. Stopping waits for handlers that run. A timer whose condition is
 * false does not run. What ticks on a CPU goes and comes with it; no locks but
 * that of CPUs.
 */
#ifndef STAP_ENGINE_TIMER_H
#define STAP_ENGINE_TIMER_H

#include <linux/hash.h>
#include <asm/irq_regs.h>
#include "hotplug.h"
#include "interrupted.h"

enum stap_timer_kind {
	STAP_TIMER_HRTIMER,	/* interval in nanoseconds */
	STAP_TIMER_JIFFIES,	/* interval in jiffies */
	STAP_TIMER_TICK,	/* once per jiffy on each CPU */
};

struct stap_timer_site {
	struct stap_probe *probe;
	enum stap_timer_kind kind;
	s64 interval;
	s64 randomize;		/* each interval is up to this much shorter or longer */
};

static const struct stap_timer_site stap_timer_sites[];
static const unsigned int stap_timer_count;

struct stap_timer {
	const struct stap_timer_site *site;
	bool armed;
	union {
		struct hrtimer hrtimer;
		struct timer_list jiffies;
		struct stap_timer __percpu *ticks;	/* their hrtimers are used */
	};
};

static struct stap_timer *stap_timers;
static int stap_timer_hotplug;

static void stap_timer_run(struct stap_probe *probe)
{
	struct stap_context *c = stap_enter(probe);

	if (!c)
		return;
	stap_interrupted(c, get_irq_regs());
	probe->handler(c);
	stap_leave(c);
}

/* The kernel's own generator takes a lock that sleeps under PREEMPT_RT, and this is an interrupt. */
static u64 stap_timer_random(void)
{
	return hash_64(get_cycles(), 64);
}

/* Never zero: a timer that is due at once again would not let go of the CPU. */
static s64 stap_timer_next(const struct stap_timer_site *site)
{
	s64 next = site->interval;

	if (site->kind == STAP_TIMER_TICK)
		return TICK_NSEC;
	if (site->randomize)
		next += (s64)(stap_timer_random() % (2 * (u64)site->randomize + 1)) - site->randomize;
	return max_t(s64, next, site->kind == STAP_TIMER_JIFFIES ? 1 : 10 * NSEC_PER_USEC);
}

static enum hrtimer_restart stap_hrtimer_hit(struct hrtimer *hrtimer)
{
	const struct stap_timer_site *site = container_of(hrtimer, struct stap_timer, hrtimer)->site;

	stap_timer_run(site->probe);
	hrtimer_forward_now(hrtimer, ns_to_ktime(stap_timer_next(site)));
	return HRTIMER_RESTART;
}

static void stap_jiffies_hit(struct timer_list *list)
{
	struct stap_timer *timer = container_of(list, struct stap_timer, jiffies);

	stap_timer_run(timer->site->probe);
	mod_timer(list, jiffies + stap_timer_next(timer->site));
}

static void stap_hrtimer_start(struct stap_timer *timer, enum hrtimer_mode mode)
{
	stap_hrtimer_setup(&timer->hrtimer, stap_hrtimer_hit, CLOCK_MONOTONIC, mode);
	hrtimer_start(&timer->hrtimer, ns_to_ktime(stap_timer_next(timer->site)), mode);
}

/* On the CPU that is to tick. */
static void stap_tick_start(void *data)
{
	stap_hrtimer_start(this_cpu_ptr(((struct stap_timer *)data)->ticks), HRTIMER_MODE_REL_PINNED_HARD);
}

static int stap_ticks_start(struct stap_timer *timer)
{
	struct stap_timer __percpu *ticks = alloc_percpu(struct stap_timer);
	unsigned int cpu;

	if (!ticks)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		per_cpu_ptr(ticks, cpu)->site = timer->site;
	cpus_read_lock();
	timer->ticks = ticks;
	on_each_cpu(stap_tick_start, timer, 1);
	cpus_read_unlock();
	return 0;
}

static void stap_tick_stop(struct stap_timer *tick)
{
	if (tick->hrtimer.function)	/* that CPU was online */
		hrtimer_cancel(&tick->hrtimer);
}

static void stap_ticks_stop(struct stap_timer *timer)
{
	struct stap_timer __percpu *ticks;
	unsigned int cpu;

	cpus_read_lock();
	ticks = timer->ticks;
	timer->ticks = NULL;
	cpus_read_unlock();
	for_each_possible_cpu(cpu)
		stap_tick_stop(per_cpu_ptr(ticks, cpu));
	free_percpu(ticks);
}

static int stap_timer_cpu_up(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < stap_timer_count; i++)
		if (stap_timer_sites[i].kind == STAP_TIMER_TICK && stap_timers[i].ticks)
			stap_tick_start(&stap_timers[i]);
	return 0;
}

/* Before the kernel would move its ticks to another CPU. */
static int stap_timer_cpu_down(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < stap_timer_count; i++)
		if (stap_timer_sites[i].kind == STAP_TIMER_TICK && stap_timers[i].ticks)
			stap_tick_stop(per_cpu_ptr(stap_timers[i].ticks, cpu));
	return 0;
}

static bool stap_timer_ticks(void)
{
	unsigned int i;

	for (i = 0; i < stap_timer_count; i++)
		if (stap_timer_sites[i].kind == STAP_TIMER_TICK)
			return true;
	return false;
}

static int stap_timer_arm(struct stap_timer *timer)
{
	int error = 0;

	switch (timer->site->kind) {
	case STAP_TIMER_HRTIMER:
		stap_hrtimer_start(timer, HRTIMER_MODE_REL_HARD);
		break;
	case STAP_TIMER_JIFFIES:
		timer_setup(&timer->jiffies, stap_jiffies_hit, 0);
		mod_timer(&timer->jiffies, jiffies + stap_timer_next(timer->site));
		break;
	case STAP_TIMER_TICK:
		error = stap_ticks_start(timer);
		break;
	}
	timer->armed = !error;
	return error;
}

static void stap_timer_disarm(struct stap_timer *timer)
{
	if (!timer->armed)
		return;
	timer->armed = false;
	switch (timer->site->kind) {
	case STAP_TIMER_HRTIMER:
		hrtimer_cancel(&timer->hrtimer);
		break;
	case STAP_TIMER_JIFFIES:
		stap_timer_delete_sync(&timer->jiffies);
		break;
	case STAP_TIMER_TICK:
		stap_ticks_stop(timer);
		break;
	}
}

static void stap_timer_disarm_first(unsigned int count)
{
	stap_hotplug_stop(stap_timer_hotplug);
	stap_timer_hotplug = 0;
	while (count > 0)
		stap_timer_disarm(&stap_timers[--count]);
	kvfree(stap_timers);
	stap_timers = NULL;
}

static int stap_timer_start(void)
{
	unsigned int i;
	int error;

	stap_timers = kvcalloc(stap_timer_count, sizeof(*stap_timers), GFP_KERNEL);
	if (!stap_timers)
		return -ENOMEM;
	if (stap_timer_ticks())
		stap_timer_hotplug = stap_hotplug_start(stap_timer_cpu_up, stap_timer_cpu_down);
	for (i = 0; i < stap_timer_count; i++) {
		stap_timers[i].site = &stap_timer_sites[i];
		error = stap_idle(stap_timer_sites[i].probe) ? 0 : stap_timer_arm(&stap_timers[i]);
		if (error) {
			stap_timer_disarm_first(i);
			return error;
		}
	}
	return 0;
}

static int stap_timer_rearm(void)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < stap_timer_count; i++) {
		struct stap_timer *timer = &stap_timers[i];

		if (stap_idle(timer->site->probe))
			stap_timer_disarm(timer);
		else if (!timer->armed)
			error |= stap_timer_arm(timer);
	}
	return error;
}

static void stap_timer_stop(void)
{
	stap_timer_disarm_first(stap_timer_count);
}

#endif
