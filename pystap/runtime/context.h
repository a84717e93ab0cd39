/* SPDX-License-Identifier: GPL-2.0 */
/*
 * context.h: what one handler run has to work with, and the way in and out.
 * There is one context per CPU, allocated at load; a handler owns it from
 * stap_enter() to stap_leave(), with preemption off, so nothing in it needs a
 * lock. Both may run in any context, NMI included; they never sleep, allocate
 * or wait. A hit that can not be served is counted by cause, not queued.
 *
 * An engine runs a handler so:
 *	struct stap_context *c = stap_enter(probe);
 *	if (c) {
 *		c->regs = regs;			(and ip, uregs, retval, args, saved: what it has)
 *		probe->handler(c);
 *		stap_leave(c);
 *	}
 * stap_enter() has cleared all of those. A return probe's entry side calls
 * probe->entry(c) instead of probe->handler(c), with c->saved set to
 * probe->saved_size bytes of memory that it gives back to c->saved at the
 * return; where the entry handler was refused, c->saved stays NULL.
 */
#ifndef STAP_CONTEXT_H
#define STAP_CONTEXT_H

#ifdef STAP_NEED_SYMBOLS
#include <linux/kallsyms.h>
#endif
#include "conditions.h"

struct stap_context;

/* One site armed with one handler. The generated table is stap_probes[]. */
struct stap_probe {
	void (*handler)(struct stap_context *c);
	void (*entry)(struct stap_context *c);		/* a return probe's entry side, or NULL */
	bool (*condition)(void);			/* if (...): NULL where there is none */
	const struct stap_condition *armed_if;		/* the same, for engines that arm and disarm by it */
	bool steers;					/* writes what conditions read */
	const char *point;				/* pp() */
	const char *written;				/* pn() */
	const char *derived;				/* the aliases that it came through, or NULL */
	const char *position;				/* file:line:column */
	u32 index;
	s32 actions;					/* MAXACTION or MAXACTION_INTERRUPTIBLE */
	u32 saved_count;				/* values that the entry side saves ... */
	u32 saved_size;					/* ... in that many bytes */
	atomic_t skipped[STAP_SKIPS];
};

static const unsigned int stap_probe_count;

/* Where a run-time error happened, as an index into stap_marks[]; 0 is nowhere. */
typedef u32 stap_mark;

static const char *const stap_marks[];

enum {
	STAP_ARGS = 16,		/* arguments that an engine can pass */
	STAP_CHAIN = 32,	/* calls that an error message shows */
	STAP_MATCHES = 32,	/* groups of a regular expression */
};

/* A value that is being printed by its type (pretty.h). */
struct stap_pretty {
	struct stap_sink sink;
	struct stap_context *c;
	u32 parts;
	u32 items;
	u32 depth;		/* $: 1, $$: 2 */
	bool user;
};

struct stap_context {
	u32 busy;
	u32 cpu;
	bool hooking;		/* the entry side of a return probe is under way: fentry.h */
	struct stap_probe *probe;

	/* Left by the engine. */
	struct pt_regs *regs;		/* the probed kernel code's registers, or NULL */
	struct pt_regs *uregs;		/* the probed user code's registers, or NULL */
	unsigned long ip;		/* the probed address; 0: as regs say */
	s64 retval;			/* $return of whatever has no registers for it */
	s64 verdict;			/* netfilter's */
	s64 *saved;			/* of a return probe: what its entry side kept, or NULL */
	void *engine_data;		/* the engine's own */
	const struct inode *object;	/* the program or library that was hit, or NULL ... */
	u64 object_bias;		/* ... and how far from its link-time addresses it lies */
	bool sleepable;			/* a task's own context: pages may be waited for, see access.h */
	bool is_return;			/* a return probe's hit: regs hold the result, or retval does */
	s64 args[STAP_ARGS];

	/* The sticky error: NULL while all is well. */
	const char *last_error;
	stap_mark error_mark;
	u32 chained;			/* calls that the error went through, innermost first */
	bool fatal;			/* try does not catch it */

