/* SPDX-License-Identifier: GPL-2.0 */
/*
 * memory.h: whether a large allocation is one that the machine can spare.
 * Process context, at load; takes no lock and may sleep in the caller's
 * allocation only.
 */
#ifndef STAP_MEMORY_H
#define STAP_MEMORY_H

/* STP_MAXMEMORY bounds all of the module's together. What is asked for beyond what is free would be taken from others, by the OOM killer in the end. */
static bool stap_memory_fits(u64 bytes)
{
#ifdef STP_MAXMEMORY
	static u64 asked;

	asked += bytes;
	if (asked > (u64)STP_MAXMEMORY << 10) {
		pr_err("%s: needs more memory than STP_MAXMEMORY=%d kB\n", module_name(THIS_MODULE), STP_MAXMEMORY);
		return false;
	}
#endif
	return bytes >> PAGE_SHIFT < (u64)max_t(long, si_mem_available(), 0);
}

/* Zeroed; kvfree() it. kvzalloc() takes less than 2 GB, and warns in the kernel's log of more. */
static void *stap_memory_take(u64 bytes, int node)
{
	return bytes > INT_MAX ? vzalloc_node(bytes, node) : kvzalloc_node(bytes, GFP_KERNEL, node);
}

#endif
