/* SPDX-License-Identifier: GPL-2.0 */
/*
 * watch.h: accesses of a task to its program's memory, seen by the debug
 * registers, of which there are four: each task that runs the program has its
 * own, as a perf counter of perf_task.h, which says when they come and go.
 * Handlers run in the debug exception behind the access, of the task itself:
 * of its user code, or of the kernel that copies for it. No locks; creating
 * sleeps.
 */
#ifndef STAP_ENGINE_WATCH_H
#define STAP_ENGINE_WATCH_H

#include <linux/hw_breakpoint.h>

/* What an exec writes is not the program's doing, and not known yet to be where the program is. */
static void stap_watch_hit(struct perf_event *event, struct perf_sample_data *data, struct pt_regs *regs)
{
	const struct stap_perf_task_site *site = event->overflow_handler_context;
	const struct inode *program = stap_perf_task_programs[site - stap_perf_task_sites];
	struct stap_context *c;

	if (current->in_execve || stap_program_of(current->mm) != program)
		return;
	c = stap_enter(site->counter.probe);
	if (!c)
		return;
	stap_interrupted(c, regs);
	if (site->inside) {	/* mappings cannot be asked here */
		c->object = program;
		c->object_bias = event->attr.bp_addr - site->address;
	}
	site->counter.probe->handler(c);
	stap_leave(c);
}

/* Where the task's program has what is watched; 0 where the task has no memory any more. */
static unsigned long stap_watch_address(const struct stap_perf_task_site *site, struct task_struct *task)
{
	unsigned long code = 0;

	if (!site->inside)
		return site->address;
	task_lock(task);
	if (task->mm)
		code = task->mm->start_code;
	task_unlock(task);
	return code ? code - site->base + site->address : 0;
}

/* Of a task that the caller holds; an ERR_PTR where it ends, or no register is left. */
static struct perf_event *stap_watch_create(const struct stap_perf_task_site *site, struct task_struct *task)
{
	struct perf_event_attr attr;

	hw_breakpoint_init(&attr);
	attr.bp_addr = stap_watch_address(site, task);
	attr.bp_len = site->length;	/* HW_BREAKPOINT_LEN_n is n */
	attr.bp_type = site->writes_only ? HW_BREAKPOINT_W : HW_BREAKPOINT_RW;
	return attr.bp_addr ? register_user_hw_breakpoint(&attr, stap_watch_hit, (void *)site, task) : ERR_PTR(-ESRCH);
}

#endif
