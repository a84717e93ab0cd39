#include <stdlib.h>

/* A library that a program opens while it runs: a thread gets its variables when it first uses them. */
_Thread_local int plugged = 40;
static _Thread_local long own_plugged = 7;

__attribute__((noinline)) int plug_add(int n)
{
	char *volatile taken = malloc(n);

	plugged += n;
	own_plugged -= n;
	free(taken);
	return plugged + own_plugged;
}
