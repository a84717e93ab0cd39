// SPDX-License-Identifier: GPL-2.0
/* output.c: the script's text -> standard output or -o FILE (per CPU with -b, rotated with -S); messages -> standard error. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OUTPUT_BUFFER = 1 << 18, PATH_SIZE = 4096, CPU_FILES = 8192 };

static char buffer[OUTPUT_BUFFER];
static int file = STDOUT_FILENO;
static int *cpu_files;
static int current_cpu = -1;
static bool broken;
static uint64_t written;
static unsigned int rotation;
static char **warned;
static size_t warned_count;

static void spill(struct stap_sink *sink)
{
	(void)sink;
	output_flush();
}

struct stap_sink output = { buffer, OUTPUT_BUFFER, 0, spill };

static int create(const char *path)
{
	int made = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_APPEND, 0644);

	if (made < 0)
		say("ERROR: Couldn't open output file '%s': %s\n", path, strerror(errno));
	return made;
}

/* -S: FILE.0, FILE.1 ...; with a count, the oldest goes when one too many is there. */
static bool rotate(void)
{
	char path[PATH_SIZE];

	if (options.rotate_files && rotation >= options.rotate_files) {
		snprintf(path, sizeof(path), "%s.%u", options.output, rotation - options.rotate_files);
		unlink(path);
	}
	snprintf(path, sizeof(path), "%s.%u", options.output, rotation++);
	if (file > STDERR_FILENO)
		close(file);
	file = create(path);
	written = 0;
	return file >= 0;
}

bool output_open(void)
{
	if (!options.output)
		return true;
	if (options.bulk) {
		cpu_files = calloc(CPU_FILES, sizeof(int));
		return cpu_files != NULL;
	}
	if (options.rotate_bytes)
		return rotate();
	file = create(options.output);
	return file >= 0;
}

void output_cpu(unsigned int cpu)
{
	char path[PATH_SIZE];

	if (!cpu_files || (int)cpu == current_cpu || cpu >= CPU_FILES)
		return;
	output_flush();
	current_cpu = cpu;
	if (!cpu_files[cpu]) {
		snprintf(path, sizeof(path), "%s_cpu%u", options.output, cpu);
		cpu_files[cpu] = create(path);
	}
	file = cpu_files[cpu];
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

/* SIGUSR2: the next file, with -S; without, the file is opened anew where somebody has renamed it. */
void output_rotate(void)
{
	if (!options.output || cpu_files)
		return;
	output_flush();
	if (options.rotate_bytes) {
		broken |= !rotate();
		return;
	}
	close(file);
	file = open(options.output, O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0644);
	if (file < 0)
		give_up(errno);
}

void output_flush(void)
{
	uint32_t done = 0;

	while (done < output.used && !broken) {
		ssize_t part = write(file, output.buffer + done, output.used - done);

		if (part >= 0)
			done += part;
		else if (errno != EINTR && errno != EAGAIN)
			give_up(errno);
	}
	written += done;
	output.used = 0;
	if (options.output && options.rotate_bytes && !cpu_files && written >= options.rotate_bytes && !broken)
		broken = !rotate();
}

bool output_broken(void)
{
	return broken;
}

int output_fd(void)
{
	return file;
}

static void message(const char *kind, const char *text, size_t length)
{
	output_flush();
	fprintf(stderr, "%s: %.*s\n", kind, (int)length, text);
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
