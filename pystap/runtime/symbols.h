/* SPDX-License-Identifier: GPL-2.0 */
/*
 * symbols.h: addresses of kernel and module symbols, and the names of
 * addresses. Lookups by address may run in any context (the kernel's own
 * sprint_symbol() does not lock); lookups by name run when the session loads
 * and when a module does, through the address of kallsyms_lookup_name(),
 * which a kprobe tells.
 *
 * For tapsets (pragma:symbols):
 *	stap_symbol_find(c, address, &found)	found.name .module .offset .size
 *	stap_symbol_put(c, address, to)		"vfs_read+0x0/0x310 [kernel]", or the
 *						address where nothing is known
 */
#ifndef STAP_SYMBOLS_H
#define STAP_SYMBOLS_H

#include <linux/kallsyms.h>
#include <linux/kprobes.h>

struct stap_symbol {
	const char *module;	/* NULL: the kernel */
	const char *name;
	unsigned long address;	/* 0: not there */
};

static struct stap_symbol stap_symbols[];
static const unsigned int stap_symbol_count;
static DEFINE_MUTEX(stap_symbols_mutex);	/* of those who write addresses; readers take none */
static unsigned long (*stap_kallsyms_lookup_name)(const char *name);

struct stap_symbol_found {
	char *name;
	const char *module;	/* "kernel" for the kernel itself */
	u64 offset;
	u64 size;
};

/* Where the kernel does not export its lookup, a probe on it still learns its address. */
static void *stap_kallsyms_find(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	void *address;

	if (register_kprobe(&probe) < 0)
		return NULL;
	address = probe.addr;
	unregister_kprobe(&probe);
	return address;
}

static unsigned long stap_symbol_lookup(const char *module, const char *name)
{
	char full[MODULE_NAME_LEN + KSYM_NAME_LEN + 2];

	if (!stap_kallsyms_lookup_name)
		return 0;
	if (!module)
		return stap_kallsyms_lookup_name(name);
	snprintf(full, sizeof(full), "%s:%s", module, name);
	return stap_kallsyms_lookup_name(full);
}

/* A module that is loaded later brings its symbols; one that goes takes them along. Before its probes are armed. */
static int stap_symbols_module_event(struct notifier_block *self, unsigned long event, void *data)
{
	const struct module *module = data;
	unsigned int i;

	if (event != MODULE_STATE_COMING && event != MODULE_STATE_GOING)
		return NOTIFY_DONE;
	mutex_lock(&stap_symbols_mutex);
	for (i = 0; i < stap_symbol_count; i++) {
		struct stap_symbol *symbol = &stap_symbols[i];

		if (symbol->module && !strcmp(symbol->module, module->name))
			WRITE_ONCE(symbol->address, event == MODULE_STATE_COMING && !stap_build_refused(module->name) ?
				   stap_symbol_lookup(symbol->module, symbol->name) : 0);
	}
	mutex_unlock(&stap_symbols_mutex);
	return NOTIFY_DONE;
}

static struct notifier_block stap_symbols_notifier = {
	.notifier_call = stap_symbols_module_event,
	.priority = 1,
};
static bool stap_symbols_of_modules;

/* All that may be there already; modules that come or go meanwhile have their turn afterwards. */
static void stap_symbols_look_up(void)
{
	unsigned int i;

	mutex_lock(&stap_symbols_mutex);
	for (i = 0; i < stap_symbol_count; i++)
		stap_symbols[i].address = stap_symbol_lookup(stap_symbols[i].module, stap_symbols[i].name);
	mutex_unlock(&stap_symbols_mutex);
}

static int stap_symbols_load(void)
{
	unsigned int i;

	stap_kallsyms_lookup_name = stap_kallsyms_find();
	for (i = 0; i < stap_symbol_count; i++)
		stap_symbols_of_modules |= stap_symbols[i].module != NULL;
	if (stap_symbols_of_modules && register_module_notifier(&stap_symbols_notifier) < 0)
		stap_symbols_of_modules = false;
	stap_symbols_look_up();
	return 0;
}

static void stap_symbols_unload(void)
{
	if (stap_symbols_of_modules)
		unregister_module_notifier(&stap_symbols_notifier);
	stap_symbols_of_modules = false;
}

/* A symbol that generated code names by its number. */
static __maybe_unused s64 stap_symbol_address(struct stap_context *c, u32 number)
{
	const struct stap_symbol *symbol = &stap_symbols[number];
	unsigned long address = READ_ONCE(symbol->address);

	if (unlikely(!address))
		stap_fail_format(c, 0, "the symbol %s of %s is not there", symbol->name,
				 symbol->module ? symbol->module : "the kernel");
	return address;
}

/* Takes "name+0x12/0x34 [module]" apart. */
static noinline bool stap_symbol_find(struct stap_context *c, u64 address, struct stap_symbol_found *found)
{
	char *at, *end;

	if (!stap_kernel_range(address, 1))
		return false;
	sprint_symbol(c->symbol, address);
	at = strstr(c->symbol, "+0x");
	if (!at || at == c->symbol)
		return false;
	*at = 0;
	found->name = c->symbol;
	found->offset = simple_strtoull(at + 1, &end, 16);
	found->size = *end == '/' ? simple_strtoull(end + 1, &end, 16) : 0;
	found->module = "kernel";
	at = strchr(end, '[');
	if (at) {
		found->module = at + 1;
		at[1 + strcspn(at + 1, " ]")] = 0;
	}
	return true;
}

static __maybe_unused void stap_symbol_put(struct stap_context *c, u64 address, char *to)
{
	struct stap_symbol_found found;

	if (stap_symbol_find(c, address, &found))
		snprintf(to, MAXSTRINGLEN, "%s+0x%llx/0x%llx [%s]", found.name, found.offset, found.size, found.module);
	else
		snprintf(to, MAXSTRINGLEN, "0x%llx", address);
}

#endif
