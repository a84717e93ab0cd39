/* Opens the library that it is given, and calls it from two threads. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static int (*add)(int);

static void *other(void *unused)
{
	add(10);
	add(10);
	return unused;
}

int main(int argc, char **argv)
{
	void *library = dlopen(argv[1], RTLD_NOW);
	pthread_t thread;

	if (!library)
		return 1;
	add = (int (*)(int))dlsym(library, "plug_add");
	add(1);
	pthread_create(&thread, 0, other, 0);
	pthread_join(thread, 0);
	printf("%d\n", add(2));
	return 0;
}
