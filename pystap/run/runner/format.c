// SPDX-License-Identifier: GPL-2.0
/* format.c: the items of a record, and the module's own format strings -> text. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>

#include "histogram.h"

/* A format is taken apart once: text, then a field (conversion 0: none follows), and so on. */
struct piece {
	const char *text;
	uint32_t length;
	struct stap_field field;
};

struct compiled {
	struct piece *pieces;
	uint32_t count;
};

static struct compiled *formats;
static uint32_t formats_count;

/* Reads an item's fields without ever leaving the record. */
struct reader {
	const char *at;
	const char *end;
	bool broken;
};

static const char *take(struct reader *reader, size_t size)
{
	const char *taken = reader->at;

	size = STAP_PAD(size);
	if ((size_t)(reader->end - reader->at) < size) {
		reader->broken = true;
		reader->at = reader->end;
		return NULL;
	}
	reader->at += size;
	return taken;
}

static s64 take_number(struct reader *reader)
{
	const char *taken = take(reader, sizeof(s64));
	s64 value = 0;

	if (taken)
		memcpy(&value, taken, sizeof(value));
	return value;
}

static const char *take_string(struct reader *reader, uint32_t *length)
{
	const struct stap_string *string = (const void *)reader->at;

	*length = 0;
	if ((size_t)(reader->end - reader->at) < sizeof(*string)) {
		reader->broken = true;
		return "";
	}
	if (!take(reader, sizeof(*string) + (size_t)string->length))
		return "";
	*length = string->length;
	return string->bytes;
}

static void add_piece(struct compiled *format, const char *text, const char *end, const struct stap_field *field)
{
	struct piece *piece;

	format->pieces = realloc(format->pieces, (format->count + 1) * sizeof(*piece));
	if (!format->pieces)
		abort();
	piece = &format->pieces[format->count++];
	piece->text = text;
	piece->length = end - text;
	piece->field = *field;
}

static void compile(struct compiled *format, const char *at)
{
	static const struct stap_field none;
	const char *text = at;

	while (*at) {
		struct stap_field field;
		const char *percent = at;

		if (*at++ != '%')
			continue;
		at = stap_field_parse(at, &field);
		if (field.conversion == '%') {
			/* the second % is text */
			add_piece(format, text, percent, &none);
			text = at - 1;
		} else {
			add_piece(format, text, percent, &field);
			text = at;
		}
	}
	if (at > text)
		add_piece(format, text, at, &none);
}

void format_load(const char *strings, size_t size)
{
	const char *end = strings + size;

	for (const char *at = strings; at < end; at += strlen(at) + 1) {
		formats = realloc(formats, (formats_count + 1) * sizeof(*formats));
		if (!formats)
			abort();
		memset(&formats[formats_count], 0, sizeof(*formats));
		compile(&formats[formats_count++], at);
	}
}

static void print_field(struct reader *reader, const struct stap_field *given)
{
	struct stap_field field = *given;
	const char *text;
	uint32_t length;

	if (field.width == STAP_FIELD_ARGUMENT)
		stap_field_set_width(&field, take_number(reader));
	if (field.precision == STAP_FIELD_ARGUMENT)
		stap_field_set_precision(&field, take_number(reader));
	switch (field.conversion) {
	case 's':
	case 'm':
	case 'M':
		text = take_string(reader, &length);
		stap_put_string(&output, &field, text, length);
		break;
	default:
		stap_put_long(&output, &field, take_number(reader));
	}
}

static void print(struct reader *reader, uint32_t number)
{
	const struct compiled *format;

	if (number >= formats_count) {
		reader->broken = true;
		return;
	}
	format = &formats[number];
	for (uint32_t i = 0; i < format->count; i++) {
		const struct piece *piece = &format->pieces[i];

		stap_put(&output, piece->text, piece->length);
		if (piece->field.conversion)
			print_field(reader, &piece->field);
	}
}

static void histogram(struct reader *reader, uint32_t type)
{
	const struct stap_histogram *h = (const void *)reader->at;

	if ((size_t)(reader->end - reader->at) < sizeof(*h) || h->buckets > 4096 ||
	    !take(reader, sizeof(*h) + h->buckets * sizeof(s64))) {
		reader->broken = true;
		return;
	}
	stap_chart_put(&output, type, h, h->counts);
}

static void item(struct reader *reader)
{
	const struct stap_item *header = (const void *)take(reader, sizeof(*header));
	const char *text;

	if (!header)
		return;
	switch (header->kind) {
	case STAP_ITEM_PRINT:
		print(reader, header->value);
		return;
	case STAP_ITEM_HISTOGRAM:
		histogram(reader, header->value);
		return;
	}
	text = take(reader, header->value);
	if (!text)
		return;
	switch (header->kind) {
	case STAP_ITEM_TEXT:
		stap_put(&output, text, header->value);
		break;
	case STAP_ITEM_ERROR:
		message_error(text, header->value);
		break;
	case STAP_ITEM_WARNING:
		message_warning(text, header->value);
		break;
	case STAP_ITEM_SYSTEM:
		output_flush();
		child_system(text, header->value);
		break;
	default:
		reader->broken = true;
	}
}

void format_record(const struct stap_record *record)
{
	struct reader reader = { (const char *)(record + 1), (const char *)(record + 1) + record->length, false };
	static bool told;

	while (reader.at < reader.end && !reader.broken)
		item(&reader);
	if (reader.broken && !told) {
		told = true;
		say("ERROR: a record of the module cannot be read: module and runner do not fit together\n");
		errors_seen = true;
	}
}
