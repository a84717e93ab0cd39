/*
 * The seam of runtime/kernel.h in userspace: as much of the kernel as the pure
 * headers use, on one CPU. Memory below 4 GiB plays user memory, the rest the
 * kernel's; `shim_bad` is an address that can not be read.
 */
#ifndef STAP_KERNEL_H
#define STAP_KERNEL_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef unsigned long long u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef long long s64;

#define __user
#define __init
#define __exit
#define __cold
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __maybe_unused __attribute__((unused))
#define __used __attribute__((used))
#define __section(name)
#define __aligned(n) __attribute__((aligned(n)))
#define __printf(a, b) __attribute__((format(printf, a, b)))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ volatile("" ::: "memory")
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile typeof(x) *)&(x) = (v))
#define smp_store_release(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)
#define min_t(t, a, b) ((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define max_t(t, a, b) ((t)(a) > (t)(b) ? (t)(a) : (t)(b))
#define clamp_t(t, v, a, b) min_t(t, max_t(t, v, a), b)

typedef struct { int counter; } atomic_t;
#define ATOMIC_INIT(n) { (n) }
#define atomic_read(a) __atomic_load_n(&(a)->counter, __ATOMIC_RELAXED)
#define atomic_set(a, v) __atomic_store_n(&(a)->counter, v, __ATOMIC_RELAXED)
#define atomic_set_release(a, v) __atomic_store_n(&(a)->counter, v, __ATOMIC_RELEASE)
#define atomic_add(n, a) ((void)__atomic_add_fetch(&(a)->counter, n, __ATOMIC_SEQ_CST))
#define atomic_add_return(n, a) __atomic_add_fetch(&(a)->counter, n, __ATOMIC_SEQ_CST)
#define atomic_inc(a) ((void)__atomic_add_fetch(&(a)->counter, 1, __ATOMIC_SEQ_CST))
#define atomic_inc_return(a) __atomic_add_fetch(&(a)->counter, 1, __ATOMIC_SEQ_CST)
#define atomic_dec_return_release(a) __atomic_sub_fetch(&(a)->counter, 1, __ATOMIC_RELEASE)
static inline int atomic_cmpxchg(atomic_t *a, int old, int new)
{
	__atomic_compare_exchange_n(&a->counter, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
	return old;
}
#define atomic_cmpxchg_acquire atomic_cmpxchg

static inline int fls64(u64 value)
{
	return value ? 64 - __builtin_clzll(value) : 0;
}

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return n <= 1 ? 1 : 1UL << fls64(n - 1);
}

#define GFP_KERNEL 0
#define stap_memory_fits(bytes) true
#define stap_memory_take(bytes, node) calloc(1, bytes)
#define kvzalloc(size, flags) calloc(1, size)
#define kvzalloc_node(size, flags, node) calloc(1, size)
#define NUMA_NO_NODE (-1)
#define cond_resched() do { } while (0)
#define kvcalloc(n, size, flags) calloc(n, size)
#define kcalloc(n, size, flags) calloc(n, size)
#define kvfree free
#define kfree free
#define cpu_to_node(cpu) 0
#define nr_cpu_ids 2u
#define for_each_possible_cpu(cpu) for ((cpu) = 0; (cpu) < nr_cpu_ids; (cpu)++)
#define DEFINE_PER_CPU(type, name) type name[2]
#define per_cpu(name, cpu) ((name)[cpu])
#define __this_cpu_read(name) ((name)[0])
#define preempt_disable_notrace() do { } while (0)
#define raw_local_irq_save(flags) do { (flags) = 0; } while (0)
#define raw_local_irq_restore(flags) do { (void)(flags); } while (0)
#define preempt_enable_notrace() do { } while (0)
#define synchronize_rcu() do { } while (0)
#define msleep(n) do { } while (0)
#define udelay(n) do { } while (0)

#define THREAD_SIZE 16384ul
#define PAGE_SIZE 4096ul
struct task_struct { void *mm; void *stack; int tgid; };
static struct task_struct shim_task = { (void *)1, NULL };
#define current (&shim_task)
#define task_stack_page(task) ((task)->stack)
#define current_stack_pointer ((unsigned long)__builtin_frame_address(0))
static u64 shim_cycles;
#define get_cycles() (shim_cycles += 100)

struct pt_regs { unsigned long ax, ip, sp; };
enum { NMI_OFFSET = 1 << 20, NMI_MASK = 15 << 20, HARDIRQ_OFFSET = 1 << 16, HARDIRQ_MASK = 15 << 16, SOFTIRQ_OFFSET = 256 };
#define in_task() true
#define irqs_disabled() false
#define preempt_count() 0
#define IS_ENABLED(option) 0
#define stap_bring(at, size, flags) false	/* present.h */
#define migrate_disable() do { } while (0)
#define migrate_enable() do { } while (0)
#define preempt_disable() do { } while (0)
#define preempt_enable() do { } while (0)
static const u16 stap_register_offsets[] = { 0, 8, 16 };
#define user_mode(regs) 0
#define task_pt_regs(task) ((struct pt_regs *)NULL)
#define instruction_pointer(regs) ((regs)->ip)
#define regs_set_return_value(regs, value) ((regs)->ax = (value))
#define kernel_stack_pointer(regs) ((regs)->sp)

#define TASK_SIZE_MAX 0x1000ul
#define TASK_SIZE TASK_SIZE_MAX
static char shim_unreadable[4096];
#define shim_bad ((u64)(uintptr_t)shim_unreadable)

static inline bool shim_readable(u64 address, size_t size)
{
	return address >= 4096 && (address + size <= shim_bad || address >= shim_bad + sizeof(shim_unreadable));
}

/* May read behind an object, as long as it stays in one 64-byte line: no page ends there. */
__attribute__((no_sanitize("address"), __noinline__, optimize("no-tree-loop-distribute-patterns")))
static long copy_from_kernel_nofault(void *to, const void *from, size_t size)
{
	size_t at;

	if (!shim_readable((uintptr_t)from, size))
		return -EFAULT;
	for (at = 0; at < size; at++)
		((char *)to)[at] = ((const char *)from)[at];
	return 0;
}
#define copy_from_user_nofault copy_from_kernel_nofault
#define copy_to_user_nofault copy_from_kernel_nofault
#define pagefault_disable() do { } while (0)
#define pagefault_enable() do { } while (0)
#define __get_kernel_nofault(to, from, type, label)				\
	do {									\
		if (!shim_readable((uintptr_t)(from), sizeof(type)))		\
			goto label;						\
		memcpy(to, from, sizeof(type));					\
	} while (0)
#define __put_kernel_nofault(to, from, type, label)				\
	do {									\
		if (!shim_readable((uintptr_t)(to), sizeof(type)))		\
			goto label;						\
		memcpy(to, from, sizeof(type));					\
	} while (0)

static inline int vscnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	int length = vsnprintf(to, size, format, arguments);

	return length < (int)size ? length : (int)size - 1;
}

static inline __printf(3, 4) int scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vscnprintf(to, size, format, arguments);
	va_end(arguments);
	return size ? length : 0;
}

static inline ssize_t strscpy(char *to, const char *from, size_t size)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = 0;
	return from[length] ? -7 : (ssize_t)length;
}

#define __KERNEL__ 1

#endif
