/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tasks.h: which processes belong to the session's target (-c, -x): that
 * process and whatever it starts. Kept as a bitmap of process numbers of the
 * first pid namespace, so asking is one bit test and may be done in any
 * context; changed by tracepoints of fork and exit. Starting and stopping
 * sleep.
 */
#ifndef STAP_TASKS_H
#define STAP_TASKS_H

#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/threads.h>
#include <linux/tracepoint.h>

/* A set of processes. */
struct stap_processes {
	unsigned long *bits;
};

static inline int stap_processes_allocate(struct stap_processes *set)
{
	set->bits = vzalloc(BITS_TO_LONGS(PID_MAX_LIMIT) * sizeof(long));
	return set->bits ? 0 : -ENOMEM;
}

static inline void stap_processes_free(struct stap_processes *set)
{
	vfree(set->bits);
	set->bits = NULL;
}

static inline bool stap_processes_has(const struct stap_processes *set, pid_t process)
{
	return (u32)process < PID_MAX_LIMIT && test_bit(process, set->bits);
}

static inline void stap_processes_change(struct stap_processes *set, pid_t process, bool in)
{
	if ((u32)process >= PID_MAX_LIMIT)
		return;
	if (in)
		set_bit(process, set->bits);
	else
		clear_bit(process, set->bits);
}

/* Takes one out; says whether it was in. */
static inline bool stap_processes_take(struct stap_processes *set, pid_t process)
{
	return (u32)process < PID_MAX_LIMIT && test_bit(process, set->bits) && test_and_clear_bit(process, set->bits);
}

/* The process that the runner knows by a number: its number in the first namespace, 0 if there is none. */
static inline pid_t stap_process_of(pid_t number)
{
	struct task_struct *task;
	pid_t process = 0;

	rcu_read_lock();
	task = pid_task(find_vpid(number), PIDTYPE_PID);
	if (task)
		process = task->tgid;
	rcu_read_unlock();
	return process;
}

/* --- tracepoints by name --------------------------------------------------------------------------------- */

struct stap_hook {
	const char *name;
	void *function;
	int later;	/* than others at the same tracepoint */
	struct tracepoint *tracepoint;
	bool armed;
};

static inline void stap_hook_find(struct tracepoint *tracepoint, void *data)
{
	struct stap_hook *hook = data;

	if (!strcmp(tracepoint->name, hook->name))
		hook->tracepoint = tracepoint;
}

static inline int stap_hook_arm(struct stap_hook *hook)
{
	int error;

	for_each_kernel_tracepoint(stap_hook_find, hook);
	if (!hook->tracepoint)
		return -ENOENT;
	error = tracepoint_probe_register_prio(hook->tracepoint, hook->function, NULL,
					       TRACEPOINT_DEFAULT_PRIO - hook->later);
	hook->armed = !error;
	return error;
}

/* The caller waits (tracepoint_synchronize_unregister()) before what the function uses goes. */
static inline void stap_hook_disarm(struct stap_hook *hook)
{
	if (hook->armed)
		tracepoint_probe_unregister(hook->tracepoint, hook->function, NULL);
	hook->armed = false;
}

/* --- the target and its children ------------------------------------------------------------------------- */

static struct stap_processes stap_targets;
static unsigned int stap_targets_users;	/* engines that asked for them; under the session's mutex */

static inline bool stap_is_target(void)
{
	return stap_processes_has(&stap_targets, current->tgid);
}

static void stap_targets_fork(void *data, struct task_struct *parent, struct task_struct *child)
{
	if (child->tgid != parent->tgid && stap_processes_has(&stap_targets, parent->tgid))
		stap_processes_change(&stap_targets, child->tgid, true);
}

/* Whether a task that is about to end is the last of its process. */
static inline bool stap_is_last_thread(struct task_struct *task)
{
	return atomic_read(&task->signal->live) == 0;
}

static void stap_targets_exit(void *data, struct task_struct *task)
{
	if (stap_is_last_thread(task))
		stap_processes_change(&stap_targets, task->tgid, false);
}

static struct stap_hook stap_targets_hooks[] = {
	{ .name = "sched_process_fork", .function = stap_targets_fork, .later = -1 },
	{ .name = "sched_process_exit", .function = stap_targets_exit, .later = 1 },
};

/* Those that the target has started already; a parent may stand anywhere before its child, so until nothing is added. */
static void stap_targets_collect(void)
{
	struct task_struct *task;
	bool added;

	rcu_read_lock();
	do {
		added = false;
		for_each_process(task) {
			struct task_struct *parent = rcu_dereference(task->real_parent);

			if (stap_processes_has(&stap_targets, task->tgid) || !parent ||
			    !stap_processes_has(&stap_targets, parent->tgid))
				continue;
			stap_processes_change(&stap_targets, task->tgid, true);
			added = true;
		}
	} while (added);
	rcu_read_unlock();
}

static void stap_targets_stop(void)
{
	unsigned int i;

	if (!stap_targets_users || --stap_targets_users)
		return;
	for (i = 0; i < ARRAY_SIZE(stap_targets_hooks); i++)
		stap_hook_disarm(&stap_targets_hooks[i]);
	tracepoint_synchronize_unregister();
	stap_processes_free(&stap_targets);
}

static __maybe_unused int stap_targets_start(void)
{
	unsigned int i;
	int error;

	if (stap_targets_users++)
		return 0;
	error = stap_processes_allocate(&stap_targets);
	for (i = 0; !error && i < ARRAY_SIZE(stap_targets_hooks); i++)
		error = stap_hook_arm(&stap_targets_hooks[i]);
	if (error) {
		stap_targets_stop();
		return error;
	}
	stap_processes_change(&stap_targets, stap_process_of(stap_target_pid), stap_target_pid != 0);
	stap_targets_collect();
	return 0;
}

/* Whether a hit of any of an engine's sites asks for the session's target. */
#define stap_sites_ask_targets(sites, count) ({			\
	bool ask = false;					\
	unsigned int s;						\
								\
	for (s = 0; s < (count); s++)				\
		ask |= (sites)[s].targets;			\
	ask;							\
})

/* --- what a process runs --------------------------------------------------------------------------------- */

/*
 * Compared, never used: the program of an address space, which the caller
 * holds. On an overlay the inode below it, as from stap_inode_of(): that is
 * one in all containers made of the same image.
 */
static __always_inline const struct inode *stap_program_of(struct mm_struct *mm)
{
	const struct inode *inode = NULL;
	const struct dentry *entry;
	struct file *file;

	if (!mm)
		return NULL;
	rcu_read_lock();
	file = rcu_dereference(mm->exe_file);
	entry = file ? READ_ONCE(file->f_path.dentry) : NULL;
	if (entry)
		inode = unlikely(entry->d_flags & DCACHE_OP_REAL) ? d_real_inode(entry) : d_inode(entry);
	rcu_read_unlock();
	return inode;
}

/* The inode that probes of a path go to: on an overlay the one below it. NULL where there is no such file; iput() it. */
static struct inode *stap_inode_of(const char *name)
{
	struct inode *inode;
	struct path path;
	int error = kern_path(name, LOOKUP_FOLLOW, &path);

	if (error) {
		if (error != -ENOENT && error != -ENOTDIR)
			stap_session_message(STAP_ITEM_WARNING, "%s could not be looked up (rc %d)", name, error);
		return NULL;
	}
	inode = igrab(d_real_inode(path.dentry));
	path_put(&path);
	return inode;
}

#endif