	bool next;			/* a function handed over to the next overload */
	u8 matched;			/* groups of the last regular expression that matched, whole match included */
	u32 saved_used;
	s32 actions;			/* left; set by handlers that count them */
	u32 nesting;
	char *frame;			/* the free part of `frames` */

	u32 print_used;			/* bytes of complete items in `output` */
	u32 print_item;			/* where the item being made begins */

#if !defined(STP_NO_OVERLOAD) || defined(STP_TIMING)
	u64 entered;			/* cycle counter at stap_enter() */
#endif
#ifdef STP_TIMING
	struct stap_cell *timings;	/* cycles of each probe's handler on this CPU */
#endif
#ifndef STP_NO_OVERLOAD
	u64 window_start;
	u64 window_used;		/* cycles spent in handlers since then */
#endif
	struct {
		STAP_PERCPU_GLOBALS
		s64 none;
	} globals;
	struct stap_total total;	/* of the statistic that is being read */
	stap_mark chain[STAP_CHAIN];
	struct { s32 start, end; } match[STAP_MATCHES];
	char match_text[STAP_STRING_BYTES] __aligned(8);
	char error_text[STAP_STRING_BYTES] __aligned(8);
	char scratch[STAP_STRING_BYTES] __aligned(8);
#ifdef STAP_NEED_PRETTY
	struct stap_pretty pretty;
#endif
#ifdef STAP_NEED_SYMBOLS
	char symbol[KSYM_SYMBOL_LEN];
#endif
#ifdef STAP_NEED_STACK
	unsigned long stack[MAXBACKTRACE];	/* for whoever asks for a backtrace */
#endif
	char frames[STAP_FRAME_BYTES + 8] __aligned(8);
	struct stap_record record;	/* must precede `output`: the transport sends both at once */
	char output[STP_BUFFER_SIZE + STAP_LARGEST_ITEM] __aligned(8);
};

static DEFINE_PER_CPU(struct stap_context *, stap_contexts);

static void stap_flush(struct stap_context *c);
static void stap_report_error(struct stap_context *c);
#ifdef STAP_NEED_COUNTERS
static s64 stap_field_counter(struct stap_context *c, u32 key);	/* @perf("..."): engines/perf_task.h */
#endif
static void stap_report_session_error(struct stap_context *c, const char *format, ...) __printf(2, 3);

/* --- errors -------------------------------------------------------------------------------------------- */

/* The text must outlive the handler's current frame: a literal, or c->error_text. The first error stays. */
static __always_inline void stap_fail(struct stap_context *c, stap_mark mark, const char *text)
{
	if (c->last_error)
		return;
	c->last_error = text;
	c->error_mark = mark;
	c->chained = 0;
}

static noinline __cold __printf(3, 4) void stap_fail_format(struct stap_context *c, stap_mark mark,
							    const char *format, ...)
{
	va_list arguments;

	if (c->last_error)
		return;
	va_start(arguments, format);
	vsnprintf(c->error_text, MAXSTRINGLEN, format, arguments);
	va_end(arguments);
	stap_fail(c, mark, c->error_text);
}

static noinline __cold void stap_fail_actions(struct stap_context *c, stap_mark mark)
{
	stap_fail(c, mark, "MAXACTION exceeded");
	c->fatal = true;
}

/* On the way out of a call that failed: `mark` is where the call stands. */
static noinline __cold void stap_fail_called(struct stap_context *c, stap_mark mark)
{
	if (!c->error_mark) {
		c->error_mark = mark;
		c->chained = 0;
	} else if (c->chained < STAP_CHAIN) {
		c->chain[c->chained++] = mark;
	}
}

static inline void stap_error_clear(struct stap_context *c)
{
	c->last_error = NULL;
	c->error_mark = 0;
	c->chained = 0;
}

/* Takes `count` actions from the budget; false when that uses it up: the last one is not to be had, as in SystemTap. */
static __always_inline bool stap_charge(struct stap_context *c, s32 count, stap_mark mark)
{
	c->actions -= count;
	if (likely(c->actions > 0))
		return true;
	stap_fail_actions(c, mark);
	return false;
}

