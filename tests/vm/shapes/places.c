/* Every kind of place that a value can be in: registers, the stack, both, nowhere; before and after calls. */
#include "shapes.h"

static int same_name = 2002;
static const int never_kept = 3003;
static long sink;
static long *volatile sink_at = &sink;

#define KEEP(x) asm volatile("" : "+r"(x))
#define HERE() asm volatile("nop" ::: "memory")

static noinline void forget(void)
{
	asm volatile("" ::: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory");
}

noinline long nine(long a, int b, short c, s8 d, u8 e, unsigned int f, long g, int h, u16 i)
{
	HERE(); /* line: nine */
	return a + b + c + d + e + f + g + h + i;
}

noinline long by_value(struct pair p, struct tiny t, struct big b, int last)
{
	HERE(); /* line: by value */
	return p.first + p.second + t.a + t.b + b.words[4] + last;
}

noinline struct pair gives_pair(long a)
{
	return (struct pair){ a, a + 1 };
}

noinline u8 gives_byte(int a)
{
	return a;
}

noinline s8 gives_minus(int a)
{
	return -a;
}

noinline bool gives_truth(int a)
{
	return a > 3;
}

noinline enum colour gives_colour(int a)
{
	return a ? BLUE : RED;
}

noinline struct inner *gives_pointer(struct inner *in)
{
	return in;
}

noinline void gives_nothing(int a)
{
	*sink_at = a;
}

/* `once` is in a register that the call takes: after it only the entry's value is known. */
noinline long entered(long once, long kept)
{
	forget();
	HERE(); /* line: after the call */
	return kept;
}

noinline long recursive(int depth, long once)
{
	long below = 0;

	if (depth)
		below = recursive(depth - 1, once + 100);
	HERE(); /* line: on the way back */
	return below + depth;
}

/* A struct whose members are in registers each, and a pointer to it: it is in no memory. */
static __always_inline long sum_of(struct pair *p, const struct tiny *t, long factor)
{
	HERE(); /* line: within the copy */
	return p->first * factor + p->second + t->a + t->b;
}

noinline long scattered(long x, short y)
{
	struct pair pieces = { x + 1, x * 3 };
	struct tiny little = { y, 4 };
	long result;

	KEEP(pieces.first);
	KEEP(pieces.second);
	KEEP(little.a);
	result = sum_of(&pieces, &little, 3);
	HERE(); /* line: after the copy */
	*sink_at = pieces.first;
	*sink_at = pieces.second + little.a;
	return result;
}

/* Constants, a value that is computed but never kept, one that is there only for a while. */
noinline long known(long x)
{
	const int answer = 42;
	const char *words = "known words";
	long twice = x * 2;
	long __maybe_unused unused = x - 1;
	struct tiny constant = { -1, 'k' };
	long total = 0;
	int i;

	HERE(); /* line: constants */
	for (i = 0; i < 3; i++) {
		long square = (long)i * i;

		total += square + twice;
		forget(); /* line: in the loop */
	}
	return total + answer + constant.a + words[0];
}

/* An array and a struct on the stack. */
noinline long stacked(int n)
{
	int squares[6];
	struct inner local = { n, "on the stack" };
	int k;

	for (k = 0; k < 6; k++)
		squares[k] = k * k + n;
	asm volatile("" :: "r"(squares), "r"(&local) : "memory");
	HERE(); /* line: on the stack */
	return squares[n & 3] + local.number;
}

/* Blocks that hide each other's names. */
noinline int hidden(int value)
{
	int outer = value + 1;

	KEEP(outer);
	if (outer > 0) {
		long value = 7000;

		KEEP(value);
		HERE(); /* line: inner block */
		outer += value;
	}
	HERE(); /* line: outer block */
	return outer;
}

noinline int with_label(int n)
{
	int tries = 0;

again:
	forget();
	if (++tries < n)
		goto again;
	HERE();
	return tries;
}

/* What a script writes into registers and onto the stack. */
noinline long changed(long a, int b)
{
	long local = a + b;

	KEEP(local);
	HERE(); /* line: to write */
	return local * 10 + b;
}

long places_run(void)
{
	struct pair pair = { 0x1122334455667788, -2 };
	struct tiny tiny = { -300, 'x' };
	struct big big = { { 1, 2, 3, 4, 5 } };
	struct inner one = { 99, "ninety-nine" };
	long sum = same_name++ + never_kept;

	sum += nine(-1, -2, -3, -4, 250, 4000000000u, -7, -8, 65000);
	sum += by_value(pair, tiny, big, 17);
	sum += gives_pair(60).first + gives_byte(300) + gives_minus(4) + gives_truth(4) + gives_colour(1);
	sum += gives_pointer(&one)->number;
	gives_nothing(5);
	sum += entered(123456, 654321) + recursive(3, 1000) + scattered(50, 9) + known(8) + stacked(6) + hidden(3);
	sum += with_label(2) + changed(40, 2);
	return sum;
}
