/* SPDX-License-Identifier: GPL-2.0 */
/*
 * state.h: the state of the session, readable and advanceable anywhere.
 * Every function here may run in any context, NMI included: it takes no lock,
 * and wakes the runner only through irq_work.
 */
#ifndef STAP_STATE_H
#define STAP_STATE_H

enum stap_skip {
	STAP_SKIP_REENTRANT,	/* a handler ran on this CPU already */
	STAP_SKIP_STACK,	/* less than MINSTACKSPACE bytes of stack left */
	STAP_SKIP_LOCK,		/* a global stayed locked for too long */
	STAP_SKIP_KRETPROBE,	/* more calls under way than the kretprobe has room for */
	STAP_SKIP_URETPROBE,	/* the same of a user space function */
	STAP_SKIP_KPROBE,	/* the kernel was inside of another kprobe on this CPU, so it passed this one over */
	STAP_SKIP_KRETPROBE_KPROBE,	/* the same at the entry of a function whose return is probed */
	STAP_SKIPS,
};

/* Hits inside of a handler can not be served at all, which is by design: they are counted, but no reason to stop. */
static inline bool stap_skip_by_design(enum stap_skip cause)
{
	return cause == STAP_SKIP_REENTRANT || cause == STAP_SKIP_KPROBE || cause == STAP_SKIP_KRETPROBE_KPROBE;
}

static atomic_t stap_state = ATOMIC_INIT(STAP_STATE_LOADED);
static atomic_t stap_error_count = ATOMIC_INIT(0);
static atomic_t stap_skipped_count = ATOMIC_INIT(0);
static atomic_t stap_skipped_by[STAP_SKIPS];
static pid_t stap_target_pid;
static pid_t stap_runner_pid;	/* who reads the output */

static DECLARE_WAIT_QUEUE_HEAD(stap_state_wait);

static void stap_state_wake(struct irq_work *work)
{
	wake_up_all(&stap_state_wait);
}

static DEFINE_IRQ_WORK(stap_state_work, stap_state_wake);

static inline enum stap_state stap_state_now(void)
{
	return atomic_read(&stap_state);
}

/* Whether no handler starts any more but end probes: what is not armed yet need not be. */
static inline bool stap_is_ending(void)
{
	return stap_state_now() >= STAP_STATE_STOPPING;
}

/* Moves to `to` only from `from`; says whether it did. */
static inline bool stap_state_move(enum stap_state from, enum stap_state to)
{
	return atomic_cmpxchg(&stap_state, from, to) == from;
}

/* exit(): no further handler starts; the runner is told to stop the session. */
static inline void stap_request_exit(void)
{
	if (stap_state_move(STAP_STATE_RUNNING, STAP_STATE_STOPPING) ||
	    stap_state_move(STAP_STATE_STARTING, STAP_STATE_STOPPING))
		irq_work_queue(&stap_state_work);
}

/* Too many errors (or too many skipped probes): as exit(), but error probes run instead of end probes. */
static inline void stap_request_abort(void)
{
	if (stap_state_move(STAP_STATE_RUNNING, STAP_STATE_ERROR) ||
	    stap_state_move(STAP_STATE_STARTING, STAP_STATE_ERROR) ||
	    stap_state_move(STAP_STATE_STOPPING, STAP_STATE_ERROR))
		irq_work_queue(&stap_state_work);
}

#endif
