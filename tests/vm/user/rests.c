/* The first thread has ended, the other one calls a function that takes its time. */
#include <pthread.h>
#include <unistd.h>

__attribute__((noinline)) int rest(int milliseconds)
{
	usleep(milliseconds * 1000);
	return milliseconds;
}

static void *again_and_again(void *nothing)
{
	for (;;)
		rest(150);
	return nothing;
}

int main(void)
{
	pthread_t other;

	pthread_create(&other, 0, again_and_again, 0);
	pthread_exit(0);
}
