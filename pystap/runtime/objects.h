/* SPDX-License-Identifier: GPL-2.0 */
/*
 * objects.h: the programs and libraries that the script knows, and where the
 * current process has them. Mappings are looked at under their lock (mappings.h):
 * what can not be had here and now is said to be not there. Any context; in an
 * NMI nothing is found.
 */
#ifndef STAP_OBJECTS_H
#define STAP_OBJECTS_H

#include <linux/dcache.h>
#include "mappings.h"
#ifdef STAP_NEED_USYMBOLS
#include "seen.h"
#endif

enum { STAP_UNWIND_KEPT = 7 };	/* return address, rbx, rbp, r12 to r15 */

enum stap_unwind_kind {
	STAP_UNWIND_REGISTER,	/* the CFA is register + offset */
	STAP_UNWIND_MEMORY,	/* ... what lies at register + offset */
	STAP_UNWIND_PLT,	/* rsp + 8, or + 16 from byte `offset` of a 16-byte stub on */
	STAP_UNWIND_SIGNAL,	/* no CFA: what was interrupted has its registers at register + offset */
};

#define STAP_UNWIND_SAME	(-0x8000)	/* not saved */
#define STAP_UNWIND_NONE	(-0x7fff)	/* of the return address: the outermost frame */

/* How to get from a frame to its caller; made by debuginfo/unwind.py. */
struct stap_unwind_rule {
	s32 offset;
	u8 kind;
	u8 cfa;				/* DWARF register */
	u8 by_rbp;			/* bit per kept register: saved at rbp + offset, not CFA + offset */
	s16 saved[STAP_UNWIND_KEPT];
};

/* Addresses in tables are link-time ones, sorted. */
struct stap_object {
	const char *path;
	const char *build_id;
	u64 text_bias;			/* link-time address minus offset in the file, of its code */
	const u32 *symbols;		/* functions: where they begin, */
	const u32 *symbol_sizes;
	const u32 *symbol_names;	/* offsets in `names` */
	const char *names;
	const u32 *rows;		/* of call-frame information: where they begin, */
	const u16 *row_rules;		/* indexes of `rules`; 0xffff: nothing is known */
	const struct stap_unwind_rule *rules;
	const u32 *lines;		/* where code of a line begins, */
	const u32 *line_numbers;	/* file << 20 | line; 0: none */
	const char *const *files;
	u32 symbol_count, row_count, line_count;
	struct inode *inode;		/* held; NULL: not there */
};

static struct stap_object stap_objects[];
static const unsigned int stap_object_count;

enum { STAP_MAPPINGS = 4096, STAP_OBJECT_NAME = 256 };	/* mappings that a search looks at; bytes of a path */

static int stap_objects_load(void)
{
	unsigned int i;

	for (i = 0; i < stap_object_count; i++)
		stap_objects[i].inode = stap_inode_of(stap_objects[i].path);
	stap_mappings_load();
	return 0;
}

static void stap_objects_unload(void)
{
	unsigned int i;

	stap_mappings_unload();
	for (i = 0; i < stap_object_count; i++)
		iput(stap_objects[i].inode);
}

/* How far from its link-time addresses the current process has an object. */
static noinline bool stap_object_bias(struct stap_context *c, const struct stap_object *object, u64 *bias)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *area;
	unsigned int left = STAP_MAPPINGS;
	bool good = false;
	u64 at = 0;

	if (!object->inode || !stap_mappings_lock(c, mm))
		return false;
	while (left-- && (area = find_vma(mm, at))) {
		at = area->vm_end;
		if (!area->vm_file || !(area->vm_flags & VM_EXEC) || file_inode(area->vm_file) != object->inode)
			continue;
		*bias = area->vm_start - ((u64)area->vm_pgoff << PAGE_SHIFT) - object->text_bias;
		good = true;
		break;
	}
	stap_mappings_unlock(mm);
	return good;
}

