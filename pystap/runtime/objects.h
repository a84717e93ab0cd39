/* SPDX-License-Identifier: GPL-2.0 */
/*
 * objects.h: programs and libraries that the script's variables lie in, and
 * where the current process has them. A uprobe's own object is known from the
 * hit; another is looked for among the process's mappings, under their lock,
 * which is tried and never waited for. Any context but NMI.
 */
#ifndef STAP_OBJECTS_H
#define STAP_OBJECTS_H

#include "tasks.h"

struct stap_object {
	const char *path;
	u64 text_bias;		/* link-time address minus offset in the file, of its code */
	struct inode *inode;	/* held; NULL: not there */
};

static struct stap_object stap_objects[];
static const unsigned int stap_object_count;

enum { STAP_MAPPINGS = 4096 };	/* that a search looks at */

static int stap_objects_load(void)
{
	unsigned int i;

	for (i = 0; i < stap_object_count; i++)
		stap_objects[i].inode = stap_inode_of(stap_objects[i].path);
	return 0;
}

static void stap_objects_unload(void)
{
	unsigned int i;

	for (i = 0; i < stap_object_count; i++)
		iput(stap_objects[i].inode);
}

/* How far from its link-time addresses the current process has an object; false where it has it not, or where that can not be asked. */
static noinline bool stap_object_bias(const struct stap_object *object, u64 *bias)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *area;
	unsigned int left = STAP_MAPPINGS;
	bool good = false;
	u64 at = 0;

	if (!mm || !object->inode || in_nmi() || in_hardirq() || irqs_disabled() || !mmap_read_trylock(mm))
		return false;
	while (left-- && (area = find_vma(mm, at))) {
		at = area->vm_end;
		if (!area->vm_file || !(area->vm_flags & VM_EXEC) || file_inode(area->vm_file) != object->inode)
			continue;
		*bias = area->vm_start - ((u64)area->vm_pgoff << PAGE_SHIFT) - object->text_bias;
		good = true;
		break;
	}
	mmap_read_unlock(mm);
	return good;
}

/* Where a link-time address of an object is in the current process. */
static __maybe_unused noinline s64 stap_object_address(struct stap_context *c, u32 number, u64 address)
{
	const struct stap_object *object = &stap_objects[number];
	u64 bias;

	if (c->object && c->object == object->inode)
		return c->object_bias + address;
	if (stap_object_bias(object, &bias))
		return bias + address;
	stap_fail_format(c, 0, "%s is not mapped here", object->path);
	return 0;
}

#endif
