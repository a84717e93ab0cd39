/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lines.h: the source line of a kernel address, from the table that
 * debuginfo/linemap.py makes (its layout is told there) and the assembler puts
 * into the module. Reads constants only: any context, no locks; a search is a
 * bisection and one block of at most 64 rows. Addresses in modules are unknown.
 *
 * For tapsets (pragma:lines, with pragma:symbols):
 *	stap_line_find(address, &file)		the line; 0 where it is not known
 */
#ifndef STAP_LINES_H
#define STAP_LINES_H

enum { STAP_LINES_HEAD = 4, STAP_LINES_BLOCK = 3 };	/* words */

#ifdef STAP_LINE_MAP
asm(".pushsection .rodata.stap_lines, \"a\"\n"
    ".balign 8\n"
    "stap_line_map:\n"
    ".incbin \"" STAP_LINE_MAP "\"\n"
    ".popsection\n");
extern const u32 stap_line_map[];
#else	/* there was no debug-info */
static const u32 stap_line_map[STAP_LINES_HEAD];
#endif

static unsigned long stap_line_base;	/* of the kernel's code; 0: unknown */

static int stap_lines_load(void)
{
	stap_line_base = stap_symbol_lookup(NULL, "_stext");
	return 0;
}

static void stap_lines_unload(void)
{
}

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
static const u32 *stap_lines_block(u32 address)
{
	const u32 *blocks = stap_line_map + STAP_LINES_HEAD;
	u32 low = 0, high = stap_line_map[0], middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (blocks[middle * STAP_LINES_BLOCK] <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? blocks + (low - 1) * STAP_LINES_BLOCK : NULL;
}

static __maybe_unused u32 stap_line_find(u64 address, const char **file)
{
	const u8 *bytes = (const u8 *)stap_line_map, *at, *end;
	const u32 *block, *names, *last;
	u32 place, seen = 0, line = 0, number = 0, step;

	*file = NULL;
	if (!stap_line_base || address < stap_line_base || address - stap_line_base > U32_MAX)
		return 0;
	block = stap_lines_block(address - stap_line_base);
	if (!block)
		return 0;
	names = stap_line_map + STAP_LINES_HEAD + stap_line_map[0] * STAP_LINES_BLOCK;
	last = names - STAP_LINES_BLOCK;
	at = bytes + stap_line_map[2] + block[1];
	end = block == last ? bytes + stap_line_map[3] : bytes + stap_line_map[2] + block[STAP_LINES_BLOCK + 1];
	place = address - stap_line_base - block[0];
	while (at < end) {
		seen += stap_lines_number(&at, end);
		if (seen > place)
			break;
		step = stap_lines_number(&at, end);
		line += step & 2 ? -((step >> 2) + 1) : step >> 2;
		if (step & 1)
			number = stap_lines_number(&at, end);
	}
	if (line && block[2] + number < stap_line_map[1])
		*file = (const char *)bytes + stap_line_map[3] + names[block[2] + number];
	return *file ? line : 0;
}

#endif
