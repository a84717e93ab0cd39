/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pretty.h: $x$, $x$$ and $$vars: walks type descriptors over memory and
 * writes {.a=1, .b="txt", .c=[1, ...]} into a script string. Memory that can
 * not be read shows as ERROR and fails nothing. Any context; takes no lock;
 * bounded: STAP_PRETTY_ITEMS items, STAP_PRETTY_LEVELS levels or what the stack
 * has room for, the string's length.
 */
#ifndef STAP_PRETTY_H
#define STAP_PRETTY_H

enum stap_type_kind {
	STAP_TYPE_UNKNOWN,
	STAP_TYPE_INT,
	STAP_TYPE_UINT,
	STAP_TYPE_CHAR,
	STAP_TYPE_POINTER,
	STAP_TYPE_STRING,	/* a pointer to characters */
	STAP_TYPE_STRUCT,
	STAP_TYPE_UNION,
	STAP_TYPE_ARRAY,
	STAP_TYPE_ENUM,
	STAP_TYPE_FLOAT,
	STAP_TYPE_BITS,
};

enum {
	STAP_PRETTY_ITEMS = 32,		/* of one value */
	STAP_PRETTY_LEVELS = 12,
};

/* A virtual base of C++: the vtable of the object at `offset` holds the base's distance, `before` its address. */
struct stap_virtual_base {
	u32 offset;
	u32 before;
};

struct stap_member {
	const char *name;	/* "" for an unnamed struct or union */
	u32 type;
	u32 offset;
	u8 bit_offset;
	u8 bit_size;		/* 0: no bit field */
	u8 base_count;		/* virtual bases on the way to it */
	const struct stap_virtual_base *bases;
};

struct stap_type {
	u8 kind;
	u32 size;
	u32 element;
	u32 count;
	const struct stap_member *members;
	u32 member_count;
};

static const struct stap_type stap_types[];

static void stap_pretty_text(struct stap_pretty *pretty, const char *text)
{
	stap_put(&pretty->sink, text, strnlen(text, MAXSTRINGLEN));
}

static void stap_pretty_number(struct stap_pretty *pretty, char conversion, u8 flags, s64 value)
{
	struct stap_field field = { .flags = flags, .conversion = conversion, .width = STAP_FIELD_NONE,
				    .precision = STAP_FIELD_NONE };

	stap_put_number(&pretty->sink, &field, value);
}

static bool stap_pretty_read(struct stap_pretty *pretty, void *to, u64 address, size_t size)
{
	return pretty->user ? stap_read_user(to, address, size) : stap_read_kernel(to, address, size);
}

/* Characters between quotes, to the NUL or to `length`. */
static void stap_pretty_quoted(struct stap_pretty *pretty, const char *text, u32 length)
{
	char escaped[4];
	u32 at;

	stap_put(&pretty->sink, "\"", 1);
	for (at = 0; at < length && text[at]; at++) {
		if (text[at] == '"' || text[at] == '\\')
			stap_put(&pretty->sink, "\\", 1);
		stap_put(&pretty->sink, escaped, stap_escape(escaped, text[at]));
	}
	stap_put(&pretty->sink, "\"", 1);
}

/* What a char pointer points at; a pointer to what cannot be read now, page faults included, is shown itself. */
static void stap_pretty_string(struct stap_pretty *pretty, u64 address)
{
	bool sleepable = pretty->c->sleepable;
	s64 length = -1;

	pretty->c->sleepable = false;	/* of a page for each string of a struct, the program would notice */
	if (address < TASK_SIZE_MAX)	/* of another address space than its holder's, or none */
		length = stap_read_string(pretty->c->scratch, address, MAXSTRINGLEN, true);
	else if (!pretty->user)
		length = stap_read_string(pretty->c->scratch, address, MAXSTRINGLEN, false);
	pretty->c->sleepable = sleepable;
	if (length < 0)
		stap_pretty_number(pretty, 'p', 0, address);
	else
		stap_pretty_quoted(pretty, pretty->c->scratch, length);
}

static void stap_pretty_scalar(struct stap_pretty *pretty, const struct stap_type *type, s64 value)
{
	char escaped[4];

	switch (type->kind) {
	case STAP_TYPE_CHAR:
		stap_put(&pretty->sink, "'", 1);
		if ((u8)value == '\'' || (u8)value == '\\')
			stap_put(&pretty->sink, "\\", 1);
		stap_put(&pretty->sink, escaped, stap_escape(escaped, value));
		stap_put(&pretty->sink, "'", 1);
		break;
	case STAP_TYPE_POINTER:
		stap_pretty_number(pretty, 'p', 0, value);
		break;
	case STAP_TYPE_STRING:
		stap_pretty_string(pretty, value);
		break;
	case STAP_TYPE_UINT:
		stap_pretty_number(pretty, 'u', 0, value);
		break;
	case STAP_TYPE_INT:
	case STAP_TYPE_ENUM:
	case STAP_TYPE_BITS:
		stap_pretty_number(pretty, 'd', 0, value);
		break;
	default:
		stap_pretty_text(pretty, "?");
	}
}

