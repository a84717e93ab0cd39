/* SPDX-License-Identifier: GPL-2.0 */
/*
 * compat.h: what differs between kernels (5.10 and later), behind one spelling.
 * The only file that asks STAP_HAVE_*; those come from the kernel's headers and
 * exports (build/capabilities.py). Wrappers only: contexts and locks are those
 * of the function that each stands for.
 */
#ifndef STAP_COMPAT_H
#define STAP_COMPAT_H

#include <linux/fs.h>
#include <linux/ftrace.h>
#include <linux/hrtimer.h>
#include <linux/kprobes.h>
#include <linux/magic.h>
#include <linux/proc_fs.h>
#include <linux/string.h>
#include <linux/timer.h>
#include <linux/uprobes.h>
#if __has_include(<linux/hex.h>)
#include <linux/hex.h>	/* bin2hex() was in kernel.h, which includes it no more (7.x) */
#endif

/* --- strings ------------------------------------------------------------------------------------------- */

/* What the embedded C of scripts, and of stap's manual, copies strings with: the length of the source. */
#if !STAP_HAVE_STRLCPY
static inline size_t strlcpy(char *to, const char *from, size_t size)
{
	if (size)
		strscpy(to, from, size);
	return strlen(from);
}
#endif

/* --- contexts ------------------------------------------------------------------------------------------- */

#ifndef in_hardirq	/* in_irq() before v5.11 (b3bd9d4d8afb) */
#define in_hardirq() (hardirq_count() != 0)
#endif

/* --- timers -------------------------------------------------------------------------------------------- */

static inline void stap_hrtimer_setup(struct hrtimer *timer, enum hrtimer_restart (*function)(struct hrtimer *),
				      clockid_t clock, enum hrtimer_mode mode)
{
#if STAP_HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, function, clock, mode);
#else
	hrtimer_init(timer, clock, mode);
	timer->function = function;
#endif
}

static inline void stap_timer_delete_sync(struct timer_list *timer)
{
#if STAP_HAVE_TIMER_DELETE_SYNC
	timer_delete_sync(timer);
#else
	del_timer_sync(timer);
#endif
}

/* --- return probes ------------------------------------------------------------------------------------- */

/* The kretprobe of an instance; NULL when it is being unregistered. */
static __always_inline struct kretprobe *stap_kretprobe_of(struct kretprobe_instance *instance)
{
#if STAP_HAVE_GET_KRETPROBE
	return get_kretprobe(instance);
#else
	return instance->rp;
#endif
}

/* Where the probed function returns to. */
static __always_inline unsigned long stap_kretprobe_address(struct kretprobe_instance *instance)
{
#if defined(CONFIG_KRETPROBE_ON_RETHOOK)
	return instance->node.ret_addr;
#else
	return (unsigned long)instance->ret_addr;
#endif
}

/* Whether a registered kprobe stands on an ftrace call. */
static __always_inline bool stap_kprobe_by_ftrace(const struct kprobe *kprobe)
{
#ifdef CONFIG_KPROBES_ON_FTRACE
	return kprobe->flags & KPROBE_FLAG_FTRACE;
#else
	return false;
#endif
}

/* --- ftrace -------------------------------------------------------------------------------------------- */

#if STAP_HAVE_FTRACE_REGS
typedef struct ftrace_regs stap_ftrace_regs;
#define stap_ftrace_pt_regs(fregs) ftrace_get_regs(fregs)
#else
typedef struct pt_regs stap_ftrace_regs;
#define stap_ftrace_pt_regs(fregs) (fregs)
#endif

static inline void stap_ftrace_free_filter(struct ftrace_ops *ops)
{
#if STAP_HAVE_FTRACE_FREE_FILTER
	ftrace_free_filter(ops);
#else
	ftrace_set_filter(ops, NULL, 0, 1);
#endif
}

/* --- uprobes -------------------------------------------------------------------------------------------- */

#if STAP_HAVE_UPROBE_COOKIE
#define STAP_UPROBE_COOKIE , __u64 *cookie
#else
#define STAP_UPROBE_COOKIE
#endif

/* `semaphore`: the offset in the file of a counter that says how many probes there are; 0 for none. */
static inline int stap_uprobe_register(struct inode *inode, loff_t offset, loff_t semaphore,
				       struct uprobe_consumer *consumer, struct uprobe **made)
{
#if STAP_HAVE_UPROBE_REGISTER_RETURNS_UPROBE
	*made = uprobe_register(inode, offset, semaphore, consumer);
	return PTR_ERR_OR_ZERO(*made);
#else
	return uprobe_register_refctr(inode, offset, semaphore, consumer);
#endif
}

/* Before what the consumer uses goes, stap_uprobe_unregister_wait(). */
static inline void stap_uprobe_unregister(struct inode *inode, loff_t offset, struct uprobe_consumer *consumer,
					  struct uprobe *made)
{
#if STAP_HAVE_UPROBE_UNREGISTER_NOSYNC
	uprobe_unregister_nosync(made, consumer);
#elif STAP_HAVE_UPROBE_REGISTER_RETURNS_UPROBE
	uprobe_unregister(made, consumer);
#else
	uprobe_unregister(inode, offset, consumer);
#endif
}

