// SPDX-License-Identifier: GPL-2.0
/*
 * main.c: pystap-run [OPTIONS] MODULE.ko [NAME=VALUE...]
 * Inserts the module, starts it, relays its output until it wants to end (or
 * -c's command does, or a signal or -T says so), stops it and removes it. A
 * guardian in a session of its own removes it when this process is killed.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	PASS_MS = 20,		/* between two looks at the buffers while there is output */
	IDLE_MS = 100,		/* and while there is none */
	REMOVAL_SECONDS = 10,	/* for others to let go of the module */
	GUARDIAN_SECONDS = 30,
};

/* timeout(1), sudo, pystap and a terminal that goes away tell a whole group and its members: what comes so soon is a copy. */
static const double copies_seconds = 0.3;

bool errors_seen;

static int control = -1, signals = -1, guardian_pipe = -1;
static pid_t guardian;
static struct module_file module;
static bool asked, stopping;	/* somebody wants it to end; it ends */
static bool forced, detached;
static double deadline;		/* -T, once all is armed; else 0 */
static int started = -1;	/* -F -o: tells the process in the foreground that all is armed */

double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

/* What is opened next must not become a standard file that was closed; writing to such output is an error. */
static void hold_standard_files(void)
{
	static const int modes[] = { O_RDONLY, O_RDONLY, O_WRONLY };

	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", modes[fd]);
}

/* Of root's rights the guardian needs one: to take modules off. */
static void keep_module_right(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct kept[2] = { 0 };

	kept[0].effective = kept[0].permitted = 1u << CAP_SYS_MODULE;
	syscall(SYS_capset, &header, kept);	/* without it, it has more than it needs: no reason to give up */
}

static void guard(int wait_on)
{
	char finished = 0;
	ssize_t got;

	prctl(PR_SET_NAME, "pystap-guardian");
	setsid();
	keep_module_right();
	for (int signal_number = 1; signal_number < 32; signal_number++)
		signal(signal_number, SIG_IGN);
	for (int fd = 0; fd < 256; fd++)
		if (fd != wait_on)
			close(fd);
	while ((got = read(wait_on, &finished, 1)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got != 1 || finished != 'n' || read(wait_on, &module, sizeof(module)) < 0)
			break;
	}
	if (finished != 'f')
		module_remove(&module, GUARDIAN_SECONDS);
	_exit(0);
}

static bool start_guardian(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return false;
	guardian = fork();
	if (guardian < 0)
		return false;
	if (guardian == 0) {
		close(ends[1]);
		guard(ends[0]);
	}
	close(ends[0]);
	guardian_pipe = ends[1];
	return true;
}

/* The module has got another name than its file says. */
static void tell_guardian(void)
{
	char message[1 + sizeof(module)] = "n";

	memcpy(message + 1, &module, sizeof(module));
	if (write(guardian_pipe, message, sizeof(message)) != sizeof(message))
		say("WARNING: nobody removes the module %s when this is killed: %s\n", module.name, strerror(errno));
}

static void dismiss_guardian(void)
{
	if (write(guardian_pipe, "f", 1) == 1)
		waitpid(guardian, NULL, 0);
	close(guardian_pipe);
}

static void catch_signals(void)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR2, SIGCHLD };
	struct sigaction hang_up;
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaddset(&set, caught[i]);
	if (!sigaction(SIGHUP, NULL, &hang_up) && hang_up.sa_handler == SIG_IGN)
		sigdelset(&set, SIGHUP);	/* nohup(1) */
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/*
 * -- a command of the control file --
 *
 * The first thread writes it, so that begin and end probes run in a task that is its process's first (its tid is its pid,
 * and it is in the kernel's list of tasks). The thread of the session lets output flow meanwhile.
 */

static struct {
	enum stap_command_type type;
	pid_t target;
	int done;		/* pipe */
	int error;
} order;
static sem_t ordered;

static void perform(void)
{
	order.error = 0;
	if (order.type == STAP_COMMAND_START) {
		if (!control_start(control, order.target))
			order.error = errno;
	} else {
		control_stop(control);
	}
	close(order.done);
}

