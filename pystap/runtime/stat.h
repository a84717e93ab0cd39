/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stat.h: statistics: count, sum, minimum, maximum, variance, histograms.
 * Each CPU adds to a cell of its own, which needs no lock; a reader sums the
 * cells up while no handler adds (it holds the global's write lock), or takes
 * what it finds. Pure but for the walk over CPUs; any context.
 */
#ifndef STAP_STAT_H
#define STAP_STAT_H

struct stap_cell {
	s64 count;
	s64 sum;
	s64 minimum;
	s64 maximum;
	s64 mean;		/* shifted; as it runs, after Welford */
	s64 deviation;		/* sum of squares of differences from the mean, shifted twice */
};

enum stap_stat_part {
	STAP_STAT_SUM = 1,
	STAP_STAT_RANGE = 2,
	STAP_STAT_VARIANCE = 4,
};

enum {
	STAP_LOG_BUCKETS = 128,
	STAP_LOG_ZERO = 64,
};

/* How a statistic is kept: a constant in the generated code, so that what is not kept costs nothing. */
struct stap_stat_kind {
	u32 parts;
	u32 shift;
	u32 buckets;		/* 0: no histogram */
	bool linear;
	s64 low;
	s64 high;
	s64 step;
};

/* A statistic summed up over the CPUs. */
struct stap_total {
	struct stap_cell cell;
	s64 buckets[STAP_BUCKETS];
};

static __always_inline u32 stap_bucket(const struct stap_stat_kind *kind, s64 value)
{
	if (!kind->linear) {
		if (value < 0)
			return STAP_LOG_ZERO - fls64(0 - (u64)value);
		return STAP_LOG_ZERO + fls64(value);
	}
	if (value < kind->low)
		return 0;
	if (value > kind->high)
		return kind->buckets - 1;
	return 1 + (u64)(value - kind->low) / (u64)kind->step;
}

static __always_inline void stap_stat_add(struct stap_cell *cell, const struct stap_stat_kind kind, s64 value)
{
	s64 *buckets = (s64 *)(cell + 1);

	if (kind.parts & STAP_STAT_RANGE) {
		if (cell->count == 0) {
			cell->minimum = value;
			cell->maximum = value;
		} else if (value > cell->maximum) {
			cell->maximum = value;
		} else if (value < cell->minimum) {
			cell->minimum = value;
		}
	}
	cell->count++;
	if (kind.parts & STAP_STAT_SUM)
		cell->sum += value;
	if (kind.parts & STAP_STAT_VARIANCE) {
		s64 scaled = (s64)((u64)value << kind.shift);
		s64 delta = scaled - cell->mean;

		cell->mean += delta / cell->count;
		cell->deviation += delta * (scaled - cell->mean);
	}
	if (kind.buckets)
		buckets[stap_bucket(&kind, value)]++;
}

/* The parallel form of the running variance (Chan et al. 1979). */
static void stap_stat_merge_variance(struct stap_cell *to, const struct stap_cell *from)
{
	s64 count = to->count + from->count;
	s64 delta = from->mean - to->mean;

	if (!to->count) {
		to->mean = from->mean;
		to->deviation = from->deviation;
		return;
	}
	to->deviation += from->deviation + delta * delta / count * to->count * from->count;
	to->mean += delta * from->count / count;
}

static noinline void stap_stat_merge(struct stap_total *to, const struct stap_cell *from, u32 parts, u32 buckets)
{
	const s64 *counts = (const s64 *)(from + 1);
	u32 i;

	if (!from->count)
		return;
	if (parts & STAP_STAT_VARIANCE)
		stap_stat_merge_variance(&to->cell, from);
	if (!to->cell.count || from->minimum < to->cell.minimum)
		to->cell.minimum = from->minimum;
	if (!to->cell.count || from->maximum > to->cell.maximum)
		to->cell.maximum = from->maximum;
	to->cell.count += from->count;
	to->cell.sum += from->sum;
	for (i = 0; i < buckets; i++)
		to->buckets[i] += counts[i];
}

static void stap_total_clear(struct stap_total *total, u32 buckets)
{
	memset(&total->cell, 0, sizeof(total->cell));
	memset(total->buckets, 0, buckets * sizeof(s64));
}

static s64 stap_total_variance(const struct stap_total *total, u32 shift)
{
	if (total->cell.count < 2)
		return -1;
	return (total->cell.deviation / (total->cell.count - 1)) >> (2 * shift);
}

#endif
