/* SPDX-License-Identifier: GPL-2.0 */
/*
 * stap.h: the runtime that every module includes, in the order in which its
 * parts need each other. Engines are included after it, only those used.
 * Generated configuration (limits, switches) must precede it.
 */
#ifndef STAP_H
#define STAP_H

#include "kernel.h"		/* the kernel's own headers */
#include "protocol.h"		/* what module and runner say to each other */
#include "state.h"		/* loaded, starting, running, stopping */
#include "format.h"		/* one printf field */
#include "transport.h"		/* records -> relay buffers */
#include "session.h"		/* load, start, stop, unload */

#endif
