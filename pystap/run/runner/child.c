// SPDX-License-Identifier: GPL-2.0
/* child.c: -c CMD, held back until the probes are armed, and the commands of system(). */
#include "runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

static pid_t command_pid;
static int command_status;
static bool command_ended;
static bool released;		/* it was let go: how it ended is worth telling */
static int gate = -1;
static unsigned int systems;

static void restore_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
}

/* Plain words are executed as they are, so that target() is the program itself; anything else is the shell's. */
static void exec_command(const char *text)
{
	/* on the stack, not in a page of the program that is yet to be read: probes of exec can not wait for that */
	char shell[] = "/bin/sh", name[] = "sh", option[] = "-c";
	wordexp_t words;

	if (wordexp(text, &words, WRDE_NOCMD) == 0) {
		if (words.we_wordc > 0) {
			execvp(words.we_wordv[0], words.we_wordv);
			dprintf(STDERR_FILENO, "%s: %s\n", text, strerror(errno));
		}
		_exit(1);
	}
	execl(shell, name, option, text, NULL);
	dprintf(STDERR_FILENO, "/bin/sh: %s\n", strerror(errno));
	_exit(1);
}

bool child_prepare(void)
{
	int ends[2];
	char go;

	if (!options.command)
		return true;
	if (pipe(ends))
		return false;
	command_pid = fork();
	if (command_pid < 0)
		return false;
	if (command_pid == 0) {
		close(ends[1]);
		restore_signals();
		if (read(ends[0], &go, 1) != 1)
			_exit(1);	/* the runner gave up */
		close(ends[0]);
		exec_command(options.command);
	}
	close(ends[0]);
	gate = ends[1];
	return true;
}

void child_release(void)
{
	if (gate < 0)
		return;
	if (write(gate, "g", 1) != 1)
		say("ERROR: cannot start the command: %s\n", strerror(errno));
	released = true;
	close(gate);
	gate = -1;
}

pid_t child_pid(void)
{
	return command_pid;
}

bool child_ended(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == command_pid) {
			command_ended = true;
			command_status = status;
		} else if (systems > 0) {
			systems--;
		}
	}
	return command_ended;
}

int child_report(void)
{
	if (!released || !command_ended || command_status == 0)
		return 0;
	if (WIFSIGNALED(command_status))
		say("WARNING: Child process exited with signal %d (%s)\n", WTERMSIG(command_status),
		    strsignal(WTERMSIG(command_status)));
	else
		say("WARNING: Child process exited with status %d\n", WEXITSTATUS(command_status));
	return 1;
}

/* It gets a moment to come to its own end, then is asked to. */
void child_stop(void)
{
	double until = now() + 0.5;

	if (!command_pid)
		return;
	if (gate >= 0) {
		close(gate);
		gate = -1;
	}
	while (!child_ended() && now() < until)
		usleep(2000);
	if (command_ended)
		return;
	kill(command_pid, SIGTERM);
	until = now() + 2;
	while (!child_ended() && now() < until)
		usleep(2000);
	command_status = 0;	/* it was we who ended it */
}

void child_system(const char *text, size_t length)
{
	char *command = strndup(text, length);
	pid_t pid = fork();

	if (pid == 0) {
		restore_signals();
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	if (pid > 0)
		systems++;
	free(command);
}

void child_wait_systems(double patience)
{
	double until = now() + patience;

	while (child_ended(), systems > 0 && now() < until && !signalled())
		usleep(2000);
}