/* Where a link-time address of an object is in the current process. */
static __maybe_unused noinline s64 stap_object_address(struct stap_context *c, u32 number, u64 address)
{
	const struct stap_object *object = &stap_objects[number];
	u64 bias;

	if (c->object && c->object == object->inode)
		return c->object_bias + address;
	if (stap_object_bias(c, object, &bias))
		return bias + address;
	stap_fail_format(c, 0, "%s is not mapped here", object->path);
	return 0;
}

/* --- what is mapped at an address ------------------------------------------------------------------------ */

struct stap_mapping {
	const struct stap_object *object;	/* NULL: not one of those that the script knows */
	u64 bias;				/* of a known object */
	u64 start, end;				/* of the file's mappings */
	bool file;				/* else it is the kernel's own: the vdso */
	char name[STAP_OBJECT_NAME];		/* its path, where that can be had, else its last part */
};

static DEFINE_PER_CPU(struct stap_mapping, stap_mapping);

static inline const char *stap_last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * The file of a mapping, by name. d_path() takes locks that an interrupted task may hold, and that on PREEMPT_RT are
 * slept for: only where sleeping is allowed.
 */
static void stap_mapping_name(struct stap_context *c, struct stap_mapping *m, struct file *file)
{
	char *path;
	u64 before;

	if (m->object) {
		strscpy(m->name, m->object->path, sizeof(m->name));
		return;
	}
	if (stap_may_sleep(c)) {
		before = stap_sleep_begin();
		path = d_path(stap_file_path(file), m->name, sizeof(m->name));
		stap_sleep_end(c, before);
		if (!IS_ERR(path)) {
			memmove(m->name, path, strlen(path) + 1);
			return;
		}
	}
	snprintf(m->name, sizeof(m->name), "%pd", stap_file_path(file)->dentry);
}

static void stap_mapping_extent(struct stap_mapping *m, struct mm_struct *mm, struct vm_area_struct *area)
{
	const struct inode *inode = file_inode(area->vm_file);
	unsigned int left = 16;

	m->start = area->vm_start - ((u64)area->vm_pgoff << PAGE_SHIFT);
	do {
		m->end = area->vm_end;
		area = find_vma(mm, m->end);
	} while (left-- && area && area->vm_file && file_inode(area->vm_file) == inode);
}

/* Code that the kernel gives to each process ("[vdso]") is a mapping with a name and without a file. */
static bool stap_mapping_special(struct stap_mapping *m, struct vm_area_struct *area)
{
	const struct inode *kind __maybe_unused = (const struct inode *)area->vm_ops;	/* compared, never used */
	const char *name = area->vm_ops && area->vm_ops->name ? area->vm_ops->name(area) : NULL;

	if (!name || name[0] != '[' || !(area->vm_flags & VM_EXEC))
		return false;
	m->object = NULL;
	m->file = false;
	m->start = area->vm_start;
	m->end = area->vm_end;
	strscpy(m->name, name + 1, sizeof(m->name));
	strreplace(m->name, ']', '\0');
#ifdef STAP_NEED_USYMBOLS
	if (!stap_seen_has(kind, m->start))
		stap_seen_add(kind, m->start, m->end, NULL, m->name);
#endif
	return true;
}

/*
 * What the current process has there: this CPU's own buffer, good until the
 * next search; NULL where no file is mapped there or that can not be asked.
 */
