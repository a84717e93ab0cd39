// SPDX-License-Identifier: GPL-2.0
/*
 * guest.c: the first process of a disposable guest.
 * Sets up the file systems, loads the modules listed in /etc/modules, then
 * serves requests from the control port: put a file, run a program, send a
 * signal, answer a heartbeat. A program's standard streams are ports of their
 * own, so nothing in the guest has to relay them.
 *
 * Requests: one line, then for some a body. Replies: one line.
 *   put MODE SIZE PATH\n BODY         -> done 0
 *   run ID SIZE\n BODY                -> exit ID STATUS   (BODY: end mark, directory, environment count, strings..., argv...; NUL-separated)
 *   kill SIGNAL                       (to the program that runs)
 *   ping                              -> pong
 *   time SECONDS NANOSECONDS          -> pong          (the guest may have slept in a file)
 *   host                              -> done 0        (the host's files, which are on the disk, appear at their own paths)
 *   off                               powers the guest off
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 4096, MARK = 64 };

static int control, out, err, in;
static pid_t running;
static unsigned long running_id;
static char running_mark[MARK];

static void say(const char *format, ...)
{
	char text[LINE];
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (write(control, text, length) < 0)
		perror("control");
}

static void power_off(void)
{
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void fail(const char *what)
{
	fprintf(stderr, "pystap guest: %s: %s\n", what, strerror(errno));
	power_off();
}

static void mount_at(const char *type, const char *at, const char *options)
{
	mkdir(at, 0755);
	if (mount(type, at, type, 0, options) && errno != EBUSY && errno != ENODEV)
		fprintf(stderr, "pystap guest: mount %s: %s\n", at, strerror(errno));
}

static void load_modules(void)
{
	FILE *list = fopen("/etc/modules", "r");
	char line[LINE];

	while (list && fgets(line, sizeof(line), list)) {
		int file;

		line[strcspn(line, "\n")] = 0;
		file = open(line, O_RDONLY | O_CLOEXEC);
		if (file < 0 || (syscall(SYS_finit_module, file, "", 0) && errno != EEXIST))
			fprintf(stderr, "pystap guest: %s: %s\n", line, strerror(errno));
		close(file);
	}
	if (list)
		fclose(list);
}

/* --- the host's files -------------------------------------------------------------------------------------- */

#define HOST "/.host"
#define WRITTEN "/.written"	/* what the guest changes of them */

/* Over a folder of the guest's own lies the host's, but in /etc: there the guest's names are its own. */
static bool show_folder(const char *name)
{
	char at[LINE], upper[LINE], work[LINE], options[5 * LINE];
	bool ours = !strcmp(name, "etc");

	snprintf(at, sizeof(at), "/%s", name);
	snprintf(upper, sizeof(upper), WRITTEN "/upper-%s", name);
	snprintf(work, sizeof(work), WRITTEN "/work-%s", name);
	mkdir(at, 0755);
	mkdir(upper, 0755);
	mkdir(work, 0755);
	snprintf(options, sizeof(options), "lowerdir=%s%s:%s%s,upperdir=%s,workdir=%s", ours ? "" : HOST, at,
		 ours ? HOST : "", at, upper, work);
	return !mount("overlay", at, "overlay", 0, options);
}

static bool show_entry(const struct dirent *entry)
{
	char from[LINE], to[LINE], target[LINE];
	ssize_t length;

	snprintf(from, sizeof(from), HOST "/%s", entry->d_name);
	snprintf(to, sizeof(to), "/%s", entry->d_name);
	if (entry->d_type == DT_DIR)
		return show_folder(entry->d_name);
	length = entry->d_type == DT_LNK ? readlink(from, target, sizeof(target) - 1) : -1;
	if (length < 0)
		return true;
	target[length] = 0;
	return !symlink(target, to) || errno == EEXIST;
}

static bool show_host(void)
{
	struct dirent *entry;
	bool good = true;
	DIR *top;

	mkdir(HOST, 0755);
	mkdir(WRITTEN, 0755);
	if (mount("/dev/vda", HOST, "erofs", MS_RDONLY, "") || mount("tmpfs", WRITTEN, "tmpfs", 0, ""))
		return false;
	unlink("/etc/passwd");
	unlink("/etc/group");
	top = opendir(HOST);
	while (good && top && (entry = readdir(top)))
		if (entry->d_name[0] != '.')
			good = show_entry(entry);
	if (top)
		closedir(top);
	return top && good;
}

/* Packets of the guest to itself need no configuration beyond this. */
static void raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (inet >= 0)
		ioctl(inet, SIOCSIFFLAGS, &request);
	close(inet);
	if (sethostname("vm", 2))
		perror("hostname");
}

/* The port appears some time after its driver was loaded. */
static int open_port(int number, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/vport0p%d", number);
	for (int tries = 0; tries < 20000; tries++) {
		int port = open(path, flags | O_CLOEXEC);

		if (port >= 0)
			return port;
		usleep(500);
	}
	fail(path);
	return -1;
}

