/* SPDX-License-Identifier: GPL-2.0 */
/*
 * protocol.h: what the module and the runner say to each other.
 * The same header is compiled into both; it holds layouts only, no code that
 * runs in either, and therefore neither locks nor restricts contexts.
 *
 * /proc/systemtap/MODULE/cmd     write: struct stap_command; read: struct stap_status
 * /proc/systemtap/MODULE/trace<N>  read: this CPU's records
 *
 * Output is a stream of records. A record is what one flush of one handler
 * wrote: a struct stap_record followed by `length` bytes of items. An item is
 * a struct stap_item followed by what its kind says. Everything is padded to
 * multiples of 8 bytes, so that no field is ever unaligned.
 */
#ifndef STAP_PROTOCOL_H
#define STAP_PROTOCOL_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;
#endif

#define STAP_PROTOCOL_VERSION 2		/* also in the module's .modinfo: who built it, before it is loaded */

enum {
	STAP_RECORD_MAGIC = 0x5953,
	STAP_ALIGN = 8,
};

#define STAP_PAD(size) (((size) + STAP_ALIGN - 1) & ~(STAP_ALIGN - 1))

/* ELF sections of the .ko that the runner reads. */
#define STAP_FORMATS_SECTION ".pystap.formats"	/* NUL-terminated strings; number = position, from 0 */

struct stap_record {
	u32 length;		/* bytes of items that follow: a multiple of 8 */
	u16 magic;		/* STAP_RECORD_MAGIC */
	u16 cpu;
	u64 sequence;		/* from 1, over all CPUs, without gaps */
};

enum stap_item_kind {
	/*
	 * value = number of the format; then, for each `*` and each conversion
	 * of the format in its order, an argument: 8 bytes for a number, a
	 * struct stap_string for %s, %m and %M (memory is copied as it is,
	 * already cut to what its precision says). A `*` stays an argument.
	 */
	STAP_ITEM_PRINT = 1,
	/* value = length; then that many bytes, padded: goes to standard output as it is. */
	STAP_ITEM_TEXT = 2,
	/* value = type (enum stap_histogram_type); then a struct stap_histogram. */
	STAP_ITEM_HISTOGRAM = 3,
	/* value = length; then the text without "ERROR: " and without newline, padded. Makes the exit status 1. */
	STAP_ITEM_ERROR = 4,
	/* As ERROR, shown as "WARNING: "; repeated ones are shown once. */
	STAP_ITEM_WARNING = 5,
	/* value = length; then a command for /bin/sh, padded. */
	STAP_ITEM_SYSTEM = 6,
	/* 7.. are free */
};

struct stap_item {
	u32 kind;
	u32 value;
};

/* A string argument: `length` bytes follow; header and bytes together are padded to a multiple of 8. */
struct stap_string {
	u32 length;
	char bytes[];
};

enum stap_histogram_type {
	STAP_HISTOGRAM_LOG = 1,
	STAP_HISTOGRAM_LINEAR = 2,
};

/*
 * LOG: 128 buckets; 64 is value 0, 64 + n is [2^(n-1), 2^n), 64 - n the same
 * below zero. LINEAR: bucket 0 is below `low`, the last above `high`, between
 * them (high - low) / step + 1 buckets from `low` on.
 */
struct stap_histogram {
	s64 low;
	s64 high;
	s64 step;
	u32 buckets;
	u16 width;		/* HIST_WIDTH; 0 = 50 */
	u16 elision;		/* HIST_ELISION + 1; 0 = the default, 2 */
	s64 counts[];
};

enum stap_command_type {
	STAP_COMMAND_START = 1,	/* arm everything, run begin probes; the write returns when that is done */
	STAP_COMMAND_STOP = 2,	/* disarm everything, run end probes; the write returns when that is done */
	STAP_COMMAND_DETACH = 3,	/* stay armed without a runner; whoever opens cmd next takes over */
	STAP_COMMAND_EXIT = 4,	/* as exit() does, at any moment: a START that is under way arms nothing more */
};

enum stap_command_flags {
	STAP_FLAG_RECORDER = 1,	/* DETACH: while nobody reads, the newest records replace the oldest */
};

struct stap_command {
	u32 version;		/* STAP_PROTOCOL_VERSION */
	u32 type;
	s32 target;		/* START: what target() returns */
	u32 user;		/* START: whose processes a module for unprivileged users may look into; 0: all */
	u32 flags;
};

enum stap_state {
	STAP_STATE_LOADED = 0,	/* allocated, inert */
	STAP_STATE_STARTING,	/* begin probes run */
	STAP_STATE_RUNNING,
	STAP_STATE_STOPPING,	/* exit() was called, or STOP was written: no handler starts but end probes */
	STAP_STATE_ERROR,	/* more than MAXERRORS errors: no handler starts but error probes */
	STAP_STATE_STOPPED,	/* nothing of it is armed any more */
};

/* read(cmd) returns one of these, always of the current moment; poll(cmd) is readable once the state is >= STOPPING. */
struct stap_status {
	u32 version;
	u32 state;
	u32 errors;
	u32 skipped;
	u64 lost_records;	/* did not fit into the buffers */
	u64 lost_bytes;
	u32 buffer_bytes;	/* of output buffer per CPU */
	u32 cpus;		/* possible CPU numbers are below this */
	s32 start_error;	/* -errno that refused START, else 0 */
	u32 nested;		/* hits inside of handlers: not served, not counted in `skipped` */
	u32 skipped_stack;	/* of `skipped`: by cause */
	u32 skipped_lock;
	u32 skipped_missed;
	u32 begin_errors;	/* of `errors`: before anything was armed */
	char start_engine[32];	/* the engine that refused */
};

#endif