/* Loads a number of any size up to 8. */
static bool stap_pretty_load(struct stap_pretty *pretty, const struct stap_type *type, u64 address, s64 *value)
{
	u64 raw = 0;
	u32 size = min_t(u32, type->size, sizeof(raw));

	if (!size || !stap_pretty_read(pretty, &raw, address, size))
		return false;
	*value = raw;
	if ((type->kind == STAP_TYPE_INT || type->kind == STAP_TYPE_ENUM) && size < sizeof(raw))
		*value = (s64)(raw << (64 - 8 * size)) >> (64 - 8 * size);
	return true;
}

static void stap_pretty_at(struct stap_pretty *pretty, u32 index, u64 address, u32 level);

static bool stap_pretty_composite(const struct stap_type *type)
{
	return type->kind == STAP_TYPE_STRUCT || type->kind == STAP_TYPE_UNION || type->kind == STAP_TYPE_ARRAY;
}

static bool stap_pretty_more(struct stap_pretty *pretty, u32 before)
{
	if (before)
		stap_put(&pretty->sink, ", ", 2);
	if (pretty->items < STAP_PRETTY_ITEMS && pretty->sink.used < pretty->sink.size)
		return true;
	stap_pretty_text(pretty, "...");
	return false;
}

static void stap_pretty_bits(struct stap_pretty *pretty, const struct stap_member *member, u64 address)
{
	const struct stap_type *type = &stap_types[member->type];
	struct stap_type whole = *type;
	s64 value = 0;

	whole.kind = STAP_TYPE_UINT;
	if (member->bit_offset + member->bit_size > 8 * type->size)
		whole.size = 8;
	pretty->items++;
	if (!stap_pretty_load(pretty, &whole, address, &value)) {
		stap_pretty_text(pretty, "ERROR");
		return;
	}
	value = stap_bits(value, member->bit_offset, member->bit_size,
			  type->kind == STAP_TYPE_INT || type->kind == STAP_TYPE_ENUM);
	stap_pretty_scalar(pretty, type, value);
}

/* Through the vtables of virtual bases. */
static bool stap_pretty_base(struct stap_pretty *pretty, const struct stap_member *member, u64 *address)
{
	u32 at;

	for (at = 0; at < member->base_count; at++) {
		u64 vtable, distance;

		*address += member->bases[at].offset;
		if (!stap_pretty_read(pretty, &vtable, *address, sizeof(vtable)) ||
		    !stap_pretty_read(pretty, &distance, vtable - member->bases[at].before, sizeof(distance)))
			return false;
		*address += distance;
	}
	return true;
}

static void stap_pretty_member(struct stap_pretty *pretty, const struct stap_member *member, u64 address, u32 level)
{
	if (member->name[0]) {
		stap_put(&pretty->sink, ".", 1);
		stap_pretty_text(pretty, member->name);
	} else {
		stap_pretty_text(pretty, stap_types[member->type].kind == STAP_TYPE_UNION ? "<union>" : "<class>");
	}
	stap_put(&pretty->sink, "=", 1);
	if (!stap_pretty_base(pretty, member, &address))
		stap_pretty_text(pretty, "ERROR");
	else if (member->bit_size)
		stap_pretty_bits(pretty, member, address + member->offset);
	else
		stap_pretty_at(pretty, member->type, address + member->offset, level);
}

/* Whether what lies inside is shown; each level takes some stack. */
static bool stap_pretty_inside(const struct stap_pretty *pretty, u32 level)
{
	return (level < pretty->depth || pretty->depth >= 2) && level < STAP_PRETTY_LEVELS &&
	       stap_stack_left(MINSTACKSPACE);
}

static void stap_pretty_struct(struct stap_pretty *pretty, const struct stap_type *type, u64 address, u32 level)
{
	u32 at;

	stap_put(&pretty->sink, "{", 1);
	if (!stap_pretty_inside(pretty, level))
		stap_pretty_text(pretty, "...");
	else
		for (at = 0; at < type->member_count && stap_pretty_more(pretty, at); at++)
			stap_pretty_member(pretty, &type->members[at], address, level + 1);
	stap_put(&pretty->sink, "}", 1);
}

