/* SPDX-License-Identifier: GPL-2.0 */
/*
 * format.h: writes one printf field into a bounded buffer.
 * Compiled into the module (sprintf) and into the runner (printf), so that
 * both spell a value alike. Pure: no lock, no allocation, no kernel call, any
 * context; time is bounded by the size of the buffer and of the argument.
 */
#ifndef STAP_FORMAT_H
#define STAP_FORMAT_H

#ifndef __KERNEL__
#include <stdbool.h>
#include <string.h>
#endif

/* Where text goes. What does not fit is dropped, unless the runner's `spill` makes room. */
struct stap_sink {
	char *buffer;
	u32 size;
	u32 used;
#ifndef __KERNEL__
	void (*spill)(struct stap_sink *sink);
#endif
};

enum stap_field_flag {
	STAP_FIELD_LEFT = 1,	/* - */
	STAP_FIELD_PLUS = 2,	/* + */
	STAP_FIELD_SPACE = 4,	/* (space) */
	STAP_FIELD_SPECIAL = 8,	/* # */
	STAP_FIELD_ZERO = 16,	/* 0 */
};

enum {
	STAP_FIELD_NONE = -1,		/* no width, no precision */
	STAP_FIELD_ARGUMENT = -2,	/* `*` */
	STAP_FIELD_LIMIT = 1 << 20,	/* wider than this is cut: a mistake, not a wish */
};

struct stap_field {
	u8 flags;
	char conversion;	/* one of diuoxXpcsmMb% , or 0: the format ended */
	s32 width;
	s32 precision;
};

static inline void stap_put(struct stap_sink *sink, const char *text, u32 length)
{
	while (length > 0) {
		u32 room = sink->size - sink->used;
		u32 part = length < room ? length : room;

		memcpy(sink->buffer + sink->used, text, part);
		sink->used += part;
		text += part;
		length -= part;
		if (length == 0)
			return;
#ifdef __KERNEL__
		return;
#else
		if (!sink->spill)
			return;
		sink->spill(sink);
#endif
	}
}

static inline void stap_put_fill(struct stap_sink *sink, char fill, s32 count)
{
	char run[16];

	if (count <= 0)
		return;
	memset(run, fill, sizeof(run));
	while (count > 0) {
		u32 part = count < (s32)sizeof(run) ? count : sizeof(run);

		if (sink->used == sink->size) {
#ifdef __KERNEL__
			return;
#else
			if (!sink->spill)
				return;
#endif
		}
		stap_put(sink, run, part);
		count -= part;
	}
}

static inline const char *stap_field_number(const char *at, s32 *number)
{
	s32 value = 0;

	if (*at == '*') {
		*number = STAP_FIELD_ARGUMENT;
		return at + 1;
	}
	while (*at >= '0' && *at <= '9') {
		if (value < STAP_FIELD_LIMIT)
			value = value * 10 + (*at - '0');
		at++;
	}
	*number = value;
	return at;
}

static inline u8 stap_field_flag(char c)
{
	switch (c) {
	case '-':
		return STAP_FIELD_LEFT;
	case '+':
		return STAP_FIELD_PLUS;
	case ' ':
		return STAP_FIELD_SPACE;
	case '#':
		return STAP_FIELD_SPECIAL;
	case '0':
		return STAP_FIELD_ZERO;
	default:
		return 0;
	}
}

/* Reads what follows a `%`; returns where the text goes on. */
static inline const char *stap_field_parse(const char *at, struct stap_field *field)
{
	u8 flag;

	field->flags = 0;
	field->width = STAP_FIELD_NONE;
	field->precision = STAP_FIELD_NONE;
	while ((flag = stap_field_flag(*at)) != 0) {
		field->flags |= flag;
		at++;
	}
	if (*at == '*' || (*at >= '0' && *at <= '9'))
		at = stap_field_number(at, &field->width);
	if (*at == '.')
		at = stap_field_number(at + 1, &field->precision);
	while (*at == 'l')
		at++;
	field->conversion = *at;
	return *at ? at + 1 : at;
}

/* A width given as argument: a negative one means left-justified. */
static inline void stap_field_set_width(struct stap_field *field, s64 width)
{
	if (width < 0) {
		field->flags |= STAP_FIELD_LEFT;
		width = width < -STAP_FIELD_LIMIT ? STAP_FIELD_LIMIT : -width;
	}
	field->width = width > STAP_FIELD_LIMIT ? STAP_FIELD_LIMIT : (s32)width;
}

/* A precision given as argument: a negative one means none. */
static inline void stap_field_set_precision(struct stap_field *field, s64 precision)
{
	if (precision < 0)
		field->precision = STAP_FIELD_NONE;
	else
		field->precision = precision > STAP_FIELD_LIMIT ? STAP_FIELD_LIMIT : (s32)precision;
}

static inline void stap_put_padded(struct stap_sink *sink, const struct stap_field *field, const char *text, u32 length)
{
	s32 pad = field->width > (s32)length ? field->width - (s32)length : 0;

	if (!(field->flags & STAP_FIELD_LEFT))
		stap_put_fill(sink, ' ', pad);
	stap_put(sink, text, length);
	if (field->flags & STAP_FIELD_LEFT)
		stap_put_fill(sink, ' ', pad);
}

/* Writes the digits of `value` before `end`; returns where they begin. */
static inline char *stap_digits(char *end, u64 value, char conversion)
{
	const char *digits = conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";

	if (conversion == 'd' || conversion == 'u') {
		do {
			*--end = '0' + value % 10;
			value /= 10;
		} while (value);
	} else {
		u32 shift = conversion == 'o' ? 3 : 4;

		do {
			*--end = digits[value & ((1 << shift) - 1)];
			value >>= shift;
		} while (value);
	}
	return end;
}

