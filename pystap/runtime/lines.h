/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lines.h: the source line of a kernel or module address, from tables that
 * debuginfo/linemap.py makes (their layout is told there) and the assembler
 * puts into the module. Reads constants and addresses of symbols only: any
 * context, no locks; a search is a bisection and one block of at most 64 rows.
 * Of modules those are known that the script probes or -d names.
 *
 * For tapsets (pragma:lines, with pragma:symbols):
 *	stap_line_find(c, address, &file)	the line; 0 where it is not known
 */
#ifndef STAP_LINES_H
#define STAP_LINES_H

enum { STAP_LINES_HEAD = 4, STAP_LINES_BLOCK = 3 };	/* words */

#define STAP_LINE_TABLE(name, path)			\
	asm(".pushsection .rodata.stap_lines, \"a\"\n"	\
	    ".balign 8\n"				\
	    #name ":\n"					\
	    ".incbin \"" path "\"\n"			\
	    ".popsection\n");				\
	extern const u32 name[]

struct stap_line_map {
	const u32 *table;
	u32 symbol;		/* of stap_symbols[]: lies */
	u32 offset;		/* so far from where the table's addresses begin */
	u32 size;
};

static const struct stap_line_map stap_line_maps[];
static const unsigned int stap_line_map_count;

static u32 stap_lines_number(const u8 **at, const u8 *end)
{
	u32 value = 0, shift = 0;
	u8 byte;

	do {
		if (*at >= end || shift > 28)
			return value;
		byte = *(*at)++;
		value |= (u32)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

/* The last block that begins at or before an address; NULL: none. */
static const u32 *stap_lines_block(const u32 *table, u32 address)
{
	const u32 *blocks = table + STAP_LINES_HEAD;
	u32 low = 0, high = table[0], middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (blocks[middle * STAP_LINES_BLOCK] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? blocks + (low - 1) * STAP_LINES_BLOCK : NULL;
}

static noinline u32 stap_lines_find(const u32 *table, u32 address, const char **file)
{
	const u8 *bytes = (const u8 *)table, *at, *end;
	const u32 *block = stap_lines_block(table, address), *names, *last;
	u32 place, seen = 0, line = 0, number = 0, step;

	if (!block)
		return 0;
	names = table + STAP_LINES_HEAD + table[0] * STAP_LINES_BLOCK;
	last = names - STAP_LINES_BLOCK;
	at = bytes + table[2] + block[1];
	end = block == last ? bytes + table[3] : bytes + table[2] + block[STAP_LINES_BLOCK + 1];
	place = address - block[0];
	while (at < end) {
		seen += stap_lines_number(&at, end);
		if (seen > place)
			break;
		step = stap_lines_number(&at, end);
		line += step & 2 ? -((step >> 2) + 1) : step >> 2;
		if (step & 1)
			number = stap_lines_number(&at, end);
	}
	if (line && block[2] + number < table[1])
		*file = (const char *)bytes + table[3] + names[block[2] + number];
	return *file ? line : 0;
}

/* Code of a module that is there only while it starts, or that has gone, may have made room for another's. */
static bool stap_lines_of(struct stap_context *c, const char *module, u64 address)
{
	struct stap_symbol_found found;

	return !module || (stap_symbol_find(c, address, &found) && !strcmp(found.module, module));
}

static __maybe_unused noinline u32 stap_line_find(struct stap_context *c, u64 address, const char **file)
{
	u32 i;

	*file = NULL;
	for (i = 0; i < stap_line_map_count; i++) {
		const struct stap_line_map *map = &stap_line_maps[i];
		const struct stap_symbol *symbol = &stap_symbols[map->symbol];
		u64 start = READ_ONCE(symbol->address);

		if (start && address - (start - map->offset) < map->size)
			return stap_lines_of(c, symbol->module, address) ?
			       stap_lines_find(map->table, address - (start - map->offset), file) : 0;
	}
	return 0;
}

#endif
