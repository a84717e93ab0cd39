#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include <sys/wait.h>
#include <stdlib.h>
static void *work(void *p) { return p; }
int main(int c, char **v) {
	int n = atoi(v[1]), m = atoi(v[2]);
	for (int i = 0; i < n; i++) { pthread_t t; pthread_create(&t, 0, work, 0); pthread_join(t, 0); }
	for (int i = 0; i < m; i++) { pid_t p = fork(); if (!p) _exit(i & 7); if (i % 16 == 15) while (waitpid(-1, 0, 0) > 0); }
	while (waitpid(-1, 0, 0) > 0);
	return 0; }
