/* SPDX-License-Identifier: GPL-2.0 */
/*
 * perf_task.h: perf counters of the tasks that run given programs: samples when
 * they overflow (perf_counter.h), their values, read by handlers that run in
 * such a task, and accesses to their memory (watch.h). A task gets its counters
 * on its way to user mode from the fork or exec that made it what it is, before
 * its first instruction there, and loses them when it ends or executes
 * something else: work of its own, which may sleep, does both. Reading may
 * happen in any context, takes no lock and never waits. The table of tasks has a spin lock that only tasks' own work
 * and starting and stopping take, never a handler; tracepoints of fork, exec
 * and exit look into the table under RCU, and take what that work needs from a
 * list with a raw lock of its own: they come with preemption off, where
 * PREEMPT_RT allows no allocation.
 */
#ifndef STAP_ENGINE_PERF_TASK_H
#define STAP_ENGINE_PERF_TASK_H

#include <linux/hashtable.h>
#include <linux/task_work.h>
#include "perf_counter.h"
#include "tasks.h"

struct stap_perf_task_site {
	struct stap_perf_counter counter;
	const char *program;	/* of the tasks that are counted */
	u32 key;		/* which @perf("...") reads it, or 0 */
	u64 address;		/* of memory that is watched: link-time, or where it is */
	u64 base;		/* where the program's code begins, link-time */
	u8 length;		/* 0: nothing is watched */
	bool writes_only;
	bool inside;		/* the program: the address is link-time */
	pid_t process;		/* of this one only, as the runner knows it; or 0 */
	bool targets;		/* of the session's target and its children only */
};

/* The counters of one task. */
struct stap_perf_task {
	struct hlist_node link;
	struct task_struct *task;	/* held: no other task is at this address */
	struct stap_perf_task *gone;	/* at the end: the next that was taken out */
	struct rcu_head rcu;
	struct perf_event *events[];	/* of each site: NULL where the task is none of its */
};

static const struct stap_perf_task_site stap_perf_task_sites[];
static const unsigned int stap_perf_task_count;
static struct inode *stap_perf_task_programs[];	/* of each site, held */
static bool stap_perf_task_refused[];		/* sites that this kernel has no counters for */
static pid_t stap_perf_task_processes[];	/* of each site: the process it is limited to */

#include "watch.h"

static DEFINE_HASHTABLE(stap_perf_tasks, 8);
static DEFINE_SPINLOCK(stap_perf_tasks_lock);
#ifndef STAP_PERF_WORKS
#define STAP_PERF_WORKS 1024		/* tasks that are between fork, exec or exit and user mode at one time */
#endif

struct stap_perf_work {
	struct callback_head head;
	struct stap_perf_work *next;
};

static struct stap_perf_work *stap_perf_works;
static struct stap_perf_work *stap_perf_works_free;
static DEFINE_RAW_SPINLOCK(stap_perf_works_lock);
static atomic_t stap_perf_tasks_missed;		/* for want of room */
static atomic_t stap_perf_tasks_pending;	/* work that has been given to tasks */
static bool stap_perf_tasks_closing;
static bool stap_perf_tasks_worked;

/* --- the table ------------------------------------------------------------------------------------------- */

/* Under RCU or the lock. */
static struct stap_perf_task *stap_perf_task_find(const struct task_struct *task)
{
	struct stap_perf_task *t;

	hash_for_each_possible_rcu(stap_perf_tasks, t, link, (unsigned long)task, true)
		if (t->task == task)
			return t;
	return NULL;
}

static bool stap_perf_task_known(const struct task_struct *task)
{
	bool known;

	rcu_read_lock();
	known = stap_perf_task_find(task) != NULL;
	rcu_read_unlock();
	return known;
}

static void stap_perf_task_free(struct stap_perf_task *t)
{
	unsigned int i;

	for (i = 0; i < stap_perf_task_count; i++)
		if (t->events[i])
			perf_event_release_kernel(t->events[i]);
	put_task_struct(t->task);
	kfree_rcu(t, rcu);
}

static bool stap_perf_task_insert(struct stap_perf_task *t)
{
	bool fresh;

	spin_lock(&stap_perf_tasks_lock);
	fresh = !stap_perf_tasks_closing && !stap_perf_task_find(t->task);
	if (fresh)
		hash_add_rcu(stap_perf_tasks, &t->link, (unsigned long)t->task);
	spin_unlock(&stap_perf_tasks_lock);
	return fresh;
}

static struct stap_perf_task *stap_perf_task_take(const struct task_struct *task)
{
	struct stap_perf_task *t;

