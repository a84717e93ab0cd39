/*
 * System calls of a 32-bit program, without a C library: between alarm(4242) and alarm(4243). What pointers point to
 * lies at the same addresses in each run. None of them changes anything outside the process that it does not undo.
 */
#include <asm/unistd_32.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/net.h>
#include <linux/openat2.h>
#include <linux/resource.h>
#include <linux/stat.h>
#include <linux/time.h>
#include <linux/types.h>

#define AT(n) ((void *)(0x10000000UL + (n) * 0x100))
#define NOWHERE ((void *)8)
#define NULL ((void *)0)
#define DO(name, ...) call(__NR_##name, (long[6]){ __VA_ARGS__ })
#define TEXT(n, text) copy(AT(n), text)
#define P(pointer) ((long)(pointer))

struct timespec32 { int seconds, nanoseconds; };
struct timespec64 { long long seconds, nanoseconds; };
struct timeval32 { int seconds, microseconds; };

static long call(long number, long *a)
{
	long result;

	__asm__ volatile("push %%ebp; mov 20(%%edi), %%ebp; mov 12(%%edi), %%esi; mov 16(%%edi), %%edi; int $0x80; pop %%ebp"
			 : "=a"(result), "+b"(a[0]), "+c"(a[1]), "+d"(a[2]), "+D"(a) : "0"(number) : "esi", "memory");
	return result;
}

static char *copy(char *to, const char *text)
{
	char *at = to;

	while ((*at++ = *text++))
		;
	return to;
}

static long *copy_words(long *to, const long *words)
{
	int i;

	for (i = 0; i < 6; i++)
		to[i] = words[i];
	return to;
}