/* Reads what signals came; true if one of them asks to end, and is no copy of the one before. */
bool signalled(void)
{
	struct signalfd_siginfo information;
	static double before;
	bool ends = false;

	while (read(signals, &information, sizeof(information)) == sizeof(information)) {
		if (information.ssi_signo == SIGUSR2)
			output_rotate();
		else
			ends |= information.ssi_signo != SIGCHLD;
		detached |= information.ssi_signo == SIGQUIT;
	}
	if (!ends || (before && now() - before < copies_seconds))
		return false;
	before = now();
	return true;
}

/* The probes rest from here on, whatever the runner is waiting for; but for who detaches, they go on. */
static void end_soon(void)
{
	asked = true;
	if (!detached)
		control_exit(control);
}

bool output_in_vain(void)
{
	bool more = signalled();

	if (more && (asked || stopping))
		return true;
	if (more || (deadline && !asked && !stopping && now() >= deadline))
		end_soon();
	return false;
}

/* Relays while the request runs. Who asks a second time to end is not kept waiting for it. */
static int request(enum stap_command_type type, pid_t target)
{
	struct pollfd waits[2];
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	stopping = type == STAP_COMMAND_STOP;
	order.type = type;
	order.target = target;
	order.done = ends[1];
	sem_post(&ordered);
	waits[0] = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	waits[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (;;) {
		int ready = poll(waits, 2, PASS_MS);

		if (ready > 0 && waits[0].revents)
			break;
		if (ready > 0 && signalled()) {
			if (asked || stopping) {
				forced = true;
				return EINTR;
			}
			end_soon();
		}
		relay_pass();
	}
	close(ends[0]);
	return order.error;
}

/* Until something says that it is time to end. */
static void relay_until_end(void)
{
	struct pollfd waits[] = {
		{ .fd = control, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
		{ .events = POLLIN },
	};
	int pause = 0;

	deadline = options.timeout > 0 ? now() + options.timeout : 0;
	while (!asked) {
		int wait = pause;

		if (deadline && (deadline - now()) * 1000 < wait)
			wait = deadline > now() ? (int)((deadline - now()) * 1000) + 1 : 0;
		waits[2].fd = input_fd();
		if (poll(waits, 3, wait) > 0) {
			if ((waits[0].revents & POLLIN) || signalled())
				return;
			if (waits[2].revents)
				input_pass();
		}
		pause = relay_pass() ? PASS_MS : IDLE_MS;
		if (output_broken() || (deadline && now() >= deadline))
			return;
		if (child_ended() && options.command)
			return;
	}
}

static void start_failed(int error)
{
	struct stap_status status;

	errors_seen = true;
	relay_pass();
	if (control_status(control, &status) && status.start_error)
		say("ERROR: the probes could not be armed (%s): %s\n", status.start_engine,
		    strerror(-status.start_error));
	else
		say("ERROR: the module refuses to start: %s\n", strerror(error));
}

static void report(void)
{
	struct stap_status status;

	if (!control_status(control, &status))
		return;
	if (status.errors)
		errors_seen = true;
	if ((status.errors || status.skipped) && !options.no_warnings)
		say("WARNING: Number of errors: %u, skipped probes: %u\n", status.errors, status.skipped);
	if (!options.no_warnings)
		explain_status(&status);
	if ((status.lost_records || relay_missing()) && !options.no_warnings)
		say("WARNING: There were %llu transport failures. Try stap -s to increase the buffer size from %u.\n",
		    (unsigned long long)(status.lost_records + relay_missing()),
		    (unsigned int)(((u64)status.buffer_bytes * sysconf(_SC_NPROCESSORS_ONLN)) >> 20));
}

static int detach(void)
{
	relay_finish(false);
	if (!control_detach(control, options.recorder)) {
		say("ERROR: the module cannot be left alone: %s\n", strerror(errno));
		return 1;
	}
	say("\nDisconnecting from systemtap module.\nTo reconnect, type \"pystap -A %s\"\n", module.name);
	return 0;
}

/* What went wrong until here was said on the terminal; from here on it is left in peace. */
static void tell_started(void)
{
	int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (started < 0)
		return;
	for (int stream = 0; stream <= STDERR_FILENO; stream++)
		dup2(nowhere, stream);
	if (write(started, "s", 1) == 1)
		close(started);
	started = -1;
}

/* -F -o FILE: the run goes on in the background; this returns there, once it is armed only. */
static void go_to_background(void)
{
	int ends[2];
	char word = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) || (pid = fork()) < 0) {
		say("ERROR: cannot fork: %s\n", strerror(errno));
		exit(1);
	}
	if (pid > 0) {
		close(ends[1]);
		if (read(ends[0], &word, 1) == 1)
			printf("%d\n", pid);
		exit(word == 's' ? 0 : 1);
	}
	close(ends[0]);
	started = ends[1];
	setsid();
}

