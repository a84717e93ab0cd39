/* context.h, lock.h and print.h: entering, refusing, failing, and what is sent. */
#define STAP_FRAME_BYTES 2048
#define MAXERRORS 1
#define MAXSKIPPED 3
#include "test.h"

static int runs;

static void handler(struct stap_context *c)
{
	runs++;
}

static struct stap_probe probe = { .handler = handler, .point = "begin" };

static struct stap_context *enter(void)
{
	struct stap_context *c = stap_enter(&probe);

	CHECK(c && c->busy && c->probe == &probe && !c->regs && !c->saved);
	return c;
}

static bool off(void)
{
	return false;
}

static void refusing(void)
{
	struct stap_context *c = enter();

	CHECK(!stap_enter(&probe));	/* as an interrupt on this CPU would */
	CHECK(atomic_read(&probe.skipped[STAP_SKIP_REENTRANT]) == 1 && atomic_read(&stap_skipped_count) == 0);
	stap_leave(c);
	CHECK(!c->busy);
	probe.condition = off;
	CHECK(!stap_enter(&probe) && !c->busy);
	probe.condition = NULL;
	atomic_set(&stap_state, STAP_STATE_STOPPING);
	CHECK(!stap_enter(&probe) && !c->busy);
	stap_run_begin(&probe, STAP_STATE_STOPPING);
	CHECK(runs == 1);
	atomic_set(&stap_state, STAP_STATE_RUNNING);
}

static void failing(void)
{
	struct stap_context *c = enter();
	struct stap_item *item = (struct stap_item *)shim_sent;

	CHECK(stap_divide(c, 7, 0, 1) == 0);
	CHECK(stap_divide(c, 7, 0, 2) == 0);	/* the first error stays */
	stap_fail_called(c, 2);
	stap_leave(c);
	CHECK(item->kind == STAP_ITEM_ERROR);
	shim_sent[sizeof(*item) + item->value] = 0;
	CHECK_TEXT((char *)(item + 1), "division by 0 near operator '/' at f.stp:1:27 "
		   "(called from identifier 'f' at f.stp:1:55) in probe begin");
	CHECK(atomic_read(&stap_error_count) == 1 && !shim_aborted && !c->last_error);
	c = enter();
	c->last_error = "set by embedded C";
	stap_fail_called(c, 2);
	stap_leave(c);
	shim_sent[sizeof(*item) + item->value] = 0;
	CHECK_TEXT((char *)(item + 1), "set by embedded C near identifier 'f' at f.stp:1:55 in probe begin");
	CHECK(shim_aborted);
	shim_aborted = false;
}

static void arithmetic(void)
{
	struct stap_context *c = enter();
	const s64 least = -9223372036854775807LL - 1;

	CHECK(stap_divide(c, least, -1, 0) == least && stap_modulo(c, least, -1, 0) == 0 && !c->last_error);
	CHECK(stap_divide(c, -7, 2, 0) == -3 && stap_modulo(c, -7, 3, 0) == -1);
	CHECK(stap_bits(0xf0, 4, 4, true) == -1 && stap_bits(0xf0, 4, 4, false) == 15);
	CHECK(stap_bits(-1, 0, 64, false) == -1);
	c->actions = 2;
	CHECK(stap_charge(c, 1, 0) && !stap_charge(c, 1, 0) && c->fatal);
	stap_leave(c);
	CHECK(!c->fatal && shim_aborted);
	shim_aborted = false;
}

static void memory(void)
{
	struct stap_context *c = enter();
	s16 number = -5;
	char text[20];

	CHECK(stap_load_s16(c, (u64)(uintptr_t)&number, 0) == -5 && !c->last_error);
	CHECK(stap_load_u16(c, (u64)(uintptr_t)&number, 0) == 0xfffb);
	CHECK(stap_load_s64(c, 8, 1) == 0);
	CHECK_TEXT(c->last_error, "read fault [man error::fault] at 0x8");
	stap_error_clear(c);
	CHECK(stap_load_u8(c, shim_bad, 1) == 0 && c->last_error);
	stap_error_clear(c);
	CHECK(stap_read_string(text, (u64)(uintptr_t)"a short one", sizeof(text), false) == 11);
	CHECK_TEXT(text, "a short one");
	CHECK(stap_read_string(text, (u64)(uintptr_t)"one that is too long for it", sizeof(text), false) == 19);
	CHECK(stap_read_string(text, shim_bad, sizeof(text), false) == -1 && text[0] == 0);
	stap_leave(c);
}

