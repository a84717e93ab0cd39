/* Memory that is written and read by threads, children and the kernel, and again after an exec of itself. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int counter;
volatile long limit = 7;
volatile short three[3] __attribute__((aligned(8))) = { 1, 2, 3 };
static volatile char letter = 'a';
volatile int first, second, third;

static void *worker(void *unused)
{
	counter = 20;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 1) {
		while (argc > 2 && access(argv[2], F_OK))
			usleep(10000);
		counter = 40;
		first = 2;
		return 0;
	}
	counter = 10;
	pthread_create(&thread, NULL, worker, NULL);
	pthread_join(thread, NULL);
	if (!fork()) {
		counter = 30;
		_exit(0);
	}
	wait(NULL);
	letter = (char)(limit + 91);
	three[1] = 5;
	three[2] = 6;
	if (read(open("/proc/sys/kernel/ostype", O_RDONLY), (void *)&limit, 5) != 5)
		return 1;
	first = second = third = 1;
	execl(argv[0], argv[0], "again", NULL);
	return 1;
}
