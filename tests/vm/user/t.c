#include <stdio.h>
struct pt { int x; short y; char c; char name[8]; unsigned flag:3; struct { long a[7]; } in; union { int i; float f; } u; struct pt *next; };
enum color { RED, GREEN = 5, BLUE };
struct pt origin = { 1, -2, 'q', "origin", 5, { { 1, 2, 3, 4, 5, 6, 7 } }, { 7 }, 0 };
__attribute__((noinline)) int leaf(int x, struct pt *p, enum color k, const char *s) { return x * 3 + p->x + k; }
__attribute__((noinline)) int mid(int x) { int loc = x + 4; return leaf(x, &origin, GREEN, "text") + leaf(loc, &origin, BLUE, "more"); }
__attribute__((noinline)) int rec(int n) { return n ? rec(n - 1) + 1 : mid(n); }
int main(void) { printf("%d\n", rec(3)); return 0; }

