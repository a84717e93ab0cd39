/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hotplug.h: for engines that have something on each CPU: what to do when one
 * comes and goes. The callbacks run on that CPU, in its own thread, while
 * cpus_read_lock() keeps others out; they may sleep. The kernel has places for
 * some dozens of callbacks: who gets none serves the CPUs that were there at
 * the start.
 */
#ifndef STAP_ENGINE_HOTPLUG_H
#define STAP_ENGINE_HOTPLUG_H

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>

/* What stap_hotplug_stop() takes. CPUs that are online now are the caller's. */
static int stap_hotplug_start(int (*up)(unsigned int cpu), int (*down)(unsigned int cpu))
{
	return cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "systemtap:online", up, down);
}

static void stap_hotplug_stop(int state)
{
	if (state > 0)
		cpuhp_remove_state_nocalls(state);
}

#endif
