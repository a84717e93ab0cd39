/* SPDX-License-Identifier: GPL-2.0 */
/*
 * mappings.h: the current process's mappings are looked at under its mmap_lock,
 * which is waited for (not for good) where the engine allows sleeping, else
 * tried. Any context but an NMI.
 *
 * Giving the lock back may wake up who waits for it, which takes locks of the
 * scheduler. With interrupts on nobody on this CPU holds these; with interrupts
 * off somebody may (a probe of sched_switch): an irq_work gives it back as soon
 * as they are on again, and until then later searches find it held. With
 * PREEMPT_RT these locks are others: only an interrupt of a program's own code,
 * which came while this CPU held none, may try.
 */
#ifndef STAP_MAPPINGS_H
#define STAP_MAPPINGS_H

#include <asm/irq_regs.h>
#include <linux/irq_work.h>
#include <linux/mm.h>
#include "tasks.h"

struct stap_mappings_kept {
	struct irq_work work;
	struct mm_struct *mm;	/* whose lock this CPU still holds for reading */
};

static DEFINE_PER_CPU(struct stap_mappings_kept, stap_mappings_kept);

/* With interrupts off, as irq_work has it; what is probed in here finds no mappings. */
static void stap_mappings_give_back(struct irq_work *work)
{
	struct stap_mappings_kept *kept = container_of(work, struct stap_mappings_kept, work);
	struct mm_struct *mm = READ_ONCE(kept->mm);

	WRITE_ONCE(kept->mm, NULL);
	if (mm)
		mmap_read_unlock_non_owner(mm);
}

static void stap_mappings_load(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		init_irq_work(&per_cpu(stap_mappings_kept, cpu).work, stap_mappings_give_back);
}

/* After the last handler. */
static void stap_mappings_unload(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		irq_work_sync(&per_cpu(stap_mappings_kept, cpu).work);
}

static inline bool stap_user_interrupted(void)
{
	struct pt_regs *regs = get_irq_regs();

	return in_hardirq() && regs && user_mode(regs);
}

/* What lockdep is told: each search holds the lock and gives it back. */
static bool stap_mappings_keep(struct mm_struct *mm)
{
	struct stap_mappings_kept *kept = this_cpu_ptr(&stap_mappings_kept);

	if (kept->mm == mm) {
		rwsem_acquire_read(&mm->mmap_lock.dep_map, 0, 1, _RET_IP_);
		return true;
	}
	if (kept->mm || irq_work_is_busy(&kept->work) || !mmap_read_trylock(mm))
		return false;
	WRITE_ONCE(kept->mm, mm);
	return true;
}

static noinline bool stap_mappings_lock(struct stap_context *c, struct mm_struct *mm)
{
	u64 before;
	bool locked;

	if (!mm || in_nmi())
		return false;
	if (!IS_ENABLED(CONFIG_PREEMPT_RT)) {
		if (irqs_disabled())
			return stap_mappings_keep(mm);
	} else if (!stap_user_interrupted() && (in_hardirq() || in_serving_softirq() || irqs_disabled())) {
		return false;
	}
	if (mmap_read_trylock(mm))
		return true;
	if (!stap_may_sleep(c))
		return false;
	before = stap_sleep_begin();
	locked = stap_mmap_lock_patiently(mm);
	stap_sleep_end(c, before);
	return locked;
}

static void stap_mappings_unlock(struct mm_struct *mm)
{
	struct stap_mappings_kept *kept = this_cpu_ptr(&stap_mappings_kept);

	if (IS_ENABLED(CONFIG_PREEMPT_RT) || !irqs_disabled()) {
		mmap_read_unlock(mm);
		return;
	}
	rwsem_release(&mm->mmap_lock.dep_map, _RET_IP_);
	irq_work_queue(&kept->work);
}

#endif
