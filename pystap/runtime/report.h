/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report.h: what is told at the end of a session: why hits were skipped and,
 * with -t, how often and how long each probe ran (with STP_ALIBI: was hit). Stands before the engines in
 * the module's table, so that it starts first and stops last. Process context.
 */
#ifndef STAP_REPORT_H
#define STAP_REPORT_H

enum { STAP_REPORT_PROBES = 5 };	/* so many are named without -t */

static const char *const stap_skip_causes[STAP_SKIPS] = {
	[STAP_SKIP_REENTRANT] = "reentrancy",
	[STAP_SKIP_STACK] = "low stack",
	[STAP_SKIP_LOCK] = "lock timeout",
	[STAP_SKIP_KRETPROBE] = "missed kretprobe/1",
	[STAP_SKIP_URETPROBE] = "missed uretprobe",
	[STAP_SKIP_KPROBE] = "missed kprobe",
	[STAP_SKIP_KRETPROBE_KPROBE] = "missed kretprobe/2",
};

/* Why hits of one probe were not served; says whether there were such. `all`: those inside of handlers, too. */
static bool stap_report_skips(const struct stap_probe *probe, bool all, bool tell)
{
	enum stap_skip cause;
	bool any = false;

	for (cause = 0; cause < STAP_SKIPS; cause++) {
		int count = atomic_read(&probe->skipped[cause]);

		if (!count || (!all && stap_skip_by_design(cause)))
			continue;
		any = true;
		if (tell)
			stap_session_message(STAP_ITEM_WARNING, "Skipped due to %s on '%s': %d", stap_skip_causes[cause],
					     probe->point, count);
	}
	return any;
}

static void stap_report_skipped_probes(bool all)
{
	unsigned int i, told = 0;

	for (i = 0; i < stap_probe_count; i++)
		told += stap_report_skips(&stap_probes[i], all, all || told < STAP_REPORT_PROBES);
	if (!all && told > STAP_REPORT_PROBES)
		stap_session_message(STAP_ITEM_WARNING, "Skipped on %u more probes: -t names all", told - STAP_REPORT_PROBES);
}

#ifdef STP_TIMING
/* Sums one probe's cycles up over the CPUs; nothing is armed any more. */
static void stap_report_hits(const struct stap_probe *probe, struct stap_total *total)
{
	const struct stap_cell *cell = &total->cell;
	unsigned int cpu;

	stap_total_clear(total, 0);
	for_each_possible_cpu(cpu)
		stap_stat_merge(total, &per_cpu(stap_contexts, cpu)->timings[probe->index], STAP_STAT_VARIANCE, 0);
	if (cell->count)
		stap_session_message(STAP_ITEM_TEXT,
				     "%s, (%s), hits: %lld, cycles: %lldmin/%lldavg/%lldmax, variance: %lld, from: %s, index: %u\n",
				     probe->point, probe->position, cell->count, cell->minimum,
				     div64_s64(cell->sum, cell->count), cell->maximum,
				     max_t(s64, stap_total_variance(total, 0), 0),
				     probe->derived ? probe->derived : probe->written, probe->index);
}

static void stap_report_timing(void)
{
	struct stap_total *total = kzalloc(sizeof(*total), GFP_KERNEL);
	unsigned int i;

	stap_session_message(STAP_ITEM_TEXT, "----- probe hit report: \n");
	if (!total)
		stap_session_message(STAP_ITEM_WARNING, "there is no memory for the hits of each probe");
	for (i = 0; total && i < stap_probe_count; i++)
		stap_report_hits(&stap_probes[i], total);
	kfree(total);
	if (atomic_read(&stap_skipped_by[STAP_SKIP_STACK]))
		stap_session_message(STAP_ITEM_WARNING, "Skipped due to low stack: %d",
				     atomic_read(&stap_skipped_by[STAP_SKIP_STACK]));
	if (atomic_read(&stap_skipped_by[STAP_SKIP_REENTRANT]))
		stap_session_message(STAP_ITEM_WARNING, "Skipped due to reentrancy: %d",
				     atomic_read(&stap_skipped_by[STAP_SKIP_REENTRANT]));
	stap_report_skipped_probes(true);
	for (i = 0; i < stap_lock_count; i++)
		if (atomic_read(&stap_locks[i]->timeouts))
			stap_session_message(STAP_ITEM_WARNING, "Skipped due to global '%s' lock timeout: %d",
					     stap_locks[i]->name, atomic_read(&stap_locks[i]->timeouts));
}
#elif defined(STP_ALIBI)
static void stap_report_timing(void)
{
	unsigned int i;

	stap_session_message(STAP_ITEM_TEXT, "----- probe hit report: \n");
	for (i = 0; i < stap_probe_count; i++) {
		const struct stap_probe *probe = &stap_probes[i];

		if (atomic_read(&probe->alibi))
			stap_session_message(STAP_ITEM_TEXT, "%s, (%s), hits: %d, from: %s, index: %u\n", probe->point,
					     probe->position, atomic_read(&probe->alibi),
					     probe->derived ? probe->derived : probe->written, probe->index);
	}
	stap_report_skipped_probes(false);
}
#else
static void stap_report_timing(void)
{
	stap_report_skipped_probes(false);
}
#endif

static int stap_report_start(void)
{
	return 0;
}

static void stap_report_stop(void)
{
	if (atomic_read(&stap_skipped_count) > MAXSKIPPED)
		stap_session_message(STAP_ITEM_ERROR,
				     "Skipped too many probes, check MAXSKIPPED or try again with stap -t for more details.");
	stap_report_timing();
}

#endif
