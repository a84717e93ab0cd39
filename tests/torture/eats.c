/* Takes memory, and has the kernel fill it, until the kernel ends it. */
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
	for (;;)
		if (mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
			usleep(10000);
}
