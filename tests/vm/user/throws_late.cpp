// Waits in a call for a signal, and throws then: through that call and its caller.
#include <csignal>
#include <cstdio>
#include <unistd.h>

static volatile sig_atomic_t told;

static void tell(int)
{
	told = 1;
}

__attribute__((noinline)) int inner(int n)
{
	while (!told)
		usleep(10000);
	if (n)
		throw n;
	return n;
}

__attribute__((noinline)) int middle(int n)
{
	volatile int more = inner(n);

	return more + 1;
}

__attribute__((noinline)) int outer(int n)
{
	try {
		return middle(n);
	} catch (int thrown) {
		return -thrown;
	}
}

int main()
{
	volatile int sum;

	signal(SIGUSR1, tell);
	sum = outer(5);
	sum += outer(0);
	printf("%d\n", sum);
	return 0;
}
