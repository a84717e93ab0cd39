/* SPDX-License-Identifier: GPL-2.0 */
/*
 * owner.h: whose processes a session may look into. Built with
 * --privilege=stapusr it is about those of the user who runs it, as stap(1) has
 * it (UNPRIVILEGED USERS); else about all. Any context, NMI included; no lock.
 */
#ifndef STAP_OWNER_H
#define STAP_OWNER_H

#ifdef STAP_ONLY_OWN
#include <linux/cred.h>
#include <linux/sched/coredump.h>

static u32 stap_user;	/* of the first user namespace; 0, root: all processes are its own */

static inline void stap_owner_set(u32 user)
{
	stap_user = user;
}

/*
 * As ptrace(2) has it: one's own by all of its numbers, and not one that shows nothing to its own user (set-uid
 * programs, and what has read a program that it may not read). A process that ends has no memory any more.
 */
static noinline bool stap_is_mine(void)
{
	const struct cred *cred = current_cred();	/* changed by the task itself only */
	struct mm_struct *mm = current->mm;
	kuid_t user = KUIDT_INIT(stap_user);

	if (!stap_user)
		return true;
	return uid_eq(cred->uid, user) && uid_eq(cred->euid, user) && uid_eq(cred->suid, user) &&
	       (!mm || get_dumpable(mm) == SUID_DUMP_USER);
}
#else
static inline void stap_owner_set(u32 user)
{
}

static __always_inline bool stap_is_mine(void)
{
	return true;
}
#endif

#endif
