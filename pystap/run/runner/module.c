// SPDX-License-Identifier: GPL-2.0
/* module.c: the .ko: what it says of itself, its insertion (with the reason of a refusal), its removal. */
#include "runner.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOCK_SECONDS = 300, NOTES_SECONDS = 3, LOG_LINES = 4, LOG_SIZE = 8192, MODULE_NAME_BYTES = 64 - sizeof(long) };

static const char *image;
static size_t image_size;

/* Whether so many bytes from there on are the file's. */
static bool inside(uint64_t at, uint64_t size)
{
	return at <= image_size && size <= image_size - at;
}

/* The header of a section, by its number; false where the file has none. */
static bool section_header(const Elf64_Ehdr *header, unsigned int number, Elf64_Shdr *to)
{
	uint64_t at = (uint64_t)number * sizeof(*to);

	if (number >= header->e_shnum || !inside(header->e_shoff, at + sizeof(*to)))
		return false;
	memcpy(to, image + header->e_shoff + at, sizeof(*to));
	return true;
}

static bool section_is(const Elf64_Shdr *names, const Elf64_Shdr *section, const char *wanted)
{
	size_t size = strlen(wanted) + 1;

	return inside(names->sh_offset, names->sh_size) && size <= names->sh_size &&
	       section->sh_name <= names->sh_size - size &&
	       !memcmp(image + names->sh_offset + section->sh_name, wanted, size);
}

static const char *section(const char *wanted, size_t *size)
{
	Elf64_Shdr names, found;
	Elf64_Ehdr header;

	*size = 0;
	if (image_size < sizeof(header) || memcmp(image, ELFMAG, SELFMAG))
		return NULL;
	memcpy(&header, image, sizeof(header));
	if (!section_header(&header, header.e_shstrndx, &names))
		return NULL;
	for (unsigned int i = 0; i < header.e_shnum; i++) {
		if (!section_header(&header, i, &found) || found.sh_type == SHT_NOBITS ||
		    !section_is(&names, &found, wanted) || !inside(found.sh_offset, found.sh_size))
			continue;
		*size = found.sh_size;
		return image + found.sh_offset;
	}
	return NULL;
}

static const char *information(const char *key)
{
	size_t size, length = strlen(key);
	const char *at = section(".modinfo", &size), *end = at + size;

	if (!at || !size || end[-1])
		return "";
	for (; at < end; at += strlen(at) + 1)
		if (!strncmp(at, key, length) && at[length] == '=')
			return at + length + 1;
	return "";
}

bool module_open(struct module_file *file, const char *path)
{
	struct stat stat;

	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &stat)) {
		say("ERROR: Couldn't open module '%s': %s\n", path, strerror(errno));
		return false;
	}
	if (!trust_file(&stat, path))
		return false;
	image_size = stat.st_size;
	image = mmap(NULL, image_size, PROT_READ, MAP_PRIVATE, file->fd, 0);
	if (image == MAP_FAILED || !*information("vermagic")) {
		say("ERROR: '%s' is not a kernel module\n", path);
		return false;
	}
	if (!trust_builder(information("stap_protocol"), path))
		return false;
	snprintf(file->name, sizeof(file->name), "%s", information("name"));
	if (!file->name[0]) {
		say("ERROR: '%s' does not say the name of its module\n", path);
		return false;
	}
	file->formats = section(STAP_FORMATS_SECTION, &file->formats_size);
	if (file->formats_size && file->formats[file->formats_size - 1])
		file->formats_size = 0;	/* the last one does not end */
	return true;
}

/* What the kernel logs from here on is about us. */
static int log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log >= 0)
		lseek(log, 0, SEEK_END);
	return log;
}

static void log_show(int log)
{
	char lines[LOG_LINES][LOG_SIZE], *text;
	unsigned int count = 0;
	ssize_t got;

	while (log >= 0 && ((got = read(log, lines[count % LOG_LINES], LOG_SIZE - 1)) > 0 || errno == EPIPE))
		if (got > 0)
			lines[count++ % LOG_LINES][got] = 0;
	for (unsigned int i = count > LOG_LINES ? count - LOG_LINES : 0; i < count; i++) {
		text = strchr(lines[i % LOG_LINES], ';');
		if (text) {
			text[strcspn(text, "\n")] = 0;
			say("  the kernel says: %s\n", text + 1);
		}
	}
}

static void explain_format(void)
{
	say("  it was built for \"%s\"; build it again for this kernel\n", information("vermagic"));
}

static bool is_signed(void)
{
	static const char mark[] = "~Module signature appended~\n";
	size_t length = sizeof(mark) - 1;

	return image_size > length && !memcmp(image + image_size - length, mark, length);
}

