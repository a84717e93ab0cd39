/* SPDX-License-Identifier: GPL-2.0 */
/*
 * softfloat.h: IEEE 754 doubles in whole numbers, as scripts hold them: the 64
 * bits in a long. Results are rounded to the nearest, ties to even, and are bit
 * for bit those of x86's SSE, subnormals and infinities included; every NaN
 * that is made is STAP_FP_NAN. Texts are converted exactly. Pure; any context;
 * no allocation; at most 1 KiB of stack; loops are bounded by the width of
 * exponents (2100 steps of a remainder) or by MAXSTRINGLEN.
 */
#ifndef STAP_SOFTFLOAT_H
#define STAP_SOFTFLOAT_H

#define STAP_FP_SIGN 0x8000000000000000ULL
#define STAP_FP_INF 0x7ff0000000000000ULL
#define STAP_FP_NAN 0xfff8000000000000ULL
#define STAP_FP_QUIET 0x0008000000000000ULL
#define STAP_FP_TOP 0x8000000000000000ULL	/* the leading bit of a significand */

/* A finite number that is not 0: significand * 2^exponent, the leading bit is set. */
struct stap_fp {
	bool negative;
	int exponent;
	u64 significand;
};

static inline bool stap_fp_is_nan(u64 bits)
{
	return (bits & ~STAP_FP_SIGN) > STAP_FP_INF;
}

static inline bool stap_fp_is_infinite(u64 bits)
{
	return (bits & ~STAP_FP_SIGN) == STAP_FP_INF;
}

static inline bool stap_fp_is_zero(u64 bits)
{
	return !(bits & ~STAP_FP_SIGN);
}

/* The NaN that an operation hands on: the first operand's, made quiet. */
static inline u64 stap_fp_nan_of(u64 a, u64 b)
{
	return (stap_fp_is_nan(a) ? a : b) | STAP_FP_QUIET;
}

static struct stap_fp stap_fp_unpack(u64 bits)
{
	int biased = bits >> 52 & 0x7ff;
	u64 fraction = bits & 0x000fffffffffffffULL;
	int spare;

	if (biased)
		fraction |= 0x0010000000000000ULL;
	else
		biased = 1;
	spare = __builtin_clzll(fraction);
	return (struct stap_fp){ bits >> 63, biased - 1075 - spare, fraction << spare };
}

/* The double nearest to a number; `sticky`: it is a little more than the significand says. */
static u64 stap_fp_pack(bool negative, int exponent, u64 significand, bool sticky)
{
	u64 sign = negative ? STAP_FP_SIGN : 0, kept, rest;
	int biased = exponent + 1086, shift = 11;

	if (biased >= 0x7ff)
		return sign | STAP_FP_INF;
	if (biased < 1) {
		shift += 1 - biased;
		biased = 1;
	}
	if (shift > 64)
		return sign;	/* less than half of the smallest */
	kept = shift == 64 ? 0 : significand >> shift;
	rest = significand << (64 - shift);
	if (rest > STAP_FP_TOP || (rest == STAP_FP_TOP && (sticky || kept & 1)))
		kept++;
	return sign | (((u64)(biased - 1) << 52) + kept);	/* a carry goes to the exponent, as it should */
}

/* value * 2^exponent, which is not 0, as a double. */
static u64 stap_fp_pack_wide(bool negative, int exponent, unsigned __int128 value, bool sticky)
{
	u64 high = value >> 64, low = value;
	int spare;

	if (!high) {
		spare = __builtin_clzll(low);
		return stap_fp_pack(negative, exponent - spare, low << spare, sticky);
	}
	spare = __builtin_clzll(high);
	value <<= spare;
	return stap_fp_pack(negative, exponent + 64 - spare, value >> 64, sticky || (u64)value);
}

/* a + b, both finite and not 0. */
static u64 stap_fp_sum(struct stap_fp a, struct stap_fp b)
{
	unsigned __int128 x, y = 0;
	bool sticky = true;
	int apart;

	if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) {
		struct stap_fp swapped = a;

		a = b;
		b = swapped;
	}
	apart = a.exponent - b.exponent;
	x = (unsigned __int128)a.significand << 63;
	if (apart < 127) {
		unsigned __int128 whole = (unsigned __int128)b.significand << 63;

		y = whole >> apart;
		sticky = y << apart != whole;
	}
	if (a.negative == b.negative)
		x += y;
	else
		x -= y + sticky;	/* what was cut off is subtracted, too: one less and a little more */
	return x ? stap_fp_pack_wide(a.negative, a.exponent - 63, x, sticky) : 0;
}