static void files(void)
{
	long dir = P(TEXT(0, "/tmp/narrow")), file = P(TEXT(1, "/tmp/narrow/one")), other = P(TEXT(2, "/tmp/narrow/two"));
	long data = P(TEXT(3, "some data\n")), *iov = AT(4), fd, at;
	struct timespec32 *times = AT(5);
	struct timespec64 *wide = AT(6);
	struct timeval32 *values = AT(7);

	iov[0] = data;
	iov[1] = 4;
	iov[2] = data + 4;
	iov[3] = 6;
	DO(umask, 027);
	DO(mkdir, dir, 0750);
	fd = DO(open, file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	at = DO(openat, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY);
	DO(write, fd, data, 10);
	DO(pwrite64, fd, data, 5, 7, 1);
	DO(pread64, fd, P(AT(8)), 16, 3, 0);
	DO(_llseek, fd, 1, 5, P(AT(9)), 0);
	DO(lseek, fd, -4, 2);
	DO(read, fd, P(AT(8)), 16);
	DO(writev, fd, P(iov), 2);
	DO(readv, fd, P(iov), 1);
	DO(ftruncate, fd, 100);
	DO(ftruncate64, fd, 50, 1);
	DO(truncate64, file, 60, 0);
	DO(fallocate, fd, 1, 10, 0, 20, 0);
	DO(fadvise64, fd, 5, 0, 50, 2);
	DO(fadvise64_64, fd, 5, 0, 50, 0, 3);
	DO(readahead, fd, 0, 0, 4096);
	DO(sync_file_range, fd, 0, 0, 100, 0, 2);
	DO(fsync, fd);
	DO(flock, fd, 2 | 4);
	DO(fcntl, fd, F_SETFD, FD_CLOEXEC);
	DO(fcntl64, fd, F_DUPFD, 20);
	DO(chmod, file, 0600);
	DO(chown, file, 12, 34);
	DO(chown32, file, 70000, 80000);
	DO(fchown, fd, 1, 5);
	DO(fchown32, fd, -1, 5);
	DO(lchown32, file, 0, 0);
	DO(access, file, 4 | 2);
	DO(stat64, file, P(AT(10)));
	DO(lstat64, file, P(AT(10)));
	DO(fstat64, fd, P(AT(10)));
	DO(fstatat64, AT_FDCWD, file, P(AT(10)), AT_SYMLINK_NOFOLLOW);
	DO(stat, file, P(AT(10)));
	DO(statx, AT_FDCWD, file, 0, STATX_SIZE, P(AT(10)));
	DO(statfs, dir, P(AT(10)));
	DO(statfs64, dir, 84, P(AT(10)));
	DO(link, file, other);
	DO(rename, other, file);
	DO(symlink, file, other);
	DO(readlink, other, P(AT(11)), 100);
	times[0] = (struct timespec32){ 1000000000, 5 };
	times[1] = (struct timespec32){ 1000000001, 7 };
	DO(utimensat, AT_FDCWD, file, P(times), 0);
	wide[0] = (struct timespec64){ 1000000002, 5 };
	wide[1] = (struct timespec64){ 1000000003, 7 };
	DO(utimensat_time64, AT_FDCWD, file, P(wide), 0);
	values[0] = (struct timeval32){ 1000000004, 5 };
	values[1] = (struct timeval32){ 1000000005, 6 };
	DO(utimes, file, P(values));
	DO(getdents, at, P(AT(20)), 256);
	DO(getdents64, at, P(AT(20)), 256);
	DO(getcwd, P(AT(12)), 200);
	DO(unlink, file);
	DO(unlink, other);
	DO(rmdir, dir);
	DO(dup2, fd, 30);
	DO(close, 30);
	DO(close, -1);
	DO(ioctl, fd, 0x541b, P(AT(9)));
	DO(mount, P(TEXT(13, "none")), dir, P(TEXT(14, "nosuchfs")), 2 | 4, 0);
	DO(umount2, dir, 2);
}

static void talk(void)
{
	short *name = AT(0);
	long *poll = AT(2), *iov = AT(3), *header = AT(4), one;
	struct timespec32 *soon = AT(5);
	struct timeval32 *value = AT(6);
	struct timespec64 *wide = AT(7);

	name[0] = 1;
	copy((char *)(name + 1), "/tmp/narrow.socket");
	one = DO(socket, 1, 2 | 04000, 0);
	DO(bind, one, P(name), 21);
	DO(connect, one, P(name), 21);
	DO(sendto, one, P(TEXT(1, "hello")), 5, 0x40 | 0x4000, 0, 0);
	DO(recvfrom, one, P(AT(8)), 64, 0x40, 0, 0);
	iov[0] = P(AT(1));
	iov[1] = 5;
	header[2] = P(iov);
	header[3] = 1;
	DO(sendmsg, one, P(header), 0x4000);
	DO(recvmsg, one, P(header), 0x40);
	DO(setsockopt, one, 1, 7, P(AT(9)), 4);
	DO(getsockopt, one, 1, 3, P(AT(9)), P(AT(10)));
	DO(shutdown, one, 1);
	DO(unlink, P(name + 1));
	DO(pipe, P(AT(11)));
	DO(pipe2, P(AT(11)), 04000);
	poll[0] = one;
	poll[1] = 1;
	DO(poll, P(poll), 1, 1);
	*value = (struct timeval32){ 0, 1000 };
	DO(_newselect, 0, 0, 0, 0, P(value));
	*soon = (struct timespec32){ 0, 1000 };
	DO(ppoll, P(poll), 1, P(soon), 0, 8);
	DO(epoll_create1, 02000000);
	DO(eventfd2, 3, 1);
	*wide = (struct timespec64){ 0, 1000 };
	DO(ppoll_time64, P(poll), 1, P(wide), 0, 8);
}

static long socketcall(long number, long *a)
{
	return DO(socketcall, number, P(copy_words(AT(0x20), a)));
}

#define SOCKET(number, ...) socketcall(number, (long[6]){ __VA_ARGS__ })

/* What programs of old have the kernel do through calls for many calls. */
static void old_ways(void)
{
	short *name = AT(0);
	long *iov = AT(3), *header = AT(4), *pair = AT(5), *kludge = AT(6), *sops = AT(7), one, set;
	struct timespec32 *soon = AT(9);
	struct timeval32 *value = AT(10);

	name[0] = 1;
	copy((char *)(name + 1), "/tmp/narrow.socket");
	one = SOCKET(SYS_SOCKET, 1, 2 | 04000, 0);
	SOCKET(SYS_BIND, one, P(name), 21);
	SOCKET(SYS_CONNECT, one, P(name), 21);
	SOCKET(SYS_LISTEN, one, 5);
	SOCKET(SYS_ACCEPT, one, 0, 0);
	SOCKET(SYS_ACCEPT4, one, 0, 0, 02000000);
	SOCKET(SYS_SENDTO, one, P(TEXT(1, "hello")), 5, 0x40 | 0x4000, 0, 0);
	SOCKET(SYS_RECVFROM, one, P(AT(8)), 64, 0x40, 0, 0);
	SOCKET(SYS_SEND, one, P(AT(1)), 5, 0x4000);
	SOCKET(SYS_RECV, one, P(AT(8)), 64, 0x40);
	iov[0] = P(AT(1));
	iov[1] = 5;
	header[2] = P(iov);
	header[3] = 1;
	SOCKET(SYS_SENDMSG, one, P(header), 0x4000);
	SOCKET(SYS_RECVMSG, one, P(header), 0x40);
	SOCKET(SYS_SETSOCKOPT, one, 1, 7, P(AT(9)), 4);
	SOCKET(SYS_GETSOCKOPT, one, 1, 3, P(AT(9)), P(AT(10)));
	SOCKET(SYS_SHUTDOWN, one, 1);
	SOCKET(SYS_SOCKETPAIR, 1, 1, 0, P(pair));
	DO(unlink, P(name + 1));
	set = DO(ipc, 2, 0, 1, 0600);			/* semget */
	*(short *)sops = 0;
	((short *)sops)[1] = 1;
	((short *)sops)[2] = 04000;
	DO(ipc, 1, set, 1, 0, P(sops));			/* semop */
	*soon = (struct timespec32){ 0, 1500 };
	DO(ipc, 4, set, 1, 0, P(sops), P(soon));	/* semtimedop */
	kludge[0] = 0x77;
	DO(ipc, 3, set, 0, 0 | 0x100, P(kludge));	/* semctl: IPC_RMID */
	set = DO(ipc, 13, 0, 0600);			/* msgget */
	pair[0] = 7;
	DO(ipc, 11, set, 4, 04000, P(pair));		/* msgsnd */
	kludge[0] = P(pair);
	kludge[1] = 7;
	DO(ipc, 12, set, 4, 04000, P(kludge));		/* msgrcv */
	DO(ipc, 14, set, 0 | 0x100, 0, 0);		/* msgctl: IPC_RMID */
	set = DO(ipc, 23, 0, 4096, 0600);		/* shmget */
	DO(ipc, 21, set, 010000, P(AT(11)), 0);		/* shmat: SHM_RDONLY */
	DO(ipc, 22, 0, 0, 0, *(long *)AT(11));		/* shmdt */
	DO(ipc, 24, set, 0 | 0x100, 0, 0);		/* shmctl: IPC_RMID */
	*value = (struct timeval32){ 0, 1000 };
	kludge[0] = kludge[1] = kludge[2] = kludge[3] = 0;
	kludge[4] = P(value);
	DO(select, P(kludge));
	DO(mmap, P(copy_words(AT(0x20), (long[6]){ P(AT(0x1000)), 8192, 3, 0x32, -1, 0 })));
	DO(munmap, P(AT(0x1000)), 8192);
}

static void process(void)
{
	long *limit = AT(0), *set = AT(3), *action = AT(4), *timer = AT(5), child;
	struct timespec32 *soon = AT(1);
	struct timespec64 *wide = AT(2);

	DO(getpid);
	DO(getuid);
	DO(getuid32);
	DO(getgid32);
	DO(setuid32, 0);
	DO(setresuid32, 0, -1, 0);
	DO(getresuid32, P(AT(8)), P(AT(9)), P(AT(10)));
	DO(getgroups32, 0, 0);
	DO(ugetrlimit, 7, P(AT(8)));
	limit[0] = 100;
	limit[1] = 200;
	DO(setrlimit, 4, P(limit));
	DO(prlimit64, 0, 3, 0, P(AT(8)));
	DO(getrusage, -1, P(AT(8)));
	DO(times, P(AT(8)));
	DO(uname, P(AT(8)));
	DO(sysinfo, P(AT(8)));
	DO(prctl, 4, 1, 0, 0, 0);
	DO(sched_yield);
	DO(getrandom, P(AT(8)), 12, 1);
	DO(clock_gettime, 1, P(AT(8)));
	DO(clock_gettime64, 1, P(AT(8)));
	DO(clock_getres, 0, P(AT(8)));
	*soon = (struct timespec32){ 0, 1500 };
	DO(nanosleep, P(soon), P(AT(8)));
	DO(clock_nanosleep, 1, 0, P(soon), 0);
	*wide = (struct timespec64){ 0, 1500 };
	DO(clock_nanosleep_time64, 1, 0, P(wide), 0);
	DO(gettimeofday, P(AT(8)), 0);
	timer[0] = timer[1] = 0;
	timer[2] = 500;
	timer[3] = 250;
	DO(setitimer, 1, P(timer), 0);
	DO(getitimer, 1, P(AT(8)));
	set[0] = 1 << 9;
	set[1] = 0;
	DO(rt_sigprocmask, 0, P(set), 0, 8);
	action[0] = 1;
	action[1] = 0x10000000;
	action[2] = 0;
	action[3] = 1 << 11;
	action[4] = 0;
	DO(rt_sigaction, 12, P(action), 0, 8);
	DO(rt_sigpending, P(AT(8)), 8);
	DO(kill, 99999, 28);
	DO(tgkill, 99999, 99998, 15);
	DO(brk, 0);
	DO(mmap2, P(AT(0x1000)), 8192, 3, 0x32, -1, 0);
	DO(mprotect, P(AT(0x1000)), 4096, 1);
	DO(madvise, P(AT(0x1000)), 4096, 4);
	DO(munmap, P(AT(0x1000)), 8192);
	DO(futex, P(AT(8)), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 2, 0, 0, 0);
	DO(futex, P(AT(0x30)), FUTEX_WAIT, 1, P(soon), 0, 0);
	DO(set_robust_list, P(AT(8)), 12);
	DO(sigaltstack, 0, P(AT(8)));
	child = DO(clone, 17, 0, 0, 0, 0);
	if (child == 0) {
		long *arguments = AT(15);

		arguments[0] = P(TEXT(12, "/nonexistent"));
		arguments[1] = P(TEXT(13, "second"));
		arguments[2] = 0;
		DO(execve, arguments[0], P(arguments), P(arguments + 2));
		DO(exit_group, 3);
	}
	DO(wait4, -1, P(AT(11)), 0, 0);
	DO(waitid, 1, 99999, P(AT(8)), 4 | 1, 0);
	DO(open, P(NOWHERE), 0);
	DO(nanosleep, P(NOWHERE), 0);
	DO(rt_sigaction, 12, P(NOWHERE), 0, 8);
}

/* Calls whose arguments take two registers each, and those of old sizes: most of them for a file that is not open. */
static void odd_sizes(void)
{
	long path = P(TEXT(0, "/tmp/nowhere")), name = P(TEXT(1, "user.name")), *iov = AT(2), *set = AT(3), *id = AT(4);
	struct timespec32 *soon = AT(5), *timer = AT(6);
	struct timespec64 *wide = AT(7), *wide_timer = AT(8);
	struct timeval32 *values = AT(9);
	long *words = AT(10), *action = AT(11);

	iov[0] = P(AT(12));
	iov[1] = 4;
	*soon = (struct timespec32){ 0, 1500 };
	*wide = (struct timespec64){ 0, 2500 };
	timer[0] = (struct timespec32){ 3, 30 };
	timer[1] = (struct timespec32){ 4, 40 };
	wide_timer[0] = (struct timespec64){ 5, 50 };
	wide_timer[1] = (struct timespec64){ 6000000, 60 };
	DO(fanotify_mark, 988, 1, 0x20, 0, AT_FDCWD, path);
	DO(preadv, 988, P(iov), 1, 0x1234, 5);
	DO(pwritev, 988, P(iov), 1, 0x1234, 5);
	DO(preadv2, 988, P(iov), 1, 0x1234, 5, 8);
	DO(pwritev2, 988, P(iov), 1, 0x1234, 5, 2);
	DO(lookup_dcookie, 0x1234, 5, P(AT(12)), 100);
	DO(pselect6, 0, 0, 0, 0, P(soon), 0);
	DO(pselect6_time64, 0, 0, 0, 0, P(wide), 0);
	DO(recvmmsg, 988, P(AT(12)), 2, 0x40, P(soon));
	DO(recvmmsg_time64, 988, P(AT(12)), 2, 0x40, P(wide));
	DO(sendmmsg, 988, P(AT(12)), 2, 0x4000);
	DO(timer_create, 1, 0, P(id));
	DO(timer_settime, *id, 0, P(timer), P(AT(12)));
	DO(timer_settime64, *id, 1, P(wide_timer), 0);
	DO(timer_gettime, *id, P(AT(12)));
	DO(timer_gettime64, *id, P(AT(12)));
	DO(timer_getoverrun, *id);
	DO(timer_delete, *id);
	DO(timerfd_create, 1, 02000000);
	DO(timerfd_settime, 988, 1, P(timer), P(AT(12)));
	DO(timerfd_settime64, 988, 0, P(wide_timer), 0);
	DO(timerfd_gettime, 988, P(AT(12)));
	DO(timerfd_gettime64, 988, P(AT(12)));
	DO(mq_open, P(TEXT(13, "queue")), O_RDWR, 0, 0);
	DO(mq_timedsend, 988, P(AT(12)), 10, 3, P(soon));
	DO(mq_timedsend_time64, 988, P(AT(12)), 10, 3, P(wide));
	DO(mq_timedreceive, 988, P(AT(12)), 10, 0, P(soon));
	DO(mq_timedreceive_time64, 988, P(AT(12)), 10, 0, P(wide));
	DO(mq_getsetattr, 988, 0, P(AT(12)));
	set[0] = 1 << 9;
	set[1] = 0;
	DO(signalfd4, -1, P(set), 8, 04000);
	DO(rt_sigtimedwait, P(set), 0, P(soon), 8);
	DO(rt_sigtimedwait_time64, P(set), 0, P(wide), 8);
	DO(sigprocmask, 1, P(set), 0);
	DO(sigpending, P(AT(12)));
	action[0] = 1;
	action[1] = 1 << 11;
	action[2] = 0x10000000;
	action[3] = 0;
	DO(sigaction, 12, P(action), 0);
	DO(signal, 12, 1);
	DO(ssetmask, 0x200);
	DO(sgetmask);
	words[0] = 1000000006;
	words[1] = 1000000007;
	DO(utime, path, P(words));
	values[0] = (struct timeval32){ 1000000004, 5 };
	values[1] = (struct timeval32){ 1000000005, 6 };
	DO(futimesat, AT_FDCWD, path, P(values));
	DO(sched_rr_get_interval, 0, P(AT(12)));
	DO(sched_rr_get_interval_time64, 0, P(AT(12)));
	DO(sched_setaffinity, 99999, 8, P(AT(12)));
	DO(semtimedop_time64, -1, P(AT(12)), 1, P(wide));
	DO(semget, 5, 2, 0);
	DO(semctl, -1, 3, 12, 0x77);
	DO(shmget, 5, 4096, 0);
	DO(shmat, -1, 0, 010000);
	DO(msgget, 5, 0);
	DO(msgsnd, -1, P(AT(12)), 4, 04000);
	DO(futex_time64, P(AT(0x30)), FUTEX_WAIT, 1, P(wide), 0, 0);
	DO(clock_settime, 99, P(soon));
	DO(clock_settime64, 99, P(wide));
	DO(clock_getres_time64, 1, P(AT(12)));
	DO(setregid, -1, -1);
	DO(setreuid, -1, -1);
	DO(setresuid, -1, -1, -1);
	DO(setfsuid, -1);
	DO(getresgid, P(AT(12)), P(AT(13)), P(AT(14)));
	DO(getgid);
	DO(mknod, path, 0100644, 0x123);
	DO(unlink, path);
	DO(ustat, 0x123, P(AT(12)));
	DO(truncate, path, -5);
	DO(sendfile, 988, 987, P(AT(12)), 100);
	DO(sendfile64, 988, 987, P(AT(12)), 100);
	DO(splice, 988, 0, 987, 0, 100, 2);
	DO(copy_file_range, 988, 0, 987, 0, 100, 0);
	DO(epoll_pwait, 988, P(AT(12)), 4, 1, P(set), 8);
	DO(epoll_wait, 988, P(AT(12)), 4, 1);
	DO(setxattr, path, name, P(TEXT(13, "value")), 5, 1);
	DO(process_vm_readv, 99999, P(iov), 1, P(iov), 1, 0);
	DO(io_getevents, 77, 1, 2, P(AT(12)), P(soon));
	DO(io_submit, 77, 1, P(AT(12)));
	DO(mremap, P(AT(0x1000)), 4096, 8192, 1, 0);
	DO(getrlimit, 3, P(AT(12)));
	DO(settimeofday, P(NOWHERE), 0);
	DO(stime, P(NOWHERE));
	DO(adjtimex, P(NOWHERE));
	DO(personality, -1);
	DO(ptrace, 12, 99999, 0, 0);
	DO(statfs64, path, 84, P(AT(12)));
	DO(fstatfs64, 988, 84, P(AT(12)));
	DO(waitpid, 99999, 0, 1);
	DO(time, 0);
}

void _start(void)
{
	if (DO(mmap2, P(AT(0)), 0x10000, 3, 0x32, -1, 0) != P(AT(0)))
		DO(exit, 1);
	DO(alarm, 4242);
	files();
	talk();
	old_ways();
	process();
	odd_sizes();
	DO(alarm, 4243);
	DO(exit_group, 0);
}
