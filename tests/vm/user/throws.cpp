// Exceptions through one, three and many functions, out of destructors, thrown again, in threads: what is printed says
// how often which function was left by an exception, and which values the others returned.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FUNCTION extern "C" __attribute__((noinline, noclone))

enum { ROUNDS = 40, THREADS = 4 };

FUNCTION int thrower(int n)
{
	if (n % 2)
		throw n;
	asm volatile("");
	return n + 1;
}

FUNCTION int cleaner(int n)
{
	try {
		return thrower(n);
	} catch (int caught) {
		return caught + 2;
	}
}

struct Guard {
	int n;
	~Guard() { n = cleaner(n); asm volatile("" : : "r"(n)); }
};

FUNCTION int guarded(int n)
{
	Guard guard = {n};
	int result = thrower(n);
	asm volatile("");
	return result + 1;
}

FUNCTION int middle(int n)
{
	int result = guarded(n);
	asm volatile("");
	return result + 1;
}

FUNCTION int again(int n)
{
	try {
		int result = middle(n);
		asm volatile("");
		return result + 1;
	} catch (...) {
		cleaner(n);
		throw;
	}
}

FUNCTION int down(int depth, int n)
{
	int result = depth ? down(depth - 1, n) : again(n);
	asm volatile("");
	return result;
}

FUNCTION int inner(int n)
{
	try {
		return down(10, n);
	} catch (int caught) {
		return caught + 1000;
	}
}

FUNCTION int outer(int n)
{
	int result = inner(n) + inner(n + 1);
	asm volatile("");
	return result + cleaner(n);
}

FUNCTION void *work(void *sum)
{
	for (int n = 0; n < ROUNDS; n++)
		*(long *)sum += outer(n);
	return sum;
}

int main()
{
	pthread_t threads[THREADS];
	long sums[THREADS] = {};

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, &sums[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < THREADS; i++)
		if (sums[i] != sums[0])
			abort();
	printf("sum %ld\n", sums[0]);
	return 0;
}