static u64 stap_fp_add(u64 a, u64 b)
{
	if (stap_fp_is_nan(a) || stap_fp_is_nan(b))
		return stap_fp_nan_of(a, b);
	if (stap_fp_is_infinite(a))
		return stap_fp_is_infinite(b) && a != b ? STAP_FP_NAN : a;
	if (stap_fp_is_infinite(b))
		return b;
	if (stap_fp_is_zero(b))
		return stap_fp_is_zero(a) ? a & b : a;
	if (stap_fp_is_zero(a))
		return b;
	return stap_fp_sum(stap_fp_unpack(a), stap_fp_unpack(b));
}

static u64 stap_fp_sub(u64 a, u64 b)
{
	return stap_fp_add(a, stap_fp_is_nan(b) ? b : b ^ STAP_FP_SIGN);
}

static u64 stap_fp_mul(u64 a, u64 b)
{
	u64 sign = (a ^ b) & STAP_FP_SIGN;
	struct stap_fp x, y;

	if (stap_fp_is_nan(a) || stap_fp_is_nan(b))
		return stap_fp_nan_of(a, b);
	if (stap_fp_is_infinite(a) || stap_fp_is_infinite(b))
		return stap_fp_is_zero(a) || stap_fp_is_zero(b) ? STAP_FP_NAN : sign | STAP_FP_INF;
	if (stap_fp_is_zero(a) || stap_fp_is_zero(b))
		return sign;
	x = stap_fp_unpack(a);
	y = stap_fp_unpack(b);
	return stap_fp_pack_wide(sign, x.exponent + y.exponent, (unsigned __int128)x.significand * y.significand, false);
}

static u64 stap_fp_div(u64 a, u64 b)
{
	u64 sign = (a ^ b) & STAP_FP_SIGN, quotient = 0;
	unsigned __int128 rest;
	struct stap_fp x, y;
	int step;

	if (stap_fp_is_nan(a) || stap_fp_is_nan(b))
		return stap_fp_nan_of(a, b);
	if (stap_fp_is_infinite(a))
		return stap_fp_is_infinite(b) ? STAP_FP_NAN : sign | STAP_FP_INF;
	if (stap_fp_is_infinite(b))
		return sign;
	if (stap_fp_is_zero(b))
		return stap_fp_is_zero(a) ? STAP_FP_NAN : sign | STAP_FP_INF;
	if (stap_fp_is_zero(a))
		return sign;
	x = stap_fp_unpack(a);
	y = stap_fp_unpack(b);
	rest = x.significand;
	for (step = 0; step < 64; step++) {
		quotient <<= 1;
		if (rest >= y.significand) {
			rest -= y.significand;
			quotient |= 1;
		}
		rest <<= 1;
	}
	return stap_fp_pack_wide(sign, x.exponent - y.exponent - 63, quotient, rest != 0);
}

/* a - b * n, n the integer nearest to a / b, ties to even. */
static u64 stap_fp_rem(u64 a, u64 b)
{
	unsigned __int128 rest, whole;
	bool negative = a >> 63, odd = false;
	struct stap_fp x, y;
	int steps;

	if (stap_fp_is_nan(a) || stap_fp_is_nan(b))
		return stap_fp_nan_of(a, b);
	if (stap_fp_is_infinite(a) || stap_fp_is_zero(b))
		return STAP_FP_NAN;
	if (stap_fp_is_infinite(b) || stap_fp_is_zero(a))
		return a;
	x = stap_fp_unpack(a);
	y = stap_fp_unpack(b);
	if (x.exponent < y.exponent - 1)
		return a;	/* less than half of b */
	rest = x.significand;
	for (steps = x.exponent - y.exponent; steps >= 0; steps--) {
		odd = rest >= y.significand;
		if (odd)
			rest -= y.significand;
		if (steps)
			rest <<= 1;
	}
	if (x.exponent >= y.exponent)
		rest <<= 1;	/* from here on in halves of b's unit */
	whole = (unsigned __int128)y.significand << 1;
	if (rest > y.significand || (rest == y.significand && odd)) {
		rest = whole - rest;
		negative = !negative;
	}
	return rest ? stap_fp_pack_wide(negative, y.exponent - 1, rest, false) : a & STAP_FP_SIGN;
}

