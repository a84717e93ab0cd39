// SPDX-License-Identifier: GPL-2.0
/* A module as pystap would generate it, with handlers written by hand: what pass 5 is tested with. */
#include "capabilities.h"	/* what the kernel offers, as in a module of pystap */
#include "kernel.h"
#include "compat.h"
#include "protocol.h"
#include "owner.h"
#include "state.h"
#include "format.h"
#include "transport.h"

struct stap_probe {
	void (*handler)(void);
};

static void stap_run_begin(struct stap_probe *probe, enum stap_state when)
{
	probe->handler();
}

/* What conditions.h is where no probe has one. */
static bool stap_conditions_look(void)
{
	return false;
}

static void stap_conditions_start(void)
{
}

static void stap_conditions_stop(void)
{
}

#include "session.h"
#include "engines/begin.h"
#include <linux/kthread.h>

static char *mode = "hello";
module_param(mode, charp, 0444);
static int count = 1000;
module_param(count, int, 0444);

static const char formats[] __section(STAP_FORMATS_SECTION) __used =
	"%s\n\0"
	"%d\n\0"
	"[%5d][%-5d][%05d][%+d][%#x][%c][%%][%.3s][%*d]\n";

static struct {
	struct stap_record record;
	char items[512];
} outbox;
static DEFINE_RAW_SPINLOCK(outbox_lock);

static char *start(u32 kind, u32 value)
{
	struct stap_item *item = (void *)(outbox.items + outbox.record.length);

	item->kind = kind;
	item->value = value;
	outbox.record.length += sizeof(*item);
	return (char *)(item + 1);
}

static void put_long(s64 value)
{
	memcpy(outbox.items + outbox.record.length, &value, 8);
	outbox.record.length += 8;
}

static void put_string(const char *text)
{
	struct stap_string *string = (void *)(outbox.items + outbox.record.length);

	string->length = strlen(text);
	memcpy(string->bytes, text, string->length);
	outbox.record.length += STAP_PAD(sizeof(*string) + string->length);
}

static void put_text(u32 kind, const char *text)
{
	memcpy(start(kind, strlen(text)), text, strlen(text));
	outbox.record.length += STAP_PAD(strlen(text));
}

static bool send(bool urgent)
{
	bool sent = stap_transport_write(&outbox.record, urgent);

	outbox.record.length = 0;
	return sent;
}

static void print_number(s64 number)
{
	start(STAP_ITEM_PRINT, 1);
	put_long(number);
}

static void begin_hello(void)
{
	start(STAP_ITEM_PRINT, 2);
	put_long(42);
	put_long(42);
	put_long(42);
	put_long(42);
	put_long(255);
	put_long('A');
	put_string("hello");
	put_long(4);
	put_long(-7);
	put_text(STAP_ITEM_TEXT, "text\n");
	send(false);
	start(STAP_ITEM_PRINT, 1);
	put_long(stap_target_pid);
	send(false);
	if (!strcmp(mode, "hello"))
		stap_request_exit();
	if (!strcmp(mode, "error")) {
		put_text(STAP_ITEM_ERROR, "something is wrong");
		send(true);
		atomic_inc(&stap_error_count);
		stap_request_abort();
	}
	if (!strcmp(mode, "warn")) {
		put_text(STAP_ITEM_WARNING, "look here");
		put_text(STAP_ITEM_WARNING, "look here");
		put_text(STAP_ITEM_SYSTEM, "echo from system");
		send(true);
		stap_request_exit();
	}
}

static void end_text(void)
{
	put_text(STAP_ITEM_TEXT, "end\n");
	send(true);
}

static void error_text(void)
{
	put_text(STAP_ITEM_TEXT, "error probe\n");
	send(true);
}

/* In the order of the sequence, from several CPUs at once. */
static s64 written;
static struct task_struct *writers[NR_CPUS > 64 ? 64 : NR_CPUS];

static int writer(void *unused)
{
	while (!kthread_should_stop()) {
		unsigned long flags;

		raw_spin_lock_irqsave(&outbox_lock, flags);
		if (written < count && stap_state_now() == STAP_STATE_RUNNING) {
			print_number(written);
			if (send(false) || !strcmp(mode, "overflow"))
				written++;
			if (written == count)
				stap_request_exit();
		}
		raw_spin_unlock_irqrestore(&outbox_lock, flags);
		cond_resched();
		if (written >= count)
			msleep(1);
	}
	return 0;
}

static int writers_start(void)
{
	unsigned int cpu;

	if (!strcmp(mode, "refuse"))
		return -ENODEV;
	if (strcmp(mode, "order") && strcmp(mode, "overflow"))
		return 0;
	for_each_online_cpu(cpu) {
		writers[cpu] = kthread_create(writer, NULL, "writer%u", cpu);
		kthread_bind(writers[cpu], cpu);
		wake_up_process(writers[cpu]);
	}
	return 0;
}

static void writers_stop(void)
{
	unsigned int cpu;

	if (!strcmp(mode, "slow"))
		msleep(800);
	for_each_online_cpu(cpu)
		if (writers[cpu])
			kthread_stop(writers[cpu]);
}

static struct stap_probe begin_probe = { begin_hello }, end_probe = { end_text }, error_probe = { error_text };
static const struct stap_begin_site stap_begin_sites[] = {
	{ &begin_probe, STAP_STATE_STARTING },
	{ &end_probe, STAP_STATE_STOPPING },
	{ &error_probe, STAP_STATE_ERROR },
};
static const unsigned int stap_begin_count = ARRAY_SIZE(stap_begin_sites);

static const struct stap_part stap_parts[] = {};
static const struct stap_engine stap_engines[] = {
	{ "begin", stap_begin_start, stap_begin_stop },
	{ "writers", writers_start, writers_stop },
};

STAP_MODULE(stap_parts, stap_engines);
