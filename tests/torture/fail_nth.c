// SPDX-License-Identifier: GPL-2.0
/*
 * fail_nth.c: fail_nth MODULE.ko NAME
 * Loads a module again and again, the kernel's Nth allocation failing the Nth
 * time, until a load meets no failure; then starts it in the same way. Says
 * how many allocations there were and how the failures ended. For a kernel
 * with CONFIG_FAULT_INJECTION (/proc/thread-self/fail-nth).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "protocol.h"

static const char *path, *name;
static int nth;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void fail_at(int number)
{
	char text[16];

	if (pwrite(nth, text, sprintf(text, "%d", number), 0) < 0)
		die("fail-nth");
}

/* Whether the failure has happened; ends the counting. */
static int failed(void)
{
	char text[16] = "";

	if (pread(nth, text, sizeof(text) - 1, 0) < 0)
		die("fail-nth");
	fail_at(0);
	return atoi(text) == 0;
}

static int load(void)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	int error = syscall(SYS_finit_module, file, "_buffer_mb=1", 0) ? errno : 0;

	close(file);
	return error;
}

static void unload(void)
{
	int tries;

	for (tries = 0; syscall(SYS_delete_module, name, O_NONBLOCK); tries++) {
		if (tries == 200)
			die("delete_module");
		usleep(10000);
	}
}

static int cmd_open(void)
{
	char cmd[256];
	int file;

	snprintf(cmd, sizeof(cmd), "/proc/systemtap/%s/cmd", name);
	file = open(cmd, O_RDWR | O_CLOEXEC);
	if (file < 0)
		die(cmd);
	return file;
}

static int order(int cmd, enum stap_command_type type)
{
	struct stap_command command = { .version = STAP_PROTOCOL_VERSION, .type = type };

	return write(cmd, &command, sizeof(command)) < 0 ? errno : 0;
}

static int load_failing(int number, int *error)
{
	int met;

	fail_at(number);
	*error = load();
	met = failed();
	if (!*error)
		unload();
	return met;
}

static int start_failing(int number, int *error)
{
	int met, cmd;

	if (load())
		die("finit_module");
	cmd = cmd_open();
	fail_at(number);
	*error = order(cmd, STAP_COMMAND_START);
	met = failed();
	if (order(cmd, STAP_COMMAND_STOP))
		die("STOP");
	close(cmd);
	unload();
	return met;
}

static void each(const char *what, int (*attempt)(int number, int *error))
{
	int number, error, refused = 0, others = 0;

	for (number = 1; attempt(number, &error); number++) {
		refused += error == ENOMEM;
		others += error && error != ENOMEM;
		if (error && error != ENOMEM)
			printf("%s, failure %d: %s\n", what, number, strerror(error));
	}
	if (error)
		die(what);
	printf("%s: %d allocations, %d refused, %d otherwise, %d done without\n", what, number - 1, refused, others,
	       number - 1 - refused - others);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	path = argv[1];
	name = argv[2];
	nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (nth < 0)
		die("/proc/thread-self/fail-nth");
	each("load", load_failing);
	each("start", start_failing);
	return 0;
}
