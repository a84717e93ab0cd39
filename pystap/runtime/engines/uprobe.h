/* SPDX-License-Identifier: GPL-2.0 */
/*
 * uprobe.h: entries, returns and single instructions of programs and
 * libraries, by inode and offset in the file: in every process that maps it,
 * now or later. Handlers run in the probed task, which holds no lock and may
 * sleep, but for what stap_enter() does; memory that is not resident is
 * faulted in. What a return's entry side keeps lies in a table of fixed size,
 * under one spinlock per bucket that nothing but these handlers takes.
 * Arming and disarming sleep; for that time the task has the best of the
 * ordinary priorities: each point of a busy process waits for a CPU again.
 */
#ifndef STAP_ENGINE_UPROBE_H
#define STAP_ENGINE_UPROBE_H

#include <linux/hash.h>
#include <linux/uprobes.h>
#include "tasks.h"
#include "unwinders.h"

struct stap_uprobe_site {
	struct stap_probe *probe;
	const char *path;
	const char *program;	/* only in processes that run this; NULL: in all */
	u64 offset;		/* in the file */
	u64 address;		/* link-time */
	u64 semaphore;		/* in the file; 0: none */
	u64 caller_low;		/* link-time: only when called from here; 0: from anywhere */
	u64 caller_high;
	pid_t process;		/* only in this one; 0: in all */
	bool targets;		/* only in the session's target and its children */
	bool is_return;
};

static const struct stap_uprobe_site stap_uprobe_sites[];
static const unsigned int stap_uprobe_count;

struct stap_uprobe {
	struct uprobe_consumer consumer;
	const struct stap_uprobe_site *site;
	struct inode *inode;		/* held */
	struct inode *program;		/* held, or NULL */
	struct uprobe *made;
	atomic_t missed;		/* returns, of calls nested too deeply */
	atomic_t displaced;		/* calls, of which some have not returned yet */
	pid_t process;			/* in the first namespace */
	bool armed;
	bool refused;			/* for good: it was said once */
};

static struct stap_uprobe *stap_uprobes;

/* --- what entry sides keep ------------------------------------------------------------------------------ */

enum { STAP_CALL_BUCKETS = 512, STAP_CALL_WAYS = 8 };

/* A call under way, known by its task and where its return address lies. */
struct stap_call {
	const struct task_struct *task;
	struct stap_uprobe *uprobe;
	unsigned long stack;
	u32 age;
	bool busy;		/* its values are being used */
	bool refused;		/* there are none: the entry was not served */
	s64 values[];
};

struct stap_call_bucket {
	raw_spinlock_t lock;
	u32 clock;
};

static struct stap_call_bucket *stap_call_buckets;
static char *stap_calls;
static u32 stap_call_size;

static inline struct stap_call *stap_call_at(u32 bucket, u32 way)
{
	return (struct stap_call *)(stap_calls + (size_t)(bucket * STAP_CALL_WAYS + way) * stap_call_size);
}

static inline u32 stap_call_bucket_of(const struct stap_uprobe *u, unsigned long stack)
{
	return hash_64((u64)(unsigned long)current ^ (u64)stack << 7 ^ (u64)(unsigned long)u >> 4,
		       ilog2(STAP_CALL_BUCKETS));
}

/* The call that the current task made with its return address there, or (`make`) room for it, the oldest one's if need be. */
static noinline struct stap_call *stap_call_take(struct stap_uprobe *u, unsigned long stack, bool make)
{
	u32 number = stap_call_bucket_of(u, stack), way;
	struct stap_call_bucket *bucket = &stap_call_buckets[number];
	struct stap_call *found = NULL, *oldest = NULL;

	raw_spin_lock(&bucket->lock);
	for (way = 0; way < STAP_CALL_WAYS && !found; way++) {
		struct stap_call *call = stap_call_at(number, way);

		if (call->task == current && call->uprobe == u && call->stack == stack)
			found = call;
		else if (!call->busy && (!oldest || (call->task ? bucket->clock - call->age : ~0u) >
				    (oldest->task ? bucket->clock - oldest->age : ~0u)))
			oldest = call;
	}
	if (!found && make && oldest) {
		found = oldest;
		if (found->task)
			atomic_inc(&found->uprobe->displaced);
		found->task = current;
		found->uprobe = u;
		found->stack = stack;
	}
	if (found) {
		found->age = bucket->clock++;
		found->busy = true;
	}
	raw_spin_unlock(&bucket->lock);
	return found;
}

