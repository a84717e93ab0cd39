// SPDX-License-Identifier: GPL-2.0
/* limits.c: which option raises the limit that was met, said once below what SystemTap says. */
#include "runner.h"

#include <string.h>

struct limit {
	const char *message;	/* what SystemTap's message begins with */
	const char *advice;
	bool given;
};

static struct limit limits[] = {
	{ .message = "MAXACTION exceeded",
	  .advice = "-DMAXACTION=N allows N statements a hit, -DMAXACTION_INTERRUPTIBLE=N in begin, end, error and procfs probes" },
	{ .message = "MAXNESTING exceeded", .advice = "-DMAXNESTING=N allows N calls inside each other" },
	{ .message = "Array overflow, check MAXMAPENTRIES",
	  .advice = "-DMAXMAPENTRIES=N gives every array room for N elements, `global NAME[N]` that one; "
		    "`global NAME%` drops the oldest" },
	{ .message = "Array overflow, check size limit",
	  .advice = "`global NAME[N]` gives it room for N elements, `global NAME%[N]` drops the oldest" },
	{ .message = "probe overhead",
	  .advice = "-DSTP_OVERLOAD_THRESHOLD=CYCLES allows more, -DSTP_NO_OVERLOAD any" },
	{ .message = "Skipped too many probes",
	  .advice = "-DMAXSKIPPED=N tolerates N of them" },
	{ .message = "buffer size exceeded",
	  .advice = "-DSTP_PROCFS_BUFSIZE=BYTES gives every procfs file more" },
};

void explain_error(const char *text, size_t length)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		size_t size = strlen(limits[i].message);

		if (limits[i].given || length < size || memcmp(text, limits[i].message, size))
			continue;
		limits[i].given = true;
		say("  %s\n", limits[i].advice);
	}
}

void explain_status(const struct stap_status *status)
{
	if (status->errors > status->begin_errors)
		say("  -DMAXERRORS=N tolerates N errors\n");
	if (status->skipped_lock)
		say("  %u hits found a global variable locked for too long: -DMAXTRYLOCK=N waits longer, -DMAXSKIPPED=N "
		    "tolerates more\n", status->skipped_lock);
	if (status->skipped_stack)
		say("  %u hits had too little kernel stack left: see -DMINSTACKSPACE=BYTES\n", status->skipped_stack);
	if (status->skipped_missed)
		say("  %u returns were missed, since too many calls were under way: .maxactive(N) or -DKRETACTIVE=N keeps "
		    "room for more\n", status->skipped_missed);
	if (status->nested && options.verbose)
		say("  %u hits inside of handlers were passed over\n", status->nested);
}
