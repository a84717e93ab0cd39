/* SPDX-License-Identifier: GPL-2.0 */
/*
 * entry.h: a handler's way in and out. Both may run in any context, NMI
 * included; they never sleep, allocate or wait, and take no lock. A hit that
 * can not be served is counted by cause, not queued.
 *
 * An engine runs a handler so:
 *	struct stap_context *c = stap_enter(probe);
 *	if (c) {
 *		c->regs = regs;			(and ip, uregs, retval, args, saved: what it has)
 *		probe->handler(c);
 *		stap_leave(c);
 *	}
 * stap_enter() has cleared all of those. A return probe's entry side calls
 * probe->entry(c) and stap_leave_entry(c) instead, with c->saved set to
 * probe->saved_size bytes of memory that it gives back to c->saved at the
 * return; where the entry handler was refused, the return is not served.
 */
#ifndef STAP_ENTRY_H
#define STAP_ENTRY_H

static noinline __cold void stap_skip_many(struct stap_probe *probe, enum stap_skip cause, int count)
{
	atomic_add(count, &probe->skipped[cause]);
	atomic_add(count, &stap_skipped_by[cause]);
	if (stap_skip_by_design(cause))
		return;
	if (atomic_add_return(count, &stap_skipped_count) > MAXSKIPPED)
		stap_request_abort();
}

static noinline __cold void stap_skip(struct stap_probe *probe, enum stap_skip cause)
{
	stap_skip_many(probe, cause, 1);
}

/*
 * Stacks of interrupts, exceptions and NMIs are found nowhere that a module may ask. But a page below each is not
 * mapped (CONFIG_VMAP_STACK), which shows without a fault that anybody sees.
 */
static noinline __maybe_unused bool stap_is_stack(unsigned long from, unsigned long bytes)
{
	unsigned long below = 0;
	u8 byte;

	while (below < bytes) {
		below = min_t(unsigned long, below + PAGE_SIZE, bytes);
		__get_kernel_nofault(&byte, (void *)(from - below), u8, fault);
	}
	return true;
fault:
	return false;
}

/* Whether the stack that this runs on has so much room left. */
static __always_inline bool stap_stack_left(unsigned long bytes)
{
	unsigned long at = current_stack_pointer - (unsigned long)task_stack_page(current);

	if (likely(at < THREAD_SIZE))
		return likely(at >= bytes);
#ifdef CONFIG_VMAP_STACK
	return likely(stap_is_stack(current_stack_pointer, bytes));
#else
	return true;
#endif
}

/*
 * As in_task(), for what was interrupted: a breakpoint's own trap counts as an
 * NMI (x86 enters it by irqentry_nmi_enter), of which one level is taken off.
 */
static __always_inline bool stap_hit_task(void)
{
	unsigned int count = preempt_count();

	if (count & NMI_MASK)
		count -= NMI_OFFSET + HARDIRQ_OFFSET;
	return !(count & (NMI_MASK | HARDIRQ_MASK | SOFTIRQ_OFFSET));
}

/* With -DINTERRUPTIBLE=0 no interrupt of this CPU, whose hits would be refused, comes during a hit. Untraced. */
static __always_inline unsigned long stap_interrupts_off(void)
{
	unsigned long flags = 0;

	if (!INTERRUPTIBLE)
		raw_local_irq_save(flags);
	return flags;
}

static __always_inline void stap_interrupts_back(unsigned long flags)
{
	if (!INTERRUPTIBLE)
		raw_local_irq_restore(flags);
}

static __always_inline struct stap_context *stap_enter_for(struct stap_probe *probe, enum stap_state when,
							   bool runner_too)
{
	struct stap_context *c;
	unsigned long interrupts;

	if (unlikely(atomic_read(&stap_state) != when))
		return NULL;
#ifdef STP_ALIBI
	atomic_inc(&probe->alibi);
	return NULL;
#endif
#ifndef STP_TRACE_RUNNER
	/* What the runner does to read the output is no event: it would feed itself. Interrupts that hit it are. */
	if (!runner_too && when == STAP_STATE_RUNNING && unlikely(current->tgid == stap_runner_pid) && stap_hit_task())
		return NULL;
#endif
	preempt_disable_notrace();
	interrupts = stap_interrupts_off();
	c = __this_cpu_read(stap_contexts);
	if (unlikely(c->busy)) {
		stap_skip(probe, STAP_SKIP_REENTRANT);
		goto refused;
	}
	/*
	 * Plain load and store: what interrupts this CPU between them runs to its
	 * end and leaves busy as it found it.
	 */
	c->busy = 1;
	barrier();
	if (unlikely(!stap_stack_left(MINSTACKSPACE + STAP_LARGEST_FRAME))) {
		stap_skip(probe, STAP_SKIP_STACK);
		goto refused_busy;
	}
	if (probe->condition && !probe->condition())
		goto refused_busy;
	c->probe = probe;
	c->interrupts = interrupts;
	c->regs = NULL;
	c->uregs = NULL;
	c->object = NULL;
	c->sleepable = false;
	c->ip = 0;
	c->saved = NULL;
	c->saved_used = 0;
	c->is_return = false;
#if !defined(STP_NO_OVERLOAD) || defined(STP_TIMING)
	c->entered = get_cycles();
#endif
	return c;

refused_busy:
	barrier();
	c->busy = 0;
refused:
	stap_interrupts_back(interrupts);
	preempt_enable_notrace();
	return NULL;
}

