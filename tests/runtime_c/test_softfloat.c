/* softfloat.h: the same bits as this machine's own doubles, and texts as printf and strtod have them. */
#include "test.h"
#include "softfloat.h"
#include <math.h>

extern int fesetround(int);	/* <fenv.h> is not needed for more */

static u64 state = 88172645463325252ULL;

static u64 dice(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static const u64 specials[] = {
	0, STAP_FP_SIGN, 1, 2, 0x000fffffffffffffULL, 0x0010000000000000ULL, 0x0010000000000001ULL,
	0x3fe0000000000000ULL, 0x3ff0000000000000ULL, 0xbff0000000000000ULL, 0x3ff0000000000001ULL, 0x3fefffffffffffffULL,
	0x3ff8000000000000ULL, 0xc004000000000000ULL, 0x4340000000000000ULL, 0x4340000000000001ULL, 0x43e0000000000000ULL,
	0x43dfffffffffffffULL, 0xc3e0000000000000ULL, 0x7fefffffffffffffULL, STAP_FP_INF, STAP_FP_INF | STAP_FP_SIGN,
	STAP_FP_NAN, 0x7ff0000000000001ULL, 0x7ff8000000000123ULL, 0x40091eb851eb851fULL,
};

/* Bits of all sorts: special ones, any, near in exponent, and short significands (ties). */
static u64 bits(u64 near)
{
	switch (dice() % 5) {
	case 0:
		return specials[dice() % ARRAY_SIZE(specials)];
	case 1:
		return dice();
	case 2:
		return (near & 0xfff0000000000000ULL) + (dice() & 0x803fffffffffffffULL);
	case 3:
		return (dice() & 0x800fffffffffffffULL) | (u64)(1020 + dice() % 70) << 52;
	default:
		return dice() & ~0ULL << (dice() % 53);
	}
}

static double number(u64 from)
{
	double made;

	memcpy(&made, &from, 8);
	return made;
}

static u64 bits_of(double from)
{
	u64 made;

	memcpy(&made, &from, 8);
	return made;
}

static void same(const char *what, u64 a, u64 b, u64 got, u64 wanted)
{
	if (got == wanted || (stap_fp_is_nan(got) && stap_fp_is_nan(wanted)))
		return;
	fprintf(stderr, "%s(%016llx, %016llx): %016llx, not %016llx\n", what, a, b, got, wanted);
	exit(1);
}

static void arithmetic(void)
{
	int turn;

	for (turn = 0; turn < 400000; turn++) {
		u64 a = bits(dice()), b = bits(a);
		volatile double x = number(a), y = number(b);

		same("add", a, b, stap_fp_add(a, b), bits_of(x + y));
		same("sub", a, b, stap_fp_sub(a, b), bits_of(x - y));
		same("mul", a, b, stap_fp_mul(a, b), bits_of(x * y));
		same("div", a, b, stap_fp_div(a, b), bits_of(x / y));
		same("sqrt", a, 0, stap_fp_sqrt(a), bits_of(sqrt(x)));
		if (turn % 8 == 0)
			same("rem", a, b, stap_fp_rem(a, b), bits_of(remainderl(x, y)));
		CHECK(stap_fp_eq(a, b) == (x == y) && stap_fp_lt(a, b) == (x < y) && stap_fp_le(a, b) == (x <= y));
	}
}

static void integers(void)
{
	static const int modes[] = { 0x000, 0xc00, 0x400, 0x800 };	/* FE_TONEAREST, TOWARDZERO, DOWNWARD, UPWARD */
	int turn, mode;

	for (turn = 0; turn < 100000; turn++) {
		u64 a = bits(dice()), from = dice() >> dice() % 64;
		float single;
		u32 word = from;

		same("long_to_fp", from, 0, stap_fp_from_long(from), bits_of((double)(s64)from));
		memcpy(&single, &word, 4);
		same("single", word, 0, stap_fp_from_single(word), bits_of((double)single));
		for (mode = 0; mode < 4; mode++) {
			CHECK(!fesetround(modes[mode]));
			same("to_long", a, mode, stap_fp_to_long(a, mode), llrint(number(a)));
		}
		fesetround(0);
		same("to_long", a, 4, stap_fp_to_long(a, STAP_FP_NEAREST_AWAY), llround(number(a)));
	}
	CHECK(stap_fp_to_long(bits_of(2.5), STAP_FP_ODD) == 3 && stap_fp_to_long(bits_of(3.5), STAP_FP_ODD) == 3);
	CHECK(stap_fp_to_long(bits_of(-2.5), STAP_FP_ODD) == -3 && stap_fp_to_long(bits_of(4), STAP_FP_ODD) == 4);
}

static void texts(void)
{
	char wanted[2000];
	struct text got;
	int turn;

	for (turn = 0; turn < 30000; turn++) {
		u64 a = bits(dice()), back;
		int digits = dice() % (turn % 16 ? 20 : 1100);

		if (stap_fp_is_nan(a) || stap_fp_is_infinite(a))
			continue;
		if (snprintf(wanted, sizeof(wanted), "%.*f", digits, number(a)) > MAXSTRINGLEN - 4)
			continue;
		got = (struct text){ "" };
		stap_fp_to_text(got.s, a, digits);
		CHECK_TEXT(got.s, wanted);
		CHECK(stap_fp_from_text(wanted, &back));
		same(wanted, a, 0, back, bits_of(strtod(wanted, NULL)));
	}
}

static void decimals(void)
{
	static const char *const wrong[] = { "", "-", ".", "+.", "1x", "x", "1.2.3", " 1", "1 ", "0x10", "--1", "1e5" };
	u64 got;
	unsigned int at;
	int turn;

	for (at = 0; at < ARRAY_SIZE(wrong); at++)
		CHECK(!stap_fp_from_text(wrong[at], &got));
	CHECK(stap_fp_from_text("-.5", &got) && got == bits_of(-0.5));
	CHECK(stap_fp_from_text("+7.", &got) && got == bits_of(7));
	CHECK(stap_fp_from_text("-0", &got) && got == STAP_FP_SIGN);
	/* a tie, and a little more than one */
	CHECK(stap_fp_from_text("9007199254740993", &got) && got == 0x4340000000000000ULL);
	CHECK(stap_fp_from_text("9007199254740993.0000000000000000000000000000000001", &got) && got == 0x4340000000000001ULL);
	for (turn = 0; turn < 30000; turn++) {
		struct text made = (struct text){ "" };
		int length = 1 + dice() % (turn % 4 ? 40 : MAXSTRINGLEN - 2), point = dice() % (length + 1), digit;
		bool small = dice() % 4 == 0;

		for (digit = 0; digit < length; digit++)
			made.s[digit] = small && digit < length - 20 ? '0' : '0' + dice() % 10;
		if (length > 1 && point < length)
			made.s[small ? 0 : point] = '.';
		made.s[length] = '\0';
		CHECK(stap_fp_from_text(made.s, &got));
		same(made.s, 0, 0, got, bits_of(strtod(made.s, NULL)));
	}
}

int main(void)
{
	struct text got = (struct text){ "" };

	arithmetic();
	integers();
	texts();
	decimals();
	stap_fp_to_text(got.s, STAP_FP_INF | STAP_FP_SIGN, 3);
	CHECK_TEXT(got.s, "-inf");
	stap_fp_to_text(got.s, STAP_FP_NAN, 3);
	CHECK_TEXT(got.s, "nan");
	return 0;
}
