/*
 * Makes a child that does not get to run for as many seconds as it is told: it shares its CPU with a parent that does not
 * let go. The other arguments are tasks that may run nevertheless.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sched_param priority = { .sched_priority = 10 }, higher = { .sched_priority = 20 };
	time_t until = time(NULL) + (argc > 1 ? atoi(argv[1]) : 1);
	cpu_set_t last;
	int status;

	for (int i = 2; i < argc; i++)
		sched_setscheduler(atoi(argv[i]), SCHED_FIFO, &higher);
	CPU_ZERO(&last);
	CPU_SET(1, &last);
	if (sched_setaffinity(0, sizeof(last), &last) ||
	    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority))
		return 1;
	if (fork() == 0)
		_exit(3);
	while (time(NULL) < until)
		;
	wait(&status);
	printf("child: %d\n", WEXITSTATUS(status));
	return 0;
}
