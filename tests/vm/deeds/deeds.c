/* What the tests of aliases let happen: deeds WHAT [ARGUMENT]... does one thing whose values are known. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
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

static volatile int rung;

static void handler(int number)
{
	if (number == SIGRTMIN)
		rung = 1;
}

static void handle(int number, void (*what)(int), int flags)
{
	struct sigaction action = { .sa_handler = what, .sa_flags = flags };

	sigaddset(&action.sa_mask, SIGUSR2);
	CHECK(sigaction(number, &action, NULL));
}

/* Signals in each way: to itself, ignored, blocked, by a timer, to one that sleeps, onto a stack that is not there. */
static void signals(char **words)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec soon = { .it_value.tv_nsec = 5000000 };
	sigset_t set;
	timer_t timer;
	int child, status;

	(void)words;
	handle(SIGUSR1, handler, 0);
	handle(SIGUSR2, handler, SA_RESTART);
	handle(SIGRTMIN, handler, 0);
	handle(SIGHUP, SIG_IGN, 0);
	CHECK(kill(getpid(), SIGUSR1));
	CHECK(kill(getpid(), SIGHUP));
	CHECK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	CHECK(syscall(SYS_tkill, gettid(), SIGUSR1));
	kill(getpid(), 77);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK(kill(getpid(), SIGUSR2));
	CHECK(sigpending(&set));
	CHECK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(timer_settime(timer, 0, &soon, NULL));
	while (!rung)
		usleep(1000);
	child = CHECK(fork());
	if (!child) {
		stack_t stack = { .ss_size = 65536 };

		usleep(1000000);
		stack.ss_sp = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(sigaltstack(&stack, NULL));
		munmap(stack.ss_sp, 65536);
		handle(SIGUSR1, handler, SA_ONSTACK);
		kill(getpid(), SIGUSR1);
		_exit(1);
	}
	usleep(200000);
	CHECK(kill(child, SIGUSR2));
	CHECK(waitpid(child, &status, 0));
	printf("%d %d %d %lx ", getpid(), child, WTERMSIG(status), (long)handler);
	fflush(stdout);
	child = CHECK(fork());
	if (!child)
		pause();
	usleep(200000);
	CHECK(kill(child, SIGKILL));
	CHECK(waitpid(child, &status, 0));
	printf("%d\n", child);
}

/* A child that runs on one CPU, then on the other, while its parent waits for it. */
static void tasks(char **words)
{
	cpu_set_t cpus;
	int child, status, k;

	(void)words;
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	CHECK(sched_setaffinity(0, sizeof(cpus), &cpus));
	child = CHECK(fork());
	if (!child) {
		for (k = 0; k < 4; k++) {
			CPU_ZERO(&cpus);
			CPU_SET(!(k & 1), &cpus);
			CHECK(sched_setaffinity(0, sizeof(cpus), &cpus));
			usleep(2000);
		}
		nice(7);
		_exit(5);
	}
	CHECK(waitpid(child, &status, 0));
	printf("%d %d\n", getpid(), child);
}

/* Both ends of a TCP connection of the loopback device, read and written in each way; a datagram socket forgets its peer. */
static void talk(int family, const struct sockaddr *to, socklen_t size)
{
	int server = CHECK(socket(family, SOCK_STREAM, 0)), client = CHECK(socket(family, SOCK_STREAM, 0)), other;
	struct sockaddr nobody = { .sa_family = AF_UNSPEC };
	struct sockaddr_in6 own;
	socklen_t length = sizeof(own);
	char data[1000] = "";
	struct iovec part = { data, 50 };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };

	CHECK(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)));
	CHECK(bind(server, to, size));
	CHECK(listen(server, 1));
	CHECK(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int)));
	if (family == AF_INET6)
		CHECK(setsockopt(client, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 1 }, sizeof(int)));
	CHECK(connect(client, to, size));
	other = CHECK(accept(server, NULL, NULL));
	CHECK(write(client, data, 100));
	CHECK(read(other, data, 700));
	CHECK(send(other, data, 300, 0));
	CHECK(recv(client, data, 800, 0));
	CHECK(sendmsg(client, &message, 0));
	part.iov_len = 60;
	CHECK(recvmsg(other, &message, 0));
	CHECK(getsockname(client, (struct sockaddr *)&own, &length));
	printf("%d\n", ntohs(own.sin6_port));
	CHECK(connect(client, &nobody, sizeof(nobody)));
	close(client);
	close(other);
	close(server);
	client = CHECK(socket(family, SOCK_DGRAM, 0));
	CHECK(connect(client, to, size));
	CHECK(connect(client, &nobody, sizeof(nobody)));
	close(client);
}

static void sockets(char **words)
{
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(6001) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(6001), .sin6_addr = in6addr_loopback };

	(void)words;
	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	talk(AF_INET, (struct sockaddr *)&four, sizeof(four));
	talk(AF_INET6, (struct sockaddr *)&six, sizeof(six));
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
		{ "signals", signals },
		{ "tasks", tasks },
		{ "sockets", sockets },
		{ "reread", reread },
	};

	for (unsigned k = 0; argc > 1 && k < sizeof(deeds) / sizeof(deeds[0]); k++)
		if (!strcmp(deeds[k].name, argv[1])) {
			deeds[k].deed(argv + 2);
			return 0;
		}
	errx(2, "usage: deeds WHAT");
}
