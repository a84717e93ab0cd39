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
};

/* The script's table, in order of priority, then of appearance. */
static const struct stap_begin_site stap_begin_sites[];
static const unsigned int stap_begin_count;

/* A handler that leaves the state (exit(), an error) keeps the rest of its kind from running. */
static void stap_begin_run(enum stap_state when)
{
	unsigned int i;

	for (i = 0; i < stap_begin_count; i++)
		if (stap_begin_sites[i].when == when && stap_state_now() == when)
			stap_run_begin(stap_begin_sites[i].probe, when);
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
