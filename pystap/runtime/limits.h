/* SPDX-License-Identifier: GPL-2.0 */
/*
 * limits.h: every tunable (-D NAME=VALUE) with its default. Only #defines: the
 * generated configuration comes first and may have defined any of them.
 */
#ifndef STAP_LIMITS_H
#define STAP_LIMITS_H

#ifndef MAXSTRINGLEN
#define MAXSTRINGLEN 512
#endif
#ifndef MAXACTION
#define MAXACTION 1000
#endif
#ifndef MAXACTION_INTERRUPTIBLE
#define MAXACTION_INTERRUPTIBLE (MAXACTION * 10)
#endif
#ifndef INTERRUPTIBLE
#define INTERRUPTIBLE 1
#endif
#ifndef MAXNESTING
#define MAXNESTING 10
#endif
#ifndef MAXERRORS
#define MAXERRORS 0
#endif
#ifndef MAXSKIPPED
#define MAXSKIPPED 100
#endif
#ifndef MAXTRYLOCK
#define MAXTRYLOCK 100
#endif
#ifndef TRYLOCKDELAY
#define TRYLOCKDELAY 10
#endif
#ifndef MINSTACKSPACE
#define MINSTACKSPACE 1024
#endif
#ifndef MAXMAPENTRIES
#define MAXMAPENTRIES 2048
#endif
#ifndef MAPHASHBIAS
#define MAPHASHBIAS 0
#endif
#ifndef MAXBACKTRACE
#define MAXBACKTRACE 20
#endif
#ifndef STP_BUFFER_SIZE
#define STP_BUFFER_SIZE 8192
#endif
#ifndef STP_ON_THE_FLY_INTERVAL
#define STP_ON_THE_FLY_INTERVAL 100000000ULL	/* ns */
#endif
#ifndef STP_OVERLOAD_INTERVAL
#define STP_OVERLOAD_INTERVAL 1000000000LL
#endif
#ifndef STP_OVERLOAD_THRESHOLD
#define STP_OVERLOAD_THRESHOLD 500000000LL
#endif
#if defined(STAP_NO_OVERLOAD) || defined(STAP_SUPPRESS_TIME_LIMITS_ENABLE)
#define STP_NO_OVERLOAD
#endif
#ifdef STP_ALIBI
#undef STP_TIMING			/* nothing runs whose time could be told */
#endif
#ifndef HIST_WIDTH
#define HIST_WIDTH 50
#endif
#ifndef HIST_ELISION
#define HIST_ELISION 2
#endif

/* What the script at hand needs; codegen knows. */
#ifndef STAP_FRAME_BYTES
#define STAP_FRAME_BYTES 0		/* strings of the deepest chain of calls */
#endif
#ifndef STAP_LARGEST_FRAME
#define STAP_LARGEST_FRAME 768		/* of any function: build/frames.py measures it, and gives it where it is more */
#endif
#ifndef STAP_LARGEST_ITEM
#define STAP_LARGEST_ITEM 1024		/* the longest output item that one print can make */
#endif
#ifndef STAP_BUCKETS
#define STAP_BUCKETS 1			/* of the largest histogram */
#endif
#ifndef STAP_PERCPU_GLOBALS
#define STAP_PERCPU_GLOBALS		/* members of the context: globals that are only added to */
#endif

#define STAP_MAX(a, b) ((a) > (b) ? (a) : (b))	/* of constants, in array sizes */

/* A string's storage: word-wise copies and comparisons may touch all of it. */
#define STAP_STRING_BYTES ((MAXSTRINGLEN + 7) & ~7)

#endif
