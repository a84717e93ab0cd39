/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ustate.h: what a program has besides the registers of struct pt_regs: the low
 * 8 bytes of its xmm registers, where doubles and floats are, and the thread
 * pointer, which leads to thread-local variables. Any context: it is always the
 * current task's. Vector registers are in the CPU, or where the kernel has put
 * them since; interrupts are off meanwhile, for what runs in them may use the
 * registers. Takes no lock.
 */
#ifndef STAP_USTATE_H
#define STAP_USTATE_H

#ifdef CONFIG_X86_64
#include <asm/fpu/types.h>
#include <asm/fsgsbase.h>

#define STAP_XMM(number)						\
	case number:							\
		asm volatile("movq %%xmm" #number ", %0" : "=r"(value));	\
		break

static u64 stap_vector_live(u32 number)
{
	u64 value = 0;

	switch (number) {
	STAP_XMM(0); STAP_XMM(1); STAP_XMM(2); STAP_XMM(3); STAP_XMM(4); STAP_XMM(5); STAP_XMM(6); STAP_XMM(7);
	STAP_XMM(8); STAP_XMM(9); STAP_XMM(10); STAP_XMM(11); STAP_XMM(12); STAP_XMM(13); STAP_XMM(14); STAP_XMM(15);
	}
	return value;
}

static u64 stap_vector_saved(u32 number)
{
	const union fpregs_state *state = stap_saved_vectors(current);
	u64 value;

	/* what is as it was when the program began need not have been saved */
	if (boot_cpu_has(X86_FEATURE_XSAVE) && !(state->xsave.header.xfeatures & XFEATURE_MASK_SSE))
		return 0;
	memcpy(&value, (const char *)state->fxsave.xmm_space + 16 * number, sizeof(value));
	return value;
}

static bool stap_is_program(struct stap_context *c)
{
	if (likely(current->mm && !(current->flags & PF_KTHREAD)))
		return true;
	stap_fail_registers(c, NULL);
	return false;
}

static __maybe_unused noinline s64 stap_field_vector(struct stap_context *c, u32 number)
{
	unsigned long flags;
	u64 value;

	if (!stap_is_program(c))
		return 0;
	local_irq_save(flags);
	value = test_thread_flag(TIF_NEED_FPU_LOAD) ? stap_vector_saved(number) : stap_vector_live(number);
	local_irq_restore(flags);
	return value;
}

/* The kernel itself does not use fs. */
static __maybe_unused noinline s64 stap_field_thread_pointer(struct stap_context *c, u32 number)
{
	return stap_is_program(c) ? (s64)x86_fsbase_read_cpu() : 0;
}
#endif

#endif
