/* As many calls as it is told on each CPU: of a system call, of a function, of one deep inside of itself; and sleeps. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLEEPS = 20, EACH = 100, DEPTH = 80 };

__attribute__((noinline)) int step(int n)
{
	__asm__ volatile("");
	return n + 1;
}

__attribute__((noinline)) int deeper(int n)
{
	return n > 1 ? deeper(n - 1) + 1 : step(n);
}

static void work(int cpu, int times)
{
	struct timespec nap = { 0, 20000000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (int i = 0; i < SLEEPS; i++)
		nanosleep(&nap, 0);
	for (int i = 0; i < times; i++) {
		syscall(SYS_getpriority, 0, 0);
		step(i);
		if (i % EACH == 0)
			deeper(DEPTH);
	}
	_exit(0);
}

int main(int count, char **words)
{
	for (int cpu = 0; cpu < atoi(words[1]); cpu++)
		if (!fork())
			work(cpu, atoi(words[2]));
	while (wait(0) > 0)
		;
	return 0;
}
