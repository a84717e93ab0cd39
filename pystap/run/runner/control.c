// SPDX-License-Identifier: GPL-2.0
/* control.c: the module's cmd file: start, stop, how it stands. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

int control_open(const char *name)
{
	char path[256];
	int control;

	snprintf(path, sizeof(path), "/proc/systemtap/%s/cmd", name);
	control = open(path, O_RDWR | O_CLOEXEC);
	if (control < 0)
		say("ERROR: Couldn't open control channel '%s': %s\n", path, strerror(errno));
	return control;
}

static bool command(int control, enum stap_command_type type, pid_t target, u32 flags)
{
	struct stap_command message = {
		.version = STAP_PROTOCOL_VERSION,
		.type = type,
		.target = target,
		.user = trust_user(),
		.flags = flags,
	};

	return write(control, &message, sizeof(message)) == sizeof(message);
}

bool control_start(int control, pid_t target)
{
	return command(control, STAP_COMMAND_START, target, 0);
}

void control_stop(int control)
{
	command(control, STAP_COMMAND_STOP, 0, 0);
}

void control_exit(int control)
{
	command(control, STAP_COMMAND_EXIT, 0, 0);
}

bool control_detach(int control, bool recorder)
{
	return command(control, STAP_COMMAND_DETACH, 0, recorder ? STAP_FLAG_RECORDER : 0);
}

bool control_status(int control, struct stap_status *status)
{
	memset(status, 0, sizeof(*status));
	return read(control, status, sizeof(*status)) == sizeof(*status) && status->version == STAP_PROTOCOL_VERSION;
}
