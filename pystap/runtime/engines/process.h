/* SPDX-License-Identifier: GPL-2.0 */
/*
 * process.h: beginning and end of processes and threads, and their system
 * calls, by the tracepoints of fork, exec, exit and system calls. Handlers run
 * in the task that it is about, with preemption off; user memory is gone at an
 * end. Who has begun is kept in bitmaps by process and thread number, so every
 * beginning has one end. Arming sleeps.
 *
 * A new process or thread begins at its first system call event (the end of
 * the fork that made it), which is the first that runs in its own context; one
 * that was there before the session begins at its next, or a thread's of its.
 */
#ifndef STAP_ENGINE_PROCESS_H
#define STAP_ENGINE_PROCESS_H

#include <asm/syscall.h>
#include "tasks.h"

enum stap_process_event {
	STAP_PROCESS_BEGIN,
	STAP_PROCESS_END,
	STAP_PROCESS_THREAD_BEGIN,
	STAP_PROCESS_THREAD_END,
	STAP_PROCESS_SYSCALL,
	STAP_PROCESS_SYSCALL_RETURN,
};

struct stap_process_site {
	struct stap_probe *probe;
	const char *program;	/* in processes that run this; or */
	pid_t process;		/* in this one; or */
	bool targets;		/* in the session's target and its children; else in all */
	u8 event;
};

/* The processes that sites of one kind of choice are about. */
struct stap_watch {
	const struct stap_process_site *choice;
	struct inode *program;			/* held */
	pid_t process;
	u32 events;				/* wanted, as bits */
	struct stap_processes processes;	/* that have begun */
	struct stap_processes threads;		/* but the first of each process */
	struct stap_processes pending;		/* begin at the next system call event */
};

static const struct stap_process_site stap_process_sites[];
static const unsigned int stap_process_count;
static struct stap_watch stap_watches[];
static unsigned int stap_watch_count;

enum {
	STAP_PROCESS_LIVES = BIT(STAP_PROCESS_BEGIN) | BIT(STAP_PROCESS_END) | BIT(STAP_PROCESS_THREAD_BEGIN) |
			     BIT(STAP_PROCESS_THREAD_END),
	STAP_PROCESS_BEGINNINGS = BIT(STAP_PROCESS_BEGIN) | BIT(STAP_PROCESS_THREAD_BEGIN),
	STAP_PROCESS_CALLS = BIT(STAP_PROCESS_SYSCALL) | BIT(STAP_PROCESS_SYSCALL_RETURN),
};

static bool stap_process_same(const struct stap_process_site *a, const struct stap_process_site *b)
{
	return a->process == b->process && a->targets == b->targets &&
	       (a->program && b->program ? !strcmp(a->program, b->program) : a->program == b->program);
}

static void stap_process_handle(struct stap_probe *probe, u8 event, struct pt_regs *regs, long result)
{
	unsigned long arguments[6] = {};
	struct stap_context *c;
	unsigned int i;

	if (!stap_is_mine())
		return;
	c = stap_enter(probe);
	if (!c)
		return;
	c->uregs = regs;
	c->args[0] = regs ? syscall_get_nr(current, regs) : -1;
	if (regs)
		syscall_get_arguments(current, regs, arguments);
	for (i = 0; i < ARRAY_SIZE(arguments); i++)
		c->args[i + 1] = arguments[i];
	c->retval = result;
	c->is_return = event == STAP_PROCESS_SYSCALL_RETURN;
	probe->handler(c);
	stap_leave(c);
}

/* While the session starts, beginnings are put off: who is taken for begun then would never be seen to begin. */
static __always_inline bool stap_process_serves(void)
{
	return stap_state_now() != STAP_STATE_STARTING;
}

