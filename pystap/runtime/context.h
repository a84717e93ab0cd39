/* SPDX-License-Identifier: GPL-2.0 */
/*
 * context.h: what one handler run has to work with: its probe, what the engine
 * knows of the hit, its error, its budget and its texts. There is one context
 * per CPU (storage.h); a handler owns it from stap_enter() to stap_leave()
 * (entry.h), with preemption off, so nothing in it needs a lock. Any context,
 * NMI included.
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
#ifdef STP_ALIBI
	atomic_t alibi;					/* hits that did nothing */
#endif
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
	unsigned long interrupts;	/* as they were before the hit, with -DINTERRUPTIBLE=0 */
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

#endif
