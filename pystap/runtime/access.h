/* SPDX-License-Identifier: GPL-2.0 */
/*
 * access.h: memory and registers of what is probed, read (in guru mode
 * written) without ever faulting. A bad address fails the handler and yields 0.
 * Any context, NMI included; takes no lock. Never sleeps, but in the handlers of
 * engines that allow it (c->sleepable); elsewhere a user page that is not in
 * memory counts as bad.
 */
#ifndef STAP_ACCESS_H
#define STAP_ACCESS_H

static noinline __cold void stap_fail_read(struct stap_context *c, u64 address, stap_mark mark)
{
	stap_fail_format(c, mark, "read fault [man error::fault] at 0x%llx", address);
}

static noinline __cold void stap_fail_write(struct stap_context *c, u64 address, stap_mark mark)
{
	stap_fail_format(c, mark, "write fault [man error::fault] at 0x%llx", address);
}

/*
 * Only the kernel's half: a user address would be read where SMAP is off, and
 * oops where it is on; a non-canonical one raises #GP, not a page fault. With
 * four-level page tables the canonical kernel half starts at -2^47; with five
 * levels at -2^56. It ends at the vsyscall page, which x86's fault handler takes
 * for user memory, and oopses as for that; nothing is mapped above.
 */
static __always_inline bool stap_kernel_range(u64 address, u64 size)
{
#ifdef CONFIG_X86_64
	u64 first = 0 - (1ULL << __VIRTUAL_MASK_SHIFT), bytes = VSYSCALL_ADDR - first;

	return size <= bytes && address - first <= bytes - size;
#else
	return address >= TASK_SIZE && address + size > address;
#endif
}

static __always_inline bool stap_user_range(u64 address, u64 size)
{
	return address < TASK_SIZE_MAX && size <= TASK_SIZE_MAX - address;
}

/* A load by one faultable instruction: false where it faulted. */
#define STAP_LOAD_KERNEL(type)								\
static __always_inline bool stap_load_kernel_##type(type *to, u64 address)		\
{											\
	if (unlikely(!stap_kernel_range(address, sizeof(type))))			\
		return false;								\
	__get_kernel_nofault(to, (void *)address, type, fault);				\
	return true;									\
fault:											\
	return false;									\
}

STAP_LOAD_KERNEL(u8)
STAP_LOAD_KERNEL(u16)
STAP_LOAD_KERNEL(u32)
STAP_LOAD_KERNEL(u64)

/*
 * A user page that is not in memory is waited for where the engine says that
 * this is allowed (c->sleepable), for a while. The handler stays on its CPU, whose
 * context it keeps meanwhile: other hits there are refused as nested ones.
 */
static __always_inline bool stap_may_sleep(const struct stap_context *c)
{
	return c->busy && c->sleepable && in_task() && !irqs_disabled() &&
	       preempt_count() <= IS_ENABLED(CONFIG_PREEMPT_COUNT);
}

static __always_inline u64 stap_sleep_begin(void)
{
	migrate_disable();
	preempt_enable();
	return get_cycles();
}

static __always_inline void stap_sleep_end(struct stap_context *c, u64 before)
{
	preempt_disable();
	migrate_enable();
	stap_exclude(c, get_cycles() - before);
}

static noinline __cold bool stap_fault_in(u64 address, size_t size)
{
	struct stap_context *c = __this_cpu_read(stap_contexts);
	u64 before;
	long got;

	if (!stap_may_sleep(c))
		return false;
	before = stap_sleep_begin();
	got = stap_bring(address, size, 0);
	stap_sleep_end(c, before);
	if (!got)
		c->sleepable = false;	/* once is enough: other hits on this CPU are refused meanwhile */
	return got == 1;
}

/* A kernel thread's borrowed address space is nobody's. */
static noinline bool stap_read_user(void *to, u64 address, size_t size)
{
	if (!stap_user_range(address, size) || !current->mm || !stap_is_mine())
		return false;
	if (likely(copy_from_user_nofault(to, (const void __user *)address, size) == 0))
		return true;
	return stap_fault_in(address, size) && copy_from_user_nofault(to, (const void __user *)address, size) == 0;
}

static noinline bool stap_read_kernel(void *to, u64 address, size_t size)
{
	if (!stap_kernel_range(address, size))
		return false;
	return copy_from_kernel_nofault(to, (const void *)address, size) == 0;
}

static noinline bool stap_write_user(u64 address, const void *from, size_t size)
{
	return stap_user_range(address, size) && current->mm &&
	       copy_to_user_nofault((void __user *)address, from, size) == 0;
}