/* Runs what waits for an event of the current task. */
static noinline void stap_process_run(const struct stap_watch *w, u8 event, struct pt_regs *regs, long result)
{
	unsigned int i;

	if (!(w->events & BIT(event)))
		return;
	for (i = 0; i < stap_process_count; i++) {
		const struct stap_process_site *site = &stap_process_sites[i];

		if (site->event == event && stap_process_same(site, w->choice))
			stap_process_handle(site->probe, event, regs, result);
	}
}

static __always_inline struct pt_regs *stap_process_registers(void)
{
	return current->mm ? task_pt_regs(current) : NULL;
}

/* Whether the current process is one of those, as it is now. */
static bool stap_watch_fits(const struct stap_watch *w)
{
	if (!current->mm || (current->flags & PF_KTHREAD))
		return false;
	if (w->choice->program)
		return stap_program_of(current->mm) == w->program;
	if (w->choice->process)
		return current->tgid == w->process;
	return !w->choice->targets || stap_is_target();
}

/* --- what happens ---------------------------------------------------------------------------------------- */

static void stap_watch_fork(struct stap_watch *w, struct task_struct *parent, struct task_struct *child)
{
	if (!stap_processes_has(&w->processes, parent->tgid))
		return;
	if (child->tgid == parent->tgid)
		stap_processes_change(&w->threads, child->pid, true);
	else if (!w->choice->process)
		stap_processes_change(&w->processes, child->tgid, true);
	else
		return;
	stap_processes_change(&w->pending, child->pid, true);
}

static void stap_process_forked(void *data, struct task_struct *parent, struct task_struct *child)
{
	unsigned int i;

	for (i = 0; i < stap_watch_count; i++)
		if (stap_watches[i].events & STAP_PROCESS_LIVES)
			stap_watch_fork(&stap_watches[i], parent, child);
}

/* `old`: its number before, where a thread but the first has done it: that thread has ended, as all others have. */
static void stap_watch_exec(struct stap_watch *w, pid_t old)
{
	bool known = stap_processes_has(&w->processes, current->tgid);
	bool begun = known && !stap_processes_take(&w->pending, current->pid);

	if (old != current->pid) {
		stap_processes_take(&w->pending, old);
		if (stap_processes_take(&w->threads, old))
			stap_process_run(w, STAP_PROCESS_THREAD_END, stap_process_registers(), 0);
	}
	if (stap_watch_fits(w)) {
		stap_processes_change(&w->processes, current->tgid, true);
		if (stap_process_serves())
			stap_process_run(w, STAP_PROCESS_BEGIN, stap_process_registers(), 0);
		else
			stap_processes_change(&w->pending, current->pid, true);
	} else if (known) {
		stap_processes_change(&w->processes, current->tgid, false);
		if (!begun)	/* forked, and gone on to something else before anything else */
			stap_process_run(w, STAP_PROCESS_BEGIN, stap_process_registers(), 0);
		stap_process_run(w, STAP_PROCESS_END, stap_process_registers(), 0);
	}
}

static void stap_process_executed(void *data, struct task_struct *task, pid_t old, struct linux_binprm *binary)
{
	unsigned int i;

	for (i = 0; i < stap_watch_count; i++)
		if (stap_watches[i].events & STAP_PROCESS_LIVES)
			stap_watch_exec(&stap_watches[i], old);
}

static void stap_watch_exit(struct stap_watch *w, struct task_struct *task)
{
	if (task->pid != task->tgid) {
		bool pending = stap_processes_take(&w->pending, task->pid);

		if (stap_processes_take(&w->threads, task->pid)) {
			if (pending)
				stap_process_run(w, STAP_PROCESS_THREAD_BEGIN, stap_process_registers(), 0);
			stap_process_run(w, STAP_PROCESS_THREAD_END, stap_process_registers(), 0);
		}
	}
	if (!stap_is_last_thread(task) || !stap_processes_take(&w->processes, task->tgid))
		return;
	if (stap_processes_take(&w->pending, task->tgid))
		stap_process_run(w, STAP_PROCESS_BEGIN, stap_process_registers(), 0);
	stap_process_run(w, STAP_PROCESS_END, stap_process_registers(), 0);
}

