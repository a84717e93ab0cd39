/* What a program finds out about itself from libc and /proc, a name and a value per line, for kill(2) to compare. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

static volatile int raised;
static int connected;

static void on_signal(int number)
{
	raised = number;
}

static void files(void)
{
	int pair[2];
	char name[32], path[256];

	mkdir("/tmp/own", 0755);
	chdir("/tmp/own");
	open("file", O_CREAT | O_RDWR, 0600);
	open("gone", O_CREAT | O_RDWR, 0600);
	unlink("gone");
	pipe(pair);
	socket(AF_UNIX, SOCK_STREAM, 0);
	eventfd(0, 0);
	open("/dev/null", O_RDONLY);
	open(".", O_RDONLY);
	open("/proc/self/status", O_RDONLY);
	memfd_create("memory", 0);
	open("/proc/self/ns/net", O_RDONLY);
	syscall(SYS_pidfd_open, getpid(), 0);
	open("/", O_RDONLY);
	for (int fd = 3; fd < 16; fd++) {
		ssize_t length;

		sprintf(name, "/proc/self/fd/%d", fd);
		length = readlink(name, path, sizeof(path) - 1);
		path[length < 0 ? 0 : length] = '\0';
		printf("fd%d %s\n", fd, path);
	}
}

/* The number that follows a name in a file; the `skip`-th word of it where there is no name. */
static unsigned long long number(const char *file, const char *name, int base)
{
	FILE *in = fopen(file, "r");
	char line[4096];
	unsigned long long found = 0;

	while (in && fgets(line, sizeof(line), in))
		if (!strncmp(line, name, strlen(name))) {
			found = strtoull(line + strlen(name), NULL, base);
			break;
		}
	if (in)
		fclose(in);
	return found;
}

static void word(const char *file, const char *name)
{
	FILE *in = fopen(file, "r");
	char line[256] = "";

	fgets(line, sizeof(line), in);
	fclose(in);
	line[strcspn(line, "\n")] = '\0';
	printf("%s %s\n", name, line);
}

/* name(pid) of this process and of those above it. */
static void ancestors(void)
{
	char line[64][64], name[64], path[64];
	int count = 0;

	for (int pid = getpid(); pid > 0 && count < 64; count++) {
		FILE *in;
		int parent;

		sprintf(path, "/proc/%d/stat", pid);
		in = fopen(path, "r");
		fscanf(in, "%*d (%63[^)]) %*c %d", name, &parent);
		fclose(in);
		sprintf(line[count], "%s(%d)", name, pid);
		pid = parent;
	}
	printf("pstrace %s", line[0]);
	for (int k = 1; k < count - 1; k++)
		printf(" %s", line[k]);
	printf("\nancestry ");
	for (int k = count - 1; k >= 0; k--)
		printf("=>%s", line[k]);
	printf("\n");
}

/* A connection of 127.0.0.1 to 127.0.0.2; what TCP_INFO says of it is for tcp_info(). */
static void connection(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002) }, own;
	socklen_t size = sizeof(to);
	int listener = socket(AF_INET, SOCK_STREAM, 0), peer;
	char text[5000] = "";

	bind(listener, (struct sockaddr *)&to, sizeof(to));
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&to, &size);
	own = to;
	own.sin_addr.s_addr = htonl(0x7f000001);
	own.sin_port = 0;
	connected = socket(AF_INET, SOCK_STREAM, 0);
	bind(connected, (struct sockaddr *)&own, sizeof(own));
	connect(connected, (struct sockaddr *)&to, sizeof(to));
	peer = accept(listener, NULL, NULL);
	write(peer, text, sizeof(text));
	write(connected, text, sizeof(text));
	read(connected, text, sizeof(text));
	usleep(100000);
	getsockname(connected, (struct sockaddr *)&own, &size);
	printf("ends 127.0.0.1 %d 127.0.0.2 %d\n", ntohs(own.sin_port), ntohs(to.sin_port));
	printf("packet 6 %d %d %d %d\n", 0x7f000002, 0x7f000001, ntohs(to.sin_port), ntohs(own.sin_port));
}

static void tcp_info(void)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	getsockopt(connected, SOL_TCP, TCP_INFO, &info, &size);
	printf("tcp %d %u %u %u %u\n", info.tcpi_state, info.tcpi_rto, info.tcpi_snd_cwnd, info.tcpi_rcv_mss,
	       info.tcpi_snd_ssthresh);
}

