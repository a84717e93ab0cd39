/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ustack.h: the callers of the current program's code, by the call-frame
 * information of the objects that the script knows, and user addresses as text.
 * Where there is none for anybody to know (code made at run time, the vdso,
 * objects without any) callers are found by frame pointers, if they look right.
 * The contexts and locks are those of objects.h. Bounded by the caller's table.
 *
 * For tapsets (pragma:uunwind):
 *	stap_ustack(c, table, size)		how many addresses, the innermost first
 *	stap_user_put(c, to, used, address, style, is_caller)
 */
#ifndef STAP_USTACK_H
#define STAP_USTACK_H

#include <linux/uprobes.h>
#include <asm/sigcontext.h>

enum stap_user_style {
	STAP_USER_FULL,		/* " 0x1234 : f+0x0/0x8 [/bin/x]" */
	STAP_USER_DATA,		/* "f+0x0/0x8 [/bin/x]" */
	STAP_USER_SIMPLE,	/* "f+0x0 [x]" */
	STAP_USER_BRIEF,	/* "f+0x0" */
};

static noinline u32 stap_user_put(struct stap_context *c, char *to, u32 used, u64 address, enum stap_user_style style,
				  bool is_caller)
{
	const struct stap_mapping *m = stap_mapping_find(c, address);
	bool full = style == STAP_USER_FULL, sized = style <= STAP_USER_DATA;
	const char *name = m ? sized ? m->name : stap_last_part(m->name) : "";
	struct stap_user_symbol s;
	size_t room = MAXSTRINGLEN - used;
	u32 at = 0;

	/* a call may be the last instruction of its function */
	if (m && stap_user_symbol_find(m, address - is_caller, &s)) {
		if (full)
			at += scnprintf(to + used, room, " 0x%llx : ", address);
		at += scnprintf(to + used + at, room - at, "%s+0x%llx", s.name, s.offset + is_caller);
		if (sized)
			at += scnprintf(to + used + at, room - at, "/0x%llx", s.size);
		if (style != STAP_USER_BRIEF)
			at += scnprintf(to + used + at, room - at, " [%s]", name);
		return used + at;
	}
	at = scnprintf(to + used, room, full ? " 0x%llx" : "0x%llx", address);
	if (!m || style == STAP_USER_BRIEF)
		return used + at;
	at += scnprintf(to + used + at, room - at, " [%s+0x%llx", name, address - m->start);
	if (sized)
		at += scnprintf(to + used + at, room - at, "/0x%llx", m->end - m->start);
	at += scnprintf(to + used + at, room - at, "]");
	return used + at;
}

/* --- walking --------------------------------------------------------------------------------------------- */

#ifdef CONFIG_X86_64

enum { STAP_UNWIND_FRAME = 1 << 20 };	/* bytes of the largest frame that is believed by its pointer */
enum { STAP_DWARF_RBP = 6, STAP_DWARF_RSP = 7, STAP_DWARF_RIP = 16, STAP_DWARF_REGISTERS = 17 };

static const u8 stap_unwind_registers[STAP_UNWIND_KEPT] = { STAP_DWARF_RIP, 3, STAP_DWARF_RBP, 12, 13, 14, 15 };

static void stap_unwind_warn(struct stap_context *c, const char *path)
{
	static atomic_t warned = ATOMIC_INIT(0);

	if (atomic_xchg(&warned, 1))
		return;
	snprintf(c->scratch, MAXSTRINGLEN, "Missing unwind data for a module, rerun with 'stap -d %s'", path);
	stap_message(c, STAP_ITEM_WARNING, c->scratch);
}

/* What a return probe put in place of the return address that lies at `slot`; the list is the task's own. */
static u64 stap_unwind_original(u64 address, u64 slot)
{
	const struct uprobe_task *task = current->utask;
	struct return_instance instance;
	const struct return_instance *at = task ? READ_ONCE(task->return_instances) : NULL;
	unsigned int left = 128;

	if (address & ~PAGE_MASK)
		return address;	/* the kernel's trampoline begins a page; calls that an exception left are still in the list */
	/* read as foreign memory: the kernel frees instances while it runs the handlers of a return */
	while (left-- && at && !copy_from_kernel_nofault(&instance, at, sizeof(instance))) {
		if (instance.stack == slot)
			address = instance.orig_ret_vaddr;
		at = instance.next;
	}
	return address;
}

static bool stap_unwind_cfa(const struct stap_unwind_rule *rule, const u64 *r, u64 *cfa)
{
	switch (rule->kind) {
	case STAP_UNWIND_REGISTER:
		*cfa = r[rule->cfa] + rule->offset;
		return true;
	case STAP_UNWIND_MEMORY:
		return stap_read_user(cfa, r[rule->cfa] + rule->offset, sizeof(*cfa));
	default:
		*cfa = r[STAP_DWARF_RSP] + 8 + ((r[STAP_DWARF_RIP] & 15) >= rule->offset ? 8 : 0);
		return true;
	}
}

/* What a signal handler interrupted: registers as `struct sigcontext` has them. */
static bool stap_unwind_signal(const struct stap_unwind_rule *rule, u64 *r)
{
	struct sigcontext_64 saved;
	u32 k;

	if (!stap_read_user(&saved, r[rule->cfa] + rule->offset, offsetofend(struct sigcontext_64, ip)))
		return false;
	r[STAP_DWARF_RIP] = saved.ip;
	r[STAP_DWARF_RSP] = saved.sp;
	r[STAP_DWARF_RBP] = saved.bp;
	r[3] = saved.bx;
	for (k = 0; k < 4; k++)
		r[12 + k] = (&saved.r12)[k];
	return true;
}