static void stap_process_exited(void *data, struct task_struct *task)
{
	unsigned int i;

	for (i = 0; i < stap_watch_count; i++)
		if (stap_watches[i].events & STAP_PROCESS_LIVES)
			stap_watch_exit(&stap_watches[i], task);
}

/* Of a process that was there before, any thread may be the first to come: the one that it began with may rest, or be gone. */
static __always_inline void stap_watch_begin(struct stap_watch *w, struct pt_regs *regs)
{
	if (!(w->events & STAP_PROCESS_LIVES) || !stap_process_serves())
		return;
	if (unlikely(stap_processes_take(&w->pending, current->tgid)))
		stap_process_run(w, STAP_PROCESS_BEGIN, regs, 0);
	if (current->pid != current->tgid && unlikely(stap_processes_take(&w->pending, current->pid)))
		stap_process_run(w, STAP_PROCESS_THREAD_BEGIN, regs, 0);
}

static void stap_process_called(void *data, struct pt_regs *regs, long number)
{
	unsigned int i;

	for (i = 0; i < stap_watch_count; i++) {
		struct stap_watch *w = &stap_watches[i];

		stap_watch_begin(w, regs);
		if ((w->events & BIT(STAP_PROCESS_SYSCALL)) && stap_watch_fits(w))
			stap_process_run(w, STAP_PROCESS_SYSCALL, regs, 0);
	}
}

static void stap_process_returned(void *data, struct pt_regs *regs, long result)
{
	long number = syscall_get_nr(current, regs);
	bool executed = !result && (number == __NR_execve || number == __NR_execveat);
	unsigned int i;

	for (i = 0; i < stap_watch_count; i++) {
		struct stap_watch *w = &stap_watches[i];

		stap_watch_begin(w, regs);
		if (w->choice->program && executed)
			continue;	/* the call was another program's */
		if ((w->events & BIT(STAP_PROCESS_SYSCALL_RETURN)) && stap_watch_fits(w))
			stap_process_run(w, STAP_PROCESS_SYSCALL_RETURN, regs, result);
	}
}

/* --- the engine ------------------------------------------------------------------------------------------ */

static struct stap_hook stap_process_hooks[] = {
	{ .name = "sched_process_fork", .function = stap_process_forked },
	{ .name = "sched_process_exec", .function = stap_process_executed },
	{ .name = "sched_process_exit", .function = stap_process_exited },
	{ .name = "sys_enter", .function = stap_process_called },
	{ .name = "sys_exit", .function = stap_process_returned },
};

static u32 stap_process_wanted;	/* events, as bits */
static bool stap_process_targets;

static bool stap_process_needs(const struct stap_hook *hook)
{
	if (!strncmp(hook->name, "sched_", 6))
		return stap_process_wanted & STAP_PROCESS_LIVES;
	if (stap_process_wanted & STAP_PROCESS_BEGINNINGS)
		return true;
	return stap_process_wanted &
	       BIT(!strcmp(hook->name, "sys_enter") ? STAP_PROCESS_SYSCALL : STAP_PROCESS_SYSCALL_RETURN);
}

static int stap_watch_make(struct stap_watch *w, const struct stap_process_site *site)
{
	w->choice = site;
	w->process = site->process ? stap_process_of(site->process) : 0;
	if (site->program) {
		w->program = stap_inode_of(site->program);
		if (!w->program) {
			stap_session_message(STAP_ITEM_ERROR,
					     "cannot probe %s: there is no such file where the script runs", site->program);
			return -ENOENT;
		}
	}
	if (stap_processes_allocate(&w->processes) || stap_processes_allocate(&w->threads) ||
	    stap_processes_allocate(&w->pending))
		return -ENOMEM;
	return 0;
}

