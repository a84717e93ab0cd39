/* Opens the library that it is given, and calls it from two threads; from the second for so many times 20 ms. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int (*add)(int);

static void *other(void *times)
{
	add(10);
	add(10);
	for (int i = 0; times && i < atoi(times); i++)
		usleep(20000 + add(0));
	return NULL;
}

int main(int argc, char **argv)
{
	void *library = dlopen(argv[1], RTLD_NOW);
	pthread_t thread;

	if (!library)
		return 1;
	add = (int (*)(int))dlsym(library, "plug_add");
	add(1);
	pthread_create(&thread, 0, other, argc > 2 ? argv[2] : NULL);
	pthread_join(thread, 0);
	printf("%d\n", add(2));
	return 0;
}
