/* SPDX-License-Identifier: GPL-2.0 */
/*
 * report.h: what is told at the end of a session: why hits were skipped and,
 * with -t, how often and how long each probe ran. Stands before the engines in
 * the module's table, so that it starts first and stops last. Process context.
 */
#ifndef STAP_REPORT_H
#define STAP_REPORT_H

#ifdef STP_TIMING
static void stap_report_skips(const struct stap_probe *probe)
{
	static const char *const causes[STAP_SKIPS] = { "reentrancy", "low stack", "lock timeout", "missed probe" };
	unsigned int cause;

	for (cause = 0; cause < STAP_SKIPS; cause++)
		if (atomic_read(&probe->skipped[cause]))
			stap_session_message(STAP_ITEM_WARNING, "Skipped due to %s on '%s': %d", causes[cause],
					     probe->point, atomic_read(&probe->skipped[cause]));
}

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
	for (i = 0; i < stap_probe_count; i++)
		stap_report_skips(&stap_probes[i]);
	for (i = 0; i < stap_lock_count; i++)
		if (atomic_read(&stap_locks[i]->timeouts))
			stap_session_message(STAP_ITEM_WARNING, "Skipped due to global '%s' lock timeout: %d",
					     stap_locks[i]->name, atomic_read(&stap_locks[i]->timeouts));
}
#else
static void stap_report_timing(void)
{
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
