/* SPDX-License-Identifier: GPL-2.0 */
/*
 * strings.h: script strings: NUL-terminated, at most MAXSTRINGLEN - 1 bytes.
 * Their storage is aligned to 8 bytes and a multiple of 8 long, literals
 * included, so that all is done by words. Pure; any context; bounded by
 * MAXSTRINGLEN.
 */
#ifndef STAP_STRINGS_H
#define STAP_STRINGS_H

#define STAP_ONES 0x0101010101010101ULL
#define STAP_HIGHS 0x8080808080808080ULL

/* Nonzero where a byte of the word is NUL; the lowest set bit is exact. */
static __always_inline u64 stap_word_nul(u64 word)
{
	return (word - STAP_ONES) & ~word & STAP_HIGHS;
}

/* How many bytes come before the NUL that `nul` (not 0) tells of: little endian. */
static __always_inline u32 stap_word_length(u64 nul)
{
	return __builtin_ctzll(nul) >> 3;
}

/* The word with its NUL and what follows cleared, the same for equal strings. `nul` is not 0. */
static __always_inline u64 stap_word_cut(u64 word, u64 nul)
{
	return word & (((nul & -nul) >> 7) - 1);
}

typedef u64 __attribute__((may_alias, aligned(4))) stap_word;

/* Copies by words, returns the length. `to` has room for a string's storage (alignment 4 suffices). */
static __always_inline u32 stap_copy(char *to, const char *from)
{
	u32 at;

	for (at = 0; at < STAP_STRING_BYTES; at += 8) {
		u64 word = *(const stap_word *)(from + at);
		u64 nul = stap_word_nul(word);

		*(stap_word *)(to + at) = word;
		if (nul)
			return at + stap_word_length(nul);
	}
	return MAXSTRINGLEN - 1;
}

static noinline void stap_assign(char *to, const char *from)
{
	if (to != from)
		stap_copy(to, from);
}

static noinline u32 stap_length(const char *text)
{
	u32 at;

	for (at = 0; at < STAP_STRING_BYTES; at += 8) {
		u64 nul = stap_word_nul(*(const stap_word *)(text + at));

		if (nul)
			return at + stap_word_length(nul);
	}
	return MAXSTRINGLEN - 1;
}

static noinline bool stap_equal(const char *left, const char *right)
{
	u32 at;

	for (at = 0; at < STAP_STRING_BYTES; at += 8) {
		u64 a = *(const stap_word *)(left + at);
		u64 b = *(const stap_word *)(right + at);
		u64 nul = stap_word_nul(a);

		if (nul)	/* the NUL itself must agree, what follows need not */
			return ((a ^ b) & (((nul & -nul) << 1) - 1)) == 0;
		if (a != b)
			return false;
	}
	return true;
}

static noinline int stap_compare(const char *left, const char *right)
{
	u32 at;

	for (at = 0; at < MAXSTRINGLEN; at++) {
		u8 a = left[at], b = right[at];

		if (a != b)
			return a < b ? -1 : 1;
		if (!a)
			return 0;
	}
	return 0;
}

/* A hash over the words up to the end: fast, and good in its high bits. */
static __always_inline u64 stap_hash_word(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 32);
}

static __always_inline u64 stap_hash_string(u64 hash, const char *text)
{
	u32 at;

	for (at = 0; at < STAP_STRING_BYTES; at += 8) {
		u64 word = *(const stap_word *)(text + at);
		u64 nul = stap_word_nul(word);

		if (nul)
			return stap_hash_word(hash, stap_word_cut(word, nul));
		hash = stap_hash_word(hash, word);
	}
	return hash;
}

/* Appends from->NUL at `used`; returns the new length. Cuts at what a string holds. */
static __always_inline u32 stap_append(char *to, u32 used, const char *from)
{
	while (used < MAXSTRINGLEN - 1 && *from)
		to[used++] = *from++;
	to[used] = 0;
	return used;
}

/* to = left . right; `to` may be either. */
static noinline void stap_concat(char *to, const char *left, const char *right, char *scratch)
{
	u32 used;

	if (to == right) {
		stap_assign(scratch, right);
		right = scratch;
	}
	stap_assign(to, left);
	used = stap_length(to);
	stap_append(to, used, right);
}

/* Cuts where only memory copying could have left an unended string. */
static __always_inline void stap_end(char *text)
{
	text[MAXSTRINGLEN - 1] = 0;
}

#endif
