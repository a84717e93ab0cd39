/* What state.h and transport.h are to context.h and print.h: the state, and a transport that keeps what it is given. */
#ifndef SHIM_SESSION_H
#define SHIM_SESSION_H

#define module_init(f)
static atomic_t stap_state = ATOMIC_INIT(STAP_STATE_RUNNING);
static atomic_t stap_error_count = ATOMIC_INIT(0);
static atomic_t stap_skipped_count = ATOMIC_INIT(0);
enum stap_skip {
	STAP_SKIP_REENTRANT,	/* a handler ran on this CPU already */
	STAP_SKIP_STACK,	/* less than MINSTACKSPACE bytes of stack left */
	STAP_SKIP_LOCK,		/* a global stayed locked for too long */
	STAP_SKIP_KRETPROBE,
	STAP_SKIPS,
};
static atomic_t stap_skipped_by[STAP_SKIPS];

static bool stap_skip_by_design(enum stap_skip cause)
{
	return cause == STAP_SKIP_REENTRANT;
}

static bool shim_aborted;
static int stap_runner_pid = -1;

static void stap_request_abort(void)
{
	shim_aborted = true;
}

static char shim_sent[1 << 16];
static size_t shim_sent_bytes;
static unsigned int shim_records;

static bool stap_transport_write(struct stap_record *record, bool urgent)
{
	memcpy(shim_sent, record + 1, record->length);
	shim_sent_bytes = record->length;
	shim_records++;
	return true;
}

#endif
