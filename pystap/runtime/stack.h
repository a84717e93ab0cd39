/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stack.h: return addresses of the probed kernel and user code.
 * The kernel's own unwinder walks kernel stacks; user stacks are walked by
 * frame pointers. Any context; nothing is locked; bounded by the caller's table.
 *
 * For tapsets (pragma:unwind):
 *	stap_stack_kernel(c, table, size)	how many addresses, the probed one first
 *	stap_stack_task(c, task, table, size)	of another task, where it sleeps; 0: it has none now
 *	stap_stack_user(c, table, size)
 */
#ifndef STAP_STACK_H
#define STAP_STACK_H

#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>

typedef unsigned int (*stap_stack_save_regs_t)(struct pt_regs *regs, unsigned long *store, unsigned int size,
					       unsigned int skip);

typedef unsigned int (*stap_stack_save_tsk_t)(struct task_struct *task, unsigned long *store, unsigned int size,
					      unsigned int skip);

static stap_stack_save_regs_t stap_stack_save_regs;
static stap_stack_save_tsk_t stap_stack_save_tsk;

static int stap_stack_load(void)
{
	stap_stack_save_regs = (stap_stack_save_regs_t)stap_symbol_lookup(NULL, "stack_trace_save_regs");
	stap_stack_save_tsk = (stap_stack_save_tsk_t)stap_symbol_lookup(NULL, "stack_trace_save_tsk");
	return 0;
}

static void stap_stack_unload(void)
{
}

/* Without registers the walk starts here: our own frames come first and are dropped. */
static u32 stap_stack_here(unsigned long *table, u32 size)
{
	u32 count = stack_trace_save(table, size, 0);
	u32 own = 0;

	while (own < count && within_module(table[own], THIS_MODULE))
		own++;
	memmove(table, table + own, (count - own) * sizeof(*table));
	return count - own;
}

static __maybe_unused noinline u32 stap_stack_kernel(struct stap_context *c, unsigned long *table, u32 size)
{
	u32 count = 0;

	if (!size)
		return 0;
	if (!c->regs || user_mode(c->regs))
		return c->regs || c->uregs ? 0 : stap_stack_here(table, size);
	if (stap_stack_save_regs)
		count = stap_stack_save_regs(c->regs, table, size, 0);
	if (!count)
		count = 1;
	table[0] = stap_ip(c);	/* a probe's own trap or call has moved it */
	return count;
}

/*
 * The task that lies at an address, which may be any number: what is there is
 * believed to be a task only where the task of the id that it has lies there.
 * Tasks that end have stacks that could be freed by the last to look at them.
 * Under rcu_read_lock().
 */
static struct task_struct *stap_stack_owner(u64 address)
{
	struct task_struct *task;
	pid_t id;

	if (!stap_read_kernel(&id, address + offsetof(struct task_struct, pid), sizeof(id)))
		return NULL;
	task = pid_task(find_pid_ns(id, &init_pid_ns), PIDTYPE_PID);
	return (u64)(unsigned long)task == address && !(READ_ONCE(task->flags) & PF_EXITING) ? task : NULL;
}

/* The kernel's unwinder refuses a task that runs on another CPU. */
static __maybe_unused noinline u32 stap_stack_task(struct stap_context *c, u64 address, unsigned long *table, u32 size)
{
	struct task_struct *task;
	u32 count = 0;

	if (address == (unsigned long)current)
		return stap_stack_kernel(c, table, size);
	rcu_read_lock();
	task = stap_stack_owner(address);
	if (task && stap_stack_save_tsk)
		count = stap_stack_save_tsk(task, table, size, 0);
	rcu_read_unlock();
	return count;
}

static __maybe_unused noinline u32 stap_stack_user(struct stap_context *c, unsigned long *table, u32 size)
{
	struct pt_regs *regs = (struct pt_regs *)stap_user_registers(c);	/* what reads them takes no const */
	unsigned long frame[2], at;
	u32 count = 0;

	if (!regs || !size)
		return 0;
	table[count++] = instruction_pointer(regs);
	at = frame_pointer(regs);
	while (count < size && at && stap_read_user(frame, at, sizeof(frame)) && frame[1]) {
		table[count++] = frame[1];
		if (frame[0] <= at)	/* stacks grow down: callers lie above */
			break;
		at = frame[0];
	}
	return count;
}

#endif
