/* SPDX-License-Identifier: GPL-2.0 */
/*
 * print.h: builds output items in the context's buffer.
 * An item is made by stap_print_start(), its arguments in order, and
 * stap_print_end(); the buffer has room for the longest one that the script can
 * make behind STP_BUFFER_SIZE, so no argument needs a check. What is complete is
 * sent when the buffer is full and at the handler's end. Any context; locks
 * nothing.
 */
#ifndef STAP_PRINT_H
#define STAP_PRINT_H

static noinline void stap_flush_urgent(struct stap_context *c, bool urgent)
{
	c->record.length = c->print_used;
	stap_transport_write(&c->record, urgent);
	c->print_used = 0;
}

static void stap_flush(struct stap_context *c)
{
	stap_flush_urgent(c, false);
}

static noinline char *stap_print_start(struct stap_context *c, u32 kind, u32 value)
{
	struct stap_item *item;

	if (unlikely(c->print_used >= STP_BUFFER_SIZE))
		stap_flush(c);
	item = (struct stap_item *)(c->output + c->print_used);
	item->kind = kind;
	item->value = value;
	return (char *)(item + 1);
}

static __always_inline void stap_print_end(struct stap_context *c, const char *at)
{
	c->print_used = at - c->output;
}

static __always_inline char *stap_print_long(char *at, s64 value)
{
	*(s64 *)at = value;
	return at + sizeof(s64);
}

/* `text` is storage of a script string: aligned, and readable up to the word that its end lies in. */
static noinline char *stap_print_string(char *at, const char *text)
{
	struct stap_string *string = (struct stap_string *)at;
	u32 length = stap_copy(string->bytes, text);

	string->length = length;
	return at + STAP_PAD(sizeof(*string) + length);
}

/* %m and %M: `count` bytes of memory, as many as the item has room for; `behind`: what arguments behind it need. */
static noinline char *stap_print_memory(struct stap_context *c, char *at, u32 behind, s64 address, s64 count, bool user,
					stap_mark mark)
{
	struct stap_string *string = (struct stap_string *)at;
	s64 room = (s64)STAP_LARGEST_ITEM - behind - (at - (c->output + c->print_used)) - 2 * sizeof(s64);

	if (count > room)
		count = room;
	if (count < 0)
		count = 0;
	string->length = count;
	if (!stap_read(c, string->bytes, address, count, user, mark))
		string->length = 0;
	return at + STAP_PAD(sizeof(*string) + string->length);
}

/* The same for sprintf: memory goes through the context's scratch, and so is cut there. */
static __maybe_unused noinline void stap_sprint_memory(struct stap_context *c, struct stap_sink *sink,
						       struct stap_field *field, s64 address, s64 count, bool user,
						       stap_mark mark)
{
	count = clamp_t(s64, count, 0, STAP_STRING_BYTES);
	if (stap_read(c, c->scratch, address, count, user, mark))
		stap_put_string(sink, field, c->scratch, count);
}

/* Items that are a length and that many bytes. What is longer than an item can be is cut. */
static noinline void stap_print_bytes(struct stap_context *c, u32 kind, const char *bytes, u32 length)
{
	char *at;

	if (length > STAP_LARGEST_ITEM - sizeof(struct stap_item) - STAP_ALIGN)
		length = STAP_LARGEST_ITEM - sizeof(struct stap_item) - STAP_ALIGN;
	at = stap_print_start(c, kind, length);
	memcpy(at, bytes, length);
	stap_print_end(c, at + STAP_PAD(length));
}

static void stap_print_text(struct stap_context *c, const char *text)
{
	stap_print_bytes(c, STAP_ITEM_TEXT, text, strnlen(text, STP_BUFFER_SIZE));
}

static noinline __printf(2, 3) void stap_print_format(struct stap_context *c, const char *format, ...)
{
	u32 room = STAP_LARGEST_ITEM - sizeof(struct stap_item) - STAP_ALIGN;
	char *at = stap_print_start(c, STAP_ITEM_TEXT, 0);
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vscnprintf(at, room, format, arguments);
	va_end(arguments);
	((struct stap_item *)at)[-1].value = length;
	stap_print_end(c, at + STAP_PAD(length));
}

/* A message of its own: it must not be lost with output that does not fit, and never comes before it. */
static noinline void stap_message(struct stap_context *c, enum stap_item_kind kind, const char *text)
{
	if (c->print_used)
		stap_flush(c);
	stap_print_bytes(c, kind, text, strnlen(text, MAXSTRINGLEN - 1));
	stap_flush_urgent(c, true);
}

/* An error that no handler made. */
static noinline __cold __printf(2, 3) void stap_report_session_error(struct stap_context *c, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(c->error_text, MAXSTRINGLEN, format, arguments);
	va_end(arguments);
	atomic_inc(&stap_error_count);
	stap_message(c, STAP_ITEM_ERROR, c->error_text);
}

/* SystemTap cuts the whole line, `ERROR: ` and newline included, at 384 bytes. */
#define STAP_ERROR_BYTES (384 - 7)

/* TEXT near TOKEN at FILE:L:C (called from TOKEN at FILE:L:C)... in probe POINT, cut where a string is. */
static void stap_error_message(const struct stap_context *c, char *to, size_t size)
{
	size_t used = 0;
	u32 i;

	used += scnprintf(to + used, size - used, "%s", c->last_error);
	if (c->error_mark)
		used += scnprintf(to + used, size - used, " near %s", stap_marks[c->error_mark]);
	for (i = 0; c->error_mark && i < c->chained; i++)
		used += scnprintf(to + used, size - used, " (called from %s)", stap_marks[c->chain[i]]);
	if (c->error_mark)
		used += scnprintf(to + used, size - used, " in probe %s", c->probe->point);
}

static noinline __cold void stap_report_error(struct stap_context *c)
{
#ifndef STAP_SUPPRESS_HANDLER_ERRORS
	stap_error_message(c, c->scratch, min_t(size_t, MAXSTRINGLEN, STAP_ERROR_BYTES));
	stap_message(c, STAP_ITEM_ERROR, c->scratch);
	if (atomic_inc_return(&stap_error_count) > MAXERRORS)
		stap_request_abort();
#endif
	stap_error_clear(c);
	c->fatal = false;
	c->nesting = 0;
	c->frame = c->frames;
}

#endif
