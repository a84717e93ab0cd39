/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kprobe_hit.h: what the kernel calls at a hit of a kprobe or kretprobe.
 * Any context that kprobes reach, NMI included; preemption is off. Takes no
 * lock, allocates nothing, and can not be probed itself.
 */
#ifndef STAP_ENGINE_KPROBE_HIT_H
#define STAP_ENGINE_KPROBE_HIT_H

static int stap_kprobe_hit(struct kprobe *kprobe, struct pt_regs *regs)
{
	struct stap_kprobe *k = container_of(kprobe, struct stap_kprobe, kretprobe.kp);
	struct stap_probe *probe = k->probe;
	struct stap_context *c;

	if (!stap_kprobe_called_there(k, regs))
		return 0;
	c = stap_enter(probe);
	if (c) {
		c->regs = regs;
		c->ip = (unsigned long)kprobe->addr;
		probe->handler(c);
		stap_leave(c);
	}
	return 0;
}
NOKPROBE_SYMBOL(stap_kprobe_hit);

/*
 * That a probe has one keeps the kernel from replacing its breakpoint by a
 * jump. A hit then costs more, but the kernel replaces probes in passes, for
 * each of which the arming of the others has to wait: too long for thousands.
 */
static void stap_kprobe_after(struct kprobe *kprobe, struct pt_regs *regs, unsigned long flags)
{
}
NOKPROBE_SYMBOL(stap_kprobe_after);

/* Not zero: the return is not wanted, or its entry was not served, without which it would be taken for another. */
static int stap_kretprobe_entry(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *kretprobe = stap_kretprobe_of(instance);
	struct stap_probe *probe;
	struct stap_context *c;

	if (!kretprobe || !stap_kprobe_called_there(container_of(kretprobe, struct stap_kprobe, kretprobe), regs))
		return 1;
	probe = container_of(kretprobe, struct stap_kprobe, kretprobe)->probe;
	if (!probe->entry)
		return 0;
	c = stap_enter(probe);
	if (!c)
		return 1;
	c->regs = regs;
	c->ip = (unsigned long)kretprobe->kp.addr;
	c->saved = (s64 *)instance->data;
	memset(c->saved, 0, probe->saved_size);
	probe->entry(c);
	stap_leave_entry(c);
	return 0;
}
NOKPROBE_SYMBOL(stap_kretprobe_entry);

static int stap_kretprobe_hit(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	struct kretprobe *kretprobe = stap_kretprobe_of(instance);
	struct stap_probe *probe;
	struct stap_context *c;

	if (!kretprobe)
		return 0;
	probe = container_of(kretprobe, struct stap_kprobe, kretprobe)->probe;
	c = stap_enter(probe);
	if (!c)
		return 0;
	c->regs = regs;
	c->ip = (unsigned long)stap_kretprobe_address(instance);
	c->is_return = true;
	c->retval = regs_return_value(regs);
	if (probe->entry)
		c->saved = (s64 *)instance->data;
	probe->handler(c);
	stap_leave(c);
	return 0;
}
NOKPROBE_SYMBOL(stap_kretprobe_hit);

#endif
