/* SPDX-License-Identifier: GPL-2.0 */
/*
 * syscall_args.h: where the caller of a system call has its arguments, by the
 * rules of x86-64 and of its 32-bit programs. Included by the tapset files that
 * need it. Pure; the task's context.
 */
#ifndef STAP_SYSCALL_ARGS_H
#define STAP_SYSCALL_ARGS_H

/* Whether the caller's words have 4 bytes. */
static __always_inline bool tapset_narrow(void)
{
#ifdef CONFIG_IA32_EMULATION
	return current_thread_info()->status & TS_COMPAT;
#else
	return false;
#endif
}

/* The place in the caller's registers of its n-th argument; n is 1 to 6. */
static __always_inline u16 tapset_syscall_offset(u32 n)
{
	static const u16 wide[] = {
		offsetof(struct pt_regs, di), offsetof(struct pt_regs, si), offsetof(struct pt_regs, dx),
		offsetof(struct pt_regs, r10), offsetof(struct pt_regs, r8), offsetof(struct pt_regs, r9),
	};
	static const u16 narrow[] = {
		offsetof(struct pt_regs, bx), offsetof(struct pt_regs, cx), offsetof(struct pt_regs, dx),
		offsetof(struct pt_regs, si), offsetof(struct pt_regs, di), offsetof(struct pt_regs, bp),
	};

	return tapset_narrow() ? narrow[n - 1] : wide[n - 1];
}

#endif