static void stap_call_give(struct stap_call *call, bool keep)
{
	if (!keep)
		call->task = NULL;
	smp_store_release(&call->busy, false);
}

static void stap_calls_free(void)
{
	vfree(stap_calls);
	kvfree(stap_call_buckets);
	stap_calls = NULL;
	stap_call_buckets = NULL;
}

static int stap_calls_allocate(void)
{
	u32 largest = 0, i;

	for (i = 0; i < stap_uprobe_count; i++)
		if (stap_uprobe_sites[i].probe->entry)
			largest = max(largest, stap_uprobe_sites[i].probe->saved_size + 8);
	if (!largest)
		return 0;
	stap_call_size = ALIGN(sizeof(struct stap_call) + largest, 8);
	stap_calls = vzalloc((size_t)stap_call_size * STAP_CALL_BUCKETS * STAP_CALL_WAYS);
	stap_call_buckets = kvcalloc(STAP_CALL_BUCKETS, sizeof(*stap_call_buckets), GFP_KERNEL);
	if (!stap_calls || !stap_call_buckets) {
		stap_calls_free();
		return -ENOMEM;
	}
	for (i = 0; i < STAP_CALL_BUCKETS; i++)
		raw_spin_lock_init(&stap_call_buckets[i].lock);
	return 0;
}

/* --- hits ------------------------------------------------------------------------------------------------ */

/* Whether this process is meant. */
static __always_inline bool stap_uprobe_wanted(const struct stap_uprobe *u)
{
	const struct stap_uprobe_site *site = u->site;

	if (u->process && u->process != current->tgid)
		return false;
	if (!stap_is_mine())
		return false;
	if (site->targets && !stap_is_target())
		return false;
	return !site->program || (u->program && stap_program_of(current->mm) == u->program);
}

/* Whether the call comes from the code that the site names; the return address is on top of the stack. */
static bool stap_uprobe_called_there(const struct stap_uprobe_site *site, const struct pt_regs *regs, u64 bias)
{
	u64 from;

	if (!site->caller_low)
		return true;
	if (!stap_read_user(&from, user_stack_pointer(regs), sizeof(from)))
		return false;
	return from - bias >= site->caller_low && from - bias <= site->caller_high;
}

static __always_inline struct stap_context *stap_uprobe_enter(const struct stap_uprobe *u, struct pt_regs *regs,
							       u64 address)
{
	struct stap_context *c = stap_enter(u->site->probe);

	if (!c)
		return NULL;
	c->uregs = regs;
	c->ip = instruction_pointer(regs);
	c->object = u->inode;
	c->object_bias = address - u->site->address;
	c->sleepable = INTERRUPTIBLE;
#ifdef STAP_NEED_USYMBOLS
	stap_mapping_met(c, u->inode, address - u->site->offset, address);
#endif
	return c;
}

static int stap_uprobe_hit(struct uprobe_consumer *consumer, struct pt_regs *regs STAP_UPROBE_COOKIE)
{
	const struct stap_uprobe *u = container_of(consumer, struct stap_uprobe, consumer);
	struct stap_context *c;

	if (!stap_uprobe_wanted(u))
		return 0;
	c = stap_uprobe_enter(u, regs, instruction_pointer(regs));
	if (!c)
		return 0;
	if (stap_uprobe_called_there(u->site, regs, c->object_bias))
		u->site->probe->handler(c);
	stap_leave(c);
	return 0;
}

/* The kernel follows only so many of a task's calls, and says nothing of those inside of them: their returns are not seen. */
static __always_inline bool stap_uprobe_too_deep(void)
{
	const struct uprobe_task *task = current->utask;

	return task && task->depth >= MAX_URETPROBE_DEPTH;
}

