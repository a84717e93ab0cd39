/* SPDX-License-Identifier: GPL-2.0 */
/*
 * map_load.h: allocates and frees all arrays of the module, stap_maps[].
 * Process context at load and unload; may sleep.
 */
#ifndef STAP_MAP_LOAD_H
#define STAP_MAP_LOAD_H

static void stap_maps_unload(void)
{
	unsigned int i;

	for (i = 0; i < stap_map_count; i++)
		stap_map_unload(stap_maps[i]);
}

static int stap_maps_load(void)
{
	unsigned int i;

	for (i = 0; i < stap_map_count; i++) {
		if (stap_map_load(stap_maps[i])) {
			stap_maps_unload();
			return -ENOMEM;
		}
	}
	return 0;
}

#endif