static __always_inline struct stap_context *stap_enter_in(struct stap_probe *probe, enum stap_state when)
{
	return stap_enter_for(probe, when, false);
}

/* Whether a probe is to be disarmed for now. */
static __always_inline bool stap_idle(const struct stap_probe *probe)
{
	return probe->armed_if && READ_ONCE(probe->armed_if->idle);
}

/* For all but begin, end and error probes. NULL: this hit is not served. */
static __always_inline struct stap_context *stap_enter(struct stap_probe *probe)
{
	return stap_enter_in(probe, STAP_STATE_RUNNING);
}

#ifndef STP_NO_OVERLOAD
static noinline __cold void stap_overload(struct stap_context *c, u64 used, u64 window)
{
	stap_report_session_error(c, "probe overhead (%llu cycles) exceeded threshold (%llu cycles) in last %llu cycles",
				  used, (u64)STP_OVERLOAD_THRESHOLD, window);
	stap_request_abort();
}

static __always_inline void stap_account(struct stap_context *c)
{
	u64 now = get_cycles();
	u64 window = now - c->window_start;

	c->window_used += now - c->entered;
	if (unlikely(window > STP_OVERLOAD_INTERVAL)) {
		u64 used = c->window_used;

		if (used > STP_OVERLOAD_THRESHOLD)
			stap_overload(c, used, window);
		c->window_start = now;
		c->window_used = 0;
	}
}
#else
static __always_inline void stap_account(struct stap_context *c)
{
}
#endif

/* Time that a handler waited for memory is not time that it took from others. */
static __maybe_unused void stap_exclude(struct stap_context *c, u64 cycles)
{
#if !defined(STP_NO_OVERLOAD) || defined(STP_TIMING)
	c->entered += cycles;
#endif
}

#ifdef STP_TIMING
static const struct stap_stat_kind stap_timing_kind = {
	.parts = STAP_STAT_SUM | STAP_STAT_RANGE | STAP_STAT_VARIANCE,
};

static void stap_time(struct stap_context *c)
{
	stap_stat_add(&c->timings[c->probe->index], stap_timing_kind, get_cycles() - c->entered);
}

static bool stap_timings_load(struct stap_context *c)
{
	c->timings = kvcalloc(stap_probe_count, sizeof(*c->timings), GFP_KERNEL);
	return c->timings;
}

static void stap_timings_unload(struct stap_context *c)
{
	kvfree(c->timings);
}
#else
static __always_inline void stap_time(struct stap_context *c)
{
}

static bool stap_timings_load(struct stap_context *c)
{
	return true;
}

static void stap_timings_unload(struct stap_context *c)
{
}
#endif

static __always_inline void stap_finish(struct stap_context *c)
{
	unsigned long interrupts = c->interrupts;

	if (unlikely(c->last_error))
		stap_report_error(c);
	if (c->print_used)
		stap_flush(c);
	stap_conditions_notice(c->probe->steers);
	barrier();
	c->busy = 0;
	stap_interrupts_back(interrupts);
	preempt_enable_notrace();
}

static __always_inline void stap_leave(struct stap_context *c)
{
	stap_time(c);
	stap_account(c);
	stap_finish(c);
}

/* The entry side of a return probe is no hit of its own: -t counts and measures returns. */
static __maybe_unused __always_inline void stap_leave_entry(struct stap_context *c)
{
	stap_account(c);
	stap_finish(c);
}

/* begin, end and error probes: called by engines/begin.h in process context. */
static void stap_run_begin(struct stap_probe *probe, enum stap_state when)
{
	struct stap_context *c = stap_enter_in(probe, when);

	if (!c)
		return;
	probe->handler(c);
	stap_time(c);
	stap_finish(c);
}

#endif
