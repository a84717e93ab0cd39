/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lock.h: the locks of script globals: many readers or one writer each.
 * A handler takes all that it needs before its body, in one order fixed for the
 * module, and gives them back in reverse. An attempt gives up after
 * MAXTRYLOCK * TRYLOCKDELAY microseconds, so nothing can deadlock; the hit is
 * then counted as skipped. Any context, NMI included: an interrupted handler's
 * locks belong to this CPU's context, and the interrupting one was refused
 * there already. Handlers run with preemption off, so waiting is short, also
 * under PREEMPT_RT, where these stay spinning locks. A handler with locks never
 * sleeps, whatever its engine allows.
 */
#ifndef STAP_LOCK_H
#define STAP_LOCK_H

struct stap_lock {
	atomic_t holders;	/* -1: a writer; else how many readers */
	atomic_t timeouts;
	const char *name;
};

struct stap_lock_use {
	struct stap_lock *lock;
	bool write;
};

static __always_inline bool stap_lock_try(struct stap_lock *lock, bool write)
{
	int holders = write ? 0 : atomic_read(&lock->holders);

	if (unlikely(holders < 0))
		return false;
	return atomic_cmpxchg_acquire(&lock->holders, holders, write ? -1 : holders + 1) == holders;
}

static noinline bool stap_lock_wait(struct stap_lock *lock, bool write)
{
	unsigned int tries;

	for (tries = 0; tries < MAXTRYLOCK; tries++) {
		udelay(TRYLOCKDELAY);
		if (stap_lock_try(lock, write))
			return true;
	}
	return false;
}

static __always_inline void stap_unlock(const struct stap_lock_use *use)
{
	if (use->write)
		atomic_set_release(&use->lock->holders, 0);
	else
		atomic_dec_return_release(&use->lock->holders);
}

/* All of them or none. `count` is a constant: the loop unrolls where it is short. */
static __always_inline bool stap_lock_all(struct stap_context *c, const struct stap_lock_use *uses, unsigned int count)
{
	unsigned int i;

	c->sleepable = false;	/* others would wait for the locks as long as this one sleeps */
	for (i = 0; i < count; i++) {
		if (likely(stap_lock_try(uses[i].lock, uses[i].write)) ||
		    stap_lock_wait(uses[i].lock, uses[i].write))
			continue;
		atomic_inc(&uses[i].lock->timeouts);
		stap_skip(c->probe, STAP_SKIP_LOCK);
		while (i-- > 0)
			stap_unlock(&uses[i]);
		return false;
	}
	return true;
}

static __always_inline void stap_unlock_all(const struct stap_lock_use *uses, unsigned int count)
{
	while (count-- > 0)
		stap_unlock(&uses[count]);
}

#endif
