/* Every shape of a C variable, with values that the tests know. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum color { RED, GREEN = 5, BLUE };
enum sign { MINUS = -1, ZERO, PLUS };
typedef int (*operation)(int);
struct bits {
	unsigned a : 3;
	int b : 5;
	unsigned long c : 40;
	bool d : 1;
	enum color e : 4;
};
struct flexible {
	int count;
	short items[];
};
struct all {
	bool yes;
	char letter;
	signed char small;
	unsigned char byte;
	short s;
	unsigned short us;
	int i;
	unsigned u;
	long l;
	unsigned long ul;
	float f;
	double d;
	enum color color;
	enum sign sign;
	char *text;
	const char *fixed;
	char name[8];
	unsigned char raw[4];
	int numbers[3];
	int grid[2][3];
	struct bits bits;
	union {
		int whole;
		struct {
			short low, high;
		};
	};
	struct {
		int x, y;
	} pair;
	operation op;
	struct all *next;
	void *nothing;
};

static int twice(int x)
{
	return 2 * x;
}

static int counter = 7;
int visible[4] = { 1, 2, 3, 4 };
__thread int per_thread = 11;
static __thread long own_thread = -12;
static char buffer[64] = "a text";

static struct all other = { .i = 99, .name = "other", .text = buffer };
static struct all one = {
	.yes = true, .letter = 'q', .small = -3, .byte = 200, .s = -300, .us = 60000, .i = -70000, .u = 4000000000u,
	.l = -5000000000, .ul = 18000000000000000000ul, .f = 1.5f, .d = -2.25, .color = BLUE, .sign = MINUS,
	.text = buffer, .fixed = "fixed", .name = "origin", .raw = { 1, 2, 3, 254 }, .numbers = { 10, 20, 30 },
	.grid = { { 1, 2, 3 }, { 4, 5, 6 } }, .bits = { 5, -7, 0x123456789a, true, GREEN }, .whole = 0x00020001,
	.pair = { 3, -4 }, .op = twice, .next = &other,
};

__attribute__((noinline)) int scalars(int i, unsigned char c, long l, enum sign e, bool b, const char *s)
{
	return printf("%d %d %ld %d %d %s\n", i, c, l, e, b, s);
}

__attribute__((noinline)) double floats(double d, float f, double *p, long double wide)
{
	double sum = d + f;

	printf("%g\n", sum);
	return sum + *p + wide;
}

__attribute__((noinline)) int structs(struct all *p, struct all **pp, operation op, struct flexible *flex)
{
	struct bits local = p->bits;
	int matrix[2][2] = { { p->i, 2 }, { 3, op(4) } };

	printf("%d %d %d\n", local.b, matrix[1][1], flex->items[1] + (*pp)->next->i);
	return p->i;
}

struct two {
	long a, b;
};
struct mixed {
	double d;
	long n;
};

__attribute__((noinline)) struct two by_value(struct two t, struct mixed m, struct all big)
{
	printf("%ld %ld %g %ld %d\n", t.a, t.b, m.d, m.n, big.i);
	return (struct two){ t.b, t.a };
}

__attribute__((noinline)) int variable_length(int n)
{
	int row[n];
	int k;

	for (k = 0; k < n; k++)
		row[k] = 100 + k;
	printf("%d %d\n", row[0], row[n - 1]);
	return row[n - 1];
}

__attribute__((noinline)) int threaded(int step)
{
	static int calls;

	calls += step;
	errno = 17;
	per_thread += step;
	own_thread -= step;
	printf("%d %d %ld %d\n", calls, per_thread, own_thread, counter);
	return calls;
}

__attribute__((noinline)) int written(int value, struct all *p)
{
	printf("%d %d %d %u %s\n", value, p->i, p->bits.b, p->bits.a, p->name);
	return p->i;
}

int main(void)
{
	struct flexible *flex = malloc(sizeof(*flex) + 3 * sizeof(short));
	struct all *p = &one;
	double d = 0.125;

	flex->count = 3;
	flex->items[0] = 7;
	flex->items[1] = 8;
	flex->items[2] = 9;
	scalars(-5, 250, -6000000000, PLUS, true, "said \"so\"");
	floats(3.5, -0.75f, &d, 2.0L);
	structs(p, &p, twice, flex);
	by_value((struct two){ 21, -22 }, (struct mixed){ 0.5, 44 }, one);
	variable_length(4);
	threaded(2);
	written(1, p);
	return 0;
}
