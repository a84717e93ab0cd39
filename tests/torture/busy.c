/* Does for so many seconds what probes of programs meet: threads, children, programs, marks, recursion, mappings. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sdt.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int signals;
static volatile long watched;

__attribute__((noinline)) long deep(long depth)
{
	STAP_PROBE1(busy, deep, depth);
	return depth ? deep(depth - 1) + 1 : 0;
}

static void caught(int number)
{
	signals += number;
	watched = deep(2);
}

static void *work(void *argument)
{
	void *page = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (long i = 0; i < 20; i++) {
		*(volatile long *)page = i;
		watched += deep(i % 8);
	}
	munmap(page, 65536);
	return argument;
}

static void child(int number)
{
	pid_t pid = fork();

	if (!pid) {
		deep(3);
		if (number % 3 == 0)
			raise(SIGKILL);
		if (number % 3 == 1)
			execl("/bin/busybox", "true", NULL);
		_exit(number & 7);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

int main(int count, char **words)
{
	time_t end = time(NULL) + (count > 1 ? atoi(words[1]) : 1);
	struct itimerspec every = { { 0, 3000000 }, { 0, 3000000 } };
	timer_t timer;

	signal(SIGALRM, caught);
	timer_create(CLOCK_MONOTONIC, NULL, &timer);
	timer_settime(timer, 0, &every, NULL);
	for (int turn = 0; time(NULL) < end; turn++) {
		pthread_t threads[3];
		void *library = dlopen("libm.so.6", RTLD_NOW);

		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, work, NULL);
		child(turn);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		if (library)
			dlclose(library);
	}
	return 0;
}
