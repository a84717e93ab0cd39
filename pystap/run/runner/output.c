// SPDX-License-Identifier: GPL-2.0
/* output.c: the script's text -> standard output or -o FILE (per CPU with -b, rotated with -S); messages -> standard error. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	OUTPUT_BUFFER = 1 << 18,
	PATH_SIZE = 4096,
	CPU_FILES = 8192,
	PIECE = 4096,		/* what a pipe takes without waiting when it says that it has room */
	ROOM_MS = 20,
};

/* One file of output, or (-b) one of each CPU, or the series of files (-S, SIGUSR2) that it goes on in. */
struct stream {
	int fd;
	bool waits;		/* for a reader: a pipe, socket or terminal */
	bool created;		/* here: standard output is not */
	int cpu;		/* -b; else -1 */
	unsigned int rotation;	/* of the next file */
	uint64_t written;	/* to this file */
	char path[PATH_SIZE];	/* without the rotation's number */
};

static char buffer[OUTPUT_BUFFER];
static struct stream whole = { .fd = STDOUT_FILENO, .cpu = -1 };
static struct stream *stream = &whole;	/* that the buffered text is for */
static struct stream **cpu_streams;
static bool broken, flushing, rotate_later;
static char **warned;
static size_t warned_count;

static void spill(struct stap_sink *sink)
{
	(void)sink;
	output_flush();
}

struct stap_sink output = { buffer, OUTPUT_BUFFER, 0, spill };

static bool has_reader(int fd)
{
	struct stat stat;

	return !fstat(fd, &stat) && (S_ISFIFO(stat.st_mode) || S_ISSOCK(stat.st_mode) || isatty(fd));
}

static bool stream_open(struct stream *s, const char *path, int flags)
{
	s->fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND | flags, 0644);
	if (s->fd < 0) {
		say("ERROR: Couldn't open output file '%s': %s\n", path, strerror(errno));
		return false;
	}
	s->created = true;
	s->waits = has_reader(s->fd);
	s->written = 0;
	return true;
}

/* FILE.0, FILE.1 ...; with a count (-S), the oldest goes when one too many is there. */
static bool stream_rotate(struct stream *s)
{
	char path[PATH_SIZE + 16];

	if (options.rotate_files && s->rotation >= options.rotate_files) {
		snprintf(path, sizeof(path), "%s.%u", s->path, s->rotation - options.rotate_files);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s.%u", s->path, s->rotation++);
	if (s->created)
		close(s->fd);
	return stream_open(s, path, O_TRUNC);
}

/* -o takes what strftime(3) does, of the moment at which the run begins. */
static bool stream_begin(struct stream *s)
{
	static time_t begun;
	size_t length;

	if (!begun)
		begun = time(NULL);
	length = strftime(s->path, PATH_SIZE - 16, options.output, localtime(&begun));
	if (!length) {
		say("ERROR: Couldn't open output file '%s': %s\n", options.output, strerror(ENAMETOOLONG));
		return false;
	}
	if (s->cpu >= 0)
		snprintf(s->path + length, PATH_SIZE - length, "_cpu%d", s->cpu);
	if (options.rotate_bytes)
		return stream_rotate(s);
	s->rotation = 1;
	return stream_open(s, s->path, O_TRUNC);
}

bool output_open(void)
{
	whole.waits = has_reader(STDOUT_FILENO);
	if (!options.output)
		return true;
	if (!options.bulk)
		return stream_begin(&whole);
	cpu_streams = calloc(CPU_FILES, sizeof(*cpu_streams));
	return cpu_streams != NULL;
}

void output_cpu(unsigned int cpu)
{
	if (!cpu_streams || (int)cpu == stream->cpu || cpu >= CPU_FILES)
		return;
	output_flush();
	if (!cpu_streams[cpu]) {
		cpu_streams[cpu] = calloc(1, sizeof(*stream));
		if (!cpu_streams[cpu])
			return;		/* the last one's file takes it */
		cpu_streams[cpu]->cpu = cpu;
		broken |= !stream_begin(cpu_streams[cpu]);
	}
	stream = cpu_streams[cpu];
}

/* Whether a file takes more; asks now and then whether that is still to be waited for. */
static bool has_room(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };

	while (poll(&room, 1, ROOM_MS) <= 0)
		if (output_in_vain())
			return false;
	return true;
}