static int priority(void)
{
	FILE *in = fopen("/proc/self/stat", "r");
	int found = 0;

	fscanf(in, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %d", &found);
	fclose(in);
	return found;
}

static int entries(const char *folder)
{
	DIR *dir = opendir(folder);
	int count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 3; /* ".", ".." and that of opendir() */
}

/* The kernel's own clock of its log. */
static unsigned long long log_time(void)
{
	char line[256];
	int in = open("/dev/kmsg", O_RDONLY | O_NONBLOCK), out = open("/dev/kmsg", O_WRONLY);
	unsigned long long time = 0;

	lseek(in, 0, SEEK_END);
	write(out, "<7>now\n", 7);
	if (read(in, line, sizeof(line)) > 0)
		sscanf(line, "%*[^,],%*[^,],%llu", &time);
	close(in);
	close(out);
	return time;
}

static void clocks(const char *when)
{
	struct timespec real, mono;
	FILE *in = fopen("/proc/loadavg", "r");
	char load[32] = "";

	fscanf(in, "%31[^/]", load);
	*strrchr(load, ' ') = '\0';
	fclose(in);
	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_MONOTONIC, &mono);
	printf("%s %lld %lld %llu %llu %llu %s\n", when, real.tv_sec * 1000000000LL + real.tv_nsec,
	       mono.tv_sec * 1000000000LL + mono.tv_nsec, (unsigned long long)__rdtsc(),
	       number("/proc/timer_list", "jiffies: ", 10), log_time(), load);
}

static pid_t child(int stops)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, stops ? "stopped" : "asleep");
		if (stops)
			raise(SIGSTOP);
		while (1)
			pause();
	}
	if (stops)
		waitpid(pid, &status, WUNTRACED);
	else
		usleep(100000);
	return pid;
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	sigset_t set;
	struct sched_param real_time = { .sched_priority = 30 };
	pid_t asleep, stopped;

	setvbuf(stdout, NULL, _IOLBF, 0);
	CPU_ZERO(&one);
	CPU_SET(1, &one);
	sched_setaffinity(0, sizeof(one), &one);
	for (int k = 0; k < argc; k++)
		printf("arg%d %s\n", k, argv[k]);
	printf("environment %s\n", getenv("HOME"));
	printf("ids %d %d %d %d %d\n", getpid(), getpid(), getppid(), getpgrp(), getsid(0));
	word("/proc/self/comm", "name");
	ancestors();
	files();
	printf("cwd %s\n", getcwd(NULL, 0));
	{
		char path[256];
		ssize_t length = readlink("/proc/self/exe", path, 255);

		printf("exe %.*s\n", (int)length, path);
	}
	printf("mount %llu\n", number("/proc/self/fdinfo/3", "mnt_id:", 10));
	for (int k = 0; k < RLIM_NLIMITS; k++) {
		struct rlimit limit;

		getrlimit(k, &limit);
		if (k != RLIMIT_CPU && k != RLIMIT_FSIZE && k != RLIMIT_RTTIME)
			limit.rlim_cur = (limit.rlim_max > 1 << 30 ? 1 << 30 : limit.rlim_max) - k;
		setrlimit(k, &limit);
		getrlimit(k, &limit);
		printf("limit%d %lld\n", k, (long long)limit.rlim_cur);
	}
	connection();
	printf("handles %d %llu\n", entries("/proc/self/fd"), number("/proc/self/status", "FDSize:", 10));
	nice(7);
	printf("nice %d %d\n", getpriority(PRIO_PROCESS, 0), priority());
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	sigaddset(&set, 45);
	sigprocmask(SIG_BLOCK, &set, NULL);
	printf("blocked %llx\n", number("/proc/self/status", "SigBlk:", 16));
	printf("machine %ld %ld %d\n", sysconf(_SC_PAGESIZE), sysconf(_SC_NPROCESSORS_CONF), sched_getcpu());
	signal(SIGUSR2, on_signal);
	asleep = child(0);
	stopped = child(1);
	printf("children %d asleep 1 %d stopped 4\n", asleep, stopped);
	fflush(stdout);
	setresgid(9, 8, 0);
	setresuid(7, 6, 0);
	{
		uid_t uid[3];
		gid_t gid[3];

		getresuid(uid, uid + 1, uid + 2);
		getresgid(gid, gid + 1, gid + 2);
		printf("users %d %d %d %d\n", uid[0], uid[1], gid[0], gid[1]);
	}
	setresuid(-1, 0, -1);
	printf("connected %d\n", connected);
	tcp_info();
	clocks("before");
	setresuid(-1, 6, -1);
	kill(getpid(), 0);
	setresuid(-1, 0, -1);
	clocks("after");
	printf("raised %d\n", raised);
	sched_setscheduler(0, SCHED_FIFO, &real_time);
	printf("real %d\n", priority());
	kill(getpid(), 0);
	kill(asleep, 0);
	kill(stopped, 0);
	kill(asleep, SIGKILL);
	waitpid(asleep, NULL, 0);
	kill(asleep, 0);
	kill(stopped, SIGKILL);
	return 0;
}
