/*
 * held WAY: calls look() with a text in a page that is not there. WAY says who has to bring it: `nobody` and `late` a
 * userfaultfd's reader, that never or soon answers; `server` a FUSE server that never answers.
 * Says how long the call took, in tenths of a second.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

__attribute__((noinline)) int look(const char *text, int number)
{
	asm volatile("" : : "r"(text) : "memory");
	return number + 1;
}

static int faults = -1;

static void *answer(void *page)
{
	static char content[PAGE] __attribute__((aligned(PAGE))) = "here at last";
	struct uffd_msg message;
	struct uffdio_copy copy = { .dst = (unsigned long)page, .src = (unsigned long)content, .len = PAGE };

	if (read(faults, &message, sizeof(message)) == sizeof(message)) {
		usleep(100000);
		ioctl(faults, UFFDIO_COPY, &copy);
	}
	return NULL;
}

static char *watched(int answered)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register area = { .range.len = PAGE, .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	faults = syscall(SYS_userfaultfd, O_CLOEXEC);
	area.range.start = (unsigned long)page;
	if (faults < 0 || ioctl(faults, UFFDIO_API, &api) || ioctl(faults, UFFDIO_REGISTER, &area)) {
		perror("userfaultfd");
		exit(1);
	}
	if (answered)
		pthread_create(&thread, NULL, answer, page);
	return page;
}

static void reply(int device, unsigned long unique, const void *body, size_t size)
{
	char out[512];
	struct fuse_out_header header = { .len = sizeof(header) + size, .unique = unique };

	memcpy(out, &header, sizeof(header));
	memcpy(out + sizeof(header), body, size);
	if (write(device, out, header.len) < 0)
		perror("reply");
}

static void serve(int device)
{
	static char request[1 << 17];
	const struct fuse_in_header *in = (const void *)request;
	struct fuse_attr_out folder = { .attr_valid = 100, .attr = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2 } };
	struct fuse_attr_out attributes = { .attr_valid = 100, .attr = { .ino = 2, .mode = S_IFREG | 0644, .nlink = 1,
									    .size = 4 * PAGE, .blksize = PAGE } };
	struct fuse_entry_out entry = { .nodeid = 2, .entry_valid = 100, .attr_valid = 100, .attr = attributes.attr };
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = PAGE };
	struct fuse_open_out opened = { 0 };

	while (read(device, request, sizeof(request)) > 0) {
		switch (in->opcode) {
		case FUSE_INIT:	/* without FUSE_ASYNC_READ: reading ahead waits, too */
			reply(device, in->unique, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			reply(device, in->unique, in->nodeid == 1 ? &folder : &attributes, sizeof(folder));
			break;
		case FUSE_LOOKUP:
			reply(device, in->unique, &entry, sizeof(entry));
			break;
		case FUSE_OPEN:
			reply(device, in->unique, &opened, sizeof(opened));
			break;
		case FUSE_READ:
		case FUSE_FORGET:	/* wants none */
			break;
		default:
			reply(device, in->unique, NULL, 0);
		}
	}
	_exit(0);
}

static char *served(void)
{
	int device = open("/dev/fuse", O_RDWR), file;
	char options[128];

	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", device);
	mkdir("/tmp/unanswered", 0755);
	if (device < 0 || mount("held", "/tmp/unanswered", "fuse", 0, options)) {
		perror("fuse");
		exit(1);
	}
	if (fork() == 0)
		serve(device);
	file = open("/tmp/unanswered/file", O_RDONLY);
	if (file < 0)
		perror("file");
	return mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, file, 0);
}

int main(int argc, char **argv)
{
	const char *way = argv[1];
	char *page = !strcmp(way, "server") ? served() : watched(!strcmp(way, "late"));
	double before = now();
	int got = look(page, 41);

	printf("%d %d\n", got, (int)(10 * (now() - before)));
	if (!strcmp(way, "server"))
		umount2("/tmp/unanswered", MNT_DETACH);
	return 0;
}
