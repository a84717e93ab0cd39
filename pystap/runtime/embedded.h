/* SPDX-License-Identifier: GPL-2.0 */
/*
 * embedded.h: the C API of tapset functions and of embedded C in scripts; the
 * only header with SystemTap's public names. The body of an embedded function
 * runs inside a handler: any context, preemption off, no sleeping, no
 * allocation, loops bounded.
 *
 * In a body (codegen declares these, by the function's own parameters):
 *	STAP_ARG_x		the argument: s64, or char * to MAXSTRINGLEN bytes
 *				of a copy (const where the body is tagged
 *				unmodified-fnargs)
 *	STAP_RETVALUE		s64 (starts as 0), or char * to MAXSTRINGLEN bytes
 *				(starts as "")
 *	STAP_RETURN(v)		returns v (a string is copied)
 *	STAP_RETURN()		returns STAP_RETVALUE
 *	STAP_ERROR(fmt, ...)	fails the handler, near this function
 *	STAP_NEXT		hands over to the next overload
 *	STAP_PRINTF(fmt, ...)	prints
 *	CONTEXT			struct stap_context * (context.h)
 *	CONTEXT->last_error = t	fails the handler, near the call of this
 *				function; t must outlive the body: a literal, an
 *				argument, CONTEXT->error_text
 *	STAP_GLOBAL_GET_g([keys])  STAP_GLOBAL_SET_g([keys,] v)
 *				for globals named in pragma:read:g, pragma:write:g
 *	THIS->x  THIS->__retvalue	in a body tagged unmangled
 *
 * Memory of others, always fault-safe. A fault fails the handler and yields 0,
 * the body goes on: test CONTEXT->last_error in loops.
 *	kread(&p->f)  kwrite(&p->f, v)  uread(up)  uwrite(up, v)
 *	kderef(size, address)  uderef(size, address)
 *	store_kderef(size, address, v)  store_uderef(size, address, v)
 *	stap_read_kernel(to, address, size), stap_read_user(...): bool, fail nothing
 *	stap_read_string(to, address, size, user): length or -1, fails nothing
 *
 * The hit:
 *	CONTEXT->regs		kernel registers or NULL; stap_registers(c): or the user's
 *	stap_user_registers(c)	the task's user registers or NULL
 *	stap_ip(c)  stap_sp(c)	where it hit
 *	stap_probe_point(c)	pp(); stap_probe_written(c): pn()
 *	stap_target()		target()
 *	stap_is_return(c)	whether it is a return probe's hit
 *	stap_return_value(c, &ok)
 *
 * Talking:
 *	stap_warn(c, text)  stap_log(c, text)  stap_command(c, text) (system())
 *	stap_print_text(c, text)  stap_print_format(c, fmt, ...)
 *	stap_request_exit()  stap_request_abort()
 *
 * Symbols and stacks: symbols.h, stack.h. Matches of the last regular
 * expression: CONTEXT->matched, CONTEXT->match[n].start/.end (-1: unset), CONTEXT->match_text.
 */
#ifndef STAP_EMBEDDED_H
#define STAP_EMBEDDED_H

#include <linux/version.h>	/* scripts ask for the kernel's version code */

/* The language's version that scripts are written for. */
#define STAP_VERSION(major, minor) (((major) << 8) + (minor))
#ifndef STAP_COMPAT_VERSION
#define STAP_COMPAT_VERSION STAP_VERSION(5, 6)
#endif

/* What SystemTap finds out about a kernel and scripts ask for: true of all that pystap builds for. */
#define STAPCONF_DPATH_PATH 1
#define STAPCONF_LINUX_UIDGID_H 1
#define STAPCONF_TASK_UID 1
#define STAPCONF_LINUX_SCHED_HEADERS 1

#define STAP_PRINTF(fmt, ...) stap_print_format(CONTEXT, fmt, ##__VA_ARGS__)
#define STAP_ERROR(...)								\
	do {									\
		stap_fail_format(CONTEXT, STAP_FUNCTION_MARK, __VA_ARGS__);	\
		goto stap_out;							\
	} while (0)
/* Where functions that are tagged myproc-unprivileged begin. */
#define STAP_OWN_PROCESS_ONLY()								\
	do {										\
		if (!stap_is_mine())							\
			STAP_ERROR("myproc-unprivileged tapset function called without is_myproc checking for pid %d (euid %d)", \
				   current->tgid, __kuid_val(current_euid()));		\
	} while (0)
