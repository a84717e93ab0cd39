/* SPDX-License-Identifier: GPL-2.0 */
/*
 * tapset.h: what several tapset files share: escaping text, taking probe
 * points apart. Included by the files that need it. Pure but for CONTEXT's
 * scratch buffer; any context; loops bounded by MAXSTRINGLEN.
 */
#ifndef STAP_TAPSET_H
#define STAP_TAPSET_H

#include <linux/ctype.h>

/* One byte as printable text of at most 4 characters; returns how many. */
static inline u32 stap_text_byte(char *to, u8 byte, bool quoted)
{
	static const char letters[] = "abtnvfr";	/* \a is 7, and so on */

	if (byte == '\\' || (byte == '"' && quoted)) {
		to[0] = '\\';
		to[1] = byte;
		return 2;
	}
	if (byte >= ' ' && byte < 0x7f) {
		to[0] = byte;
		return 1;
	}
	to[0] = '\\';
	if (byte >= 7 && byte <= 13) {
		to[1] = letters[byte - 7];
		return 2;
	}
	to[1] = '0' + (byte >> 6);
	to[2] = '0' + ((byte >> 3) & 7);
	to[3] = '0' + (byte & 7);
	return 4;
}

/*
 * Escapes `length` bytes of `from` (to its NUL, unless `binary`) into at most
 * `limit` bytes of `to` (0: a whole string's), quotes and the "..." that says
 * that something is missing included.
 */
static noinline void stap_text_bytes(char *to, s64 limit, const char *from, u32 length, bool quoted, bool binary)
{
	u32 size = limit > 0 && limit < MAXSTRINGLEN ? limit : MAXSTRINGLEN - 1;
	u32 used = 0, cut = 0, at;
	char part[4];

	if (quoted)
		to[used++] = '"';
	cut = used;
	for (at = 0; at < length && (binary || from[at]); at++) {
		u32 count = stap_text_byte(part, from[at], quoted);

		if (used + count + quoted > size)
			break;
		memcpy(to + used, part, count);
		used += count;
		if (used + quoted + 3 <= size)
			cut = used;
	}
	if (at < length && (binary || from[at])) {
		used = cut;
		if (quoted)
			to[used++] = '"';
		for (at = 0; at < 3 && used < size; at++)
			to[used++] = '.';
	} else if (quoted) {
		to[used++] = '"';
	}
	to[used] = '\0';
}

static inline void stap_text(char *to, s64 limit, const char *from, bool quoted)
{
	stap_text_bytes(to, limit, from, MAXSTRINGLEN, quoted, false);
}

/* The name in a point's function("NAME@file:line"), statement(...) or callee(...) component, else "". */
static noinline void stap_point_function(char *to, const char *point)
{
	static const char *const components[] = {
		".callee(\"", ".function(\"", ".statement(\"",
	};
	const char *at = NULL;
	size_t length = 0;
	u32 k;

	for (k = 0; k < ARRAY_SIZE(components) && !at; k++) {
		at = strstr(point, components[k]);
		if (at)
			at += strlen(components[k]);
	}
	if (at) {
		length = min_t(size_t, strcspn(at, "@\"+"), MAXSTRINGLEN - 1);
		memcpy(to, at, length);
	}
	to[length] = '\0';
}

/* The mechanism that a point is armed with. */
static noinline const char *stap_point_mechanism(const char *point)
{
	static const struct {
		const char *prefix, *name;
	} kinds[] = {
		{ "begin", "begin_end" }, { "end", "begin_end" }, { "error", "begin_end" }, { "never", "begin_end" },
		{ "kernel.trace(", "kernel_tracepoint" }, { "kernel.tracepoint(", "kernel_tracepoint" },
		{ "kernel.data(", "hardware_data_breakpoint" }, { "timer.profile", "profile_timer" },
		{ "timer.jiffies(", "timer" }, { "timer.", "hrtimer" }, { "perf.", "perf_event" },
		{ "procfs", "procfs" }, { "netfilter.", "netfilter" },
	};
	bool returns = strstr(point, ".return") != NULL;
	u32 k;

	for (k = 0; k < ARRAY_SIZE(kinds); k++)
		if (!strncmp(point, kinds[k].prefix, strlen(kinds[k].prefix)))
			return kinds[k].name;
	if (strncmp(point, "process", 7))
		return returns ? "kretprobe" : "kprobe";
	if (strstr(point, ").syscall") || strstr(point, "process.syscall"))
		return "utrace_syscall";
	if (strstr(point, ".begin") || strstr(point, ".end"))
		return "utrace";
	return returns ? "uretprobe" : "uprobe";
}

#endif
