/* Calls that do not return in order, or not at all; tells what it saw itself. An argument: ends by exec from a thread. */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define KEPT __attribute__((noinline, noclone, optimize("no-optimize-sibling-calls")))
#define USED(x) __asm__ volatile("" : : "r"(x) : "memory")

static jmp_buf out;
static ucontext_t outside, inside;
static char stack[65536], other_stack[65536];
static volatile int handled;

KEPT void jumper(int n)
{
	if (n == 0)
		longjmp(out, 1);
	jumper(n - 1);
	USED(n);
}

KEPT int deep(int n)
{
	int below = n ? deep(n - 1) + 1 : 0;

	USED(below);
	return below;
}

KEPT void handler(int number)
{
	handled++;
	USED(number);
}

KEPT int interrupted(int n)
{
	raise(SIGUSR1);
	USED(n);
	return n;
}

KEPT int turn(int n)
{
	swapcontext(&inside, &outside);
	USED(n);
	return n + 1;
}

static void turns(void)
{
	for (int k = 0; k < 3; k++)
		turn(k);
}

KEPT int work(int n)
{
	USED(n);
	return n + 1;
}

static void *many(void *unused)
{
	for (int k = 0; k < 50; k++)
		work(k);
	return unused;
}

static void *leaving(void *program)
{
	execl(program, program, (char *)NULL);
	return NULL;
}

static void *waiting(void *unused)
{
	pause();
	return unused;
}

static void signals(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_ONSTACK };
	stack_t other = { .ss_sp = other_stack, .ss_size = sizeof(other_stack) };

	sigaltstack(&other, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (int k = 0; k < 5; k++)
		interrupted(k);
}

static void children(void)
{
	int status;
	pid_t child;

	for (int k = 0; k < 3; k++) {
		if ((child = fork()) == 0) {
			work(k);
			_exit(0);
		}
		waitpid(child, &status, 0);
	}
	if ((child = vfork()) == 0) {
		work(9);
		_exit(7);
	}
	waitpid(child, &status, 0);
	printf("vfork %d\n", WEXITSTATUS(status));
	fflush(stdout);
	if ((child = fork()) == 0) {
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		syscall(SYS_exit, work(4));
	}
	waitpid(child, &status, 0);
	printf("strict %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	pthread_t threads[8];
	volatile int jumped = 0;

	if (argc > 1) {
		pthread_create(&threads[0], NULL, waiting, NULL);
		pthread_create(&threads[1], NULL, leaving, argv[1]);
		pthread_join(threads[0], NULL);
	}
	for (volatile int k = 0; k < 5; k++) {
		if (setjmp(out))
			jumped++;
		else
			jumper(4);
	}
	printf("jumped %d deep %d\n", jumped, deep(200));
	signals();
	getcontext(&inside);
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = sizeof(stack);
	inside.uc_link = &outside;
	makecontext(&inside, turns, 0);
	for (int k = 0; k < 4; k++)
		swapcontext(&outside, &inside);
	for (int k = 0; k < 8; k++)
		pthread_create(&threads[k], NULL, many, NULL);
	for (int k = 0; k < 8; k++)
		pthread_join(threads[k], NULL);
	printf("handled %d\n", handled);
	fflush(stdout);
	children();
	return 0;
}