static noinline struct stap_mapping *stap_mapping_current(struct stap_context *c, u64 address)
{
	struct stap_mapping *m = this_cpu_ptr(&stap_mapping);
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *area;
	bool special;
	unsigned int i;

	if (!stap_mappings_lock(c, mm))
		return NULL;
	area = find_vma(mm, address);
	if (!area || area->vm_start > address || !area->vm_file) {
		special = area && area->vm_start <= address && stap_mapping_special(m, area);
		stap_mappings_unlock(mm);
		return special ? m : NULL;
	}
	m->object = NULL;
	m->file = true;
	for (i = 0; i < stap_object_count && !m->object; i++)
		if (stap_objects[i].inode == file_inode(area->vm_file))
			m->object = &stap_objects[i];
	stap_mapping_extent(m, mm, area);
	if (m->object)
		m->bias = m->start - m->object->text_bias;
	stap_mapping_name(c, m, area->vm_file);
#ifdef STAP_NEED_USYMBOLS
	if (!stap_seen_has(file_inode(area->vm_file), m->start))
		stap_seen_add(file_inode(area->vm_file), m->start, m->end, m->object, m->name);
#endif
	stap_mappings_unlock(mm);
	return m;
}

#ifdef STAP_NEED_USYMBOLS

static struct stap_mapping *stap_mapping_seen(u64 address)
{
	struct stap_mapping *m = this_cpu_ptr(&stap_mapping);
	struct stap_seen found;

	if (!stap_seen_find(address, &found))
		return NULL;
	m->object = found.object;
	m->file = true;
	m->start = found.start;
	m->end = found.end;
	m->bias = found.object ? found.start - found.object->text_bias : 0;
	strscpy(m->name, found.name ? found.name : found.object->path, sizeof(m->name));
	return m;
}

/* The same of an address that may be another process's, even one that has ended: asked by the runner it is. */
static noinline struct stap_mapping *stap_mapping_find(struct stap_context *c, u64 address)
{
	bool ours = current->tgid != stap_runner_pid;
	struct stap_mapping *m = ours ? stap_mapping_current(c, address) : stap_mapping_seen(address);

	return m ? m : ours ? stap_mapping_seen(address) : stap_mapping_current(c, address);
}

/* A probe was hit in code of a file, which lies from `start` on in the current process. */
static __always_inline void stap_mapping_met(struct stap_context *c, const struct inode *inode, u64 start, u64 address)
{
	if (unlikely(!stap_seen_has(inode, start)))
		stap_mapping_current(c, address);
}

#else
#define stap_mapping_find stap_mapping_current
#endif

/* --- tables ---------------------------------------------------------------------------------------------- */

/* The last of `count` sorted numbers that is not above a value; -1: all are. */
static inline s32 stap_table_find(const u32 *table, u32 count, u32 value)
{
	u32 low = 0, high = count;

	while (low < high) {
		u32 middle = low + (high - low) / 2;

		if (table[middle] <= value)
			low = middle + 1;
		else
			high = middle;
	}
	return (s32)low - 1;
}

struct stap_user_symbol {
	const char *name;
	u64 offset, size;
};

/* The function that holds an address of a mapping. */
static bool stap_user_symbol_find(const struct stap_mapping *m, u64 address, struct stap_user_symbol *found)
{
	const struct stap_object *o = m ? m->object : NULL;
	u64 linked;
	s32 k;

	if (!o || !o->symbol_count)
		return false;
	linked = address - m->bias;
	if (linked > U32_MAX)
		return false;
	k = stap_table_find(o->symbols, o->symbol_count, linked);
	if (k < 0 || linked - o->symbols[k] >= max(o->symbol_sizes[k], 1u))
		return false;
	found->name = o->names + o->symbol_names[k];
	found->offset = linked - o->symbols[k];
	found->size = o->symbol_sizes[k];
	return true;
}

/* The line that an address of a mapping belongs to; 0 and NULL where that is not known. */
static __maybe_unused u32 stap_user_line_find(const struct stap_mapping *m, u64 address, const char **file)
{
	const struct stap_object *o = m ? m->object : NULL;
	u32 number;
	s32 k;

	*file = NULL;
	if (!o || !o->line_count || address - m->bias > U32_MAX)
		return 0;
	k = stap_table_find(o->lines, o->line_count, address - m->bias);
	number = k < 0 ? 0 : o->line_numbers[k];
	if (number)
		*file = o->files[number >> 20];
	return number & 0xfffff;
}

#endif