	spin_lock(&stap_perf_tasks_lock);
	t = stap_perf_task_find(task);
	if (t)
		hash_del_rcu(&t->link);
	spin_unlock(&stap_perf_tasks_lock);
	return t;
}

/* Takes out this one; false where somebody else has. */
static bool stap_perf_task_withdraw(struct stap_perf_task *t)
{
	bool found;

	spin_lock(&stap_perf_tasks_lock);
	found = stap_perf_task_find(t->task) == t;
	if (found)
		hash_del_rcu(&t->link);
	spin_unlock(&stap_perf_tasks_lock);
	return found;
}

static bool stap_perf_task_fits(const struct inode *program)
{
	unsigned int i;

	for (i = 0; program && i < stap_perf_task_count; i++)
		if (stap_perf_task_programs[i] == program)
			return true;
	return false;
}

static bool stap_perf_task_counts(unsigned int i, const struct task_struct *task, const struct inode *program)
{
	const struct stap_perf_task_site *site = &stap_perf_task_sites[i];

	if (stap_perf_task_programs[i] != program || READ_ONCE(stap_perf_task_refused[i]))
		return false;
	if (site->process && stap_perf_task_processes[i] != task->tgid)
		return false;
	return !site->targets || stap_processes_has(&stap_targets, task->tgid);
}

/* Of a task that the caller holds; NULL where it ends. */
static struct perf_event *stap_perf_task_create(unsigned int i, struct task_struct *task)
{
	const struct stap_perf_task_site *site = &stap_perf_task_sites[i];
	struct perf_event *event;

	event = site->length ? stap_watch_create(site, task) : stap_perf_create(&site->counter, -1, task);
	if (!IS_ERR(event))
		return event;
	if (site->length && PTR_ERR(event) != -ESRCH && !xchg(&stap_perf_task_refused[i], true))
		stap_session_message(STAP_ITEM_WARNING, "Hwbkpt probe %s: registration error (rc %ld)",
				     site->counter.probe->point, PTR_ERR(event));
	return NULL;
}

static const struct inode *stap_perf_task_program(struct task_struct *task)
{
	const struct inode *program;

	task_lock(task);
	program = task->flags & (PF_KTHREAD | STAP_PF_WORKER) ? NULL : stap_program_of(task->mm);
	task_unlock(task);
	return program;
}

/* Whether another task has ended, or executed something else, before its tracepoints could see what it was given. */
static bool stap_perf_task_is_past(struct task_struct *task, const struct inode *program)
{
	smp_mb();
	return READ_ONCE(task->flags) & PF_EXITING || stap_perf_task_program(task) != program;
}

/* Gives a task, which the caller holds, the counters of what it runs. */
static void stap_perf_task_add(struct task_struct *task, const struct inode *program)
{
	struct stap_perf_task *t = kzalloc(struct_size(t, events, stap_perf_task_count), GFP_KERNEL);
	unsigned int i;

	if (!t) {
		atomic_inc(&stap_perf_tasks_missed);
		return;
	}
	t->task = get_task_struct(task);
	for (i = 0; i < stap_perf_task_count; i++)
		if (stap_perf_task_counts(i, task, program))
			t->events[i] = stap_perf_task_create(i, task);
	if (!stap_perf_task_insert(t))
		stap_perf_task_free(t);
	else if (task != current && stap_perf_task_is_past(task, program) && stap_perf_task_withdraw(t))
		stap_perf_task_free(t);
}

/* --- what a handler reads -------------------------------------------------------------------------------- */

/* As perf_event_read_local(), which modules cannot call: of the current task, so on this CPU if anywhere. */
static s64 stap_perf_event_read(struct perf_event *event)
{
	unsigned long flags;
	s64 value;

	local_irq_save(flags);
	if (event->state == PERF_EVENT_STATE_ACTIVE && READ_ONCE(event->oncpu) == smp_processor_id())
		event->pmu->read(event);
	value = local64_read(&event->count);
	local_irq_restore(flags);
	return value;
}

/* @perf("NAME"): how often it happened to the current task; 0 for a task that is not counted. */
static s64 __maybe_unused stap_field_counter(struct stap_context *c, u32 key)
{
	struct stap_perf_task *t;
	s64 value = 0;
	unsigned int i;

	rcu_read_lock();
	t = stap_perf_task_find(current);
	for (i = 0; t && i < stap_perf_task_count; i++) {
		if (stap_perf_task_sites[i].key != key || !t->events[i])
			continue;
		value = stap_perf_event_read(t->events[i]);
		break;
	}
	rcu_read_unlock();
	return value;
}

