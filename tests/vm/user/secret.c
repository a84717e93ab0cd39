/*
 * secret [hide]: shows a text to its own function three times, then works on each CPU for a while, so that timers hit it.
 * hide: it shows nothing to its own user.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) long keep(const char *text)
{
	asm volatile("" : : "r"(text) : "memory");
	return strlen(text);
}

static void work(int cpu)
{
	clock_t end = clock() + CLOCKS_PER_SEC / 20;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		while (clock() < end)
			;
}

int main(int count, char **words)
{
	int i;

	if (count > 1 && prctl(PR_SET_DUMPABLE, 0))
		return 1;
	for (i = 0; i < 3; i++)
		keep(words[0]);
	for (i = 0; i < sysconf(_SC_NPROCESSORS_CONF); i++)
		work(i);
	return 0;
}
