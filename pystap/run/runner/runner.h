/* SPDX-License-Identifier: GPL-2.0 */
/*
 * runner.h: what the parts of pystap-run know of each other.
 * pystap-run loads one module, relays what it prints, and takes it off again,
 * whatever happens in between.
 */
#ifndef PYSTAP_RUNNER_H
#define PYSTAP_RUNNER_H

#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "protocol.h"
#include "format.h"

struct options {
	const char *module;		/* path of the .ko */
	char *parameters;		/* "a=1 b=2" */
	const char *command;		/* -c */
	pid_t target;			/* -x */
	const char *output;		/* -o */
	double timeout;			/* -T, seconds; 0: none */
	unsigned int buffer_mb;		/* -s */
	int verbose;
	bool no_warnings;		/* -w */
	bool bulk;			/* -b */
	bool recorder;			/* -F: detach once the probes are armed */
	bool attach;			/* -A: take over a detached module */
	const char *name;	/* -N: what the kernel calls the module, where that is not what its file says */
	uint64_t rotate_bytes;		/* -S SIZE */
	unsigned int rotate_files;	/* -S ,COUNT */
};

extern struct options options;
extern bool errors_seen;		/* the script reported an ERROR */

/* options.c */
void read_options(int argc, char **argv);

/* main.c */
double now(void);
bool signalled(void);			/* whether somebody asks (again) to end */
bool output_in_vain(void);		/* whether what its reader does not take is not to be waited for any longer */

/* module.c: the .ko as a file and as something loaded */
struct module_file {
	int fd;
	char name[64];
	const char *formats;
	size_t formats_size;
	unsigned long long inserted;	/* which of those that have had this name; 0: not asked yet */
};

bool module_open(struct module_file *file, const char *path);
bool module_insert(struct module_file *file, const char *parameters);
bool module_builds_fit(void);		/* with what runs and is loaded now; says what does not */
unsigned long long module_inserted(const char *name);
bool module_remove(const struct module_file *file, double patience);
void module_remove_orphans(void);
int module_lock(void);
void module_unlock(int lock);

/* trust.c: refusals are said */
struct stat;
bool trust_file(const struct stat *file, const char *path);
bool trust_builder(const char *protocol, const char *path);
bool trust_release(const char *vermagic);
uid_t trust_user(void);			/* whose processes a module for unprivileged users may look into; 0: all */

/* control.c: the module's cmd file */
int control_open(const char *name);
bool control_start(int control, pid_t target);
void control_stop(int control);
void control_exit(int control);		/* while control_start() runs in another thread: it arms nothing more */
bool control_detach(int control, bool recorder);
bool control_status(int control, struct stap_status *status);

/* relay.c: the trace files, merged */
bool relay_start(const char *name, unsigned int cpus);
bool relay_pass(void);			/* reads what is there and passes it on; says whether there was anything */
void relay_finish(bool drain);		/* passes on the rest, gaps or not; drain: the module is stopped, so there is an end */
uint64_t relay_missing(void);

/* format.c: items -> text */
void format_load(const char *strings, size_t size);
void format_record(const struct stap_record *record);

/* output.c: where text goes */
extern struct stap_sink output;
bool output_open(void);
void output_flush(void);
void output_rotate(void);		/* on to the next file */
void output_cpu(unsigned int cpu);	/* -b: following text is that CPU's */
bool output_broken(void);
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));	/* on standard error, behind what was printed */
int output_fd(void);
void message_error(const char *text, size_t length);
void message_warning(const char *text, size_t length);

/* input.c: standard input, for probes on it */
void input_open(const char *name);	/* with the probes armed */
int input_fd(void);			/* to poll; -1: there is nothing to pass on */
void input_pass(void);
void input_close(void);

/* limits.c: which -D helps */
void explain_error(const char *text, size_t length);
void explain_status(const struct stap_status *status);

/* child.c: -c CMD and system() */
bool child_prepare(void);		/* forks it; it waits */
void child_release(void);
pid_t child_pid(void);
bool child_ended(void);			/* reaps; true once -c's command has ended */
int child_report(void);			/* says how the command failed; 0 when it did not */
void child_stop(void);			/* a run that ends before its command does */
void child_system(const char *command, size_t length);
void child_wait_systems(double patience);

#endif
