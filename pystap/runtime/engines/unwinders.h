/* SPDX-License-Identifier: GPL-2.0 */
/*
 * unwinders.h: exceptions that pass functions whose return is probed. The
 * kernel probes a return by putting its trampoline's address in the place of
 * the return address; an unwinder knows of no function there, and ends the
 * program. So where unwinding begins or goes on, the return addresses of the
 * task's calls under way are put back; where the exception is caught, the
 * trampoline's are put in again for those that are still under way. Calls
 * that the exception left do not return; the kernel drops its notes of them
 * by the stack pointer, as it does after longjmp().
 *
 * When the session ends, calls are still under way, and nobody will help an
 * unwinder any more: so what lies on stacks is put back then for all tasks.
 *
 * Handlers run in the task, outside of stap_enter(): they sleep, and bring
 * in the task's own stack. They read the kernel's list of the task's calls,
 * which nobody but the task itself changes, and change nothing of it. Nothing
 * is locked but, to find out what a mapping is, the task's mmap_lock, which is
 * not waited for without end, as nothing is that the program could hold back.
 */
#ifndef STAP_ENGINE_UNWINDERS_H
#define STAP_ENGINE_UNWINDERS_H

#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uprobes.h>
#include "tasks.h"

struct stap_unwinder_site {
	const char *path;
	u64 offset;		/* in the file */
	bool catches;		/* else it unwinds */
};

static const struct stap_unwinder_site stap_unwinder_sites[];
static const unsigned int stap_unwinder_count;

struct stap_unwinder {
	struct uprobe_consumer consumer;
	struct inode *inode;		/* held */
	struct uprobe *made;
	bool armed;
};

static struct stap_unwinder *stap_unwinders;

/* Where processes that threw have their trampoline: hints, that are looked at before they are believed. */
enum { STAP_TRAMPOLINES = 256 };
static unsigned long stap_trampolines[STAP_TRAMPOLINES];

static unsigned long *stap_trampoline_hint(void)
{
	return &stap_trampolines[hash_ptr(current->mm, ilog2(STAP_TRAMPOLINES))];
}

/* The task's own memory, which may have to be brought in first. */
static bool stap_unwinder_read(unsigned long *word, unsigned long address)
{
	const void __user *from = (const void __user *)address;

	return !copy_from_user_nofault(word, from, sizeof(*word)) ||
	       (stap_bring(address, sizeof(*word), 0) == 1 && !copy_from_user_nofault(word, from, sizeof(*word)));
}

static bool stap_unwinder_write(unsigned long address, unsigned long word)
{
	void __user *to = (void __user *)address;

	return !copy_to_user_nofault(to, &word, sizeof(word)) ||
	       (stap_bring(address, sizeof(word), FOLL_WRITE) == 1 && !copy_to_user_nofault(to, &word, sizeof(word)));
}

/* Whether the kernel's area for uprobes begins there: it begins with the trampoline. Under mmap_lock. */
static bool stap_is_trampoline_of(struct mm_struct *mm, unsigned long address)
{
	struct vm_area_struct *area = find_vma(mm, address);
	const char *name = NULL;

	if (area && area->vm_start == address && area->vm_ops && area->vm_ops->name)
		name = area->vm_ops->name(area);
	return name && !strcmp(name, "[uprobes]");
}

static bool stap_is_trampoline(unsigned long address)
{
	struct mm_struct *mm = current->mm;
	bool is;

	if (!address || !mm || !stap_mmap_lock_patiently(mm))
		return false;
	is = stap_is_trampoline_of(mm, address);
	mmap_read_unlock(mm);
	return is;
}