/* The entry of a function whose return is probed. What is not served here is remembered: its return is not, either. */
static int stap_uprobe_entry(struct uprobe_consumer *consumer, struct pt_regs *regs STAP_UPROBE_COOKIE)
{
	struct stap_uprobe *u = container_of(consumer, struct stap_uprobe, consumer);
	struct stap_probe *probe = u->site->probe;
	struct stap_context *c;
	struct stap_call *call;

	if (!stap_uprobe_wanted(u))
		return 0;
	if (unlikely(stap_uprobe_too_deep())) {
		atomic_inc(&u->missed);
		return 0;
	}
	if (!probe->entry)
		return 0;
	call = stap_call_take(u, user_stack_pointer(regs), true);
	if (!call)
		stap_skip(probe, STAP_SKIP_URETPROBE);
	c = call ? stap_uprobe_enter(u, regs, instruction_pointer(regs)) : NULL;
	if (call)
		call->refused = !c;
	if (!c) {
		if (call)
			stap_call_give(call, true);
		return 0;
	}
	c->saved = call->values;
	memset(call->values, 0, probe->saved_size);
	probe->entry(c);
	stap_call_give(call, true);
	stap_leave_entry(c);
	return 0;
}

static int stap_uprobe_return(struct uprobe_consumer *consumer, unsigned long function, struct pt_regs *regs
			      STAP_UPROBE_COOKIE)
{
	struct stap_uprobe *u = container_of(consumer, struct stap_uprobe, consumer);
	struct stap_probe *probe = u->site->probe;
	struct stap_call *call = NULL;
	struct stap_context *c = NULL;

	if (!stap_uprobe_wanted(u))
		return 0;
	if (probe->entry) {	/* the return has taken its address off the stack */
		call = stap_call_take(u, user_stack_pointer(regs) - sizeof(long), false);
		if (!call && atomic_dec_if_positive(&u->displaced) >= 0)
			stap_skip(probe, STAP_SKIP_URETPROBE);
	}
	if (!probe->entry || (call && !call->refused))
		c = stap_uprobe_enter(u, regs, function);
	if (c) {
		c->is_return = true;
		c->retval = regs_return_value(regs);
		c->saved = call ? call->values : NULL;
		probe->handler(c);
		stap_leave(c);
	}
	if (call)
		stap_call_give(call, false);
	return 0;
}

/* --- arming ---------------------------------------------------------------------------------------------- */

static void stap_uprobe_arm(struct stap_uprobe *u)
{
	const struct stap_uprobe_site *site = u->site;
	int error;

	if (site->is_return) {
		u->consumer.ret_handler = stap_uprobe_return;
		u->consumer.handler = stap_uprobe_entry;
	} else {
		u->consumer.handler = stap_uprobe_hit;
	}
	error = stap_uprobe_register(u->inode, site->offset, site->semaphore, &u->consumer, &u->made);
	u->armed = !error;
	u->refused = error;
	if (error)
		stap_session_message(STAP_ITEM_WARNING,
				     "probe %s at inode-offset %s:0x%llx registration error [man warning::pass5] (rc %d)",
				     site->probe->point, site->path, site->offset, error);
}

/* As conditions say. A consumer that was taken off is put back only when nobody looks at it any more. */
static int stap_uprobe_rearm(void)
{
	bool taken = false;
	unsigned int i;

	for (i = 0; i < stap_uprobe_count; i++) {
		struct stap_uprobe *u = &stap_uprobes[i];

		if (!u->armed || !stap_idle(u->site->probe))
			continue;
		stap_uprobe_unregister(u->inode, u->site->offset, &u->consumer, u->made);
		u->armed = false;
		taken = true;
		cond_resched();
	}
	if (taken)
		stap_uprobe_unregister_wait();
	for (i = 0; i < stap_uprobe_count; i++) {
		struct stap_uprobe *u = &stap_uprobes[i];

		if (!u->armed && !u->refused && u->inode && !stap_idle(u->site->probe))
			stap_uprobe_arm(u);
		cond_resched();
	}
	return 0;
}

