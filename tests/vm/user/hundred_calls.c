/*
 * More than 60 different system calls with known arguments, between alarm(4242) and alarm(4243). What pointers point
 * to lies at addresses that are the same in each run, so that runs can be compared with one another.
 * None of them changes anything outside the process that it does not undo.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AT(n) ((void *)(0x10000000UL + (n) * 0x100))
#define TEXT(n, text) strcpy(AT(n), text)
#define DO(name, ...) syscall(SYS_##name, ##__VA_ARGS__)

static void files(void)
{
	char *dir = TEXT(0, "/tmp/calls"), *file = TEXT(1, "/tmp/calls/one"), *other = TEXT(2, "/tmp/calls/two");
	char *data = TEXT(3, "some data\n"), *name = TEXT(4, "user.key"), *there = TEXT(5, "three");
	struct iovec *iov = AT(6);
	struct timespec *times = AT(7);
	long fd, at;

	iov[0] = (struct iovec){ data, 4 };
	iov[1] = (struct iovec){ data + 4, 6 };
	times[0] = (struct timespec){ 1000000000, 5 };
	times[1] = (struct timespec){ 1000000001, 7 };
	DO(umask, 027);
	DO(mkdir, dir, 0750);
	fd = DO(open, file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	at = DO(openat, AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	DO(write, fd, data, 10UL);
	DO(pwrite64, fd, data, 5UL, 0x100000000L);
	DO(pread64, fd, AT(8), 16UL, 3L);
	DO(lseek, fd, -4L, SEEK_END);
	DO(lseek, fd, 0L, SEEK_SET);
	DO(read, fd, AT(8), 16UL);
	DO(writev, fd, iov, 2UL);
	DO(readv, fd, iov, 1UL);
	DO(ftruncate, fd, 100L);
	DO(truncate, file, 50L);
	DO(fallocate, fd, FALLOC_FL_KEEP_SIZE, 10L, 20L);
	DO(fsync, fd);
	DO(fdatasync, fd);
	DO(flock, fd, LOCK_EX | LOCK_NB);
	DO(fadvise64, fd, 0L, 50UL, POSIX_FADV_SEQUENTIAL);
	DO(fcntl, fd, F_SETFD, FD_CLOEXEC);
	DO(fcntl, fd, F_DUPFD, 20L);
	DO(chmod, file, 0600);
	DO(fchmod, fd, 0644);
	DO(fchmodat, at, TEXT(9, "one"), 0444);
	DO(chown, file, 12, 34);
	DO(fchown, fd, -1, 5);
	DO(fchownat, AT_FDCWD, file, 6, -1, AT_SYMLINK_NOFOLLOW);
	DO(lchown, file, 0, 0);
	DO(access, file, R_OK | W_OK);
	DO(faccessat, at, AT(9), F_OK);
	DO(stat, file, AT(10));
	DO(lstat, other, AT(10));
	DO(fstat, fd, AT(10));
	DO(newfstatat, at, AT(9), AT(10), AT_SYMLINK_NOFOLLOW);
	DO(statx, at, AT(9), AT_SYMLINK_NOFOLLOW, STATX_MODE | STATX_SIZE, AT(10));
	DO(statfs, dir, AT(10));
	DO(fstatfs, fd, AT(10));
	DO(link, file, other);
	DO(linkat, at, AT(9), at, there, 0);
	DO(rename, other, file);
	DO(renameat2, at, AT(9), AT_FDCWD, other, 1);
	DO(symlink, other, file);
	DO(symlinkat, AT(9), at, TEXT(11, "to \"one\""));
	DO(readlink, file, AT(12), 100);
	DO(readlinkat, at, AT(9), AT(12), 77);
	DO(utimensat, AT_FDCWD, other, times, 0);
	DO(setxattr, other, name, TEXT(18, "a\tb"), 3UL, 1);
	DO(write, 993, TEXT(19, "thirty-two characters are shown, no more\n"), 41UL);
	DO(getxattr, other, name, AT(12), 64UL);
	DO(listxattr, other, AT(12), 64UL);
	DO(removexattr, other, name);
	DO(getdents64, at, AT(20), 0x400U);
	DO(getcwd, AT(12), 200UL);
	DO(chdir, dir);
	DO(fchdir, at);
	DO(mknod, TEXT(13, "fifo"), S_IFIFO | 0600, 0);
	DO(unlinkat, at, AT(13), 0);
	DO(unlinkat, at, AT(11), 0);
	DO(unlinkat, at, there, 0);
	DO(unlink, file);
	DO(unlink, other);
	DO(chdir, TEXT(14, "/"));
	DO(unlinkat, AT_FDCWD, dir, AT_REMOVEDIR);
	DO(rmdir, dir);
	DO(dup, fd);
	DO(dup2, fd, 30);
	DO(dup3, fd, 31, O_CLOEXEC);
	DO(close, 31);
	DO(close, 999);
	DO(mount, TEXT(15, "none"), dir, TEXT(16, "nosuchfs"), MS_NOSUID | MS_NODEV, TEXT(17, "opt=1"));
	DO(umount2, dir, MNT_DETACH);
}

static void talk(void)
{
	struct sockaddr_un *name = AT(0);
	struct sockaddr_in { unsigned short family, port; unsigned int ip; char pad[8]; } *inet = AT(1);
	struct pollfd *waiting = AT(2);
	struct epoll_event *event = AT(3);
	struct timespec *short_time = AT(4);
	struct timeval *tv = AT(5);
	long one, events;

	*name = (struct sockaddr_un){ AF_UNIX, "/tmp/calls.socket" };
	*inet = (struct sockaddr_in){ AF_INET, 0xd204, 0x0100007f, { 0 } };
	DO(socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, AT(6));
	one = DO(socket, AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	DO(bind, one, name, 20);
	DO(connect, one, name, 20);
	DO(sendto, one, TEXT(7, "hello"), 5UL, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	DO(recvfrom, one, AT(8), 64UL, MSG_DONTWAIT, NULL, NULL);
	DO(setsockopt, one, SOL_SOCKET, SO_SNDBUF, AT(9), 4);
	DO(getsockopt, one, SOL_SOCKET, SO_TYPE, AT(9), AT(10));
	DO(getsockname, one, AT(8), AT(10));
	DO(getpeername, one, AT(8), AT(10));
	DO(shutdown, one, SHUT_WR);
	DO(listen, one, 7);
	DO(accept4, one, NULL, NULL, SOCK_NONBLOCK);
	DO(unlink, AT(0) + 2);
	DO(socket, AF_INET, SOCK_STREAM, 6);
	DO(connect, 998, inet, 16);
	DO(pipe, AT(11));
	DO(pipe2, AT(11), O_NONBLOCK | O_CLOEXEC);
	waiting[0] = (struct pollfd){ one, POLLIN, 0 };
	DO(poll, waiting, 1, 1);
	*tv = (struct timeval){ 0, 1000 };
	DO(select, 0, NULL, NULL, NULL, tv);
	*short_time = (struct timespec){ 0, 1000 };
	DO(ppoll, waiting, 1, short_time, NULL, 8UL);
	events = DO(epoll_create1, EPOLL_CLOEXEC);
	*event = (struct epoll_event){ EPOLLIN, { .fd = 1 } };
	DO(epoll_ctl, events, EPOLL_CTL_ADD, one, event);
	DO(epoll_wait, events, AT(12), 4, 0);
	DO(epoll_pwait, events, AT(12), 4, 1, NULL, 8UL);
	DO(eventfd, 4);
	DO(eventfd2, 3, EFD_SEMAPHORE | EFD_NONBLOCK);
	DO(signalfd, -1, AT(14), 8UL);
	DO(signalfd4, -1, AT(14), 8UL, 0x800);
	DO(inotify_init1, IN_CLOEXEC);
	DO(inotify_add_watch, 997, TEXT(13, "/tmp"), IN_CREATE | IN_DELETE);
	DO(inotify_rm_watch, 997, 3);
	DO(timerfd_create, CLOCK_MONOTONIC, TFD_NONBLOCK);
	DO(sendfile, 996, one, NULL, 100UL);
	DO(splice, 996, NULL, 995, NULL, 100UL, 1);
	DO(tee, 996, 995, 100UL, 0);
	DO(ioctl, one, 0x541bUL, AT(9));
}

static void process(void)
{
	struct rlimit *limit = AT(0);
	struct timespec *pause_time = AT(1);
	struct itimerval *timer = AT(2);
	sigset_t *set = AT(3);
	long child;

	DO(getpid);
	DO(gettid);
	DO(getppid);
	DO(getuid);
	DO(geteuid);
	DO(getgid);
	DO(getegid);
	DO(getpgid, 0);
	DO(getsid, 0);
	DO(setpgid, 0, 99999);
	DO(setuid, 0);
	DO(setgid, 0);
	DO(setreuid, -1, 0);
	DO(setresuid, 0, -1, 0);
	DO(setresgid, 0, 0, -1);
	DO(getresuid, AT(4), AT(5), AT(6));
	DO(getgroups, 0, NULL);
	DO(getpriority, PRIO_PROCESS, 0);
	DO(setpriority, PRIO_PROCESS, 0, 3);
	DO(getrlimit, RLIMIT_NOFILE, AT(4));
	*limit = (struct rlimit){ 100, 200 };
	DO(setrlimit, RLIMIT_CORE, limit);
	DO(prlimit64, 0, RLIMIT_STACK, NULL, AT(4));
	DO(getrusage, RUSAGE_CHILDREN, AT(4));
	DO(times, AT(4));
	DO(uname, AT(8));
	DO(sysinfo, AT(8));
	DO(prctl, PR_SET_DUMPABLE, 1UL, 0UL, 0UL, 0UL);
	DO(arch_prctl, 0x1003, AT(4));
	DO(sched_yield);
	DO(sched_getscheduler, 0);
	DO(sched_get_priority_max, SCHED_FIFO);
	DO(sched_getaffinity, 0, 128U, AT(4));
	DO(personality, 0xffffffffUL);
	DO(getrandom, AT(4), 12UL, GRND_NONBLOCK);
	DO(clock_gettime, CLOCK_MONOTONIC, AT(4));
	DO(clock_getres, CLOCK_REALTIME, AT(4));
	*pause_time = (struct timespec){ 0, 1500 };
	DO(nanosleep, pause_time, AT(4));
	DO(clock_nanosleep, CLOCK_MONOTONIC, 0, pause_time, NULL);
	DO(gettimeofday, AT(4), NULL);
	*timer = (struct itimerval){ { 0, 0 }, { 500, 250 } };
	DO(setitimer, ITIMER_VIRTUAL, timer, NULL);
	DO(getitimer, ITIMER_VIRTUAL, AT(4));
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	DO(rt_sigprocmask, SIG_BLOCK, set, NULL, 8UL);
	DO(rt_sigaction, SIGUSR2, NULL, AT(4), 8UL);
	DO(rt_sigpending, AT(4), 8UL);
	DO(kill, 99997, SIGWINCH);
	DO(tkill, 99999, SIGUSR1);
	DO(tgkill, 99999, 99998, SIGTERM);
	DO(mmap, AT(0x1000), 8192UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0UL);
	DO(mprotect, AT(0x1000), 4096UL, PROT_READ);
	DO(madvise, AT(0x1000), 4096UL, MADV_DONTNEED);
	DO(mlock, AT(0x1000), 4096UL);
	DO(munlock, AT(0x1000), 4096UL);
	DO(msync, AT(0x1000), 4096UL, MS_SYNC);
	DO(mincore, AT(0x1000), 4096UL, AT(4));
	DO(mremap, AT(0x1000), 8192UL, 4096UL, MREMAP_MAYMOVE, 0UL);
	DO(munmap, AT(0x1000), 4096UL);
	DO(memfd_create, TEXT(9, "memory"), 1U);
	DO(shmget, 0x1234, 4096UL, 0600);
	DO(shmctl, 994, IPC_STAT, AT(4));
	DO(futex, AT(4), 1, 2, NULL, NULL, 0);
	DO(unshare, CLONE_FILES);
	child = DO(clone, (long)SIGCHLD, NULL, NULL, NULL, 0UL);
	if (child == 0) {
		DO(setsid);
		DO(exit_group, 3);
	}
	DO(wait4, -1, AT(4), 0, AT(5));
	DO(waitid, P_PID, 99999, AT(4), WEXITED | WNOHANG, NULL);
}

int main(void)
{
	if (mmap(AT(0), 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != AT(0))
		return 1;
	DO(alarm, 4242);
	files();
	talk();
	process();
	DO(alarm, 4243);
	return 0;
}