/* Standard error's reader may be the one that output waits for. */
static bool can_say(void)
{
	static int waits = -1;

	if (waits < 0)
		waits = has_reader(STDERR_FILENO);
	return !waits || flushing || has_room(STDERR_FILENO);
}

/* A reader that went away has had enough; anything else loses what the user wants. */
static void give_up(int error)
{
	broken = true;
	if (error == EPIPE)
		return;
	errors_seen = true;
	fprintf(stderr, "ERROR: Couldn't write the output%s%s: %s\n", options.output ? " to " : "",
		options.output ? options.output : "", strerror(error));
}

/* Output goes on in the next file; or, where somebody who rotates files has renamed this one, in a new one of its name. */
static void stream_switch(struct stream *s)
{
	struct stat written, named;

	if (broken || fstat(s->fd, &written) || !S_ISREG(written.st_mode))
		return;
	if (options.rotate_bytes || s->rotation > 1 ||
	    (!stat(s->path, &named) && written.st_ino == named.st_ino && written.st_dev == named.st_dev)) {
		broken = !stream_rotate(s);
		return;
	}
	close(s->fd);
	broken = !stream_open(s, s->path, 0);
}

/* SIGUSR2. */
void output_rotate(void)
{
	rotate_later = flushing;
	if (!options.output || flushing)
		return;
	output_flush();
	if (!cpu_streams)
		stream_switch(&whole);
	for (unsigned int cpu = 0; cpu_streams && cpu < CPU_FILES; cpu++)
		if (cpu_streams[cpu])
			stream_switch(cpu_streams[cpu]);
}

static void output_write(void)
{
	uint32_t done = 0;

	while (done < output.used && !broken) {
		size_t left = output.used - done;
		ssize_t part;

		if (stream->waits && !has_room(stream->fd)) {
			broken = true;
			break;
		}
		part = write(stream->fd, output.buffer + done, stream->waits && left > PIECE ? PIECE : left);
		if (part >= 0)
			done += part;
		else if (errno != EINTR && errno != EAGAIN)
			give_up(errno);
	}
	stream->written += done;
	output.used = 0;
}

void output_flush(void)
{
	if (flushing)
		return;
	flushing = true;
	output_write();
	flushing = false;
	if (stream->created && options.rotate_bytes && stream->written >= options.rotate_bytes && !broken)
		broken = !stream_rotate(stream);
	if (rotate_later)
		output_rotate();
}

bool output_broken(void)
{
	return broken;
}

int output_fd(void)
{
	return stream->fd;
}

void say(const char *format, ...)
{
	va_list arguments;

	output_flush();
	va_start(arguments, format);
	if (can_say())
		vfprintf(stderr, format, arguments);
	va_end(arguments);
}

static void message(const char *kind, const char *text, size_t length)
{
	say("%s: %.*s\n", kind, (int)length, text);
}

void message_error(const char *text, size_t length)
{
	errors_seen = true;
	message("ERROR", text, length);
	explain_error(text, length);
}

/* The same warning is shown once, unless -v. */
void message_warning(const char *text, size_t length)
{
	char **more;

	if (options.no_warnings)
		return;
	for (size_t i = 0; i < warned_count && !options.verbose; i++)
		if (strlen(warned[i]) == length && !memcmp(warned[i], text, length))
			return;
	if (warned_count < 1024) {
		more = realloc(warned, (warned_count + 1) * sizeof(*warned));
		if (more) {
			warned = more;
			warned[warned_count++] = strndup(text, length);
		}
	}
	message("WARNING", text, length);
}