/* Of calls that end in one jump each to the next, all have one place and one return address: the first one's is put back. */
static int stap_unwinder_raised(struct uprobe_consumer *consumer, struct pt_regs *regs STAP_UPROBE_COOKIE)
{
	const struct uprobe_task *task = current->utask;
	const struct return_instance *at;
	unsigned long trampoline = 0, word;

	for (at = task ? task->return_instances : NULL; at; at = at->next) {
		if (!stap_unwinder_read(&word, at->stack) || word == at->orig_ret_vaddr)
			continue;
		if (word != trampoline) {
			if (trampoline || !stap_is_trampoline(word))
				continue;
			trampoline = word;
			WRITE_ONCE(*stap_trampoline_hint(), word);
		}
		if (!stap_unwinder_write(at->stack, at->orig_ret_vaddr))
			pr_debug("%s: no return address put back\n", current->comm);
	}
	return 0;
}

/* Calls under way have their return address above the top of the stack, where that of this very function is. */
static int stap_unwinder_caught(struct uprobe_consumer *consumer, struct pt_regs *regs STAP_UPROBE_COOKIE)
{
	const struct uprobe_task *task = current->utask;
	const struct return_instance *at = task ? task->return_instances : NULL;
	unsigned long trampoline, word;

	if (!at)
		return 0;
	trampoline = READ_ONCE(*stap_trampoline_hint());
	if (!stap_is_trampoline(trampoline))
		return 0;
	for (; at; at = at->next) {
		if (at->stack <= user_stack_pointer(regs) || !stap_unwinder_read(&word, at->stack) ||
		    word != at->orig_ret_vaddr)
			continue;
		if (!stap_unwinder_write(at->stack, trampoline))
			pr_debug("%s: a return will not be seen\n", current->comm);
	}
	return 0;
}

/* --- the end of the session ------------------------------------------------------------------------------ */

enum { STAP_SETTLED_CALLS = 128 };	/* of each task */

/*
 * The page that a call's return address is in, held, under mmap_lock. A stack is its program's own memory, of which
 * something was swapped out at most; a file's page is asked for only as far as it is there, since who serves the file
 * need not answer.
 */
static struct page *stap_unwinder_page(struct mm_struct *mm, unsigned long address)
{
	const struct vm_area_struct *area = find_vma(mm, address);
	struct page *page;
	unsigned int flags = FOLL_WRITE;

	if (!area || area->vm_start > address)
		return NULL;
	if (stap_is_held_back(mm, address))
		return NULL;
	if (area->vm_file)
		flags |= FOLL_NOWAIT;
	return stap_remote_page(mm, address, flags, &page) == 1 ? page : NULL;
}

/* A program that never gives its lock back does not keep the session from ending. */
static bool stap_unwinder_lock(struct mm_struct *mm)
{
	unsigned long until = jiffies + msecs_to_jiffies(STAP_PRESENT_MS);

	while (!mmap_read_trylock(mm)) {
		if (time_after(jiffies, until))
			return false;
		usleep_range(50, 100);
	}
	return true;
}

/*
 * One call of another task, which may return from it at this very moment: the
 * word is changed in one step, and only from the trampoline's address. Where
 * that is read or found too late, the kernel's own way back is still there.
 */
static void stap_unwinder_settle_call(struct mm_struct *mm, const struct return_instance *call)
{
	struct vm_area_struct *code;
	unsigned long *word, was;
	bool changed = false;
	struct page *page;
	void *mapped;

	if (call->stack % sizeof(long) || !(call->orig_ret_vaddr & ~PAGE_MASK))
		return;
	if (!stap_unwinder_lock(mm))
		return;
	code = find_vma(mm, call->orig_ret_vaddr);
	page = code && code->vm_start <= call->orig_ret_vaddr && code->vm_flags & VM_EXEC ?
	       stap_unwinder_page(mm, call->stack) : NULL;
	if (page) {
		mapped = kmap(page);
		word = (unsigned long *)((char *)mapped + offset_in_page(call->stack));
		was = READ_ONCE(*word);
		if (was && stap_is_trampoline_of(mm, was))
			changed = cmpxchg(word, was, call->orig_ret_vaddr) == was;
		kunmap(page);
		if (changed)
			set_page_dirty_lock(page);
		put_page(page);
	}
	mmap_read_unlock(mm);
}