static inline u32 stap_number_prefix(char *prefix, const struct stap_field *field, char conversion, bool negative)
{
	u32 length = 0;

	if (negative)
		prefix[length++] = '-';
	else if (conversion == 'd' && (field->flags & STAP_FIELD_PLUS))
		prefix[length++] = '+';
	else if (conversion == 'd' && (field->flags & STAP_FIELD_SPACE))
		prefix[length++] = ' ';
	if ((field->flags & STAP_FIELD_SPECIAL) && (conversion == 'x' || conversion == 'X')) {
		prefix[length++] = '0';
		prefix[length++] = conversion;
	}
	return length;
}

/* d i u o x X p */
static inline void stap_put_number(struct stap_sink *sink, const struct stap_field *given, s64 value)
{
	struct stap_field field = *given;
	char conversion = field.conversion == 'i' ? 'd' : field.conversion;
	bool negative = conversion == 'd' && value < 0;
	char digits[24], prefix[4];
	char *end = digits + sizeof(digits), *start;
	u32 length, prefixed;
	s32 zeros, pad;

	if (conversion == 'p') {
		conversion = 'x';
		field.flags |= STAP_FIELD_SPECIAL;
	}
	start = stap_digits(end, negative ? 0 - (u64)value : (u64)value, conversion);
	if (conversion == 'o' && (field.flags & STAP_FIELD_SPECIAL) && *start != '0')
		*--start = '0';
	length = end - start;
	prefixed = stap_number_prefix(prefix, &field, conversion, negative);
	zeros = field.precision > (s32)length ? field.precision - (s32)length : 0;
	pad = field.width - (s32)(length + prefixed) - zeros;
	if (pad < 0)
		pad = 0;
	if ((field.flags & STAP_FIELD_ZERO) && !(field.flags & STAP_FIELD_LEFT) && field.precision < 0) {
		zeros = pad;
		pad = 0;
	}
	if (!(field.flags & STAP_FIELD_LEFT))
		stap_put_fill(sink, ' ', pad);
	stap_put(sink, prefix, prefixed);
	stap_put_fill(sink, '0', zeros);
	stap_put(sink, start, length);
	if (field.flags & STAP_FIELD_LEFT)
		stap_put_fill(sink, ' ', pad);
}

/* Spells a byte as C does inside quotes, when it is not printable: \n, \033. Returns how many bytes of `out` (4) it took. */
static inline u32 stap_escape(char *out, u8 byte)
{
	static const char letters[] = "abtnvfr";	/* 7 to 13 */

	if (byte >= 32 && byte < 127) {
		out[0] = byte;
		return 1;
	}
	out[0] = '\\';
	if (byte >= 7 && byte <= 13) {
		out[1] = letters[byte - 7];
		return 2;
	}
	out[1] = '0' + (byte >> 6);
	out[2] = '0' + ((byte >> 3) & 7);
	out[3] = '0' + (byte & 7);
	return 4;
}

/* c */
static inline void stap_put_character(struct stap_sink *sink, const struct stap_field *field, s64 value)
{
	char text[4];
	u32 length = 1;

	text[0] = (char)value;
	if (field->flags & STAP_FIELD_SPECIAL)
		length = stap_escape(text, (u8)value);
	stap_put_padded(sink, field, text, length);
}

/* b: the width says how many bytes of the number, in the machine's order */
static inline void stap_put_binary(struct stap_sink *sink, const struct stap_field *field, s64 value)
{
	u8 one = (u8)value;
	u16 two = (u16)value;
	u32 four = (u32)value;

	switch (field->width) {
	case 1:
		stap_put(sink, (const char *)&one, sizeof(one));
		break;
	case 2:
		stap_put(sink, (const char *)&two, sizeof(two));
		break;
	case 4:
		stap_put(sink, (const char *)&four, sizeof(four));
		break;
	default:
		stap_put(sink, (const char *)&value, sizeof(value));
	}
}

/* Any conversion that takes a number. */
static inline void stap_put_long(struct stap_sink *sink, const struct stap_field *field, s64 value)
{
	switch (field->conversion) {
	case 'c':
		stap_put_character(sink, field, value);
		break;
	case 'b':
		stap_put_binary(sink, field, value);
		break;
	default:
		stap_put_number(sink, field, value);
	}
}

/* M: memory as hexadecimal digits */
static inline void stap_put_hexdump(struct stap_sink *sink, const struct stap_field *field, const char *bytes, u32 length)
{
	static const char digits[] = "0123456789abcdef";
	s32 pad = field->width > 0 && (u32)field->width > 2 * length ? field->width - (s32)(2 * length) : 0;
	u32 i;

	if (!(field->flags & STAP_FIELD_LEFT))
		stap_put_fill(sink, ' ', pad);
	for (i = 0; i < length; i++) {
		char pair[2] = { digits[(u8)bytes[i] >> 4], digits[bytes[i] & 15] };

		stap_put(sink, pair, 2);
	}
	if (field->flags & STAP_FIELD_LEFT)
		stap_put_fill(sink, ' ', pad);
}

/* s m M: `length` bytes, of which %s takes as many as its precision says */
static inline void stap_put_string(struct stap_sink *sink, const struct stap_field *field, const char *text, u32 length)
{
	if (field->conversion == 'M') {
		stap_put_hexdump(sink, field, text, length);
		return;
	}
	if (field->conversion == 's' && field->precision >= 0 && (u32)field->precision < length)
		length = field->precision;
	stap_put_padded(sink, field, text, length);
}

#endif
