/* SPDX-License-Identifier: GPL-2.0 */
/*
 * interrupted.h: for engines whose handlers run in interrupts: the registers of
 * what was interrupted, as those of kernel or of user code. Any context.
 */
#ifndef STAP_ENGINE_INTERRUPTED_H
#define STAP_ENGINE_INTERRUPTED_H

static __always_inline void stap_interrupted(struct stap_context *c, struct pt_regs *regs)
{
	if (!regs)
		return;
	if (user_mode(regs))
		c->uregs = regs;
	else
		c->regs = regs;
	c->ip = instruction_pointer(regs);
}

#endif
