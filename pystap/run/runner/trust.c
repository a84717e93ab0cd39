// SPDX-License-Identifier: GPL-2.0
/* trust.c: whose module may run in the kernel: the file's owner and mode, who built it, for which kernel. */
#include "runner.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

/* The user who runs this; the one who asked for it, where that was by sudo. */
static uid_t asking_user(void)
{
	const char *behind = getuid() == 0 ? getenv("SUDO_UID") : NULL;
	char *end;
	uid_t user;

	if (!behind || !*behind)
		return getuid();
	user = strtoul(behind, &end, 10);
	return *end ? getuid() : user;
}

/* Root's files, those of the user who runs this, and of the one who asked for it by sudo (who may do as root anyway). */
static bool trusted_owner(uid_t owner)
{
	return owner == 0 || owner == getuid() || owner == asking_user();
}

/* Whoever has commands run as root may look into all processes. */
uid_t trust_user(void)
{
	return options.command ? getuid() : asking_user();
}

bool trust_file(const struct stat *file, const char *path)
{
	if (!S_ISREG(file->st_mode)) {
		say("ERROR: '%s' is not a regular file\n", path);
		return false;
	}
	if (!trusted_owner(file->st_uid)) {
		say("ERROR: '%s' belongs to another user (uid %u), who could put anything into it; build it yourself, or "
		    "copy it\n", path, file->st_uid);
		return false;
	}
	if (file->st_mode & (S_IWGRP | S_IWOTH)) {
		say("ERROR: '%s' can be written by other users; look at it, then: chmod go-w '%s'\n", path, path);
		return false;
	}
	return true;
}

bool trust_builder(const char *protocol, const char *path)
{
	if (!*protocol) {
		say("ERROR: '%s' was not built by pystap\n", path);
		return false;
	}
	if (atoi(protocol) != STAP_PROTOCOL_VERSION) {
		say("ERROR: '%s' was built by another version of pystap; build it again\n", path);
		return false;
	}
	return true;
}

/* Kernels with symbol versions take modules of other releases, where all addresses that were looked up are others. */
bool trust_release(const char *vermagic)
{
	size_t length = strcspn(vermagic, " ");
	struct utsname running;

	if (uname(&running) || (!strncmp(vermagic, running.release, length) && !running.release[length]))
		return true;
	say("ERROR: module release mismatch (%.*s vs %s)\n", (int)length, vermagic, running.release);
	say("  '%s' was built for another kernel; build it for this one: pystap -r %s\n", options.module, running.release);
	return false;
}