static inline void stap_uprobe_unregister_wait(void)
{
#if STAP_HAVE_UPROBE_UNREGISTER_NOSYNC
	uprobe_unregister_sync();
#endif
}

/* A page of a process, held; its mmap_lock is held too. 1, or 0 or negative where there is none; `flags`: FOLL_*. */
static inline long stap_remote_page(struct mm_struct *mm, unsigned long address, unsigned int flags, struct page **page)
{
#if STAP_HAVE_FOLL_HONOR_NUMA_FAULT
	flags |= FOLL_HONOR_NUMA_FAULT;
#endif
#if STAP_HAVE_REMOTE_PAGES_MAPPINGS
	return get_user_pages_remote(mm, address, 1, flags, page, NULL, NULL);
#else
	return get_user_pages_remote(mm, address, 1, flags, page, NULL);
#endif
}

/* --- vector registers ------------------------------------------------------------------------------------ */

#ifdef CONFIG_X86_64
/* Where the kernel keeps a task's vector registers while it uses them itself. */
static __always_inline const union fpregs_state *stap_saved_vectors(struct task_struct *task)
{
#if STAP_HAVE_X86_TASK_FPU
	return &x86_task_fpu(task)->fpstate->regs;
#elif STAP_HAVE_FPSTATE
	return &task->thread.fpu.fpstate->regs;
#else
	return &task->thread.fpu.state;
#endif
}
#endif

/* Not the kernel's own macro: a module that has it is taken for one under debugging, with a banner in the log. */
static __always_inline void stap_trace_puts(const char *text)
{
#if STAP_HAVE_TRACE_PUTS_LENGTH
	__trace_puts(_THIS_IP_, text, strlen(text));
#else
	__trace_puts(_THIS_IP_, text);
#endif
}

/* --- relay ----------------------------------------------------------------------------------------------- */

#if STAP_HAVE_RELAY_PADDING
#define STAP_RELAY_PADDING , size_t padding
#else
#define STAP_RELAY_PADDING
#endif

/* --- tasks ----------------------------------------------------------------------------------------------- */

/* Threads that the kernel made in a process: they have its memory, and never go to user mode. */
#ifdef PF_USER_WORKER
#define STAP_PF_WORKER (PF_IO_WORKER | PF_USER_WORKER)
#else
#define STAP_PF_WORKER PF_IO_WORKER
#endif

/* --- memory of processes ---------------------------------------------------------------------------------- */

/*
 * How many pages of a kind a process has, each CPU's share included as in /proc/PID/statm. The memory may go away
 * meanwhile, and the shares with it (`mm` itself may be reused, but is always readable): no fault, some number then.
 */
static inline long stap_mm_pages(struct mm_struct *mm, int kind)
{
#ifdef CONFIG_SMP
	if (__builtin_types_compatible_p(typeof(mm->rss_stat), struct percpu_counter[NR_MM_COUNTERS])) {
		struct percpu_counter *counter = (struct percpu_counter *)&mm->rss_stat + kind;
		s32 __percpu *shares = READ_ONCE(counter->counters);
		long pages = READ_ONCE(counter->count);
		int cpu;

		for_each_possible_cpu(cpu) {
			s32 share;

			if (!copy_from_kernel_nofault(&share, per_cpu_ptr(shares, cpu), sizeof(share)))
				pages += share;
		}
		return max(pages, 0L);
	}
#endif
	return get_mm_counter(mm, kind);
}

/* --- modules --------------------------------------------------------------------------------------------- */

/* Where a module's constants lie, notes among them. */
static inline void stap_module_constants(const struct module *module, unsigned long *start, unsigned long *end)
{
#if STAP_HAVE_MODULE_MEMORY
	*start = (unsigned long)module->mem[MOD_RODATA].base;
	*end = *start + module->mem[MOD_RODATA].size;
#else
	*start = (unsigned long)module->core_layout.base + module->core_layout.text_size;
	*end = (unsigned long)module->core_layout.base + module->core_layout.ro_size;
#endif
}

/* --- files ------------------------------------------------------------------------------------------------ */

#ifndef FUSE_SUPER_MAGIC	/* linux/magic.h has it since v5.17 (dee0ef4be6ff) */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

#if STAP_HAVE_RELAY_CONST_CALLBACKS
#define STAP_RELAY_CONST const
#else
#define STAP_RELAY_CONST
#endif

#if !STAP_HAVE_PDE_DATA
#define pde_data(inode) PDE_DATA(inode)
#endif

/* Where a mapped file lies for who mapped it: on an overlay the mapping's own path is another one. */
static inline const struct path *stap_file_path(const struct file *file)
{
#if STAP_HAVE_FILE_USER_PATH
	return file_user_path(file);
#else
	return &file->f_path;
#endif
}

/* --- scripts' own C -------------------------------------------------------------------------------------- */

#if STAP_HAVE_FILES_LOOKUP_FD_RAW
#define fcheck_files(files, fd) files_lookup_fd_raw(files, fd)
#endif

#endif
