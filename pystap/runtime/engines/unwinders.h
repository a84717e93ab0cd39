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
 * Handlers run in the task, outside of stap_enter(): they sleep, and fault
 * in the task's own stack. They read the kernel's list of the task's calls,
 * which nobody but the task itself changes, and change nothing of it. Nothing
 * is locked but, to find out what a mapping is, the task's mmap_lock.
 */
#ifndef STAP_ENGINE_UNWINDERS_H
#define STAP_ENGINE_UNWINDERS_H

#include <linux/hash.h>
#include <linux/mm.h>
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

/* Whether the kernel's area for uprobes begins there: it begins with the trampoline. */
static bool stap_is_trampoline(unsigned long address)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *area;
	const char *name = NULL;
	bool is;

	if (!address || !mm)
		return false;
	mmap_read_lock(mm);
	area = find_vma(mm, address);
	if (area && area->vm_start == address && area->vm_ops && area->vm_ops->name)
		name = area->vm_ops->name(area);
	is = name && !strcmp(name, "[uprobes]");
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
		if (copy_from_user(&word, (void __user *)at->stack, sizeof(word)) || word == at->orig_ret_vaddr)
			continue;
		if (word != trampoline) {
			if (trampoline || !stap_is_trampoline(word))
				continue;
			trampoline = word;
			WRITE_ONCE(*stap_trampoline_hint(), word);
		}
		word = at->orig_ret_vaddr;
		if (copy_to_user((void __user *)at->stack, &word, sizeof(word)))
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
		if (at->stack <= user_stack_pointer(regs) ||
		    copy_from_user(&word, (void __user *)at->stack, sizeof(word)) || word != at->orig_ret_vaddr)
			continue;
		if (copy_to_user((void __user *)at->stack, &trampoline, sizeof(trampoline)))
			pr_debug("%s: a return will not be seen\n", current->comm);
	}
	return 0;
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
