/* SPDX-License-Identifier: GPL-2.0 */
/*
 * regex.h: runs the automaton of a regular expression over a text.
 * One table lookup a byte, at most MAXSTRINGLEN bytes: no recursion, no
 * backtracking, no memory but two small register files on the stack. Takes no
 * lock and reads only constant tables, the text, and (for an expression with
 * groups) the context that the caller owns: any context.
 *
 * The tables are elaborate/regex.py's. Where the script asks for groups, each
 * transition may move registers: `lists[at]` is a count, followed by as many
 * sources, the k-th of which is what register k gets.
 */
#ifndef STAP_REGEX_H
#define STAP_REGEX_H

enum {
	STAP_REGEX_REGISTERS = 128,	/* as elaborate/regex.py bounds them */
	STAP_REGEX_DEAD = 0xffff,	/* no transition */
	STAP_REGEX_NOW = 0xfffe,	/* source: the position reached */
	STAP_REGEX_NONE = 0xffff,	/* source: this tag was not passed */
	STAP_REGEX_ACCEPTS = 1,		/* the text matches, up to here */
	STAP_REGEX_ACCEPTS_END = 2,	/* the same, if the text ends here */
};

struct stap_regex {
	const u8 *classes;	/* byte -> class */
	const u16 *next;	/* [state * class_count + class] -> state */
	const u8 *accepting;	/* per state */
	u16 class_count;
	u16 groups;		/* the whole match included; 0: nobody asks for them */
	u16 registers;
	u16 initial;		/* index into `lists`; 0 is the empty list */
	const u16 *moves;	/* like `next`: index into `lists` */
	const u16 *finals;	/* per state: the tags of a match here ... */
	const u16 *ends;	/* ... and of one where the text ends */
	const u16 *lists;
};

static inline bool stap_regex_search(const struct stap_regex *regex, const char *text)
{
	u32 state = 0, at;

	for (at = 0; at < MAXSTRINGLEN; at++) {
		u8 accepting = regex->accepting[state];

		if (accepting & STAP_REGEX_ACCEPTS)
			return true;
		if (!text[at])
			return accepting & STAP_REGEX_ACCEPTS_END;
		state = regex->next[state * regex->class_count + regex->classes[(u8)text[at]]];
		if (state == STAP_REGEX_DEAD)
			return false;
	}
	return regex->accepting[state] & STAP_REGEX_ACCEPTS;
}

/* Fills `to` from `from` as a list says. They must not be the same. */
static inline void stap_regex_fill(u16 *to, const u16 *from, const u16 *list, u32 now)
{
	u32 count = *list++, k;

	for (k = 0; k < count; k++) {
		u16 source = list[k];

		if (source == STAP_REGEX_NOW)
			to[k] = now;
		else
			to[k] = source == STAP_REGEX_NONE ? STAP_REGEX_NONE : from[source];
	}
}

/* Keeps a match's groups in the context. The text is copied when the last one is known. */
static inline void stap_regex_keep(struct stap_context *c, const struct stap_regex *regex, const u16 *from, u32 list,
				   u32 now)
{
	u16 tags[2 * STAP_MATCHES];
	u32 k;

	stap_regex_fill(tags, from, regex->lists + list, now);
	for (k = 0; k < regex->groups; k++) {
		bool unset = tags[2 * k] == STAP_REGEX_NONE || tags[2 * k + 1] == STAP_REGEX_NONE;

		c->match[k].start = unset ? -1 : tags[2 * k];
		c->match[k].end = unset ? -1 : tags[2 * k + 1];
	}
}

static noinline bool stap_regex_search_groups(struct stap_context *c, const struct stap_regex *regex, const char *text)
{
	u16 registers[2][STAP_REGEX_REGISTERS];
	u16 *now = registers[0], *then = registers[1];
	u32 state = 0, at;
	bool found = false;

	stap_regex_fill(now, then, regex->lists + regex->initial, 0);
	for (at = 0; at < MAXSTRINGLEN; at++) {
		u8 accepting = regex->accepting[state];
		u32 index, move;

		if (!text[at] && (accepting & STAP_REGEX_ACCEPTS_END)) {
			stap_regex_keep(c, regex, now, regex->ends[state], at);
			return true;
		}
		if (accepting & STAP_REGEX_ACCEPTS) {
			stap_regex_keep(c, regex, now, regex->finals[state], at);
			found = true;
		}
		if (!text[at])
			return found;
		index = state * regex->class_count + regex->classes[(u8)text[at]];
		state = regex->next[index];
		if (state == STAP_REGEX_DEAD)
			return found;
		move = regex->moves[index];
		if (move) {
			u16 *filled = then;

			stap_regex_fill(filled, now, regex->lists + move, at + 1);
			then = now;
			now = filled;
		}
	}
	return found;
}

/* text =~ regex. A match leaves its groups in the context; what does not match leaves those of the last one there. */
static inline bool stap_regex_match(struct stap_context *c, const struct stap_regex *regex, const char *text)
{
	u32 length;

	if (!regex->groups)
		return stap_regex_search(regex, text);
	if (!stap_regex_search_groups(c, regex, text))
		return false;
	c->matched = regex->groups;
	for (length = 0; length < MAXSTRINGLEN - 1 && text[length]; length++)
		c->match_text[length] = text[length];
	c->match_text[length] = '\0';
	return true;
}

#endif
