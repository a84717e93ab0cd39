/* Calls of many kinds: recursion, threads, function pointers, callbacks of the C library. With facts.c. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int fact(int n);
typedef int (*op)(int);

static int twice(int n) { return 2 * n; }
static int thrice(int n) { return 3 * n; }
int apply(op f, int n) { return f(n); }
static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
static void *worker(void *p) { return (void *)(long)fact((long)p); }

int main(void)
{
	int a[] = { 3, 1, 2 };
	pthread_t thread;
	void *result;

	qsort(a, 3, sizeof(int), compare);
	printf("%d %d %d\n", fact(3), apply(twice, 4), apply(thrice, 5));
	pthread_create(&thread, 0, worker, (void *)2L);
	pthread_join(thread, &result);
	return a[0] - 1;
}
