// SPDX-License-Identifier: GPL-2.0
/*
 * input.c: what is typed goes to the probes on input.char and input.line, a
 * character at a time, without waiting for the end of the line. Where -c runs
 * a command, the input is that command's.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static int to_module = -1;
static struct termios before;
static bool changed;

static void terminal_back(void)
{
	if (changed)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	changed = false;
}

/* A terminal hands over each key at once and shows nothing by itself; ^C and the like still work. */
static void terminal_by_key(void)
{
	struct termios by_key;

	if (tcgetattr(STDIN_FILENO, &before))
		return;
	by_key = before;
	by_key.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	by_key.c_cc[VMIN] = 1;
	by_key.c_cc[VTIME] = 0;
	changed = tcsetattr(STDIN_FILENO, TCSADRAIN, &by_key) == 0;
	if (changed)
		atexit(terminal_back);
}

void input_open(const char *name)
{
	char path[256];

	if (options.command)
		return;
	snprintf(path, sizeof(path), "/proc/systemtap/%s/__stdin", name);
	to_module = open(path, O_WRONLY | O_CLOEXEC);
	if (to_module < 0 || !isatty(STDIN_FILENO))
		return;
	signal(SIGTTIN, SIG_IGN);	/* in the background nothing is read, rather than the run stopped */
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		terminal_by_key();
}

int input_fd(void)
{
	return to_module < 0 ? -1 : STDIN_FILENO;
}

void input_close(void)
{
	if (to_module >= 0)
		close(to_module);
	to_module = -1;
	terminal_back();
}

/* Bytes of a character that go on with one of UTF-8's. */
static bool continues(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

void input_pass(void)
{
	char text[512];
	ssize_t got = read(STDIN_FILENO, text, sizeof(text)), length;

	if (got <= 0) {
		if (got == 0 || (errno != EINTR && errno != EAGAIN))
			input_close();
		return;
	}
	for (ssize_t at = 0; at < got; at += length) {
		for (length = 1; at + length < got && length < 4 && continues(text[at + length]); length++)
			;
		if (write(to_module, text + at, length) != length) {
			input_close();	/* the probes are gone */
			return;
		}
	}
}
