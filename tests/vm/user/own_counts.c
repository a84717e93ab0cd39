/* Faults, switches, moves between CPUs and time, as getrusage(2) and clocks count them between two calls of mark(). */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) void mark(int which)
{
	__asm__ volatile("" : : "r"(which) : "memory");
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static long long ran(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void)
{
	struct rusage before, after;
	volatile char *pages = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long long start, until;

	on_cpu(0);
	mark(0);	/* what a call takes for the first time is behind it */
	getrusage(RUSAGE_SELF, &after);
	ran();
	getrusage(RUSAGE_SELF, &before);
	start = ran();
	mark(1);
	for (int k = 0; k < 100; k++)
		pages[k << 12] = 1;
	for (int k = 0; k < 6; k++)
		on_cpu(!(k & 1));
	for (int k = 0; k < 5; k++)
		usleep(1000);
	while (ran() - start < 60000000)
		;
	mark(2);
	until = ran();
	getrusage(RUSAGE_SELF, &after);
	printf("%ld %ld %ld %lld\n", after.ru_minflt - before.ru_minflt, after.ru_majflt - before.ru_majflt,
	       after.ru_nvcsw - before.ru_nvcsw + after.ru_nivcsw - before.ru_nivcsw, until - start);
	return 0;
}
