// SPDX-License-Identifier: GPL-2.0
/* format.c: the items of a record, and the module's own format strings -> text. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>

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

/* -- histograms -- */

struct chart {
	const struct stap_histogram *histogram;
	enum stap_histogram_type type;
	uint32_t first, last;	/* buckets shown */
	int label_width;
	s64 per_mark;		/* how much one @ stands for */
};

static void put_text(const char *text)
{
	stap_put(&output, text, strlen(text));
}

static void bucket_label(const struct chart *chart, uint32_t bucket, char *label, size_t size)
{
	const struct stap_histogram *h = chart->histogram;

	if (chart->type == STAP_HISTOGRAM_LOG) {
		int power = (int)bucket - 64;
		s64 value = power == 0 ? 0 : (s64)(1ULL << ((power < 0 ? -power : power) - 1));

		snprintf(label, size, "%lld", (long long)(power < 0 ? -value : value));
	} else if (bucket == 0) {
		snprintf(label, size, "<%lld", (long long)h->low);
	} else if (bucket == h->buckets - 1) {
		snprintf(label, size, ">%lld", (long long)h->high);
	} else {
		snprintf(label, size, "%lld", (long long)(h->low + (s64)(bucket - 1) * h->step));
	}
}

/*
 * Two empty buckets are shown on either side of what was counted; "<low" and
 * ">high" only when they counted something, negative powers only below zero.
 */
static bool chart_range(struct chart *chart)
{
	const struct stap_histogram *h = chart->histogram;
	int least = 0, most = (int)h->buckets - 1, first, last;

	for (first = 0; first < (int)h->buckets && !h->counts[first]; first++)
		;
	if (first == (int)h->buckets)
		return false;
	for (last = most; !h->counts[last]; last--)
		;
	if (chart->type == STAP_HISTOGRAM_LINEAR) {
		least = h->counts[0] ? 0 : 1;
		most = h->counts[most] ? most : most - 1;
	} else if (first >= 64) {
		least = 64;
	}
	chart->first = first - 2 < least ? least : first - 2;
	chart->last = last + 2 > most ? most : last + 2;
	return true;
}

static void chart_scale(struct chart *chart)
{
	const struct stap_histogram *h = chart->histogram;
	s64 width = h->width ? h->width : 50, highest = 1;
	char label[32];

	chart->label_width = strlen("value");
	for (uint32_t i = chart->first; i <= chart->last; i++) {
		bucket_label(chart, i, label, sizeof(label));
		if ((int)strlen(label) > chart->label_width)
			chart->label_width = strlen(label);
		if (h->counts[i] > highest)
			highest = h->counts[i];
	}
	chart->per_mark = highest <= width ? 1 : (highest + width - 1) / width;
}

static void chart_line(const struct chart *chart, uint32_t bucket)
{
	const struct stap_histogram *h = chart->histogram;
	s32 width = h->width ? h->width : 50;
	char label[32], line[80];
	s32 marks = h->counts[bucket] / chart->per_mark;

	bucket_label(chart, bucket, label, sizeof(label));
	snprintf(line, sizeof(line), "%*s |", chart->label_width, label);
	put_text(line);
	stap_put_fill(&output, '@', marks);
	stap_put_fill(&output, ' ', width - marks);
	snprintf(line, sizeof(line), " %lld\n", (long long)h->counts[bucket]);
	put_text(line);
}

/* How many empty buckets stand in a row around this one. */
static uint32_t empty_run(const struct chart *chart, uint32_t bucket)
{
	uint32_t end = bucket;

	while (end <= chart->last && !chart->histogram->counts[end])
		end++;
	return end - bucket;
}

static void chart_lines(const struct chart *chart)
{
	uint32_t keep = chart->histogram->elision ? chart->histogram->elision - 1u : 2;
	char line[80];

	for (uint32_t i = chart->first; i <= chart->last;) {
		uint32_t run = empty_run(chart, i);

		if (run <= 2 * keep) {
			for (uint32_t end = i + (run ? run : 1); i < end; i++)
				chart_line(chart, i);
			continue;
		}
		for (uint32_t k = 0; k < keep; k++)
			chart_line(chart, i + k);
		snprintf(line, sizeof(line), "%*s ~\n", chart->label_width, "");
		put_text(line);
		for (uint32_t k = run - keep; k < run; k++)
			chart_line(chart, i + k);
		i += run;
	}
}

static void histogram(struct reader *reader, uint32_t type)
{
	const struct stap_histogram *h = (const void *)reader->at;
	struct chart chart = { .type = type };
	char line[80];

	if ((size_t)(reader->end - reader->at) < sizeof(*h) || h->buckets > 4096 ||
	    !take(reader, sizeof(*h) + h->buckets * sizeof(s64))) {
		reader->broken = true;
		return;
	}
	chart.histogram = h;
	if (!chart_range(&chart))
		return;
	chart_scale(&chart);
	snprintf(line, sizeof(line), "%*s |", chart.label_width, "value");
	put_text(line);
	stap_put_fill(&output, '-', h->width ? h->width : 50);
	put_text(" count\n");
	chart_lines(&chart);
	put_text("\n");
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
