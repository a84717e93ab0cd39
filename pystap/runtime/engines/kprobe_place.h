/* SPDX-License-Identifier: GPL-2.0 */
/*
 * kprobe_place.h: where a site of the table is in this kernel.
 * An address is used only if the expected symbol lies there; 0 is for the kernel
 * to look up by name. Process context, under the engine's mutex; may sleep.
 */
#ifndef STAP_ENGINE_KPROBE_PLACE_H
#define STAP_ENGINE_KPROBE_PLACE_H

/* Whether a symbol begins at an address: it does not in another kernel, or where a symbol has several names. */
static bool stap_kprobe_is_at(const struct stap_kprobe_site *site, unsigned long address)
{
	size_t length = strlen(site->symbol);
	char name[KSYM_SYMBOL_LEN];

	sprint_symbol(name, address);
	return !strncmp(name, site->symbol, length) && !strncmp(name + length, "+0x0/", 5) &&
	       (!site->module || strstr(name + length, site->module));
}

/* Where sections of a module lie, as far as sites that the kernel looked up have shown. */
struct stap_kprobe_bases {
	unsigned long at[4];
	unsigned int count;
};

static unsigned long stap_kprobe_in_module(const struct stap_kprobe_site *site, const struct stap_kprobe_bases *bases)
{
	unsigned int i;

	for (i = 0; i < bases->count; i++)
		if (stap_kprobe_is_at(site, bases->at[i] + site->place))
			return bases->at[i] + site->place;
	return 0;
}

/* The address of a site's symbol, or 0 when the kernel has to look for it by name. */
static unsigned long stap_kprobe_address(const struct stap_kprobe_site *site, const struct stap_kprobe_bases *bases)
{
	unsigned long address;

	switch (site->kind) {
	case STAP_PLACE_ADDRESS:
		return site->place;
	case STAP_PLACE_DISTANCE:
		address = (unsigned long)sprint_symbol + site->place;
		return stap_kprobe_is_at(site, address) ? address : 0;
	case STAP_PLACE_MODULE:
		return stap_kprobe_in_module(site, bases);
	default:
		return 0;
	}
}

/* A module that is being inserted has no folder yet, but its symbols are known, and who listened when it came was told. */
static bool stap_kprobe_is_known(const char *name)
{
	struct kprobe kprobe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };

	if (register_kprobe(&kprobe))
		return false;
	unregister_kprobe(&kprobe);
	return true;
}

static bool stap_module_loaded(const char *name)
{
	char file[16 + MODULE_NAME_LEN];
	struct path path;

	snprintf(file, sizeof(file), "/sys/module/%s", name);
	if (kern_path(file, LOOKUP_FOLLOW, &path))
		return false;
	path_put(&path);
	return true;
}

#endif
