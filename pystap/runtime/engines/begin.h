/* SPDX-License-Identifier: GPL-2.0 */
/*
 * begin.h: begin, end and error probes.
 * First of the engines: it starts first, so begin probes run before anything
 * is armed, and stops last, so end (or error) probes run when nothing is armed
 * any more. Handlers run in the runner's process context and may sleep.
 */
#ifndef STAP_ENGINE_BEGIN_H
#define STAP_ENGINE_BEGIN_H

struct stap_begin_site {
	struct stap_probe *probe;
	enum stap_state when;	/* STARTING: begin; STOPPING: end; ERROR: error */
	s64 priority;
};

/* The script's table, in order of priority, then of appearance. */
static const struct stap_begin_site stap_begin_sites[];
static const unsigned int stap_begin_count;

/*
 * An error keeps the rest from running; exit() in a begin probe keeps those of
 * later priorities from running: SystemTap runs one priority as one probe.
 */
static void stap_begin_run(enum stap_state when)
{
	const struct stap_begin_site *site = stap_begin_sites, *end = site + stap_begin_count;
	s64 priority = 0;
	bool any = false;

	for (; site < end; site++) {
		enum stap_state now = stap_state_now();
		bool exiting = when == STAP_STATE_STARTING && now == STAP_STATE_STOPPING;

		if (site->when != when || !(now == when || (exiting && any && site->priority == priority)))
			continue;
		any = true;
		priority = site->priority;
		stap_run_begin(site->probe, now);
	}
}

static int stap_begin_start(void)
{
	stap_begin_run(STAP_STATE_STARTING);
	return 0;
}

static void stap_begin_stop(void)
{
	stap_begin_run(STAP_STATE_STOPPING);
	stap_begin_run(STAP_STATE_ERROR);
}

#endif
