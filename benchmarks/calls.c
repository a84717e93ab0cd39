// SPDX-License-Identifier: GPL-2.0
/*
 * calls.c: what one getppid() costs. Run in a guest whose clock counts
 * instructions, so that nanoseconds are instructions.
 */
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { WARM_UP = 1000, CALLS = 20000 };

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(void)
{
	long long began;

	for (int i = 0; i < WARM_UP; i++)
		syscall(SYS_getppid);
	began = now();
	for (int i = 0; i < CALLS; i++)
		syscall(SYS_getppid);
	fprintf(stderr, "instructions per call: %lld\n", (now() - began) / CALLS);
	return 0;
}
