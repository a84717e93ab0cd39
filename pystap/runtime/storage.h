/* SPDX-License-Identifier: GPL-2.0 */
/*
 * storage.h: the contexts of all CPUs, and the room that calls of functions
 * take in them. Contexts are allocated at load and freed at unload, in process
 * context that may sleep; all else may run in any context, and takes no lock.
 */
#ifndef STAP_STORAGE_H
#define STAP_STORAGE_H

/* Room for a function's strings: codegen has counted the deepest chain of calls, recursion up to MAXNESTING. */
static __always_inline void *stap_push(struct stap_context *c, u32 bytes)
{
	void *frame = c->frame;

	c->frame += bytes;
	return frame;
}

static __always_inline void stap_pop(struct stap_context *c, void *frame)
{
	c->frame = frame;
}

/* Before a call that may be part of a recursion. */
static __always_inline bool stap_nest(struct stap_context *c, stap_mark mark)
{
	if (unlikely(c->nesting >= MAXNESTING || !stap_stack_left(MINSTACKSPACE + STAP_LARGEST_FRAME))) {
		stap_fail(c, mark, "MAXNESTING exceeded");
		return false;
	}
	c->nesting++;
	return true;
}

/* Before calls that are not bounded by MAXNESTING, every few levels; `bytes`: what the callee keeps on the stack. */
static __always_inline bool stap_descend(struct stap_context *c, u32 bytes, stap_mark mark)
{
	if (likely(stap_stack_left(MINSTACKSPACE + max_t(u32, bytes, STAP_LARGEST_FRAME))))
		return true;
	stap_fail(c, mark, "too little kernel stack left for another call");
	return false;
}

static void stap_contexts_free(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct stap_context *c = per_cpu(stap_contexts, cpu);

		if (c)
			stap_timings_unload(c);
		kvfree(c);
		per_cpu(stap_contexts, cpu) = NULL;
	}
}

static int stap_contexts_load(void)
{
	struct stap_context *c;
	unsigned int cpu;

	if (!stap_memory_fits((u64)sizeof(*c) * num_possible_cpus()))
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		c = stap_memory_take(sizeof(*c), cpu_to_node(cpu));
		per_cpu(stap_contexts, cpu) = c;
		if (!c || !stap_timings_load(c)) {
			stap_contexts_free();
			return -ENOMEM;
		}
		c->cpu = cpu;
		c->frame = c->frames;
#ifndef STP_NO_OVERLOAD
		c->window_start = get_cycles();
#endif
	}
	return 0;
}

/* Nothing is armed any more; a handler on another CPU may still be on its way out. */
static void stap_contexts_unload(void)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu) {
		struct stap_context *c = per_cpu(stap_contexts, cpu);

		while (READ_ONCE(c->busy))
			msleep(1);
	}
	synchronize_rcu();
	stap_contexts_free();
}

/* The sum over all CPUs of a global that is only added to: `offset` is its place in the context. */
static s64 stap_percpu_sum(size_t offset)
{
	unsigned int cpu;
	s64 sum = 0;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*(s64 *)((char *)per_cpu(stap_contexts, cpu) + offset));
	return sum;
}

static void stap_percpu_clear(size_t offset)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		WRITE_ONCE(*(s64 *)((char *)per_cpu(stap_contexts, cpu) + offset), 0);
}

#endif
