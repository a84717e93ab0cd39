/*
 * limited WHAT PROGRAM WORDS...: runs it as another user (`user`), as root without the right to insert modules
 * (`module`), or with so many open files (a number).
 */
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

int main(int count, char **words)
{
	rlim_t files = strtoul(words[1], NULL, 10);

	if (!strcmp(words[1], "user") && (setgid(1234) || setuid(1234)))
		return 1;
	if (!strcmp(words[1], "module") && prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE, 0, 0, 0))
		return 1;
	if (files && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ files, files }))
		return 1;
	execv(words[2], words + 2);
	return 127;
}