/* --- tasks come and go ----------------------------------------------------------------------------------- */

static int stap_perf_works_allocate(void)
{
	unsigned int i;

	stap_perf_works = kvcalloc(STAP_PERF_WORKS, sizeof(*stap_perf_works), GFP_KERNEL);
	for (i = 0; stap_perf_works && i < STAP_PERF_WORKS; i++) {
		stap_perf_works[i].next = stap_perf_works_free;
		stap_perf_works_free = &stap_perf_works[i];
	}
	return stap_perf_works ? 0 : -ENOMEM;
}

static struct stap_perf_work *stap_perf_work_take(void)
{
	struct stap_perf_work *work;
	unsigned long flags;

	raw_spin_lock_irqsave(&stap_perf_works_lock, flags);
	work = stap_perf_works_free;
	if (work)
		stap_perf_works_free = work->next;
	raw_spin_unlock_irqrestore(&stap_perf_works_lock, flags);
	return work;
}

static void stap_perf_work_give(struct stap_perf_work *work)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&stap_perf_works_lock, flags);
	work->next = stap_perf_works_free;
	stap_perf_works_free = work;
	raw_spin_unlock_irqrestore(&stap_perf_works_lock, flags);
}

static void stap_perf_task_settle(struct callback_head *work)
{
	struct stap_perf_task *old = stap_perf_task_take(current);
	const struct inode *program = stap_program_of(current->mm);

	stap_perf_work_give(container_of(work, struct stap_perf_work, head));
	if (old)
		stap_perf_task_free(old);
	if (!READ_ONCE(stap_perf_tasks_closing) && !(current->flags & PF_EXITING) && stap_perf_task_fits(program))
		stap_perf_task_add(current, program);
	atomic_dec(&stap_perf_tasks_pending);
}

/* Of a task that will go to user mode or end: in the context of a tracepoint. */
static void stap_perf_task_later(struct task_struct *task)
{
	struct stap_perf_work *work = stap_perf_work_take();

	if (!work) {
		atomic_inc(&stap_perf_tasks_missed);
		return;
	}
	init_task_work(&work->head, stap_perf_task_settle);
	atomic_inc(&stap_perf_tasks_pending);
	WRITE_ONCE(stap_perf_tasks_worked, true);
	if (!task_work_add(task, &work->head, TWA_RESUME))
		return;
	atomic_dec(&stap_perf_tasks_pending);
	stap_perf_work_give(work);
}

static void stap_perf_task_forked(void *data, struct task_struct *parent, struct task_struct *child)
{
	if (!(child->flags & (PF_KTHREAD | STAP_PF_WORKER)) && stap_perf_task_fits(stap_program_of(child->mm)))
		stap_perf_task_later(child);
}

static void stap_perf_task_executed(void *data, struct task_struct *task, pid_t old, struct linux_binprm *binary)
{
	if (stap_perf_task_known(current) || stap_perf_task_fits(stap_program_of(current->mm)))
		stap_perf_task_later(current);
}

static void stap_perf_task_exited(void *data, struct task_struct *task)
{
	if (stap_perf_task_known(task))
		stap_perf_task_later(task);
}

static struct stap_hook stap_perf_task_hooks[] = {
	{ .name = "sched_process_fork", .function = stap_perf_task_forked },
	{ .name = "sched_process_exec", .function = stap_perf_task_executed },
	{ .name = "sched_process_exit", .function = stap_perf_task_exited, .later = 1 },
};

/* --- tasks that are there already ------------------------------------------------------------------------ */

/* As many as fit into `tasks`, each held; says how many there are. */
static unsigned int stap_perf_tasks_list(struct task_struct **tasks, unsigned int room)
{
	struct task_struct *process, *thread;
	unsigned int found = 0;

	rcu_read_lock();
	for_each_process_thread(process, thread) {
		if (!stap_perf_task_fits(stap_perf_task_program(thread)))
			continue;
		if (found < room)
			tasks[found] = get_task_struct(thread);
		found++;
	}
	rcu_read_unlock();
	return found;
}

/* Hooks are armed: whoever comes while this runs is not missed. */
static int stap_perf_tasks_collect(void)
{
	unsigned int room = stap_perf_tasks_list(NULL, 0), found, i;
	struct task_struct **tasks = kvcalloc(room ? room : 1, sizeof(*tasks), GFP_KERNEL);

	if (!tasks)
		return -ENOMEM;
	found = min(stap_perf_tasks_list(tasks, room), room);
	for (i = 0; i < found; i++) {
		stap_perf_task_add(tasks[i], stap_perf_task_program(tasks[i]));
		put_task_struct(tasks[i]);
	}
	kvfree(tasks);
	return 0;
}

