/* SPDX-License-Identifier: GPL-2.0 */
/*
 * text_value.h: the text that a handler makes or gets as $value. An engine in
 * process context binds a buffer to this CPU around the handler, which runs
 * with preemption off; other handlers on this CPU are refused meanwhile, so no
 * lock is taken. Outside of such a handler there is no text: reading gives
 * "", writing fails the handler. Any context.
 */
#ifndef STAP_TEXT_VALUE_H
#define STAP_TEXT_VALUE_H

struct stap_text_value {
	char *text;	/* ends with a NUL */
	u32 length;	/* without it */
	u32 size;	/* of the buffer */
};

static DEFINE_PER_CPU(struct stap_text_value *, stap_text_value_now);

/* Between stap_enter() and stap_leave(). */
static inline void stap_text_value_run(struct stap_context *c, struct stap_text_value *value)
{
	__this_cpu_write(stap_text_value_now, value);
	c->probe->handler(c);
	__this_cpu_write(stap_text_value_now, NULL);
}

static inline void stap_text_value_get(char *to)
{
	const struct stap_text_value *value = __this_cpu_read(stap_text_value_now);

	if (value)
		strscpy(to, value->text, MAXSTRINGLEN);
}

static inline void stap_text_value_add(struct stap_context *c, const char *text, bool replace)
{
	struct stap_text_value *value = __this_cpu_read(stap_text_value_now);
	u32 length = strnlen(text, MAXSTRINGLEN);

	if (!value)
		return;	/* elaboration lets only procfs probes come here */
	if (replace)
		value->length = 0;
	if (length >= value->size - value->length) {
		stap_fail_format(c, 0, "buffer size exceeded, consider .maxsize(%u).", value->length + length + 1);
		return;
	}
	memcpy(value->text + value->length, text, length);
	value->length += length;
	value->text[value->length] = '\0';
}

#endif
