/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stap.h: the runtime that every module includes, in the order in which its
 * parts need each other. Engines are included after it, only those used.
 * Generated configuration (limits, switches) must precede it.
 */
#ifndef STAP_H
#define STAP_H

#include "kernel.h"		/* the kernel's own headers */
#include "compat.h"		/* what differs between kernels */
#include "faults.h"		/* failures on demand, to test what becomes of them */
#include "memory.h"		/* what the machine can spare */
#include "limits.h"		/* defaults of every -D tunable */
#include "protocol.h"		/* what module and runner say to each other */
#include "owner.h"		/* whose processes it may look into */
#include "state.h"		/* loaded, starting, running, stopping */
#include "format.h"		/* one printf field */
#include "strings.h"		/* script strings, by words */
#include "stat.h"		/* one CPU's statistics, and their sum */
#include "transport.h"		/* records -> relay buffers */
#include "context.h"		/* one handler run: what it has, its error */
#include "entry.h"		/* its way in and out */
#include "storage.h"		/* contexts, and the room of calls */
#include "present.h"		/* pages of a program that are not in memory */
#include "access.h"		/* memory and registers of what is probed */
#include "lock.h"		/* globals' locks */
#include "map.h"		/* associative arrays */
#include "print.h"		/* output items */
#include "collect.h"		/* statistics over all CPUs */
#include "session.h"		/* load, start, stop, unload */
#include "parameters.h"		/* globals set from outside */
#ifdef STAP_NEED_BUILDS
#include "builds.h"		/* modules that come and are not the ones that were looked into */
#else
#define stap_build_refused(module) false
#define stap_build_warn(module) ((void)0)
#endif
#include "embedded.h"		/* the C API of tapsets */

#endif
