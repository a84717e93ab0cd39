/* strings.h: copies, comparisons and hashes by words, at every length and alignment of the end. */
#include "test.h"

static void fill(char *to, int length, int seed)
{
	int i;

	for (i = 0; i < length; i++)
		to[i] = 1 + (seed * 31 + i * 7) % 255;
	to[length] = 0;
}

static void every_length(void)
{
	char plain[MAXSTRINGLEN];
	int length;

	for (length = 0; length < MAXSTRINGLEN; length++) {
		struct text a, b;

		fill(plain, length, length);
		a = text_of(plain);
		memset(b.s, 0x5a, sizeof(b.s));
		CHECK(stap_length(a.s) == (u32)length);
		CHECK(stap_copy(b.s, a.s) == (u32)length);
		CHECK_TEXT(b.s, plain);
		CHECK(stap_equal(a.s, b.s) && stap_compare(a.s, b.s) == 0);
		CHECK(stap_hash_string(1, a.s) == stap_hash_string(1, b.s));
		memset(b.s + length + 1, 0x33, sizeof(b.s) - length - 1);	/* what follows the end means nothing */
		CHECK(stap_equal(a.s, b.s));
		CHECK(stap_hash_string(1, a.s) == stap_hash_string(1, b.s));
		if (length) {
			b.s[length - 1] ^= 0x80;
			CHECK(stap_equal(a.s, b.s) == !strcmp(a.s, b.s));
			b.s[length - 1] = 0;
			CHECK(!stap_equal(a.s, b.s) && stap_compare(b.s, a.s) < 0);
		}
	}
}

static void concatenation(void)
{
	struct text a = text_of("abc"), b = text_of("defgh"), to = text_of("x"), scratch;

	stap_concat(to.s, a.s, b.s, scratch.s);
	CHECK_TEXT(to.s, "abcdefgh");
	stap_concat(a.s, a.s, b.s, scratch.s);
	CHECK_TEXT(a.s, "abcdefgh");
	stap_concat(b.s, a.s, b.s, scratch.s);
	CHECK_TEXT(b.s, "abcdefghdefgh");
	stap_concat(b.s, b.s, b.s, scratch.s);
	CHECK_TEXT(b.s, "abcdefghdefghabcdefghdefgh");
	memset(a.s, 'q', MAXSTRINGLEN - 2);
	a.s[MAXSTRINGLEN - 2] = 0;
	stap_concat(a.s, a.s, b.s, scratch.s);
	CHECK(stap_length(a.s) == MAXSTRINGLEN - 1);
}

static void order(void)
{
	struct text a = text_of("a"), b = text_of("\xc3\xa9"), empty = text_of("");

	CHECK(stap_compare(a.s, b.s) < 0);	/* bytes are unsigned */
	CHECK(stap_compare(b.s, a.s) > 0);
	CHECK(stap_compare(empty.s, a.s) < 0);
	CHECK(!stap_equal(empty.s, a.s));
}

int main(void)
{
	every_length();
	concatenation();
	order();
	return 0;
}
