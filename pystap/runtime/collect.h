/* SPDX-License-Identifier: GPL-2.0 */
/*
 * collect.h: sums statistics up over the CPUs into the context's total, ranks
 * arrays of them for sorting, and prints histograms. The caller holds the
 * global's write lock, or is a begin, end or error probe. Any context; bounded
 * by CPUs, buckets and elements.
 */
#ifndef STAP_COLLECT_H
#define STAP_COLLECT_H

enum stap_rank {
	STAP_RANK_COUNT,
	STAP_RANK_SUM,
	STAP_RANK_MIN,
	STAP_RANK_MAX,
	STAP_RANK_AVG,
	STAP_RANK_VARIANCE = STAP_RANK_COUNT,	/* sorts by count, as it always has */
};

/* A scalar statistic: `offset` is its place in every CPU's context. */
static __maybe_unused noinline void stap_collect(struct stap_context *c, size_t offset, u32 parts, u32 buckets)
{
	unsigned int cpu;

	stap_total_clear(&c->total, buckets);
	for_each_possible_cpu(cpu)
		stap_stat_merge(&c->total, (struct stap_cell *)((char *)per_cpu(stap_contexts, cpu) + offset), parts,
				buckets);
}

static __maybe_unused void stap_collect_clear(size_t offset, u32 buckets)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		memset((char *)per_cpu(stap_contexts, cpu) + offset, 0,
		       sizeof(struct stap_cell) + buckets * sizeof(s64));
}

/* An element of an array of statistics, or NULL: nothing was ever added to it. */
static __maybe_unused noinline void stap_map_collect(struct stap_context *c, const struct stap_map *map,
						     const struct stap_node *node, u32 parts, u32 buckets)
{
	unsigned int cpu;

	stap_total_clear(&c->total, buckets);
	if (!node)
		return;
	for_each_possible_cpu(cpu)
		stap_stat_merge(&c->total, stap_map_cell(map, node, cpu), parts, buckets);
}

static s64 stap_rank_of(const struct stap_cell *cell, enum stap_rank by)
{
	switch (by) {
	case STAP_RANK_SUM:
		return cell->sum;
	case STAP_RANK_MIN:
		return cell->minimum;
	case STAP_RANK_MAX:
		return cell->maximum;
	case STAP_RANK_AVG:
		return cell->count ? cell->sum / cell->count : 0;
	default:
		return cell->count;
	}
}

/* Gives every element the number that it is sorted by. */
static __maybe_unused noinline void stap_map_rank(struct stap_context *c, struct stap_map *map, u32 parts,
						  enum stap_rank by)
{
	struct stap_node *node;

	for (node = map->first; node; node = node->next) {
		stap_map_collect(c, map, node, parts, 0);
		node->rank = stap_rank_of(&c->total.cell, by);
	}
}

static __maybe_unused noinline void stap_print_histogram(struct stap_context *c, enum stap_histogram_type type,
							 s64 low, s64 high, s64 step, u32 buckets)
{
	char *at = stap_print_start(c, STAP_ITEM_HISTOGRAM, type);
	struct stap_histogram *histogram = (struct stap_histogram *)at;

	histogram->low = low;
	histogram->high = high;
	histogram->step = step;
	histogram->buckets = buckets;
	histogram->width = HIST_WIDTH;
	histogram->elision = HIST_ELISION + 1;
	memcpy(histogram->counts, c->total.buckets, buckets * sizeof(s64));
	stap_print_end(c, at + sizeof(*histogram) + buckets * sizeof(s64));
}

#endif