#define STAP_NEXT				\
	do {					\
		CONTEXT->next = true;		\
		goto stap_out;			\
	} while (0)

/* STAP_RETURN is one of these, by the function's type. Both work without a value. */
#define STAP_RETURN_LONG(...)							\
	do {									\
		__VA_OPT__(STAP_RETVALUE = (s64)(__VA_ARGS__);)			\
		goto stap_out;							\
	} while (0)
#define STAP_RETURN_STRING(...)							\
	do {									\
		__VA_OPT__(strscpy(STAP_RETVALUE, (__VA_ARGS__), MAXSTRINGLEN);) \
		goto stap_out;							\
	} while (0)
#define STAP_RETURN_NOTHING(...) goto stap_out

static __always_inline const char *stap_probe_point(const struct stap_context *c)
{
	return c->probe->point;
}

static __always_inline const char *stap_probe_written(const struct stap_context *c)
{
	return c->probe->written;
}

static __always_inline s64 stap_target(void)
{
	return stap_target_pid;
}

static inline void stap_warn(struct stap_context *c, const char *text)
{
	stap_message(c, STAP_ITEM_WARNING, text);
}

static inline void stap_command(struct stap_context *c, const char *text)
{
	stap_message(c, STAP_ITEM_SYSTEM, text);
}

/* A line of its own on standard output. */
static inline void stap_log(struct stap_context *c, const char *text)
{
	stap_print_format(c, "%s\n", text);
}

static inline bool stap_is_return(const struct stap_context *c)
{
	return c->is_return;
}

/* returnval(): from the registers of a return probe. */
static inline s64 stap_return_value(const struct stap_context *c, bool *good)
{
	*good = c->is_return;
	if (!c->is_return)
		return 0;
	return stap_registers(c) ? (s64)regs_return_value(stap_registers(c)) : c->retval;
}

#define kread(at)								\
	({									\
		typeof(*(at)) stap_value = (typeof(*(at)))0;			\
		stap_read(CONTEXT, &stap_value, (unsigned long)(at), sizeof(stap_value), false, STAP_FUNCTION_MARK); \
		stap_value;							\
	})
#define uread(at)								\
	({									\
		typeof(*(at)) stap_value = (typeof(*(at)))0;			\
		stap_read(CONTEXT, &stap_value, (unsigned long)(at), sizeof(stap_value), true, STAP_FUNCTION_MARK); \
		stap_value;							\
	})
#define kwrite(at, value)							\
	({									\
		typeof(*(at)) stap_value = (typeof(*(at)))(value);		\
		if (!stap_write_kernel((unsigned long)(at), &stap_value, sizeof(stap_value))) \
			stap_fail_write(CONTEXT, (unsigned long)(at), STAP_FUNCTION_MARK); \
	})
#define uwrite(at, value)							\
	({									\
		typeof(*(at)) stap_value = (typeof(*(at)))(value);		\
		if (!stap_write_user((unsigned long)(at), &stap_value, sizeof(stap_value))) \
			stap_fail_write(CONTEXT, (unsigned long)(at), STAP_FUNCTION_MARK); \
	})
#define kderef(size, address) stap_load(CONTEXT, (unsigned long)(address), size, false, STAP_FUNCTION_MARK)
#define uderef(size, address) stap_load(CONTEXT, (unsigned long)(address), size, true, STAP_FUNCTION_MARK)
#define store_kderef(size, address, value) \
	stap_store(CONTEXT, (unsigned long)(address), size, (s64)(value), false, STAP_FUNCTION_MARK)
#define store_uderef(size, address, value) \
	stap_store(CONTEXT, (unsigned long)(address), size, (s64)(value), true, STAP_FUNCTION_MARK)
#define CATCH_DEREF_FAULT() do { } while (0)	/* faults are sticky here: there is nothing to catch */

/* For C outside of functions that has no CONTEXT at hand but runs inside a handler. */
static inline struct stap_context *stap_current(void)
{
	return __this_cpu_read(stap_contexts);
}

/* C's string as an array's key: copied to storage such as script strings have. The caller resets c->frame. */
static __maybe_unused const char *stap_key(struct stap_context *c, const char *text)
{
	char *held = stap_push(c, STAP_STRING_BYTES);

	strscpy(held, text, MAXSTRINGLEN);
	return held;
}

#define _stp_printf(fmt, ...) stap_print_format(stap_current(), fmt, ##__VA_ARGS__)
#define _stp_print(text) stap_print_text(stap_current(), text)

#endif
