/* SPDX-License-Identifier: GPL-2.0 */
/*
 * present.h: pages of the current task's memory are brought in, without
 * waiting for who may hold them back for good: a userfaultfd's handler, a FUSE
 * server, a thread with the memory's lock. What is asked of a disk is waited
 * for by looking again and again: for STAP_PRESENT_MS, while the session runs
 * and the task is not killed. Process context that may sleep. mmap_lock is
 * tried, never waited for.
 */
#ifndef STAP_PRESENT_H
#define STAP_PRESENT_H

#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

enum { STAP_PRESENT_MS = 1000, STAP_PRESENT_SHORT_MS = 20 };

struct stap_patience {
	unsigned long until;
	u32 pause;	/* us */
};

static inline struct stap_patience stap_patience_new(void)
{
	return (struct stap_patience){ .until = jiffies + msecs_to_jiffies(STAP_PRESENT_MS), .pause = 10 };
}

/* Sleeps for a moment, a longer one each time; false where it is time to give up. */
static bool stap_patience_wait(struct stap_patience *patience)
{
	if (stap_is_ending() || fatal_signal_pending(current) || time_after(jiffies, patience->until))
		return false;
	usleep_range(patience->pause, 2 * patience->pause);
	patience->pause = min(2 * patience->pause, 1000u);
	return true;
}

/* For reading; to be given back with mmap_read_unlock(). */
static bool stap_mmap_lock_patiently(struct mm_struct *mm)
{
	struct stap_patience patience = stap_patience_new();

	while (!mmap_read_trylock(mm))
		if (!stap_patience_wait(&patience))
			return false;
	return true;
}

/*
 * Whether a page of a file has to come from a FUSE server, who may be the very
 * one that is probed, or mean us ill. Other filesystems start reading and return.
 */
static bool stap_is_held_back(struct mm_struct *mm, unsigned long address)
{
	const struct vm_area_struct *area = find_vma(mm, address);
	struct address_space *mapping;
	struct page *page;
	bool there;

	if (!area || area->vm_start > address || !area->vm_file)
		return false;
	if (file_inode(area->vm_file)->i_sb->s_magic != FUSE_SUPER_MAGIC)
		return false;
	mapping = area->vm_file->f_mapping;
	page = find_get_page(mapping, area->vm_pgoff + ((address - area->vm_start) >> PAGE_SHIFT));
	there = page && PageUptodate(page);
	if (page)
		put_page(page);
	return !there;
}

/* Of what a program brings in itself nobody tells it that something is missing: it can only be on its way from swap. */
static void stap_patience_shorten(struct stap_patience *patience, struct mm_struct *mm, unsigned long address)
{
	const struct vm_area_struct *area = find_vma(mm, address);
	unsigned long until = jiffies + msecs_to_jiffies(STAP_PRESENT_SHORT_MS);

	if (area && area->vm_flags & (VM_UFFD_MISSING | VM_UFFD_WP) && time_after(patience->until, until))
		patience->until = until;
}

/* 1: the page is there; 0: it may come; negative: it does not. */
static long stap_page_try(struct stap_patience *patience, unsigned long address, unsigned int flags)
{
	struct mm_struct *mm = current->mm;
	struct page *page;
	long got;

	if (!mmap_read_trylock(mm))
		return 0;
	got = stap_is_held_back(mm, address) ? -EFAULT : stap_remote_page(mm, address, flags | FOLL_NOWAIT, &page);
	if (!got)
		stap_patience_shorten(patience, mm, address);
	mmap_read_unlock(mm);
	if (got == 1)
		put_page(page);
	return got;
}

/*
 * 1: all pages of some user memory have come; 0: one was waited for in vain;
 * negative: there is none, as was seen at once. `flags`: FOLL_WRITE where it is
 * to be written.
 */
static noinline long stap_bring(unsigned long address, size_t size, unsigned int flags)
{
	struct stap_patience patience = stap_patience_new();
	unsigned long at = address & PAGE_MASK;
	bool waited = false;
	long got;

	while (at < address + size) {
		got = stap_page_try(&patience, at, flags);
		if (got == 1)
			at += PAGE_SIZE;
		else if (got < 0)
			return waited ? 0 : got;
		else if (!stap_patience_wait(&patience))
			return 0;
		else
			waited = true;
	}
	return 1;
}

#endif