/* Sites of one file are neighbours in the table, so each file is looked up once. */
static int stap_uprobe_find(struct stap_uprobe *u, const struct stap_uprobe *before)
{
	const struct stap_uprobe_site *site = u->site;

	if (before && !strcmp(before->site->path, site->path))
		u->inode = igrab(before->inode);
	else
		u->inode = stap_inode_of(site->path);
	if (!u->inode) {
		stap_session_message(STAP_ITEM_ERROR, "cannot probe %s: there is no such file where the script runs",
				     site->path);
		return -ENOENT;
	}
	if (site->program)
		u->program = stap_inode_of(site->program);
	if (site->process) {
		u->process = stap_process_of(site->process);
		if (!u->process)
			u->process = -1;	/* it is gone: nothing hits */
	}
	return 0;
}

static int stap_uprobe_arm_all(void)
{
	unsigned int i;
	int error;

	for (i = 0; i < stap_uprobe_count && !stap_is_ending(); i++) {
		struct stap_uprobe *u = &stap_uprobes[i];

		u->site = &stap_uprobe_sites[i];
		error = stap_uprobe_find(u, i ? u - 1 : NULL);
		if (error)
			return error;
		if (!stap_idle(u->site->probe))
			stap_uprobe_arm(u);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* It is the kernel's bound: neither an error nor counted against MAXSKIPPED. */
static void stap_uprobe_tell_missed(const struct stap_uprobe *u)
{
	int missed = atomic_read(&u->missed);

	if (!missed)
		return;
	atomic_add(missed, &u->site->probe->skipped[STAP_SKIP_URETPROBE]);
	stap_session_message(STAP_ITEM_WARNING,
			     "%s: %d returns of calls inside of %d others were not seen: the kernel follows no more of them",
			     u->site->probe->point, missed, MAX_URETPROBE_DEPTH);
}

static int stap_uprobe_disarm_all(void)
{
	unsigned int i;

	for (i = 0; stap_uprobes && i < stap_uprobe_count; i++) {
		struct stap_uprobe *u = &stap_uprobes[i];

		if (u->armed)
			stap_uprobe_unregister(u->inode, u->site->offset, &u->consumer, u->made);
		cond_resched();
	}
	stap_uprobe_unregister_wait();
	stap_unwinders_settle();
	stap_unwinders_stop();
	stap_unwinders_settle();	/* what was caught meanwhile has got the trampoline again */
	for (i = 0; stap_uprobes && i < stap_uprobe_count; i++) {
		stap_uprobe_tell_missed(&stap_uprobes[i]);
		iput(stap_uprobes[i].program);
		iput(stap_uprobes[i].inode);
	}
	kvfree(stap_uprobes);
	stap_uprobes = NULL;
	stap_calls_free();
	return 0;
}

/* Arms or disarms before others get on. */
static int stap_uprobe_urgently(int (*work)(void))
{
	int nice = task_nice(current), error;

	set_user_nice(current, MIN_NICE);
	error = work();
	set_user_nice(current, nice);
	return error;
}

static int stap_uprobe_start(void)
{
	bool targets = stap_sites_ask_targets(stap_uprobe_sites, stap_uprobe_count);
	int error = targets ? stap_targets_start() : 0;

	if (error)
		return error;
	error = stap_calls_allocate();
	if (!error)
		error = stap_unwinders_start();
	if (!error) {
		stap_uprobes = kvcalloc(stap_uprobe_count, sizeof(*stap_uprobes), GFP_KERNEL);
		error = stap_uprobes ? stap_uprobe_urgently(stap_uprobe_arm_all) : -ENOMEM;
	}
	if (!error)
		return 0;
	stap_uprobe_urgently(stap_uprobe_disarm_all);
	if (targets)
		stap_targets_stop();
	return error;
}

static void stap_uprobe_stop(void)
{
	stap_uprobe_urgently(stap_uprobe_disarm_all);
	if (stap_sites_ask_targets(stap_uprobe_sites, stap_uprobe_count))
		stap_targets_stop();
}

#endif
