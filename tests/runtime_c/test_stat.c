/* stat.h: buckets, sums over CPUs, and the integer variance. */
#define STAP_BUCKETS 128
#include "test.h"

struct stat { struct stap_cell cell; s64 buckets[128]; };

static void buckets(void)
{
	const struct stap_stat_kind log = { .buckets = 128 };
	const struct stap_stat_kind linear = { .buckets = 7, .linear = true, .low = 0, .high = 40, .step = 10 };
	const struct stap_stat_kind wide = { .buckets = 4, .linear = true, .low = -9223372036854775807LL - 1,
					     .high = 9223372036854775807LL, .step = 9223372036854775807LL };

	CHECK(stap_bucket(&log, 0) == 64);
	CHECK(stap_bucket(&log, 1) == 65 && stap_bucket(&log, 2) == 66 && stap_bucket(&log, 3) == 66);
	CHECK(stap_bucket(&log, -1) == 63 && stap_bucket(&log, -2) == 62 && stap_bucket(&log, -4) == 61);
	CHECK(stap_bucket(&log, 9223372036854775807LL) == 127);
	CHECK(stap_bucket(&log, -9223372036854775807LL - 1) == 0);
	CHECK(stap_bucket(&linear, -1) == 0 && stap_bucket(&linear, 0) == 1 && stap_bucket(&linear, 9) == 1);
	CHECK(stap_bucket(&linear, 40) == 5 && stap_bucket(&linear, 41) == 6);
	CHECK(stap_bucket(&wide, 9223372036854775807LL) < 4);
}

static void sums(void)
{
	const struct stap_stat_kind kind = { .parts = STAP_STAT_SUM | STAP_STAT_RANGE | STAP_STAT_VARIANCE, .shift = 3,
					     .buckets = 128 };
	static const s64 values[] = { 2, 4, 4, 4, 5, 5, 7, 9 };
	struct stat one = { .cell = { 0 } }, two = { .cell = { 0 } };
	struct stap_total total = { .cell = { 0 } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(values); i++)
		stap_stat_add(&one.cell, kind, values[i]);
	stap_stat_merge(&total, &one.cell, kind.parts, 128);
	CHECK(stap_total_variance(&total, 3) == 5);	/* as stap 5.6 says */
	stap_stat_merge(&total, &two.cell, kind.parts, 128);	/* a CPU that saw nothing changes nothing */
	CHECK(total.cell.count == 8 && total.cell.minimum == 2 && total.cell.sum == 40);
	stap_stat_add(&two.cell, kind, -100);
	stap_stat_merge(&total, &two.cell, kind.parts, 128);
	CHECK(total.cell.count == 9 && total.cell.minimum == -100 && total.cell.maximum == 9);
	CHECK(total.buckets[64 - 7] == 1 && total.buckets[64 + 3] == 6);
}

static void collected(void)
{
	struct stap_context *c;

	CHECK(!stap_contexts_load());
	c = per_cpu(stap_contexts, 0);
	stap_collect(c, offsetof(struct stap_context, total), 0, 0);	/* any place will do */
	CHECK(c->total.cell.count == 0);
	stap_contexts_unload();
}

int main(void)
{
	buckets();
	sums();
	collected();
	return 0;
}