static u64 stap_fp_sqrt(u64 a)
{
	unsigned __int128 value, rest = 0;
	struct stap_fp x;
	u64 root = 0;
	int step;

	if (stap_fp_is_nan(a))
		return a | STAP_FP_QUIET;
	if (stap_fp_is_zero(a))
		return a;
	if (a >> 63)
		return STAP_FP_NAN;
	if (stap_fp_is_infinite(a))
		return a;
	x = stap_fp_unpack(a);
	step = x.exponent & 1 ? 63 : 64;	/* an even exponent has a half */
	value = (unsigned __int128)x.significand << step;
	x.exponent -= step;
	for (step = 0; step < 64; step++) {
		unsigned __int128 guess = ((unsigned __int128)root << 2) + 1;

		rest = (rest << 2) + (u64)(value >> 126);
		value <<= 2;
		root <<= 1;
		if (rest >= guess) {
			rest -= guess;
			root |= 1;
		}
	}
	return stap_fp_pack_wide(false, x.exponent / 2, root, rest != 0);
}

static bool stap_fp_eq(u64 a, u64 b)
{
	if (stap_fp_is_nan(a) || stap_fp_is_nan(b))
		return false;
	return a == b || (stap_fp_is_zero(a) && stap_fp_is_zero(b));
}

static bool stap_fp_lt(u64 a, u64 b)
{
	if (stap_fp_is_nan(a) || stap_fp_is_nan(b) || (stap_fp_is_zero(a) && stap_fp_is_zero(b)))
		return false;
	if ((a ^ b) >> 63)
		return a >> 63;
	return a >> 63 ? a > b : a < b;
}

static bool stap_fp_le(u64 a, u64 b)
{
	return stap_fp_lt(a, b) || stap_fp_eq(a, b);
}

static u64 stap_fp_from_long(s64 value)
{
	u64 size = value < 0 ? 0 - (u64)value : (u64)value;

	return size ? stap_fp_pack_wide(value < 0, 0, size, false) : 0;
}

/* A 32-bit float (its bits) as a double; always exact. */
static u64 stap_fp_from_single(u32 bits)
{
	u64 sign = (u64)(bits >> 31) << 63, fraction = bits & 0x7fffff;
	int biased = bits >> 23 & 0xff;

	if (biased == 0xff)
		return sign | STAP_FP_INF | fraction << 29 | (fraction ? STAP_FP_QUIET : 0);
	if (biased)
		return sign | (u64)(biased + 896) << 52 | fraction << 29;
	return fraction ? stap_fp_pack_wide(sign, -149, fraction, false) : sign;
}

enum stap_fp_rounding {
	STAP_FP_NEAREST_EVEN, STAP_FP_TO_ZERO, STAP_FP_DOWN, STAP_FP_UP, STAP_FP_NEAREST_AWAY,
	STAP_FP_ODD = 6,
};

/* Whether a whole part grows by one; `half` is how the rest compares with a half, `rest` whether there is one. */
static bool stap_fp_grows(s64 rounding, bool negative, bool odd, int half, bool rest)
{
	switch (rounding) {
	case STAP_FP_TO_ZERO:
		return false;
	case STAP_FP_DOWN:
		return negative && rest;
	case STAP_FP_UP:
		return !negative && rest;
	case STAP_FP_NEAREST_AWAY:
		return half >= 0;
	case STAP_FP_ODD:
	case STAP_FP_ODD - 1:
		return rest && !odd;
	default:
		return half > 0 || (half == 0 && odd);
	}
}

/* A double as an integer; what has no place in one is the smallest integer, as x86's instructions have it. */
static s64 stap_fp_to_long(u64 bits, s64 rounding)
{
	u64 whole = 0, rest = 0;
	struct stap_fp x;
	int half = -1;

	if (stap_fp_is_zero(bits))
		return 0;
	if ((bits & ~STAP_FP_SIGN) >= STAP_FP_INF)
		return (s64)STAP_FP_TOP;
	x = stap_fp_unpack(bits);
	if (x.exponent > 0)
		return (s64)STAP_FP_TOP;
	if (x.exponent > -64) {
		whole = x.significand >> -x.exponent;
		rest = x.exponent ? x.significand << (64 + x.exponent) : 0;
	} else {
		rest = x.exponent == -64 ? x.significand : 1;	/* any rest below a half rounds alike */
	}
	if (rest >= STAP_FP_TOP)
		half = rest > STAP_FP_TOP;
	whole += stap_fp_grows(rounding, x.negative, whole & 1, half, rest);
	if (whole > STAP_FP_TOP - !x.negative)
		return (s64)STAP_FP_TOP;
	return x.negative ? (s64)(0 - whole) : (s64)whole;
}

