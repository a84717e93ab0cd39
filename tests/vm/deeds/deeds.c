/* What the tests of aliases let happen: deeds WHAT [ARGUMENT]... does one thing whose values are known. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define CHECK(call) ({ long __r = (call); if (__r < 0) err(1, "%s", #call); __r; })

/* Each way to read and to write a file, at known positions with known sizes. */
static void files(char **words)
{
	static char a[10000], b[5000];
	struct iovec parts[3] = { { a, 100 }, { b, 2000 }, { a + 100, 3000 } };
	int pipes[2];
	char *map;
	int fd = CHECK(open(words[0], O_RDWR | O_CREAT | O_TRUNC, 0644));

	CHECK(pipe(pipes));
	printf("%lx %lx %lx\n", (long)a, (long)b, (long)parts);
	fflush(stdout);
	CHECK(write(fd, a, 10000));
	CHECK(pwrite(fd, b, 5000, 20000));
	CHECK(writev(fd, parts, 3));
	CHECK(lseek(fd, 70, SEEK_SET));
	CHECK(lseek(fd, -5, SEEK_END));
	CHECK(read(fd, a, 9000));
	CHECK(pread(fd, b, 300, 24800));
	CHECK(preadv(fd, parts, 3, 24000));
	CHECK(splice(fd, &(off64_t){ 4096 }, pipes[1], NULL, 8000, 0));
	map = mmap(NULL, 12288, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	if (map == MAP_FAILED)
		err(1, "mmap");
	map[5000] = 1;
	printf("%lx\n", (unsigned long)map);
	CHECK(fsync(fd));
	CHECK(read(CHECK(open("/", O_RDONLY)), a, 10) < 0 ? 0 : -1);
	CHECK(ftruncate(fd, 4096));
}

/* A file of two pages is read that was written before. */
static void reread(char **words)
{
	static char page[4096];
	int fd = CHECK(open(words[0], O_RDONLY));

	printf("%lx\n", (long)page);
	CHECK(read(fd, page, 4096));
}

/* Mappings, faults, copies on write, a growing heap, and an allocation of the kernel whose size is known. */
static void memory(char **words)
{
	const long page = 4096;
	char *map = mmap(NULL, 20 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	static char bytes[100];
	struct iovec parts[100];
	char *heap;
	int child, fd, k;

	(void)words;
	CHECK(map == MAP_FAILED ? -1 : 0);
	madvise(map, 20 * page, MADV_NOHUGEPAGE);
	for (k = 0; k < 3; k++)
		(void)*(volatile char *)(map + k * page);
	for (k = 10; k < 15; k++)
		map[k * page + 8] = 1;
	map[page] = 1;	/* it was the zero page so far */
	fflush(stdout);
	child = CHECK(fork());
	if (!child) {
		map[12 * page] = 2;
		_exit(0);
	}
	CHECK(waitpid(child, NULL, 0));
	heap = sbrk(0);
	CHECK(brk(heap + 5 * page));
	for (k = 0; k < 100; k++)
		parts[k] = (struct iovec){ bytes + k, 1 };
	fd = CHECK(open("/dev/zero", O_RDONLY));
	CHECK(readv(fd, parts, 100));
	CHECK(munmap(map + 5 * page, 2 * page));
	CHECK(munmap(map, 20 * page));
	printf("%lx %lx\n", (long)map, (long)heap);
}

/* Takes more memory than its group may have. */
static void eat(char **words)
{
	const long size = 64 << 20;
	char *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)words;
	memset(map, 1, size);
}

/* A terminal: what is written to it, read from it, waited for; its size. */
static void terminal(char **words)
{
	int master = CHECK(open("/dev/ptmx", O_RDWR | O_NOCTTY)), slave, line;
	struct winsize size = { .ws_row = 24, .ws_col = 80, .ws_xpixel = 3, .ws_ypixel = 4 };
	struct pollfd wait;
	struct stat st;
	char name[64], text[100];

	(void)words;
	CHECK(ioctl(master, TIOCSPTLCK, &(int){ 0 }));
	strcpy(name, ptsname(master));
	slave = CHECK(open(name, O_RDWR | O_NOCTTY));
	CHECK(ioctl(master, TIOCSWINSZ, &size));
	size.ws_row = 50;
	CHECK(ioctl(slave, TIOCSWINSZ, &size));
	CHECK(write(master, "hello\n", 6));
	wait = (struct pollfd){ .fd = slave, .events = POLLIN };
	CHECK(poll(&wait, 1, 2000));
	CHECK(read(slave, text, 90));
	CHECK(write(slave, "answer", 6));
	line = CHECK(open("/dev/ttyS0", O_RDWR | O_NOCTTY));
	CHECK(write(line, "*", 1));
	tcdrain(line);
	CHECK(fstat(line, &st));
	printf("%lu ", (unsigned long)st.st_ino);
	CHECK(fstat(master, &st));
	printf("%lu\n", (unsigned long)st.st_ino);
	close(line);
	close(slave);
	close(master);
}

/* Interrupts of the serial line, softirqs of the loopback device. */
static void machine(char **words)
{
	int in = CHECK(socket(AF_INET, SOCK_DGRAM, 0)), out = CHECK(socket(AF_INET, SOCK_DGRAM, 0)), k;
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(5555) };
	char text[10];

	(void)words;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(bind(in, (struct sockaddr *)&to, sizeof(to)));
	for (k = 0; k < 30; k++) {
		CHECK(sendto(out, text, sizeof(text), 0, (struct sockaddr *)&to, sizeof(to)));
		CHECK(read(in, text, sizeof(text)));
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*deed)(char **);
	} deeds[] = {
		{ "files", files },
		{ "memory", memory },
		{ "eat", eat },
		{ "terminal", terminal },
		{ "machine", machine },
		{ "reread", reread },
	};

	for (unsigned k = 0; argc > 1 && k < sizeof(deeds) / sizeof(deeds[0]); k++)
		if (!strcmp(deeds[k].name, argv[1])) {
			deeds[k].deed(argv + 2);
			return 0;
		}
	errx(2, "usage: deeds WHAT");
}
