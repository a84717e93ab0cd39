/* SPDX-License-Identifier: GPL-2.0 */
/*
 * seen.h: which files processes had where, as far as probes have seen it, so
 * that an address keeps its name when its process has ended or another one
 * asks. A table of fixed size, where what is new takes the place of what was
 * not met for longest; files that the script does not know have their names in
 * a second one, which only grows. Any context: the lock is tried, never waited
 * for; what can not be had now is not recorded, or not found.
 */
#ifndef STAP_SEEN_H
#define STAP_SEEN_H

#include <linux/hash.h>

enum { STAP_SEEN_BITS = 8, STAP_SEEN_WAYS = 8, STAP_SEEN_NAMES = 64, STAP_SEEN_NAME = 128, STAP_SEEN_TRIES = 1000 };

struct stap_seen {
	u64 start, end;
	const struct inode *inode;	/* compared, never used */
	const struct stap_object *object;
	const char *name;		/* NULL: the object's */
	u32 age;
};

struct stap_seen_name {
	const struct inode *inode;
	char text[STAP_SEEN_NAME];
};

static struct stap_seen stap_seen[1 << STAP_SEEN_BITS][STAP_SEEN_WAYS];
static struct stap_seen_name stap_seen_names[STAP_SEEN_NAMES];
static u32 stap_seen_name_count, stap_seen_clock;
static DEFINE_RAW_SPINLOCK(stap_seen_lock);

static inline struct stap_seen *stap_seen_bucket(u64 start)
{
	return stap_seen[hash_64(start, STAP_SEEN_BITS)];
}

/* Whether that file was seen there. */
static inline bool stap_seen_has(const struct inode *inode, u64 start)
{
	const struct stap_seen *bucket = stap_seen_bucket(start);
	unsigned int k;

	for (k = 0; k < STAP_SEEN_WAYS; k++)
		if (READ_ONCE(bucket[k].start) == start && READ_ONCE(bucket[k].inode) == inode)
			return true;
	return false;
}

static const char *stap_seen_name_of(const struct inode *inode, const char *text)
{
	struct stap_seen_name *name;
	u32 k;

	for (k = 0; k < stap_seen_name_count; k++)
		if (stap_seen_names[k].inode == inode && !strcmp(stap_seen_names[k].text, text))
			return stap_seen_names[k].text;
	if (stap_seen_name_count == STAP_SEEN_NAMES || strlen(text) >= STAP_SEEN_NAME)
		return "?";
	name = &stap_seen_names[stap_seen_name_count++];
	name->inode = inode;
	strscpy(name->text, text, sizeof(name->text));
	return name->text;
}

static noinline void stap_seen_add(const struct inode *inode, u64 start, u64 end, const struct stap_object *object,
				   const char *name)
{
	struct stap_seen *bucket = stap_seen_bucket(start), *place = bucket;
	unsigned long flags;
	unsigned int k;

	if (!raw_spin_trylock_irqsave(&stap_seen_lock, flags))
		return;
	for (k = 0; k < STAP_SEEN_WAYS; k++) {
		if (bucket[k].start == start && bucket[k].inode == inode) {
			place = &bucket[k];
			break;
		}
		if (!bucket[k].inode || (place->inode && (s32)(bucket[k].age - place->age) < 0))
			place = &bucket[k];
	}
	*place = (struct stap_seen){ .start = start, .end = end, .inode = inode, .object = object,
				     .name = object ? NULL : stap_seen_name_of(inode, name), .age = ++stap_seen_clock };
	raw_spin_unlock_irqrestore(&stap_seen_lock, flags);
}

/* What was seen last around an address. */
static noinline bool stap_seen_find(u64 address, struct stap_seen *found)
{
	const struct stap_seen *at = stap_seen[0], *end = at + (STAP_SEEN_WAYS << STAP_SEEN_BITS);
	unsigned int tries = STAP_SEEN_TRIES;
	unsigned long flags;

	found->inode = NULL;
	while (!raw_spin_trylock_irqsave(&stap_seen_lock, flags)) {
		if (!--tries)
			return false;
		cpu_relax();
	}
	for (; at < end; at++)
		if (at->inode && address >= at->start && address < at->end &&
		    (!found->inode || (s32)(at->age - found->age) > 0))
			*found = *at;
	raw_spin_unlock_irqrestore(&stap_seen_lock, flags);
	return found->inode;
}

#endif