/* How much of the file is the module: what is signed, without the signature at its end. */
static size_t signed_size(void)
{
	const size_t trailer = sizeof("~Module signature appended~\n") - 1 + 12;	/* the mark, struct module_signature */
	const unsigned char *length = image + image_size - trailer + 8;
	size_t size;

	if (!is_signed() || image_size < trailer)
		return image_size;
	size = (size_t)length[0] << 24 | length[1] << 16 | length[2] << 8 | length[3];
	return size > image_size - trailer ? image_size : image_size - trailer - size;
}

static bool renamed;	/* it was tried under another name */

static void explain_signature(void)
{
	if (is_signed() && renamed)
		say("  the same script runs already; under another name the signature is void, and this kernel loads signed "
		    "modules only: compile it again with -m NAME\n");
	else if (is_signed())
		say("  the kernel does not know the key that signed it; enroll its certificate (mokutil --import, then "
		    "reboot), or name another key: --sign-module=DIR\n");
	else
		say("  the kernel loads signed modules only (module.sig_enforce): --sign-module[=DIR], or run it in a "
		    "guest: --vm\n");
}

static void explain(int error)
{
	char state[64] = "";
	int lockdown;

	switch (error) {
	case EPERM:
		lockdown = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
		if (geteuid() != 0)
			say("  only root may insert modules; run it with sudo, or in a guest: --vm\n");
		else if (lockdown >= 0 && read(lockdown, state, sizeof(state) - 1) > 0 && !strstr(state, "[none]"))
			say("  the kernel is locked down (Secure Boot) and loads signed modules only: --sign-module[=DIR], or "
			    "run it in a guest: --vm\n");
		else
			say("  this kernel or container does not let modules be inserted; run it in a guest: --vm\n");
		break;
	case ENOMEM:
		say("  its buffers and arrays do not fit into this machine's memory: -s MB takes less for the output, "
		    "-DMAXMAPENTRIES=N less for arrays\n");
		break;
	case ENOEXEC:
		explain_format();
		break;
	case EKEYREJECTED:
	case ENOKEY:
	case EBADMSG:
	case ENOPKG:
		explain_signature();
		break;
	case ENOENT:
		say("  it uses a symbol that this kernel does not export\n");
		break;
	case EEXIST:
		say("  a module of that name is loaded and in use\n");
		break;
	case ENOSYS:
		say("  this kernel was built without loadable modules; run it in a guest: --vm\n");
		break;
	}
}

/* The build-id in a block of ELF notes, in hexadecimal; empty where there is none. */
static void build_id(const char *notes, size_t size, char *to, size_t room)
{
	const Elf64_Nhdr *note;
	size_t at = 0, name, text;

	*to = 0;
	while (at + sizeof(*note) <= size) {
		note = (const void *)(notes + at);
		name = at + sizeof(*note);
		text = name + ((note->n_namesz + 3) & ~3u);
		at = text + ((note->n_descsz + 3) & ~3u);
		if (at > size || at < text || 2 * note->n_descsz + 1 > room)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 && !memcmp(notes + name, "GNU", 4)) {
			for (size_t i = 0; i < note->n_descsz; i++)
				sprintf(to + 2 * i, "%02x", (unsigned char)notes[text + i]);
			return;
		}
	}
}

/* Whether the kernel, or a loaded module of it, is of the build that places were looked up in. */
static bool build_fits(const char *name, const char *wanted)
{
	char path[256], notes[4096], running[256];
	bool whole = !strcmp(name, "kernel");
	ssize_t size = -1;
	int file;

	if (whole)
		snprintf(path, sizeof(path), "/sys/kernel/notes");
	else
		snprintf(path, sizeof(path), "/sys/module/%s/notes/.note.gnu.build-id", name);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file >= 0) {
		size = read(file, notes, sizeof(notes));
		close(file);
	}
	if (size <= 0)
		return true;	/* not loaded, or the kernel does not tell */
	build_id(notes, size, running, sizeof(running));
	if (!*running || !strcmp(running, wanted))
		return true;
	say("ERROR: Build-id mismatch: the %s%s that runs is %s, and the script was compiled for %s\n",
	    whole ? "" : "module ", name, running, wanted);
	say("  compile it for what runs: install its headers and image (and debug-info, if the script needs any)\n");
	return false;
}

/* Whether a module is being inserted: it has no folder yet, or no notes in it. */
static bool is_loading(const char *name)
{
	char line[512], listed[64], state[16];
	FILE *modules = fopen("/proc/modules", "re");
	bool loading = false;

	while (modules && !loading && fgets(line, sizeof(line), modules))
		loading = sscanf(line, "%63s %*s %*s %*s %15s", listed, state) == 2 && !strcmp(listed, name) &&
			  !strcmp(state, "Loading");
	if (modules)
		fclose(modules);
	return loading;
}

