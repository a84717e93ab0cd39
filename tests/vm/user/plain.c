/* An SDT mark without a semaphore, calls through stubs, inlined code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct point { int x, y; struct point *next; char name[8]; double weight; };
struct point first = { 3, -4, 0, "first", 2.5 };
static struct point second = { 5, 6, &first, "second", 0.5 };

static inline __attribute__((always_inline)) int area(struct point *p) { return p->x * p->y; }
__attribute__((noinline)) static int sum(struct point *p, int scale)
{
	int total = 0;
again:
	if (!p)
		return total * scale;
	total += area(p);
	p = p->next;
	goto again;
}
__attribute__((noinline)) int other(int n) { return sum(&first, n) + 1; }

int main(int argc, char **argv)
{
	char *copy = malloc(32);

	strcpy(copy, "short");
	printf("%s %d %d\n", copy, sum(&second, 2), other(10));
	free(copy);
	return 0;
}