static void stap_pretty_array(struct stap_pretty *pretty, const struct stap_type *type, u64 address, u32 level)
{
	const struct stap_type *element = &stap_types[type->element];

	if (!stap_pretty_inside(pretty, level)) {
		stap_pretty_text(pretty, "[...]");
		return;
	}
	if (element->kind == STAP_TYPE_CHAR) {
		s64 length = min_t(u64, (u64)type->count * element->size, MAXSTRINGLEN - 1);

		pretty->items++;
		if (!type->count)	/* a flexible array: as far as a string goes */
			length = stap_read_string(pretty->c->scratch, address, MAXSTRINGLEN, pretty->user);
		else if (!stap_pretty_read(pretty, pretty->c->scratch, address, length))
			length = -1;
		if (length < 0)
			stap_pretty_text(pretty, "ERROR");
		else
			stap_pretty_quoted(pretty, pretty->c->scratch, length);
		return;
	}
	stap_put(&pretty->sink, "[", 1);
	stap_pretty_at(pretty, type->element, address, level + 1);
	stap_pretty_text(pretty, ", ...");	/* as stap, which never asks for the length */
	stap_put(&pretty->sink, "]", 1);
}

/* The value of a type that lies at an address. */
static void stap_pretty_at(struct stap_pretty *pretty, u32 index, u64 address, u32 level)
{
	const struct stap_type *type = &stap_types[index];
	s64 value;

	switch (type->kind) {
	case STAP_TYPE_STRUCT:
	case STAP_TYPE_UNION:
		stap_pretty_struct(pretty, type, address, level);
		break;
	case STAP_TYPE_ARRAY:
		stap_pretty_array(pretty, type, address, level);
		break;
	case STAP_TYPE_UNKNOWN:
	case STAP_TYPE_FLOAT:
		stap_pretty_text(pretty, "?");
		break;
	default:
		pretty->items++;
		if (stap_pretty_load(pretty, type, address, &value))
			stap_pretty_scalar(pretty, type, value);
		else
			stap_pretty_text(pretty, "ERROR");
	}
}

/* --- what generated code calls ------------------------------------------------------------------------- */

static noinline void stap_pretty_start(struct stap_context *c, char *to, u32 depth, bool user)
{
	struct stap_pretty *pretty = &c->pretty;

	pretty->sink.buffer = to;
	pretty->sink.size = MAXSTRINGLEN - 1;
	pretty->sink.used = 0;
	pretty->c = c;
	pretty->parts = 0;
	pretty->items = 0;
	pretty->depth = depth;
	pretty->user = user;
}

/* A part begins with its label, `name=`. */
static void stap_pretty_label(struct stap_pretty *pretty, const char *label)
{
	if (pretty->parts++)
		stap_put(&pretty->sink, " ", 1);
	pretty->items = 0;
	stap_pretty_text(pretty, label);
}

/* An error while the value or address was found: shown, and forgotten. */
static bool stap_pretty_failed(struct stap_context *c)
{
	if (likely(!c->last_error))
		return false;
	stap_error_clear(c);
	stap_pretty_text(&c->pretty, "ERROR");
	return true;
}

static __maybe_unused noinline void stap_pretty_value(struct stap_context *c, const char *label, u32 index, s64 value)
{
	struct stap_pretty *pretty = &c->pretty;

	stap_pretty_label(pretty, label);
	if (stap_pretty_failed(c))
		return;
	if (!pretty->depth)
		stap_pretty_number(pretty, 'x', STAP_FIELD_SPECIAL, value);
	else
		stap_pretty_scalar(pretty, &stap_types[index], value);
}

static __maybe_unused noinline void stap_pretty_address(struct stap_context *c, const char *label, u32 index,
							s64 address)
{
	const struct stap_type *type = &stap_types[index];
	u8 first;

	stap_pretty_label(&c->pretty, label);
	if (stap_pretty_failed(c))
		return;
	if (stap_pretty_composite(type) || stap_pretty_read(&c->pretty, &first, address, sizeof(first)))
		stap_pretty_at(&c->pretty, index, address, 0);
	else
		stap_pretty_number(&c->pretty, 'p', 0, address);	/* a pointer that leads nowhere */
}

/* A variable that has no value here. */
static __maybe_unused noinline void stap_pretty_unknown(struct stap_context *c, const char *label)
{
	stap_pretty_label(&c->pretty, label);
	stap_pretty_text(&c->pretty, "?");
}

/* The next part follows without a space. */
static __maybe_unused noinline void stap_pretty_join(struct stap_context *c)
{
	c->pretty.parts = 0;
}

/* A label that has no value. */
static __maybe_unused noinline void stap_pretty_bare(struct stap_context *c, const char *label)
{
	stap_pretty_label(&c->pretty, label);
}

static noinline void stap_pretty_end(struct stap_context *c)
{
	c->pretty.sink.buffer[c->pretty.sink.used] = 0;
}

#endif