/* Its folder is made before its own code runs: it is a matter of moments, unless one of its parameters takes long. */
static void wait_for_notes(const char *name)
{
	static bool waited;	/* in vain, as was said */
	char path[128];
	double until = now() + NOTES_SECONDS;

	snprintf(path, sizeof(path), "/sys/module/%s/notes", name);
	while (!waited && access(path, F_OK) && is_loading(name)) {
		if (now() >= until) {
			waited = true;
			say("WARNING: the module %s is being inserted: whether it is the one that the script was compiled "
			    "for is not known\n", name);
		}
		usleep(2000);
	}
}

bool module_builds_fit(void)
{
	char *list = strdup(information("stap_builds")), *at = list, *item, *wanted;
	bool fits = list != NULL;

	if (!list)
		say("ERROR: there is not enough memory\n");
	while (fits && (item = strsep(&at, ",")) != NULL) {
		wanted = strchr(item, '=');
		if (wanted) {
			*wanted++ = 0;
			wait_for_notes(item);
			fits = build_fits(item, wanted);
		}
	}
	free(list);
	return fits;
}

/* A name that pystap chose: by the script, so that the same script run twice is the same module. */
static bool named_by_content(const char *name)
{
	return !strncmp(name, "stap_", 5) && strlen(name) == 5 + 24 && strspn(name + 5, "0123456789abcdef") == 24;
}

/*
 * Inserts the module under a name of its own, beside the other run of the same script. A signature does not hold for
 * the other name: a kernel that knows its key would refuse the module for it, even one that takes unsigned ones.
 */
static bool insert_renamed(struct module_file *file, const char *parameters)
{
	size_t size, length = strlen(file->name);
	const char *self = section(".gnu.linkonce.this_module", &size);
	char *copy, *name = self ? memmem(self, size, file->name, length + 1) : NULL;
	bool inserted;

	if (!name || name + MODULE_NAME_BYTES > self + size || !(copy = malloc(image_size)))
		return false;
	memcpy(copy, image, image_size);
	snprintf(file->name + length, MODULE_NAME_BYTES - length, "_%d", getpid());
	memcpy(copy + (name - image), file->name, strlen(file->name) + 1);
	renamed = true;
	inserted = syscall(SYS_init_module, copy, signed_size(), parameters) == 0;
	free(copy);
	return inserted;
}

bool module_insert(struct module_file *file, const char *parameters)
{
	int log, error = 0;

	if (!trust_release(information("vermagic")) || !module_builds_fit())
		return false;
	log = log_open();
	if (syscall(SYS_finit_module, file->fd, parameters, 0) &&
	    !(errno == EEXIST && named_by_content(file->name) && insert_renamed(file, parameters))) {
		error = errno;
		say("ERROR: Couldn't insert module '%s': %s\n", options.module, strerror(error));
		explain(error);
		log_show(log);
	}
	close(log);
	close(file->fd);
	return !error;
}

/* The number of its folder, which no module after it gets soon; 0 where there is no such module. */
unsigned long long module_inserted(const char *name)
{
	char path[128];
	struct stat folder;

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return stat(path, &folder) ? 0 : folder.st_ino;
}

/* Another runner may have taken it for an orphan since, and be running the same script under its name: leave that one. */
static bool remove_once(const struct module_file *file)
{
	int lock = module_lock(), error = 0;

	if ((!file->inserted || module_inserted(file->name) == file->inserted) &&
	    syscall(SYS_delete_module, file->name, O_NONBLOCK) && errno != ENOENT)
		error = errno;
	module_unlock(lock);
	errno = error;
	return !error;
}

bool module_remove(const struct module_file *file, double patience)
{
	double until = now() + patience;

	while (!remove_once(file)) {
		if (now() >= until)
			return false;
		usleep(20000);
	}
	return true;
}

/* Modules without a runner are inert, and left over from a run that was killed together with its guardian. */
void module_remove_orphans(void)
{
	DIR *directory = opendir("/proc/systemtap");
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			syscall(SYS_delete_module, entry->d_name, O_NONBLOCK);
	if (directory)
		closedir(directory);
}

/*
 * From before a module is inserted until its control file is held, nobody may take it for an orphan. The file is one
 * that every kernel has, and that nobody but root can open: who can open a file can lock it, for good. It is held for
 * moments, so that who has waited for long goes on without.
 */
int module_lock(void)
{
	int lock = open("/proc/vmallocinfo", O_RDONLY | O_CLOEXEC);
	double until = now() + LOCK_SECONDS;

	while (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) && (errno == EWOULDBLOCK || errno == EINTR)) {
		if (now() >= until) {
			say("WARNING: another pystap-run has inserted or removed a module for %d seconds\n", LOCK_SECONDS);
			break;
		}
		usleep(20000);
	}
	return lock;
}

void module_unlock(int lock)
{
	if (lock >= 0)
		close(lock);
}