#define STAP_FP_LIMBS 34	/* 1088 bits: the whole part of the largest or the fraction of the smallest */

/* Puts `digits` of a number below 2^1088 before `end`, returns where they start. */
static char *stap_fp_whole_digits(char *end, u32 *limbs)
{
	int top = STAP_FP_LIMBS - 1, at, digit;

	for (;;) {
		u64 rest = 0;

		while (top > 0 && !limbs[top])
			top--;
		for (at = top; at >= 0; at--) {
			rest = rest << 32 | limbs[at];
			limbs[at] = rest / 1000000000;
			rest %= 1000000000;
		}
		for (digit = 0; digit < 9; digit++, rest /= 10)
			*--end = '0' + (u32)rest % 10;
		if (!top && !limbs[0])
			break;
	}
	while (*end == '0' && end[1] >= '0' && end[1] <= '9')
		end++;
	return end;
}

/* The next decimal digit of a fraction, the most significant limb is the last; the fraction keeps the rest. */
static u32 stap_fp_next_digit(u32 *limbs)
{
	u64 carry = 0;
	int at;

	for (at = 0; at < STAP_FP_LIMBS; at++) {
		carry += (u64)limbs[at] * 10;
		limbs[at] = carry;
		carry >>= 32;
	}
	return carry;
}

/* How a fraction compares with a half: -1, 0 or 1. */
static int stap_fp_half(const u32 *limbs)
{
	int at;

	if (limbs[STAP_FP_LIMBS - 1] != 0x80000000)
		return limbs[STAP_FP_LIMBS - 1] > 0x80000000 ? 1 : -1;
	for (at = 0; at < STAP_FP_LIMBS - 1; at++)
		if (limbs[at])
			return 1;
	return 0;
}

/* Adds significand * 2^shift to limbs that are 0; what lies outside of them is not there. */
static void stap_fp_spread(u32 *limbs, u64 significand, int shift)
{
	int bit;

	for (bit = 0; bit < 64; bit++) {
		int at = shift + bit;

		if (significand >> bit & 1 && at >= 0 && at < STAP_FP_LIMBS * 32)
			limbs[at / 32] |= 1U << (at % 32);
	}
}

/* Adds one to the last decimal digit; returns true where the first would have to become two. */
static bool stap_fp_text_up(char *start, char *end)
{
	while (end > start) {
		end--;
		if (*end == '.')
			continue;
		if (*end != '9') {
			++*end;
			return false;
		}
		*end = '0';
	}
	return true;
}

/* The text of a double with so many digits after the point (0: no point), cut at a string's end. */
static noinline void stap_fp_to_text(char *to, u64 bits, s64 digits)
{
	u32 limbs[STAP_FP_LIMBS] = { 0 };
	char whole[320], *start, *at = to;
	struct stap_fp x = { 0 };
	int length, half;

	if (stap_fp_is_nan(bits) || stap_fp_is_infinite(bits)) {
		strscpy(to, stap_fp_is_nan(bits) ? "nan" : bits >> 63 ? "-inf" : "inf", 5);
		return;
	}
	if (!stap_fp_is_zero(bits))
		x = stap_fp_unpack(bits);
	whole[sizeof(whole) - 1] = '\0';
	stap_fp_spread(limbs, x.significand, x.exponent);
	start = stap_fp_whole_digits(whole + sizeof(whole) - 1, limbs);
	length = whole + sizeof(whole) - 1 - start;
	if (bits >> 63)
		*at++ = '-';
	if (length > MAXSTRINGLEN - 4)
		length = MAXSTRINGLEN - 4;
	memcpy(at + 1, start, length);	/* with room before for a carry */
	start = at + 1;
	at = start + length;
	digits = digits < 0 ? 0 : digits > MAXSTRINGLEN - 4 - length ? MAXSTRINGLEN - 4 - length : digits;
	if (digits)
		*at++ = '.';
	memset(limbs, 0, sizeof(limbs));
	stap_fp_spread(limbs, x.significand, x.exponent + STAP_FP_LIMBS * 32);
	for (; digits; digits--)
		*at++ = '0' + stap_fp_next_digit(limbs);
	*at = '\0';
	half = stap_fp_half(limbs);
	if ((half > 0 || (half == 0 && at[-1] & 1)) && stap_fp_text_up(start, at))
		*--start = '1';
	else
		memmove(start - 1, start, at - start + 1);
}

