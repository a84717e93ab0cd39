/* SPDX-License-Identifier: GPL-2.0 */
/*
 * conditions.h: probes with `if (...)` are disarmed while the condition is
 * false. Work that may sleep looks at all conditions at every interval, and
 * soon after a handler that writes what they read has left; what changed is
 * told to the engines. Hits ask the condition as well (entry.h), so that this
 * is about cost only, never about which hits are served but for those that come
 * before an engine has armed again. stap_conditions_notice() may run in any
 * context, NMI included, with preemption off; all else sleeps and takes no lock
 * of its own: the session starts and stops it.
 */
#ifndef STAP_CONDITIONS_H
#define STAP_CONDITIONS_H

/* Shared by the probes whose conditions are the same. The generated table is stap_conditions[]. */
struct stap_condition {
	bool (*holds)(void);
	bool idle;		/* what depends on it is to be disarmed; written by the worker alone */
};

#ifdef STAP_NEED_CONDITIONS

static struct stap_condition stap_conditions[];
static const unsigned int stap_condition_count;

static int stap_engines_rearm(void);

static bool stap_conditions_live;
static bool stap_conditions_again;	/* an engine could not do all that it was told */
static void stap_conditions_work(struct work_struct *work);
static void stap_conditions_kick(struct irq_work *work);
static DECLARE_DELAYED_WORK(stap_conditions_worker, stap_conditions_work);
static DEFINE_IRQ_WORK(stap_conditions_kicker, stap_conditions_kick);

/* Whether any changed; they have been noted then. */
static bool stap_conditions_look(void)
{
	bool changed = false;
	unsigned int i;

	for (i = 0; i < stap_condition_count; i++) {
		bool idle = !stap_conditions[i].holds();

		changed |= idle != stap_conditions[i].idle;
		WRITE_ONCE(stap_conditions[i].idle, idle);
	}
	return changed;
}

static void stap_conditions_work(struct work_struct *work)
{
	if (stap_conditions_look() || stap_conditions_again)
		stap_conditions_again = stap_engines_rearm() != 0;
	queue_delayed_work(system_long_wq, &stap_conditions_worker,
			   max(1ul, nsecs_to_jiffies(STP_ON_THE_FLY_INTERVAL)));
}

/* Not at once: a condition that changes with every hit must not keep the kernel busy patching itself. */
static void stap_conditions_kick(struct irq_work *work)
{
	mod_delayed_work(system_long_wq, &stap_conditions_worker,
			 max(1ul, nsecs_to_jiffies(STP_ON_THE_FLY_INTERVAL / 20)));
}

/* On the way out of a handler that writes what conditions read. */
static __always_inline void stap_conditions_notice(bool steers)
{
	unsigned int i;

	if (!steers || !READ_ONCE(stap_conditions_live))
		return;
	for (i = 0; i < stap_condition_count; i++) {
		if (stap_conditions[i].holds() == READ_ONCE(stap_conditions[i].idle)) {
			irq_work_queue(&stap_conditions_kicker);
			return;
		}
	}
}

/* All engines have been started. */
static void stap_conditions_start(void)
{
	WRITE_ONCE(stap_conditions_live, true);
	queue_delayed_work(system_long_wq, &stap_conditions_worker, 0);
}

/* After this no engine is told anything. A handler that saw `live` has preemption off until it has queued. */
static void stap_conditions_stop(void)
{
	if (!stap_conditions_live)
		return;
	WRITE_ONCE(stap_conditions_live, false);
	synchronize_rcu();
	irq_work_sync(&stap_conditions_kicker);
	cancel_delayed_work_sync(&stap_conditions_worker);
}

#else

static inline bool stap_conditions_look(void)
{
	return false;
}

static __always_inline void stap_conditions_notice(bool steers)
{
}

static inline void stap_conditions_start(void)
{
}

static inline void stap_conditions_stop(void)
{
}

#endif
#endif