static void read_exactly(char *to, size_t size)
{
	while (size > 0) {
		ssize_t got = read(control, to, size);

		if (got == 0) {
			usleep(1000);	/* no host behind the port for a moment */
			continue;
		}
		if (got < 0 && errno != EINTR)
			fail("control");
		if (got > 0) {
			to += got;
			size -= got;
		}
	}
}

static void read_line(char *line)
{
	size_t used = 0;

	for (;;) {
		read_exactly(line + used, 1);
		if (line[used] == '\n' || used == LINE - 1)
			break;
		used++;
	}
	line[used] = 0;
}

static void make_parents(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		mkdir(path, 0755);
		*slash = '/';
	}
}

static char *read_body(size_t size)
{
	char *body = malloc(size + 1);

	if (!body)
		fail("memory");
	read_exactly(body, size);
	body[size] = 0;
	return body;
}

static void put(const char *line)
{
	unsigned int mode;
	size_t size, written = 0;
	char path[LINE], *body;
	int file;

	if (sscanf(line, "put %o %zu %4095[^\n]", &mode, &size, path) != 3)
		return;
	body = read_body(size);
	make_parents(path);
	unlink(path);
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	while (file >= 0 && written < size) {
		ssize_t part = write(file, body + written, size - written);

		if (part <= 0)
			break;
		written += part;
	}
	say("done %d\n", file >= 0 && written == size ? 0 : errno);
	close(file);
	free(body);
}

static char *next_string(char **at)
{
	char *string = *at;

	*at += strlen(string) + 1;
	return string;
}

static void exec_program(char *at, char *end)
{
	const char *directory = next_string(&at);
	int count = atoi(next_string(&at));
	char **arguments = calloc(end - at + 2, sizeof(char *));
	sigset_t none;
	int n = 0;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	clearenv();
	while (count-- > 0)
		putenv(next_string(&at));
	while (at < end)
		arguments[n++] = next_string(&at);
	if (chdir(directory))
		chdir("/");
	execvp(arguments[0], arguments);
	dprintf(2, "%s: %s\n", arguments[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void run(const char *line)
{
	size_t size;
	char *body, *at;

	if (sscanf(line, "run %lu %zu", &running_id, &size) != 2)
		return;
	body = read_body(size);
	at = body;
	snprintf(running_mark, sizeof(running_mark), "%s", next_string(&at));
	running = fork();
	if (running == 0)
		exec_program(at, body + size);
	free(body);
}

static void set_time(const char *line)
{
	struct timespec now;

	if (sscanf(line, "time %ld %ld", &now.tv_sec, &now.tv_nsec) == 2 && clock_settime(CLOCK_REALTIME, &now))
		perror("time");
	say("pong\n");
}

static bool serve(void)
{
	char line[LINE];
	int number;

	read_line(line);
	if (!strncmp(line, "put ", 4))
		put(line);
	else if (!strncmp(line, "run ", 4))
		run(line);
	else if (!strncmp(line, "time ", 5))
		set_time(line);
	else if (!strcmp(line, "host"))
		say("done %d\n", show_host() ? 0 : errno ? errno : EIO);
	else if (!strcmp(line, "ping"))
		say("pong\n");
	else if (sscanf(line, "kill %d", &number) == 1 && running > 0)
		kill(running, number);
	else if (!strcmp(line, "off"))
		return false;
	return true;
}

/* The end marks tell the host that nothing more of this program comes on these ports. */
static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != running)
			continue;
		running = 0;
		if (write(out, running_mark, strlen(running_mark)) < 0 || write(err, running_mark, strlen(running_mark)) < 0)
			perror("ports");
		say("exit %lu %d\n", running_id, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
}

int main(void)
{
	struct pollfd waits[2];
	struct signalfd_siginfo information;
	sigset_t children;

	mount_at("proc", "/proc", "");
	mount_at("sysfs", "/sys", "");
	mount_at("devtmpfs", "/dev", "");
	mount_at("devpts", "/dev/pts", "");
	mount_at("tmpfs", "/dev/shm", "mode=1777");
	mount_at("tmpfs", "/tmp", "mode=1777");
	mount_at("debugfs", "/sys/kernel/debug", "");
	mount_at("tracefs", "/sys/kernel/tracing", "");
	load_modules();
	raise_loopback();
	control = open_port(1, O_RDWR);
	out = open_port(2, O_WRONLY);
	err = open_port(3, O_WRONLY);
	in = open_port(4, O_RDONLY);
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	sigprocmask(SIG_BLOCK, &children, NULL);
	waits[0] = (struct pollfd){ .fd = control, .events = POLLIN };
	waits[1] = (struct pollfd){ .fd = signalfd(-1, &children, SFD_CLOEXEC), .events = POLLIN };
	say("ready\n");
	for (;;) {
		poll(waits, 2, -1);
		if (waits[1].revents & POLLIN) {
			if (read(waits[1].fd, &information, sizeof(information)) > 0)
				reap();
		}
		if ((waits[0].revents & POLLIN) && !serve())
			power_off();
		if (waits[0].revents & POLLHUP)
			usleep(10000);
	}
}
