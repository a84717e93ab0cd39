/* SPDX-License-Identifier: GPL-2.0 */
/*
 * map.h: associative arrays: a hash table over nodes that were all allocated
 * at load, with a list in order of insertion. What is between a node's header
 * and its end (keys, value) is the business of generated code (map.h.j2).
 * A caller that changes anything holds the array's write lock; one exception:
 * arrays of statistics gain elements under the read lock, guarded by the
 * array's own `inserting`, while others look up. Any context; bounded by the
 * number of nodes. Allocation only at load.
 */
#ifndef STAP_MAP_H
#define STAP_MAP_H

struct stap_node {
	struct stap_node *chain;	/* of one hash bucket, or the free list */
	struct stap_node *next;		/* in order */
	struct stap_node *previous;
	u32 hash;
	u32 index;			/* in the pool: finds the statistics' cells */
	s64 rank;			/* what statistics are sorted by */
};

struct stap_map {
	u32 size;
	u32 node_bytes;
	u32 cell_bytes;			/* arrays of statistics: one CPU's cell, else 0 */
	bool wrap;
	bool sized;			/* the script gave the size */
	u32 mask;			/* buckets - 1 */
	u32 count;
	struct stap_node **buckets;
	struct stap_node *first;
	struct stap_node *last;
	struct stap_node *free;
	char *pool;
	char **cells;			/* by CPU */
	atomic_t inserting;
};

static struct stap_node *stap_map_node(const struct stap_map *map, u32 index)
{
	return (struct stap_node *)(map->pool + (size_t)index * map->node_bytes);
}

static void stap_map_unload(struct stap_map *map)
{
	unsigned int cpu;

	if (map->cells)
		for_each_possible_cpu(cpu)
			kvfree(map->cells[cpu]);
	kfree(map->cells);
	kvfree(map->buckets);
	kvfree(map->pool);
	map->cells = NULL;
	map->buckets = NULL;
	map->pool = NULL;
}

static int stap_map_load_cells(struct stap_map *map)
{
	unsigned int cpu;

	if (!map->cell_bytes)
		return 0;
	map->cells = kcalloc(nr_cpu_ids, sizeof(*map->cells), GFP_KERNEL);
	if (!map->cells || !stap_memory_fits((u64)map->size * map->cell_bytes * num_possible_cpus()))
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		map->cells[cpu] = stap_memory_take((u64)map->size * map->cell_bytes, cpu_to_node(cpu));
		if (!map->cells[cpu])
			return -ENOMEM;
	}
	return 0;
}

static int stap_map_load(struct stap_map *map)
{
	u64 buckets = roundup_pow_of_two(map->size);
	u32 i;

	if (MAPHASHBIAS >= 0)
		buckets = min_t(u64, buckets << (MAPHASHBIAS & 31), 1ULL << 32);	/* as many as a hash can tell apart */
	else
		buckets = max_t(u64, buckets >> (-(MAPHASHBIAS) & 31), 1);
	map->mask = buckets - 1;
	if (!stap_memory_fits((u64)map->size * map->node_bytes + buckets * sizeof(*map->buckets)))
		return -ENOMEM;
	map->pool = stap_memory_take((u64)map->size * map->node_bytes, NUMA_NO_NODE);
	map->buckets = stap_memory_take(buckets * sizeof(*map->buckets), NUMA_NO_NODE);
	if (!map->pool || !map->buckets || stap_map_load_cells(map)) {
		stap_map_unload(map);
		return -ENOMEM;
	}
	for (i = map->size; i-- > 0;) {
		struct stap_node *node = stap_map_node(map, i);

		node->index = i;
		node->chain = map->free;
		map->free = node;
		if (!(i & 0xffff))
			cond_resched();
	}
	return 0;
}

static __always_inline struct stap_node *stap_map_bucket(const struct stap_map *map, u64 hash)
{
	return READ_ONCE(map->buckets[hash & map->mask]);
}

static __always_inline struct stap_cell *stap_map_cell(const struct stap_map *map, const struct stap_node *node,
						       u32 cpu)
{
	return (struct stap_cell *)(map->cells[cpu] + (size_t)node->index * map->cell_bytes);
}

static void stap_map_clear_cells(struct stap_map *map, const struct stap_node *node)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		memset(stap_map_cell(map, node, cpu), 0, map->cell_bytes);
}