static bool stap_unwind_apply(const struct stap_unwind_rule *rule, u64 *r)
{
	u64 cfa, at, caller[STAP_UNWIND_KEPT];
	u32 k;

	if (rule->kind == STAP_UNWIND_SIGNAL)
		return stap_unwind_signal(rule, r);
	if (rule->saved[0] == STAP_UNWIND_NONE || !stap_unwind_cfa(rule, r, &cfa))
		return false;
	if (cfa <= r[STAP_DWARF_RSP])
		return false;	/* no progress: a damaged stack */
	for (k = 0; k < STAP_UNWIND_KEPT; k++) {
		u8 number = stap_unwind_registers[k];

		caller[k] = r[number];
		if (rule->saved[k] == STAP_UNWIND_SAME)
			continue;
		at = (rule->by_rbp & BIT(k) ? r[STAP_DWARF_RBP] : cfa) + rule->saved[k];
		if (!stap_read_user(&caller[k], at, sizeof(u64)))
			return false;
		if (!k)
			caller[k] = stap_unwind_original(caller[k], at);
	}
	for (k = 0; k < STAP_UNWIND_KEPT; k++)
		r[stap_unwind_registers[k]] = caller[k];
	r[STAP_DWARF_RSP] = cfa;
	return r[STAP_DWARF_RIP] != 0;
}

static bool stap_unwind_is_code(struct stap_context *c, u64 address)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *area;
	bool is;

	if (!stap_mappings_lock(c, mm))
		return false;
	area = find_vma(mm, address);
	is = area && area->vm_start <= address && area->vm_flags & VM_EXEC;
	stap_mappings_unlock(mm);
	return is;
}

/* A function that has just been called: its return address lies on top of the stack. */
static bool stap_unwind_at_entry(struct stap_context *c, const u64 *r)
{
	struct stap_user_symbol s;

	return stap_user_symbol_find(stap_mapping_current(c, r[STAP_DWARF_RIP]), r[STAP_DWARF_RIP], &s) && !s.offset;
}

/* As if code had set up its frame pointer; believed only where it leads from this stack to code. */
static bool stap_unwind_by_frame_pointer(struct stap_context *c, u64 *r, bool called)
{
	u64 frame[2], at = r[STAP_DWARF_RBP];

	if (!called && stap_unwind_at_entry(c, r)) {
		frame[0] = at;
		at = r[STAP_DWARF_RSP] - sizeof(at);
		if (!stap_read_user(&frame[1], at + sizeof(at), sizeof(at)))
			return false;
	} else if (at < r[STAP_DWARF_RSP] || at - r[STAP_DWARF_RSP] > STAP_UNWIND_FRAME || at % sizeof(at) ||
	    !stap_read_user(frame, at, sizeof(frame)))
		return false;
	frame[1] = stap_unwind_original(frame[1], at + sizeof(at));
	if (!stap_unwind_is_code(c, frame[1]))
		return false;
	r[STAP_DWARF_RBP] = frame[0];
	r[STAP_DWARF_RIP] = frame[1];
	r[STAP_DWARF_RSP] = at + sizeof(frame);
	return true;
}

/* How to leave the frame of an instruction; NULL where nothing is known of it: then `by_pointer` says what may be tried. */
static const struct stap_unwind_rule *stap_unwind_rule(struct stap_context *c, u64 address, bool *by_pointer)
{
	const struct stap_mapping *m = stap_mapping_current(c, address);
	const struct stap_object *o = m ? m->object : NULL;
	s32 k;

	*by_pointer = !m || !m->file || o;
	if (!*by_pointer)
		stap_unwind_warn(c, m->name);
	if (!o || !o->row_count || address - m->bias > U32_MAX)
		return NULL;
	k = stap_table_find(o->rows, o->row_count, address - m->bias);
	return k < 0 || o->row_rules[k] == 0xffff ? NULL : &o->rules[o->row_rules[k]];
}

static __maybe_unused noinline u32 stap_ustack(struct stap_context *c, unsigned long *table, u32 size)
{
	const struct pt_regs *regs = stap_user_registers(c);
	const struct stap_unwind_rule *rule;
	u64 r[STAP_DWARF_REGISTERS];
	bool by_pointer, called = false;	/* the address is a return address: it may lie past the end of its function */
	u32 count = 0, k;

	if (!regs)
		return 0;
	for (k = 0; k < ARRAY_SIZE(r); k++)
		r[k] = *(const unsigned long *)((const char *)regs + stap_register_offsets[k]);
	while (count < size) {
		table[count] = r[STAP_DWARF_RIP];
		rule = stap_unwind_rule(c, r[STAP_DWARF_RIP] - called, &by_pointer);
		count++;
		if (rule ? !stap_unwind_apply(rule, r) : !by_pointer || !stap_unwind_by_frame_pointer(c, r, called))
			break;
		called = !rule || rule->kind != STAP_UNWIND_SIGNAL;
	}
	return count;
}

#else

/* Elsewhere by frame pointers. */
static __maybe_unused noinline u32 stap_ustack(struct stap_context *c, unsigned long *table, u32 size)
{
	return stap_stack_user(c, table, size);
}

#endif

#endif