/* With the module inserted and its control file held. */
static int session(void)
{
	struct stap_status status;
	int error, failed = 0;

	if (!control_status(control, &status)) {
		say("ERROR: module and runner do not fit together: build the module again\n");
		return 1;
	}
	if (!relay_start(module.name, status.cpus)) {
		say("ERROR: cannot read the output of the module %s: %s\n", module.name, strerror(errno));
		return 1;
	}
	/* those that were inserted before ours could listen; what comes later is compared when it comes */
	if (!options.attach && !module_builds_fit())
		return 1;
	if (!child_prepare()) {
		say("ERROR: cannot start the command: %s\n", strerror(errno));
		return 1;
	}
	error = options.attach ? 0 : request(STAP_COMMAND_START, options.command ? child_pid() : options.target);
	if (!options.attach)
		relay_pass();
	if (forced)
		return 1;
	if (error) {
		start_failed(error);
	} else if (!asked) {
		child_release();
		if (!options.recorder || options.output) {
			tell_started();
			input_open(module.name);
			relay_until_end();
			input_close();
		} else {
			detached = true;
		}
	}
	if (detached && !error)
		return detach();
	request(STAP_COMMAND_STOP, 0);
	relay_finish(true);
	if (!forced)
		child_stop();
	child_wait_systems(forced ? 0 : 60);
	failed = child_report();
	report();
	return errors_seen || failed || forced ? 1 : 0;
}

/* The session and what is to be done after it; the process ends with it, whatever the first thread is at. */
static void *session_thread(void *nothing)
{
	int status = 1;

	if (control >= 0)
		status = session();
	else if (options.attach)
		detached = true;	/* there is no such module, or another runner has it */
	close(control);
	if (detached || module_remove(&module, forced ? 0 : REMOVAL_SECONDS)) {
		dismiss_guardian();
	} else if (!forced) {	/* else the first thread still has it, and the process will not be gone before: the guardian's */
		say("ERROR: Couldn't remove module '%s': %s\n", module.name, strerror(errno));
		status = 1;
	}
	exit(status);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int lock;

	hold_standard_files();
	setvbuf(stderr, NULL, _IOLBF, 0);
	read_options(argc, argv);
	if (!module_open(&module, options.module) || !output_open())
		return 1;
	format_load(module.formats, module.formats ? module.formats_size : 0);
	if (options.name)
		snprintf(module.name, sizeof(module.name), "%s", options.name);
	if (options.recorder && options.output)
		go_to_background();
	catch_signals();
	if (!start_guardian()) {
		say("ERROR: cannot fork: %s\n", strerror(errno));
		return 1;
	}
	lock = module_lock();
	if (!options.attach)
		module_remove_orphans();
	if (!options.attach && !module_insert(&module, options.parameters)) {
		module_unlock(lock);
		dismiss_guardian();
		return 1;
	}
	module.inserted = module_inserted(module.name);
	tell_guardian();
	control = control_open(module.name);
	module_unlock(lock);
	sem_init(&ordered, 0, 0);
	if (pthread_create(&thread, NULL, session_thread, NULL)) {
		say("ERROR: cannot start a thread: %s\n", strerror(EAGAIN));
		close(control);
		control = -1;
		session_thread(NULL);
	}
	for (;;)
		if (!sem_wait(&ordered))
			perform();
}