/* --- in and out ---------------------------------------------------------------------------------------- */

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

/* Whether the task's stack has room for a handler. Interrupt and NMI stacks are fresh enough. */
static __always_inline bool stap_stack_left(unsigned long bytes)
{
	unsigned long at = current_stack_pointer - (unsigned long)task_stack_page(current);

	return likely(at >= THREAD_SIZE || at >= bytes);
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

static __always_inline struct stap_context *stap_enter_for(struct stap_probe *probe, enum stap_state when,
							   bool runner_too)
{
	struct stap_context *c;

	if (unlikely(atomic_read(&stap_state) != when))
		return NULL;
#ifndef STP_TRACE_RUNNER
	/* What the runner does to read the output is no event: it would feed itself. Interrupts that hit it are. */
	if (!runner_too && when == STAP_STATE_RUNNING && unlikely(current->tgid == stap_runner_pid) && stap_hit_task())
		return NULL;
#endif
	preempt_disable_notrace();
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
	if (unlikely(!stap_stack_left(MINSTACKSPACE))) {
		stap_skip(probe, STAP_SKIP_STACK);
		goto refused_busy;
	}
	if (probe->condition && !probe->condition())
		goto refused_busy;
	c->probe = probe;
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
	if (unlikely(c->last_error))
		stap_report_error(c);
	if (c->print_used)
		stap_flush(c);
	stap_conditions_notice(c->probe->steers);
	barrier();
	c->busy = 0;
	preempt_enable_notrace();
}

static __always_inline void stap_leave(struct stap_context *c)
{
	stap_time(c);
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

/* --- storage ------------------------------------------------------------------------------------------- */

/* Room for a function's strings: codegen has counted the deepest chain of calls, recursion up to MAXNESTING. */
static __always_inline void *stap_push(struct stap_context *c, u32 bytes)
{
	void *frame = c->frame;

	c->frame += bytes;
	return frame;
}

static __always_inline void stap_pop(struct stap_context *c, void *frame)
{
	c->frame = frame;
}

/* Before a call that may be part of a recursion. */
static __always_inline bool stap_nest(struct stap_context *c, stap_mark mark)
{
	if (unlikely(c->nesting >= MAXNESTING || !stap_stack_left(MINSTACKSPACE))) {
		stap_fail(c, mark, "MAXNESTING exceeded");
		return false;
	}
	c->nesting++;
	return true;
}

static void stap_contexts_free(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct stap_context *c = per_cpu(stap_contexts, cpu);

		if (c)
			stap_timings_unload(c);
		kvfree(c);
		per_cpu(stap_contexts, cpu) = NULL;
	}
}

static int stap_contexts_load(void)
{
	struct stap_context *c;
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		c = kvzalloc_node(sizeof(*c), GFP_KERNEL, cpu_to_node(cpu));
		per_cpu(stap_contexts, cpu) = c;
		if (!c || !stap_timings_load(c)) {
			stap_contexts_free();
			return -ENOMEM;
		}
		c->cpu = cpu;
		c->frame = c->frames;
#ifndef STP_NO_OVERLOAD
		c->window_start = get_cycles();
#endif
	}
	return 0;
}

/* Nothing is armed any more; a handler on another CPU may still be on its way out. */
static void stap_contexts_unload(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct stap_context *c = per_cpu(stap_contexts, cpu);

		while (READ_ONCE(c->busy))
			msleep(1);
	}
	synchronize_rcu();
	stap_contexts_free();
}

/* The sum over all CPUs of a global that is only added to: `offset` is its place in the context. */
static s64 stap_percpu_sum(size_t offset)
{
	unsigned int cpu;
	s64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(s64 *)((char *)per_cpu(stap_contexts, cpu) + offset));
	return sum;
}

static void stap_percpu_clear(size_t offset)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		WRITE_ONCE(*(s64 *)((char *)per_cpu(stap_contexts, cpu) + offset), 0);
}

#endif