/* copy_to_kernel_nofault() is not exported: word by word with the same faultable store. */
static noinline bool stap_write_kernel(u64 address, const void *from, size_t size)
{
	const u8 *bytes = from;

	if (!stap_kernel_range(address, size))
		return false;
	pagefault_disable();
	switch (size) {
	case 8:
		__put_kernel_nofault((void *)address, from, u64, fault);
		break;
	case 4:
		__put_kernel_nofault((void *)address, from, u32, fault);
		break;
	case 2:
		__put_kernel_nofault((void *)address, from, u16, fault);
		break;
	default:
		while (size-- > 0) {
			__put_kernel_nofault((void *)address, bytes, u8, fault);
			address++;
			bytes++;
		}
	}
	pagefault_enable();
	return true;
fault:
	pagefault_enable();
	return false;
}

/* Memory of any size; on a fault the handler has failed and `to` is zeroed. */
static bool stap_read(struct stap_context *c, void *to, u64 address, size_t size, bool user, stap_mark mark)
{
	if (likely(user ? stap_read_user(to, address, size) : stap_read_kernel(to, address, size)))
		return true;
	memset(to, 0, size);
	stap_fail_read(c, address, mark);
	return false;
}

#define STAP_LOAD(name, type)									\
static noinline s64 stap_load_##name(struct stap_context *c, u64 address, stap_mark mark)	\
{												\
	type value;										\
												\
	if (likely(stap_load_kernel_##type(&value, address)))					\
		return (s64)(name)value;							\
	stap_fail_read(c, address, mark);							\
	return 0;										\
}												\
static noinline s64 stap_load_user_##name(struct stap_context *c, u64 address, stap_mark mark)	\
{												\
	type value;										\
												\
	if (likely(stap_read_user(&value, address, sizeof(value))))				\
		return (s64)(name)value;							\
	stap_fail_read(c, address, mark);							\
	return 0;										\
}

STAP_LOAD(s8, u8)
STAP_LOAD(u8, u8)
STAP_LOAD(s16, u16)
STAP_LOAD(u16, u16)
STAP_LOAD(s32, u32)
STAP_LOAD(u32, u32)
STAP_LOAD(s64, u64)
STAP_LOAD(u64, u64)

/* kderef()/uderef(): a size known only at run time. */
static noinline s64 stap_load(struct stap_context *c, u64 address, u32 size, bool user, stap_mark mark)
{
	switch (size) {
	case 1:
		return user ? stap_load_user_u8(c, address, mark) : stap_load_u8(c, address, mark);
	case 2:
		return user ? stap_load_user_u16(c, address, mark) : stap_load_u16(c, address, mark);
	case 4:
		return user ? stap_load_user_u32(c, address, mark) : stap_load_u32(c, address, mark);
	case 8:
		return user ? stap_load_user_u64(c, address, mark) : stap_load_u64(c, address, mark);
	default:
		stap_fail_read(c, address, mark);
		return 0;
	}
}

static noinline void stap_store(struct stap_context *c, u64 address, u32 size, s64 value, bool user, stap_mark mark)
{
	u64 whole = value;

	if (!(user ? stap_write_user(address, &whole, size) : stap_write_kernel(address, &whole, size)))
		stap_fail_write(c, address, mark);
}

/*
 * A C string of at most `size` - 1 bytes. Returns its length, or -1 where the
 * first unreadable byte comes before its end.
 */
static noinline s64 stap_read_string(char *to, u64 address, size_t size, bool user)
{
	size_t used = 0;

	while (used + 1 < size) {
		/* up to the next 64-byte line: never across a page for the sake of bytes that are not asked for */
		size_t part = min_t(size_t, 64 - ((address + used) & 63), size - 1 - used);
		size_t length;

		if (!(user ? stap_read_user(to + used, address + used, part) :
			     stap_read_kernel(to + used, address + used, part))) {
			to[used] = 0;
			return -1;
		}
		length = strnlen(to + used, part);
		used += length;
		if (length < part)
			break;
	}
	to[used] = 0;
	return used;
}

/* --- registers ----------------------------------------------------------------------------------------- */

#ifdef CONFIG_X86_64
/* DWARF's numbers: System V ABI for AMD64, figure 3.36 */
static const u16 stap_register_offsets[] = {
	offsetof(struct pt_regs, ax), offsetof(struct pt_regs, dx), offsetof(struct pt_regs, cx),
	offsetof(struct pt_regs, bx), offsetof(struct pt_regs, si), offsetof(struct pt_regs, di),
	offsetof(struct pt_regs, bp), offsetof(struct pt_regs, sp), offsetof(struct pt_regs, r8),
	offsetof(struct pt_regs, r9), offsetof(struct pt_regs, r10), offsetof(struct pt_regs, r11),
	offsetof(struct pt_regs, r12), offsetof(struct pt_regs, r13), offsetof(struct pt_regs, r14),
	offsetof(struct pt_regs, r15), offsetof(struct pt_regs, ip),
};
#elif defined(CONFIG_ARM64)
static const u16 stap_register_offsets[] = {
	0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160, 168, 176, 184, 192,
	200, 208, 216, 224, 232, 240, offsetof(struct pt_regs, sp), offsetof(struct pt_regs, pc),
};
#endif

static noinline __cold void stap_fail_registers(struct stap_context *c, const struct pt_regs *regs)
{
	stap_fail(c, 0, regs ? "register access fault [man error::fault]" : "No registers available in this context");
}

static __always_inline unsigned long *stap_register_of(struct stap_context *c, struct pt_regs *regs, u32 number)
{
	if (unlikely(!regs || number >= ARRAY_SIZE(stap_register_offsets))) {
		stap_fail_registers(c, regs);
		return NULL;
	}
	return (unsigned long *)((char *)regs + stap_register_offsets[number]);
}

/* What the probed user code's registers are: a uprobe's own, else those that the task entered the kernel with. */
static __always_inline struct pt_regs *stap_user_registers(struct stap_context *c)
{
	if (c->uregs)
		return c->uregs;
	if (c->regs && user_mode(c->regs))
		return c->regs;
	return current->mm && stap_is_mine() ? task_pt_regs(current) : NULL;
}

static noinline s64 stap_register(struct stap_context *c, u32 number)
{
	const unsigned long *at = stap_register_of(c, c->regs, number);

	return at ? *at : 0;
}

static noinline s64 stap_register_user(struct stap_context *c, u32 number)
{
	const unsigned long *at = stap_register_of(c, stap_user_registers(c), number);

	return at ? *at : 0;
}

/* Guru mode: the lowest `width` bytes, as the machine's own narrow writes do (4 bytes clear the upper half). */
static noinline void stap_register_set(struct stap_context *c, u32 number, s64 value, u32 width)
{
	unsigned long *at = stap_register_of(c, c->regs ? c->regs : c->uregs, number);

	if (!at)
		return;
	switch (width) {
	case 1:
		*at = (*at & ~0xffUL) | (u8)value;
		break;
	case 2:
		*at = (*at & ~0xffffUL) | (u16)value;
		break;
	case 4:
		*at = (u32)value;
		break;
	default:
		*at = value;
	}
}

static __always_inline struct pt_regs *stap_registers(const struct stap_context *c)
{
	return c->regs ? c->regs : c->uregs;
}

/* Guru mode: $return = value. The caller of the probed function sees it. */
static __maybe_unused noinline void stap_set_retval(struct stap_context *c, s64 value)
{
	c->retval = value;
	if (c->is_return && stap_registers(c))
		regs_set_return_value(stap_registers(c), value);
}

static __always_inline s64 stap_ip(const struct stap_context *c)
{
	if (c->ip)
		return c->ip;
	return stap_registers(c) ? instruction_pointer(stap_registers(c)) : 0;
}

static __always_inline s64 stap_sp(const struct stap_context *c)
{
	return stap_registers(c) ? kernel_stack_pointer(stap_registers(c)) : 0;
}

/* --- what a return probe's entry side kept ------------------------------------------------------------- */

/* Slot k of the table holds a number, or where a string lies from the table's start. */
static __always_inline s64 stap_saved(struct stap_context *c, u32 number)
{
	return likely(c->saved) ? c->saved[number] : 0;
}

static __always_inline const char *stap_saved_string(struct stap_context *c, u32 number)
{
	static const char none[8] __aligned(8) = "";

	return likely(c->saved && c->saved[number]) ? (const char *)c->saved + c->saved[number] : none;
}

static __always_inline void stap_save(struct stap_context *c, u32 number, s64 value)
{
	if (likely(c->saved && number < c->probe->saved_count))
		c->saved[number] = value;
}

static noinline void stap_save_string(struct stap_context *c, u32 number, const char *text)
{
	u32 at = max_t(u32, c->saved_used, c->probe->saved_count * sizeof(s64));

	if (!c->saved || number >= c->probe->saved_count || at + STAP_STRING_BYTES > c->probe->saved_size)
		return;
	c->saved[number] = at;
	c->saved_used = at + STAP_PAD(stap_copy((char *)c->saved + at, text) + 1);
}

/* --- arithmetic that C leaves undefined ---------------------------------------------------------------- */

static __always_inline s64 stap_divide(struct stap_context *c, s64 left, s64 right, stap_mark mark)
{
	if (unlikely(right == 0)) {
		stap_fail(c, mark, "division by 0");
		return 0;
	}
	return right == -1 ? (s64)(0 - (u64)left) : left / right;
}

static __always_inline s64 stap_modulo(struct stap_context *c, s64 left, s64 right, stap_mark mark)
{
	if (unlikely(right == 0)) {
		stap_fail(c, mark, "division by 0");
		return 0;
	}
	return right == -1 ? 0 : left % right;
}

/* `width` bits from bit `offset` up, sign-extended where told. */
static __always_inline s64 stap_bits(s64 value, u32 offset, u32 width, bool is_signed)
{
	u64 top = (u64)value << (64 - offset - width);

	return is_signed ? (s64)top >> (64 - width) : (s64)(top >> (64 - width));
}

#endif