/* The list is the task's own and may change meanwhile: it is read as foreign memory, and what is read is checked. */
static void stap_unwinder_settle_task(struct task_struct *task)
{
	const struct uprobe_task *notes = READ_ONCE(task->utask);
	struct return_instance call, again, *at;
	unsigned int left = STAP_SETTLED_CALLS;
	struct mm_struct *mm;

	if (!notes || copy_from_kernel_nofault(&at, &notes->return_instances, sizeof(at)) || !at)
		return;
	mm = get_task_mm(task);
	if (!mm)
		return;
	while (left-- && at && !copy_from_kernel_nofault(&call, at, sizeof(call))) {
		smp_rmb();
		if (READ_ONCE(task->utask) != notes || copy_from_kernel_nofault(&again, at, sizeof(again)) ||
		    memcmp(&call, &again, sizeof(call)))
			break;
		stap_unwinder_settle_call(mm, &call);
		at = call.next;
		cond_resched();
	}
	mmput(mm);
}

/* As many of those that have met a probe as fit into `tasks`, each held; says how many there are. */
static unsigned int stap_unwinders_list(struct task_struct **tasks, unsigned int room)
{
	struct task_struct *process, *task;
	unsigned int found = 0;

	rcu_read_lock();
	for_each_process_thread(process, task) {
		if (!READ_ONCE(task->utask))
			continue;
		if (found < room)
			tasks[found] = get_task_struct(task);
		found++;
	}
	rcu_read_unlock();
	return found;
}

/* No call is followed any more from here on; those that are under way return by themselves, or pass exceptions. */
static void stap_unwinders_settle(void)
{
	unsigned int room, count, k;
	struct task_struct **tasks;

	if (!stap_unwinder_count)
		return;
	room = stap_unwinders_list(NULL, 0);
	tasks = room ? kvcalloc(room, sizeof(*tasks), GFP_KERNEL) : NULL;
	if (!tasks) {
		if (room)
			stap_session_message(STAP_ITEM_WARNING, "there is no memory to put return addresses back: exceptions "
					     "that pass probed calls under way end programs");
		return;
	}
	count = min(stap_unwinders_list(tasks, room), room);
	for (k = 0; k < count; k++) {
		stap_unwinder_settle_task(tasks[k]);
		put_task_struct(tasks[k]);
	}
	kvfree(tasks);
}

/* A file that is not there is in no process. */
static int stap_unwinders_start(void)
{
	unsigned int i;

	if (!stap_unwinder_count)
		return 0;
	stap_unwinders = kvcalloc(stap_unwinder_count, sizeof(*stap_unwinders), GFP_KERNEL);
	if (!stap_unwinders)
		return -ENOMEM;
	for (i = 0; i < stap_unwinder_count; i++) {
		const struct stap_unwinder_site *site = &stap_unwinder_sites[i];
		struct stap_unwinder *w = &stap_unwinders[i];

		w->inode = stap_inode_of(site->path);
		if (!w->inode)
			continue;
		w->consumer.handler = site->catches ? stap_unwinder_caught : stap_unwinder_raised;
		w->armed = !stap_uprobe_register(w->inode, site->offset, 0, &w->consumer, &w->made);
		if (!w->armed)
			stap_session_message(STAP_ITEM_WARNING, "%s: exceptions that pass probed returns end programs",
					     site->path);
		cond_resched();
	}
	return 0;
}

static void stap_unwinders_stop(void)
{
	unsigned int i;

	if (!stap_unwinders)
		return;
	for (i = 0; i < stap_unwinder_count; i++)
		if (stap_unwinders[i].armed)
			stap_uprobe_unregister(stap_unwinders[i].inode, stap_unwinder_sites[i].offset,
					       &stap_unwinders[i].consumer, stap_unwinders[i].made);
	stap_uprobe_unregister_wait();
	for (i = 0; i < stap_unwinder_count; i++)
		iput(stap_unwinders[i].inode);
	kvfree(stap_unwinders);
	stap_unwinders = NULL;
}

#endif
