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

static void stap_report_hits(const struct stap_probe *probe)
{
	s64 hits = atomic64_read(&probe->hits);

	if (hits)
		stap_session_message(STAP_ITEM_TEXT,
				     "%s, (%s), hits: %lld, cycles: %lldmin/%lldavg/%lldmax, from: %s, index: %u\n",
				     probe->point, probe->position, hits, (s64)atomic64_read(&probe->cycles_min),
				     div64_s64(atomic64_read(&probe->cycles), hits),
				     (s64)atomic64_read(&probe->cycles_max), probe->written, probe->index);
}

static void stap_report_timing(void)
{
	unsigned int i;

	stap_session_message(STAP_ITEM_TEXT, "----- probe hit report: \n");
	for (i = 0; i < stap_probe_count; i++)
		stap_report_hits(&stap_probes[i]);
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
