/* SPDX-License-Identifier: GPL-2.0 */
/*
 * builds.h: modules of another build than the script was compiled for. The
 * runner compares those that are there before it inserts us; here those that
 * come later are, before anything in them is armed or read: a module of another
 * build is as if it had not come, and a warning names both. Process context,
 * in the module's own insertion; reads its read-only data once, a page at a time.
 *
 *	stap_build_refused(name)	whether the module of that name is of another build
 *	stap_build_warn(name)		says which, while the session runs
 */
#ifndef STAP_BUILDS_H
#define STAP_BUILDS_H

#include <linux/module.h>

enum { STAP_BUILD_BYTES = 20, STAP_BUILD_TYPE = 3 };	/* sha1, as linkers make it for kernels */
enum { STAP_BUILD_TEXT = 2 * STAP_BUILD_BYTES + 1 };

struct stap_build {
	const char *module;
	const char *id;		/* in hexadecimal */
	char found[STAP_BUILD_TEXT];
	bool refused;
};

static struct stap_build stap_builds[];
static const unsigned int stap_build_count;

/* A build-id as it lies in memory. */
struct stap_build_note {
	u32 name_size, size, type;
	char name[4];
	u8 id[STAP_BUILD_BYTES];
};

/*
 * Where the kernel keeps a module's notes it tells after the module has come, so they are looked for. Data may look
 * like a note: a module is another's build if none of those that it has is the wanted one. The last one is `found`.
 */
static bool stap_build_fits(const struct module *module, const char *wanted, char *found)
{
	static const struct stap_build_note head = { 4, STAP_BUILD_BYTES, STAP_BUILD_TYPE, "GNU" };
	const struct stap_build_note *note;
	unsigned long at, end;

	found[0] = 0;
	stap_module_constants(module, &at, &end);
	for (; at + sizeof(*note) <= end; at += sizeof(u32)) {
		if (!(at & (PAGE_SIZE - 1)))
			cond_resched();
		note = (const struct stap_build_note *)at;
		if (note->name_size != head.name_size || memcmp(note, &head, offsetof(struct stap_build_note, id)))
			continue;
		*bin2hex(found, note->id, STAP_BUILD_BYTES) = 0;
		if (!strcmp(found, wanted))
			return true;
	}
	return !found[0];
}

static int stap_builds_module_event(struct notifier_block *self, unsigned long event, void *data)
{
	const struct module *module = data;
	unsigned int i;

	for (i = 0; i < stap_build_count; i++) {
		if (strcmp(stap_builds[i].module, module->name))
			continue;
		if (event == MODULE_STATE_COMING)
			WRITE_ONCE(stap_builds[i].refused,
				   !stap_build_fits(module, stap_builds[i].id, stap_builds[i].found));
		else if (event == MODULE_STATE_GOING)
			WRITE_ONCE(stap_builds[i].refused, false);
	}
	return NOTIFY_DONE;
}

/* Before those of symbols and engines. */
static struct notifier_block stap_builds_notifier = {
	.notifier_call = stap_builds_module_event,
	.priority = 2,
};

static int stap_builds_load(void)
{
	return register_module_notifier(&stap_builds_notifier);
}

static void stap_builds_unload(void)
{
	unregister_module_notifier(&stap_builds_notifier);
}

static struct stap_build *stap_build_of(const char *module)
{
	unsigned int i;

	for (i = 0; i < stap_build_count; i++)
		if (!strcmp(stap_builds[i].module, module))
			return &stap_builds[i];
	return NULL;
}

static bool stap_build_refused(const char *module)
{
	const struct stap_build *build = stap_build_of(module);

	return build && READ_ONCE(build->refused);
}

static __maybe_unused void stap_build_warn(const char *module)
{
	const struct stap_build *build = stap_build_of(module);

	stap_session_message(STAP_ITEM_WARNING, "Build-id mismatch: the module %s that was loaded is %s, and the script "
			     "was compiled for %s: its probes are not armed", module, build->found, build->id);
}

#endif
