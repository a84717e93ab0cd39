// SPDX-License-Identifier: GPL-2.0
/* relay.c: the module's per-CPU trace files -> records in the order in which they were written. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	READ_SIZE = 1 << 18,
	PASS_SIZE = 1 << 22,	/* read from one CPU before the others get their turn */
};

/*
 * Seconds after which a record that another CPU has a later one than does not
 * come. Writers leave no gaps, but a virtual CPU may stand still in the middle
 * of one; what a flight recorder replaced does not come at all.
 */
static const double gap_patience = 1, gap_patience_attached = 0.05;

struct trace {
	int fd;
	char *buffer;
	size_t size, used, at;
};

static struct trace *traces;
static unsigned int trace_count;
static const char *module_name;
static u64 expected = 1, missing;
static double gap_since;	/* 0: there is none */

static int trace_open(unsigned int cpu)
{
	char path[256];

	snprintf(path, sizeof(path), "/proc/systemtap/%s/trace%u", module_name, cpu);
	return open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
}

/* A CPU that comes online later gets its buffer then; so files are opened as long as they are refused. */
static bool open_missing(void)
{
	bool any = false;

	for (unsigned int cpu = 0; cpu < trace_count; cpu++) {
		if (traces[cpu].fd < 0)
			traces[cpu].fd = trace_open(cpu);
		any |= traces[cpu].fd >= 0;
	}
	return any;
}

bool relay_start(const char *name, unsigned int cpus)
{
	module_name = name;
	trace_count = cpus;
	traces = calloc(cpus, sizeof(*traces));
	if (!traces)
		return false;
	for (unsigned int cpu = 0; cpu < cpus; cpu++)
		traces[cpu].fd = -1;
	return open_missing();
}

static bool trace_room(struct trace *trace)
{
	if (trace->at > 0) {
		memmove(trace->buffer, trace->buffer + trace->at, trace->used - trace->at);
		trace->used -= trace->at;
		trace->at = 0;
	}
	if (trace->size - trace->used < READ_SIZE) {
		size_t size = trace->size + (trace->size > READ_SIZE ? trace->size : READ_SIZE);
		char *more = realloc(trace->buffer, size);

		if (!more)
			return false;
		trace->buffer = more;
		trace->size = size;
	}
	return true;
}

static size_t trace_read(struct trace *trace)
{
	size_t total = 0;

	while (trace->fd >= 0 && total < PASS_SIZE && trace_room(trace)) {
		ssize_t got = read(trace->fd, trace->buffer + trace->used, READ_SIZE);

		if (got <= 0)
			break;
		trace->used += got;
		total += got;
	}
	return total;
}

static struct stap_record *trace_head(struct trace *trace)
{
	struct stap_record *record = (void *)(trace->buffer + trace->at);

	if (trace->used - trace->at < sizeof(*record))
		return NULL;
	if (record->magic != STAP_RECORD_MAGIC) {
		say("ERROR: the output of CPU %u is damaged; the rest of it is dropped\n", (unsigned int)(trace - traces));
		errors_seen = true;
		close(trace->fd);
		trace->fd = -1;
		trace->used = trace->at = 0;
		return NULL;
	}
	return trace->used - trace->at < sizeof(*record) + record->length ? NULL : record;
}

static struct trace *earliest(void)
{
	struct trace *first = NULL;
	u64 sequence = 0;

	for (unsigned int cpu = 0; cpu < trace_count; cpu++) {
		struct stap_record *record = trace_head(&traces[cpu]);

		if (record && (!first || record->sequence < sequence)) {
			first = &traces[cpu];
			sequence = record->sequence;
		}
	}
	return first;
}

static void pass_on(struct trace *trace, struct stap_record *record)
{
	do {
		expected = record->sequence + 1;
		output_cpu(record->cpu);
		format_record(record);
		trace->at += sizeof(*record) + record->length;
		record = trace_head(trace);
	} while (record && record->sequence == expected);
}

/* Whether records are to be waited for that come before this one. */
static bool gap_waits(const struct stap_record *record)
{
	if (record->sequence == expected || options.bulk)
		return false;
	if (!gap_since) {
		gap_since = now();
		open_missing();		/* a CPU that has come may have it */
	}
	return now() - gap_since < (options.attach ? gap_patience_attached : gap_patience);
}

static void merge(bool all)
{
	struct trace *trace;

	while ((trace = earliest())) {
		struct stap_record *record = trace_head(trace);

		if (!all && gap_waits(record))
			break;
		/* What a detached module dropped was nobody's loss. */
		if (record->sequence > expected && !options.attach && !options.bulk)
			missing += record->sequence - expected;
		if (!options.attach)	/* one wait does for all that was replaced */
			gap_since = 0;
		pass_on(trace, record);
	}
	if (!trace)
		gap_since = 0;
}

bool relay_pass(void)
{
	static unsigned int passes;
	size_t total = 0;

	if (++passes % 64 == 0)
		open_missing();
	for (unsigned int cpu = 0; cpu < trace_count; cpu++)
		total += trace_read(&traces[cpu]);
	merge(false);
	output_flush();
	return total > 0;
}

void relay_finish(bool drain)
{
	open_missing();
	while (relay_pass() && drain)
		;
	merge(true);
	output_flush();
	for (unsigned int cpu = 0; cpu < trace_count; cpu++)
		if (traces[cpu].fd >= 0)
			close(traces[cpu].fd);
	trace_count = 0;
}

uint64_t relay_missing(void)
{
	return missing;
}
