/* Goes down into calls and stays there until it is told to come back. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile int go;
static void wake(int n) { go = 1; }
__attribute__((noinline)) int bottom(int n) { while (!go) usleep(1000); return n + 1; }
__attribute__((noinline)) int middle(int n) { return bottom(n) + 1; }
__attribute__((noinline)) int top(int n) { return middle(n) + 1; }

int main(void)
{
	signal(SIGUSR1, wake);
	printf("%d\n", top(1));
	go = 1;
	printf("%d\n", top(2));
	return 0;
}
