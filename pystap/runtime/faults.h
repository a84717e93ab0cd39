/* SPDX-License-Identifier: GPL-2.0 */
/*
 * faults.h: with -DSTP_FAULTS, the parameter _fault=N makes the Nth step of
 * the module's load and start that may fail (an allocation, a registration) do
 * so, and the kernel's log name it: that everything armed before is undone, and
 * what the user reads then, can be tried step by step. Process context; whoever
 * loads and starts is alone, so the count needs no lock. The function each
 * macro stands for keeps its contexts and locks.
 */
#ifndef STAP_FAULTS_H
#define STAP_FAULTS_H

#ifdef STP_FAULTS

/* Their declarations come before the macros. */
#include <linux/hw_breakpoint.h>
#include <linux/netfilter.h>
#include <linux/perf_event.h>
#include <net/net_namespace.h>

static unsigned int stap_fault_at;
static unsigned int stap_fault_step;
module_param_named(_fault, stap_fault_at, uint, 0444);
MODULE_PARM_DESC(_fault, "the step of the start that fails (0: none)");

static noinline bool stap_fault(const char *step)
{
	if (!stap_fault_at || ++stap_fault_step != stap_fault_at)
		return false;
	pr_info("%s: step %u of the start fails: %s\n", KBUILD_MODNAME, stap_fault_at, step);
	return true;
}

#define STAP_FALLIBLE static __maybe_unused

STAP_FALLIBLE void *stap_real_kzalloc(size_t size, gfp_t flags)
{
	return kzalloc(size, flags);
}

STAP_FALLIBLE void *stap_real_kcalloc(size_t count, size_t size, gfp_t flags)
{
	return kcalloc(count, size, flags);
}

STAP_FALLIBLE void *stap_real_kvzalloc(size_t size, gfp_t flags)
{
	return kvzalloc(size, flags);
}

STAP_FALLIBLE void *stap_real_kvzalloc_node(size_t size, gfp_t flags, int node)
{
	return kvzalloc_node(size, flags, node);
}

STAP_FALLIBLE void *stap_real_kvcalloc(size_t count, size_t size, gfp_t flags)
{
	return kvcalloc(count, size, flags);
}

STAP_FALLIBLE void *stap_real_vzalloc(unsigned long size)
{
	return vzalloc(size);
}

STAP_FALLIBLE void __percpu *stap_real_percpu(size_t size, size_t align)
{
	return __alloc_percpu(size, align);
}

#undef kzalloc
#undef kcalloc
#undef kvzalloc
#undef kvzalloc_node
#undef kvcalloc
#undef vzalloc
#undef alloc_percpu

#define STAP_FAULT(step, failure, call) (stap_fault(step) ? (failure) : (call))
#define kzalloc(...) STAP_FAULT("kzalloc", NULL, stap_real_kzalloc(__VA_ARGS__))
#define kcalloc(...) STAP_FAULT("kcalloc", NULL, stap_real_kcalloc(__VA_ARGS__))
#define kvzalloc(...) STAP_FAULT("kvzalloc", NULL, stap_real_kvzalloc(__VA_ARGS__))
#define kvzalloc_node(...) STAP_FAULT("kvzalloc_node", NULL, stap_real_kvzalloc_node(__VA_ARGS__))
#define kvcalloc(...) STAP_FAULT("kvcalloc", NULL, stap_real_kvcalloc(__VA_ARGS__))
#define vzalloc(...) STAP_FAULT("vzalloc", NULL, stap_real_vzalloc(__VA_ARGS__))
#define alloc_percpu(type)									\
	((type __percpu *)STAP_FAULT("alloc_percpu", NULL, stap_real_percpu(sizeof(type), __alignof__(type))))

/* What is a function in every kernel: its own name inside of the macro is not expanded again. */
#define relay_open(...) STAP_FAULT("relay_open", NULL, relay_open(__VA_ARGS__))
#define proc_mkdir(...) STAP_FAULT("proc_mkdir", NULL, proc_mkdir(__VA_ARGS__))
#define proc_create(...) STAP_FAULT("proc_create", NULL, proc_create(__VA_ARGS__))
#define proc_create_data(...) STAP_FAULT("proc_create_data", NULL, proc_create_data(__VA_ARGS__))
#define kern_path(...) STAP_FAULT("kern_path", -ENOMEM, kern_path(__VA_ARGS__))
#define register_kprobe(...) STAP_FAULT("register_kprobe", -ENOMEM, register_kprobe(__VA_ARGS__))
#define register_kretprobe(...) STAP_FAULT("register_kretprobe", -ENOMEM, register_kretprobe(__VA_ARGS__))
#define register_module_notifier(...)								\
	STAP_FAULT("register_module_notifier", -ENOMEM, register_module_notifier(__VA_ARGS__))
#define register_ftrace_function(...)								\
	STAP_FAULT("register_ftrace_function", -ENOMEM, register_ftrace_function(__VA_ARGS__))
#define ftrace_set_filter_ips(...) STAP_FAULT("ftrace_set_filter_ips", -ENOMEM, ftrace_set_filter_ips(__VA_ARGS__))
#define tracepoint_probe_register(...)								\
	STAP_FAULT("tracepoint_probe_register", -ENOMEM, tracepoint_probe_register(__VA_ARGS__))
#define tracepoint_probe_register_prio(...)							\
	STAP_FAULT("tracepoint_probe_register_prio", -ENOMEM, tracepoint_probe_register_prio(__VA_ARGS__))
#define stap_uprobe_register(...) STAP_FAULT("uprobe_register", -ENOMEM, stap_uprobe_register(__VA_ARGS__))
#define nf_register_net_hook(...) STAP_FAULT("nf_register_net_hook", -ENOMEM, nf_register_net_hook(__VA_ARGS__))
#define register_pernet_subsys(...) STAP_FAULT("register_pernet_subsys", -ENOMEM, register_pernet_subsys(__VA_ARGS__))
#define perf_event_create_kernel_counter(...)							\
	STAP_FAULT("perf_event_create_kernel_counter", (struct perf_event *)ERR_PTR(-ENOMEM),	\
		   perf_event_create_kernel_counter(__VA_ARGS__))

#endif

#endif