/* --- the engine ------------------------------------------------------------------------------------------ */

/* Whether this kernel has the counter: asked of the runner, before any task comes. */
static void stap_perf_task_try(unsigned int i)
{
	const struct stap_perf_counter *counter = &stap_perf_task_sites[i].counter;
	struct perf_event *event = stap_perf_create(counter, -1, current);

	stap_perf_task_refused[i] = IS_ERR(event);
	if (IS_ERR(event))
		stap_perf_refused(counter, PTR_ERR(event));
	else
		perf_event_release_kernel(event);
}

static int stap_perf_task_prepare(unsigned int i)
{
	const char *name = stap_perf_task_sites[i].program;

	stap_perf_task_programs[i] = stap_inode_of(name);
	if (!stap_perf_task_programs[i]) {
		stap_session_message(STAP_ITEM_ERROR, "cannot probe %s: there is no such file where the script runs",
				     name);
		return -ENOENT;
	}
	if (stap_perf_task_sites[i].length)
		stap_perf_task_processes[i] = stap_process_of(stap_perf_task_sites[i].process);
	else
		stap_perf_task_try(i);
	return 0;
}

/*
 * Waits for the work that tasks have been given: it is done as soon as they go to user mode, or end. Who hangs before
 * that (in the closing of a file of a server that is gone) is not waited for; then the module stays, since its code will
 * still run.
 */
static void stap_perf_tasks_wait(void)
{
	unsigned long until = jiffies + 3 * HZ;

	while (atomic_read(&stap_perf_tasks_pending) && time_before(jiffies, until))
		msleep(1);
	if (atomic_read(&stap_perf_tasks_missed))
		stap_session_message(STAP_ITEM_WARNING, "%d tasks began or ended without their counters: too many at once",
				     atomic_read(&stap_perf_tasks_missed));
	if (atomic_read(&stap_perf_tasks_pending)) {
		stap_perf_works = NULL;	/* still used */
		stap_session_message(STAP_ITEM_WARNING, "a task that is counted is held in its exec or exit: the module stays");
		__module_get(THIS_MODULE);
	} else if (stap_perf_tasks_worked) {
		synchronize_rcu_tasks();	/* the last one is on its way out of our code */
	}
}

/* Handlers of engines that stop later may be reading. */
static void stap_perf_tasks_drop(void)
{
	struct stap_perf_task *t, *gone = NULL;
	struct hlist_node *next;
	unsigned int i;

	spin_lock(&stap_perf_tasks_lock);
	hash_for_each_safe(stap_perf_tasks, i, next, t, link) {
		hash_del_rcu(&t->link);
		t->gone = gone;
		gone = t;
	}
	spin_unlock(&stap_perf_tasks_lock);
	synchronize_rcu();
	while ((t = gone)) {
		gone = t->gone;
		stap_perf_task_free(t);
	}
	synchronize_rcu();	/* debug exceptions that are being handled */
}

static void stap_perf_task_stop(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stap_perf_task_hooks); i++)
		stap_hook_disarm(&stap_perf_task_hooks[i]);
	tracepoint_synchronize_unregister();
	spin_lock(&stap_perf_tasks_lock);
	WRITE_ONCE(stap_perf_tasks_closing, true);
	spin_unlock(&stap_perf_tasks_lock);
	stap_perf_tasks_wait();
	stap_perf_tasks_drop();
	kvfree(stap_perf_works);
	stap_perf_works = NULL;
	for (i = 0; i < stap_perf_task_count; i++) {
		iput(stap_perf_task_programs[i]);
		stap_perf_task_programs[i] = NULL;
	}
	if (stap_sites_ask_targets(stap_perf_task_sites, stap_perf_task_count))
		stap_targets_stop();
}

static int stap_perf_task_start(void)
{
	unsigned int i;
	bool targets = stap_sites_ask_targets(stap_perf_task_sites, stap_perf_task_count);
	int error = targets ? stap_targets_start() : 0;

	if (error)
		return error;
	error = stap_perf_works_allocate();
	for (i = 0; !error && i < stap_perf_task_count; i++)
		error = stap_perf_task_prepare(i);
	for (i = 0; !error && i < ARRAY_SIZE(stap_perf_task_hooks); i++)
		error = stap_hook_arm(&stap_perf_task_hooks[i]);
	if (!error)
		error = stap_perf_tasks_collect();
	if (error)
		stap_perf_task_stop();
	return error;
}

#endif
