/* Prints its mark's semaphore every 50 ms, FIRST times, then hands over to another program if there is one. */
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

unsigned short prov_beat_semaphore __attribute__((section(".probes")));

__attribute__((noinline)) int beat(int n)
{
	printf("%d\n", prov_beat_semaphore);
	fflush(stdout);
	if (prov_beat_semaphore)
		STAP_PROBE1(prov, beat, n);
	return n + 1;
}

int main(int argc, char **argv)
{
	for (int k = atoi(argv[1]), n = 0; k > 0; k--) {
		n = beat(n);
		usleep(50000);
	}
	if (argc > 2)
		execv(argv[2], argv + 2);
	return 0;
}