static int stap_watches_make(void)
{
	unsigned int i, k;
	int error = 0;

	for (i = 0; i < stap_process_count && !error; i++) {
		const struct stap_process_site *site = &stap_process_sites[i];

		for (k = 0; k < stap_watch_count; k++)
			if (stap_process_same(stap_watches[k].choice, site))
				break;
		if (k == stap_watch_count) {
			stap_watch_count++;
			error = stap_watch_make(&stap_watches[k], site);
		}
		stap_watches[k].events |= BIT(site->event);
		stap_process_wanted |= BIT(site->event);
		stap_process_targets |= site->targets;
	}
	return error;
}

/* One that has ended meanwhile will not end again: it is taken out. */
static void stap_watch_add(struct stap_watch *w, struct task_struct *thread)
{
	struct stap_processes *begun = thread->pid == thread->tgid ? &w->processes : &w->threads;

	stap_processes_change(begun, thread->pid, true);
	stap_processes_change(&w->pending, thread->pid, true);
	smp_mb__after_atomic();
	if (!(READ_ONCE(thread->flags) & PF_EXITING) || (thread->pid == thread->tgid && !stap_is_last_thread(thread)))
		return;
	stap_processes_change(&w->pending, thread->pid, false);
	stap_processes_change(begun, thread->pid, false);
}

/* What a process runs, of which the first thread may have ended. */
static const struct inode *stap_process_program(struct task_struct *process)
{
	const struct inode *program = NULL;
	struct task_struct *thread;

	for_each_thread(process, thread) {
		task_lock(thread);
		program = stap_program_of(thread->mm);
		task_unlock(thread);
		if (program)
			break;
	}
	return program;
}

/* Processes that are there already. The runner's child is what it will be only when it has executed the command. */
static void stap_watch_collect(struct stap_watch *w, struct task_struct *task, const struct inode *runner)
{
	const struct inode *program = stap_process_program(task);
	struct task_struct *thread;
	bool fits;

	if (!program || program == runner)
		return;
	fits = w->choice->program ? program == w->program :
	       w->choice->process ? task->tgid == w->process :
	       !w->choice->targets || stap_processes_has(&stap_targets, task->tgid);
	if (!fits)
		return;
	stap_processes_change(&w->processes, task->tgid, true);
	for_each_thread(task, thread)
		stap_watch_add(w, thread);
}

static void stap_process_collect(void)
{
	const struct inode *runner = stap_program_of(current->mm);
	struct task_struct *task;
	unsigned int i;

	rcu_read_lock();
	for_each_process(task)
		for (i = 0; i < stap_watch_count; i++)
			if (stap_watches[i].events & STAP_PROCESS_LIVES)
				stap_watch_collect(&stap_watches[i], task, runner);
	rcu_read_unlock();
}

static void stap_process_disarm(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stap_process_hooks); i++)
		stap_hook_disarm(&stap_process_hooks[i]);
	tracepoint_synchronize_unregister();
	for (i = 0; i < stap_watch_count; i++) {
		stap_processes_free(&stap_watches[i].processes);
		stap_processes_free(&stap_watches[i].threads);
		stap_processes_free(&stap_watches[i].pending);
		iput(stap_watches[i].program);
	}
	stap_watch_count = 0;
	if (stap_process_targets)
		stap_targets_stop();
	stap_process_targets = false;
}

static int stap_process_start(void)
{
	unsigned int i;
	int error = stap_watches_make();

	if (stap_process_targets && stap_targets_start()) {
		stap_process_targets = false;
		error = error ? error : -ENOMEM;
	}
	for (i = 0; !error && i < ARRAY_SIZE(stap_process_hooks); i++)
		if (stap_process_needs(&stap_process_hooks[i]))
			error = stap_hook_arm(&stap_process_hooks[i]);
	if (error)
		stap_process_disarm();
	else if (stap_process_wanted & STAP_PROCESS_LIVES)
		stap_process_collect();
	return error;
}

static void stap_process_stop(void)
{
	stap_process_disarm();
}

#endif
