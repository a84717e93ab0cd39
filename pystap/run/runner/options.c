// SPDX-License-Identifier: GPL-2.0
/* options.c: the command line of pystap-run -> struct options. */
#include "runner.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETERS_SIZE = 1 << 16 };

struct options options;

static void usage(void)
{
	say("Usage: pystap-run [-v] [-w] [-b] [-F] [-A [-N NAME]] [-c CMD] [-x PID] [-o FILE] [-S SIZE[,COUNT]] [-T SECONDS] [-s MB] "
	    "MODULE.ko [NAME=VALUE...]\n");
	exit(2);
}

/* Values are quoted for the kernel, which splits parameters at blanks. */
static void add_parameter(const char *text)
{
	size_t used = strlen(options.parameters);
	const char *equals = strchr(text, '=');

	if (!equals || strchr(text, '"') || used + strlen(text) + 4 > PARAMETERS_SIZE)
		usage();
	snprintf(options.parameters + used, PARAMETERS_SIZE - used, "%s%.*s=\"%s\"", used ? " " : "",
		 (int)(equals - text), text, equals + 1);
}

/* A whole number within bounds. */
static long number(const char *text, long least, long most)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < least || value > most)
		usage();
	return value;
}

static double seconds(const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= 0.001 && value < 1e9))
		usage();
	return value;
}

static void set_rotation(const char *text)
{
	char *end;

	options.rotate_bytes = strtoull(text, &end, 10) << 20;
	if (*end == ',')
		options.rotate_files = strtoul(end + 1, &end, 10);
	if (*end || !options.rotate_bytes)
		usage();
}

void read_options(int argc, char **argv)
{
	char buffer[64];
	int option;

	options.parameters = calloc(1, PARAMETERS_SIZE);
	while ((option = getopt(argc, argv, "+vwbFAN:c:x:o:S:T:s:")) >= 0) {
		switch (option) {
		case 'v': options.verbose++; break;
		case 'w': options.no_warnings = true; break;
		case 'b': options.bulk = true; break;
		case 'F': options.recorder = true; break;
		case 'A': options.attach = true; break;
		case 'N': options.name = optarg; break;
		case 'c': options.command = optarg; break;
		case 'x': options.target = number(optarg, 1, 1 << 22); break;
		case 'o': options.output = optarg; break;
		case 'S': set_rotation(optarg); break;
		case 'T': options.timeout = seconds(optarg); break;
		case 's': options.buffer_mb = number(optarg, 1, 4095); break;
		default: usage();
		}
	}
	if (optind >= argc)
		usage();
	if (options.attach && (options.command || options.target || options.buffer_mb || options.recorder)) {
		say("You can't specify the '-c', '-x', '-s' or '-F' and '-A' options together.\n");
		usage();
	}
	if (options.rotate_bytes && !options.output) {
		say("You have to specify output FILE with '-S' option.\n");
		usage();
	}
	options.module = argv[optind++];
	while (optind < argc)
		add_parameter(argv[optind++]);
	if (options.buffer_mb) {
		snprintf(buffer, sizeof(buffer), "_buffer_mb=%u", options.buffer_mb);
		add_parameter(buffer);
	}
}