/* What is read of a decimal text. */
struct stap_fp_text {
	const char *whole, *fraction;
	int whole_digits, fraction_digits;
	bool negative;
};

/* [+-] digits [. digits], with a digit on one of the sides at least. */
static bool stap_fp_split(const char *from, struct stap_fp_text *t)
{
	bool any;

	t->negative = *from == '-';
	if (*from == '-' || *from == '+')
		from++;
	t->whole = from;
	while (*from >= '0' && *from <= '9')
		from++;
	t->whole_digits = from - t->whole;
	t->fraction = from;
	if (*from == '.') {
		t->fraction = ++from;
		while (*from >= '0' && *from <= '9')
			from++;
	}
	t->fraction_digits = from - t->fraction;
	any = t->whole_digits || t->fraction_digits;
	while (t->whole_digits && *t->whole == '0') {
		t->whole++;
		t->whole_digits--;
	}
	return any && !*from;
}

#define STAP_FP_NINES ((MAXSTRINGLEN) / 9 + 1 < 128 ? (MAXSTRINGLEN) / 9 + 1 : 128)	/* limbs of nine digits */

/* A decimal fraction, by nine digits, multiplied with 2^16; returns what becomes whole. */
static u32 stap_fp_shift_out(u32 *nines)
{
	u64 carry = 0;
	int at;

	for (at = STAP_FP_NINES - 1; at >= 0; at--) {
		carry += (u64)nines[at] << 16;
		nines[at] = carry % 1000000000;
		carry /= 1000000000;
	}
	return carry;
}

/* A fraction's digits as limbs of nine; false where all are 0. */
static bool stap_fp_read_fraction(u32 *nines, const struct stap_fp_text *t)
{
	bool any = false;
	int at;

	for (at = 0; at < STAP_FP_NINES * 9; at++) {
		u32 digit = at < t->fraction_digits ? t->fraction[at] - '0' : 0;

		nines[at / 9] = nines[at / 9] * 10 + digit;
		any |= digit != 0;
	}
	return any;
}

/* A whole part's digits, 309 at most, into limbs. */
static void stap_fp_read_whole(u32 *limbs, const struct stap_fp_text *t)
{
	int at, digit, top = 0;

	for (digit = 0; digit < t->whole_digits; digit++) {
		u64 carry = t->whole[digit] - '0';

		for (at = 0; at <= top; at++) {
			carry += (u64)limbs[at] * 10;
			limbs[at] = carry;
			carry >>= 32;
		}
		if (carry && top < STAP_FP_LIMBS - 1)
			limbs[++top] = carry;
	}
}

/* The double nearest to a decimal text; false where it is none. */
static noinline bool stap_fp_from_text(const char *from, u64 *bits)
{
	u32 limbs[STAP_FP_LIMBS] = { 0 }, nines[STAP_FP_NINES] = { 0 };
	unsigned __int128 value = 0;
	struct stap_fp_text t;
	int exponent = 0, at;
	bool sticky;

	if (!stap_fp_split(from, &t))
		return false;
	*bits = (t.negative ? STAP_FP_SIGN : 0) | STAP_FP_INF;
	if (t.whole_digits > 309)
		return true;
	stap_fp_read_whole(limbs, &t);
	sticky = stap_fp_read_fraction(nines, &t);
	for (at = STAP_FP_LIMBS - 1; at >= 0 && !(value >> 96); at--)
		value = value << 32 | limbs[at];
	for (; at >= 0; at--, exponent += 32)
		sticky |= limbs[at] != 0;
	if (!exponent && sticky) {
		for (; !(value >> 80) && exponent > -1200; exponent -= 16)
			value = value << 16 | stap_fp_shift_out(nines);
		for (at = 0, sticky = false; at < STAP_FP_NINES; at++)
			sticky |= nines[at] != 0;
	}
	*bits = value ? stap_fp_pack_wide(t.negative, exponent, value, sticky) : *bits & STAP_FP_SIGN;
	return true;
}

#endif