static noinline void stap_map_remove(struct stap_map *map, struct stap_node *node)
{
	struct stap_node **link = &map->buckets[node->hash & map->mask];

	while (*link != node)
		link = &(*link)->chain;
	*link = node->chain;
	if (node->previous)
		node->previous->next = node->next;
	else
		map->first = node->next;
	if (node->next)
		node->next->previous = node->previous;
	else
		map->last = node->previous;
	if (map->cell_bytes)
		stap_map_clear_cells(map, node);
	node->next = NULL;	/* ends a walk that stands on it */
	node->previous = NULL;
	node->chain = map->free;
	map->free = node;
	map->count--;
}

static noinline void stap_map_clear(struct stap_map *map)
{
	while (map->first)
		stap_map_remove(map, map->first);
}

/* A node that is in no bucket and no list; NULL: full. */
static __always_inline struct stap_node *stap_map_take(struct stap_map *map)
{
	struct stap_node *node;

	if (unlikely(!map->free)) {
		if (!map->wrap)
			return NULL;
		stap_map_remove(map, map->first);
	}
	node = map->free;
	map->free = node->chain;
	return node;
}

/* Makes a filled-in node found: last, since readers may walk the bucket. */
static __always_inline void stap_map_add(struct stap_map *map, struct stap_node *node, u64 hash)
{
	struct stap_node **bucket = &map->buckets[hash & map->mask];

	node->hash = hash;
	node->next = NULL;
	node->previous = map->last;
	if (map->last)
		map->last->next = node;
	else
		map->first = node;
	map->last = node;
	map->count++;
	node->chain = *bucket;
	smp_store_release(bucket, node);
}

static noinline __cold void stap_map_full(struct stap_context *c, const struct stap_map *map, stap_mark mark)
{
	if (map->sized)
		stap_fail_format(c, mark, "Array overflow, check size limit (%u)", map->size);
	else
		stap_fail(c, mark, "Array overflow, check MAXMAPENTRIES");
}

/* Guards insertion under the read lock. The holder has preemption off and can not be a handler on this CPU. */
static noinline bool stap_map_guard(struct stap_map *map)
{
	unsigned int tries;

	for (tries = 0; tries < MAXTRYLOCK * 100; tries++) {
		if (atomic_read(&map->inserting) == 0 && atomic_cmpxchg_acquire(&map->inserting, 0, 1) == 0)
			return true;
		udelay(1);
	}
	return false;
}

static void stap_map_unguard(struct stap_map *map)
{
	atomic_set_release(&map->inserting, 0);
}

/* --- sorting: the array's own list, stable ------------------------------------------------------------- */

struct stap_order {
	u32 offset;		/* of what is compared, in a node */
	bool text;
	s32 direction;		/* +1 ascending, -1 descending */
};

static __always_inline bool stap_map_before(const struct stap_node *left, const struct stap_node *right,
					    const struct stap_order *order)
{
	const char *a = (const char *)left + order->offset;
	const char *b = (const char *)right + order->offset;
	int sign;

	if (order->text)
		sign = stap_compare(a, b);
	else
		sign = (*(const s64 *)a > *(const s64 *)b) - (*(const s64 *)a < *(const s64 *)b);
	return sign * order->direction <= 0;
}

static struct stap_node *stap_map_merge(struct stap_node *left, struct stap_node *right, const struct stap_order *order)
{
	struct stap_node *merged = NULL, **end = &merged;

	while (left && right) {
		struct stap_node **from = stap_map_before(left, right, order) ? &left : &right;

		*end = *from;
		end = &(*from)->next;
		*from = (*from)->next;
	}
	*end = left ? left : right;
	return merged;
}

/* Merge sort from below: `runs[i]` is a sorted run of 2^i nodes. */
static noinline void stap_map_sort(struct stap_map *map, const struct stap_order order)
{
	struct stap_node *runs[32] = { NULL }, *node = map->first, *next, *sorted = NULL;
	u32 i;

	while (node) {
		next = node->next;
		node->next = NULL;
		for (i = 0; i < ARRAY_SIZE(runs) - 1 && runs[i]; i++) {
			node = stap_map_merge(runs[i], node, &order);
			runs[i] = NULL;
		}
		runs[i] = runs[i] ? stap_map_merge(runs[i], node, &order) : node;
		node = next;
	}
	for (i = 0; i < ARRAY_SIZE(runs); i++)
		if (runs[i])
			sorted = sorted ? stap_map_merge(runs[i], sorted, &order) : runs[i];
	map->first = sorted;
	map->last = NULL;
	for (node = sorted; node; node = node->next) {
		node->previous = map->last;
		map->last = node;
	}
}

#endif
