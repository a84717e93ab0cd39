#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static char *area;

__attribute__((noinline)) int touch(int pages)
{
	for (int i = 0; i < pages; i++)
		area[i * 4096] = 1;
	return pages;
}

static void fresh(int pages)
{
	area = mmap(NULL, pages * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(area, pages * 4096, MADV_NOHUGEPAGE);
	touch(pages);
}

static void *thread(void *unused)
{
	fresh(40);
	return NULL;
}

int main(void)
{
	pthread_t t;

	fresh(10);
	fresh(30);
	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);
	if (!fork()) {
		fresh(50);
		_exit(0);
	}
	wait(NULL);
	return 0;
}