static void saving(void)
{
	struct stap_context *c = enter();
	s64 room[2 + 2 * STAP_STRING_BYTES / 8] = { 0 };
	struct text text = text_of("kept");

	probe.saved_count = 2;
	probe.saved_size = sizeof(room);
	CHECK(stap_saved(c, 0) == 0);
	CHECK_TEXT(stap_saved_string(c, 1), "");
	c->saved = room;
	stap_save(c, 0, 42);
	stap_save_string(c, 1, text.s);
	CHECK(stap_saved(c, 0) == 42);
	CHECK_TEXT(stap_saved_string(c, 1), "kept");
	stap_leave(c);
}

static void locking(void)
{
	struct stap_lock first = { .name = "a" }, second = { .name = "b" };
	struct stap_lock_use uses[] = { { &first, false }, { &second, true } };
	struct stap_context *c = enter();

	CHECK(stap_lock_all(c, uses, 2));
	CHECK(atomic_read(&first.holders) == 1 && atomic_read(&second.holders) == -1);
	CHECK(stap_lock_try(&first, false));	/* another reader */
	CHECK(!stap_lock_all(c, uses, 2));	/* the writer is there: all or nothing */
	CHECK(atomic_read(&first.holders) == 2 && atomic_read(&second.timeouts) == 1);
	stap_unlock(&uses[0]);
	stap_unlock_all(uses, 2);
	CHECK(!atomic_read(&first.holders) && !atomic_read(&second.holders));
	stap_leave(c);
	CHECK(atomic_read(&stap_skipped_count) == 1 && !shim_aborted);
}

static void printing(void)
{
	struct stap_context *c = enter();
	struct text text = text_of("hello world");
	unsigned int before = shim_records, i;
	char *at;

	at = stap_print_start(c, STAP_ITEM_PRINT, 7);
	at = stap_print_long(at, 42);
	at = stap_print_string(at, text.s);
	stap_print_end(c, at);
	stap_leave(c);
	CHECK(shim_records == before + 1 && shim_sent_bytes == 8 + 8 + 16);
	CHECK(((u32 *)shim_sent)[0] == STAP_ITEM_PRINT && ((u32 *)shim_sent)[1] == 7);
	CHECK(((s64 *)shim_sent)[1] == 42 && ((u32 *)shim_sent)[4] == 11);
	CHECK(!memcmp(shim_sent + 20, "hello world", 11));
	c = enter();
	before = shim_records;
	for (i = 0; i < 100000; i++) {
		stap_print_format(c, "%s %u\n", text.s, i);
		CHECK(c->print_used <= STP_BUFFER_SIZE + STAP_LARGEST_ITEM);
	}
	stap_leave(c);
	CHECK(shim_records > before + 100 && c->print_used == 0);
	c = enter();
	stap_print_bytes(c, STAP_ITEM_TEXT, shim_sent, sizeof(shim_sent));	/* longer than any item: cut */
	stap_leave(c);
	CHECK(shim_sent_bytes <= STAP_LARGEST_ITEM);
}

static void nesting(void)
{
	struct stap_context *c = enter();
	char *frame = c->frame;
	unsigned int i;
	void *pushed = stap_push(c, STAP_STRING_BYTES);

	CHECK(pushed == frame && c->frame == frame + STAP_STRING_BYTES);
	stap_pop(c, pushed);
	for (i = 0; i < MAXNESTING; i++)
		CHECK(stap_nest(c, 1));
	CHECK(!stap_nest(c, 1));
	CHECK_TEXT(c->last_error, "MAXNESTING exceeded");
	stap_leave(c);
	CHECK(c->nesting == 0 && c->frame == frame);
}

int main(void)
{
	CHECK(!stap_contexts_load());
	refusing();
	failing();
	arithmetic();
	memory();
	saving();
	locking();
	printing();
	nesting();
	stap_contexts_unload();
	return 0;
}
