/*
 * System calls that hundred_calls.c does not make, likewise: between alarm(4242) and alarm(4243), what pointers point
 * to at the same addresses in each run, nothing changed outside the process that is not undone.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <linux/openat2.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/fanotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

#define AT(n) ((void *)(0x10000000UL + (n) * 0x100))
#define TEXT(n, text) strcpy(AT(n), text)
#define DO(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define NOWHERE ((void *)8)

static void files(void)
{
	char *dir = TEXT(0, "/tmp/more"), *file = TEXT(1, "/tmp/more/one"), *name = TEXT(2, "user.key");
	struct open_how *how = AT(3);
	struct iovec *iov = AT(4);
	struct timeval *tv = AT(5);
	struct utimbuf *when = AT(6);
	long fd, at, mounted;

	DO(mkdirat, AT_FDCWD, dir, 0711);
	fd = DO(creat, file, 0604);
	at = DO(open, dir, O_RDONLY | O_DIRECTORY);
	*how = (struct open_how){ O_RDWR, 0, RESOLVE_NO_SYMLINKS };
	DO(openat2, at, TEXT(7, "one"), how, sizeof(*how));
	DO(faccessat2, at, AT(7), R_OK | X_OK, AT_SYMLINK_NOFOLLOW);
	DO(mknodat, at, TEXT(8, "null"), S_IFCHR | 0644, 0x103UL);
	DO(renameat, at, AT(8), at, TEXT(9, "zero"));
	DO(unlinkat, at, AT(9), 0);
	iov[0] = (struct iovec){ TEXT(10, "words"), 5 };
	DO(pwritev, fd, iov, 1UL, 7UL, 0UL);
	DO(preadv, fd, iov, 1UL, 7UL, 0UL);
	DO(pwritev2, fd, iov, 1UL, -1L, 0UL, 8);
	DO(preadv2, fd, iov, 1UL, 0UL, 0UL, 8);
	DO(copy_file_range, fd, NULL, fd, NULL, 3UL, 0);
	DO(sync_file_range, fd, 0L, 100L, 2);
	DO(readahead, fd, 0L, 4096UL);
	DO(fsetxattr, fd, name, AT(10), 5UL, XATTR_CREATE);
	DO(fgetxattr, fd, name, AT(11), 64UL);
	DO(flistxattr, fd, AT(11), 64UL);
	DO(fremovexattr, fd, name);
	DO(lsetxattr, file, name, AT(10), 5UL, XATTR_REPLACE);
	DO(lgetxattr, file, name, AT(11), 64UL);
	DO(llistxattr, file, AT(11), 64UL);
	DO(lremovexattr, file, name);
	*when = (struct utimbuf){ 1000000000, 1000000001 };
	DO(utime, file, when);
	tv[0] = (struct timeval){ 1000000000, 5 };
	tv[1] = (struct timeval){ 1000000001, 6 };
	DO(utimes, file, tv);
	DO(futimesat, at, AT(7), tv);
	DO(name_to_handle_at, AT_FDCWD, file, AT(12), AT(13), 0);
	DO(open_by_handle_at, 990, AT(12), O_RDONLY);
	DO(getdents, at, AT(20), 256U);
	DO(syncfs, 989);
	DO(ustat, 0x103UL, AT(20));
	DO(sysfs, 3);
	DO(fanotify_init, FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
	DO(fanotify_mark, 988, FAN_MARK_ADD, (unsigned long)FAN_OPEN, AT_FDCWD, dir);
	DO(inotify_init);
	DO(acct, TEXT(14, "/tmp/more/none"));
	DO(chroot, AT(14));
	DO(pivot_root, AT(14), AT(14));
	DO(swapon, AT(14), 0);
	DO(swapoff, AT(14));
	DO(uselib, AT(14));
	DO(quotactl, QCMD(Q_SYNC, USRQUOTA), AT(14), 0, NULL);
	mounted = DO(fsopen, TEXT(15, "tmpfs"), 1U);
	DO(fsconfig, mounted, 1U, TEXT(16, "mode"), TEXT(17, "700"), 0);
	DO(fsconfig, mounted, 6U, NULL, NULL, 0);
	DO(fsmount, mounted, 1U, 0U);
	DO(fspick, AT_FDCWD, AT(14), 0U);
	DO(open_tree, AT_FDCWD, dir, O_CLOEXEC);
	DO(move_mount, 987, AT(14), AT_FDCWD, dir, 0U);
	DO(mount_setattr, 986, AT(14), 0U, AT(18), 32UL);
	DO(close_range, 970U, 980U, 0U);
	DO(vmsplice, 985, iov, 1UL, 1U);
	DO(memfd_secret, 0U);
	DO(unlink, file);
	DO(rmdir, dir);
}

static void messages(void)
{
	struct msghdr *header = AT(0);
	struct mmsghdr *many = AT(1);
	struct iovec *iov = AT(2);
	struct timespec *soon = AT(4);
	struct sembuf *ops = AT(5);
	struct itimerspec *its = AT(6);
	int *pair = AT(7);
	long timer, *context = AT(8);

	DO(socketpair, AF_UNIX, SOCK_DGRAM, 0, pair);
	iov[0] = (struct iovec){ TEXT(3, "word"), 4 };
	*header = (struct msghdr){ .msg_iov = iov, .msg_iovlen = 1 };
	many[0] = (struct mmsghdr){ *header, 0 };
	*soon = (struct timespec){ 0, 1000 };
	DO(sendmsg, pair[0], header, MSG_NOSIGNAL);
	DO(recvmsg, pair[1], header, MSG_DONTWAIT | MSG_PEEK);
	DO(sendmmsg, pair[0], many, 1U, 0U);
	DO(recvmmsg, pair[1], many, 1U, MSG_DONTWAIT, soon);
	DO(accept, pair[0], NULL, NULL);
	DO(pselect6, 0, NULL, NULL, NULL, soon, NULL);
	DO(epoll_create, 5);
	DO(epoll_pwait2, 984, AT(10), 3, NULL, NULL, 8UL);
	DO(msgget, 0x78, 0600 | IPC_EXCL);
	*(long *)AT(11) = 7;
	DO(msgsnd, 4001, AT(11), 3UL, IPC_NOWAIT);
	DO(msgrcv, 4001, AT(11), 8UL, 7L, IPC_NOWAIT | MSG_NOERROR);
	DO(msgctl, 4001, IPC_RMID, NULL);
	DO(semget, 0x77, 2, 0640 | IPC_EXCL);
	ops[0] = (struct sembuf){ 0, 1, IPC_NOWAIT };
	DO(semop, 4002, ops, 1UL);
	DO(semtimedop, 4002, ops, 1UL, soon);
	DO(semctl, 4002, 0, IPC_RMID, 0UL);
	DO(shmat, 983, NULL, SHM_RDONLY);
	DO(shmdt, AT(0x2000));
	DO(mq_open, TEXT(12, "queue"), O_RDWR | O_CREAT, 0600, NULL);
	DO(mq_timedsend, 982, AT(12), 5UL, 3U, NULL);
	DO(mq_timedreceive, 982, AT(13), 64UL, NULL, NULL);
	DO(mq_notify, 982, NULL);
	DO(mq_getsetattr, 982, NULL, AT(13));
	DO(mq_unlink, AT(12));
	timer = DO(timerfd_create, CLOCK_REALTIME, TFD_CLOEXEC);
	*its = (struct itimerspec){ { 1, 2 }, { 300, 4 } };
	DO(timerfd_settime, timer, 0, its, NULL);
	DO(timerfd_gettime, timer, AT(14));
	DO(timer_create, CLOCK_MONOTONIC, NULL, AT(15));
	DO(timer_settime, *(int *)AT(15), 0, its, NULL);
	DO(timer_gettime, *(int *)AT(15), AT(14));
	DO(timer_getoverrun, *(int *)AT(15));
	DO(timer_delete, *(int *)AT(15));
	DO(io_setup, 4U, context);
	DO(io_submit, *context, 0L, AT(16));
	DO(io_getevents, *context, 0L, 1L, AT(16), soon);
	DO(io_pgetevents, *context, 0L, 1L, AT(16), soon, NULL);
	DO(io_cancel, *context, AT(17), AT(16));
	DO(io_destroy, *context);
	DO(io_uring_setup, 2U, NOWHERE);
	DO(io_uring_enter, 981, 1U, 0U, 0U, NULL, 8UL);
	DO(io_uring_register, 981, 2U, NULL, 0U);
	DO(userfaultfd, O_CLOEXEC);
}

static void tasks(void)
{
	struct sched_param *param = AT(0);
	struct clone_args *args = AT(1);
	struct __user_cap_header_struct *header = AT(2);
	struct timespec *soon = AT(3);
	struct timeval *tv = AT(4);
	siginfo_t *info = AT(5);
	sigset_t *set = AT(6);
	struct iovec *iov = AT(7);
	char **arguments = AT(15);
	long child;

	*param = (struct sched_param){ 0 };
	DO(sched_setscheduler, 0, SCHED_BATCH, param);
	DO(sched_setparam, 0, param);
	DO(sched_getparam, 0, AT(8));
	DO(sched_setattr, 0, NULL, 0U);
	DO(sched_getattr, 0, AT(8), 48U, 0U);
	DO(sched_setscheduler, 0, SCHED_OTHER, param);
	DO(sched_setaffinity, 99999, 8U, AT(0));
	DO(sched_get_priority_min, SCHED_RR);
	DO(sched_rr_get_interval, 0, AT(8));
	DO(ioprio_set, 1, 99999, 2 << 13 | 4);
	DO(ioprio_get, 1, 0);
	DO(getpgrp);
	DO(setregid, -1, 0);
	DO(getresgid, AT(8), AT(9), AT(10));
	DO(setfsuid, 0);
	DO(setfsgid, 0);
	DO(setgroups, 0, NULL);
	*header = (struct __user_cap_header_struct){ _LINUX_CAPABILITY_VERSION_3, 0 };
	DO(capget, header, AT(8));
	DO(capset, header, NOWHERE);
	DO(set_tid_address, AT(0xf0));
	DO(set_robust_list, AT(0xf1), 24UL);
	DO(get_robust_list, 0, AT(8), AT(9));
	DO(rseq, AT(0xf2), 32U, 1, 0x53053053U);
	DO(getcpu, AT(8), AT(9), NULL);
	DO(membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	DO(seccomp, SECCOMP_GET_ACTION_AVAIL, 0U, NOWHERE);
	DO(ptrace, PTRACE_CONT, 99999L, 0L, 0L);
	DO(kcmp, 99999, 99998, KCMP_FILE, 1UL, 2UL);
	DO(setns, 980, CLONE_NEWNET);
	DO(sigaltstack, NULL, AT(8));
	sigemptyset(set);
	sigaddset(set, SIGUSR1);
	*soon = (struct timespec){ 0, 1000 };
	DO(rt_sigtimedwait, set, NULL, soon, 8UL);
	memset(info, 0, sizeof(*info));
	DO(rt_sigqueueinfo, 99999, SIGUSR1, info);
	DO(rt_tgsigqueueinfo, 99999, 99998, SIGUSR2, info);
	DO(kill, 99999, 0);
	DO(tkill, 99999, SIGRTMIN + 3);
	DO(pidfd_open, 99999, 0U);
	DO(pidfd_send_signal, 979, SIGCONT, NULL, 0U);
	DO(pidfd_getfd, 979, 3, 0U);
	DO(process_madvise, 979, iov, 1UL, MADV_COLD, 0U);
	DO(process_mrelease, 979, 0U);
	iov[0] = (struct iovec){ AT(8), 16 };
	DO(process_vm_readv, 99999, iov, 1UL, iov, 1UL, 0UL);
	DO(process_vm_writev, 99999, iov, 1UL, iov, 1UL, 0UL);
	*args = (struct clone_args){ .exit_signal = SIGCHLD };
	child = DO(clone3, args, sizeof(*args));
	if (child == 0)
		DO(exit, 5);
	DO(wait4, -1, AT(11), 0, NULL);
	arguments[0] = TEXT(13, "a \"quoted\"\nline\\");
	arguments[1] = NOWHERE;
	arguments[2] = NULL;
	child = DO(fork);
	if (child == 0) {
		DO(execve, TEXT(12, "/nonexistent"), arguments, arguments + 2);
		DO(execveat, AT_FDCWD, AT(12), arguments, NULL, AT_EMPTY_PATH);
		DO(exit_group, 1);
	}
	DO(wait4, -1, AT(11), 0, NULL);
	*tv = (struct timeval){ 1, 2000000 };
	DO(settimeofday, tv, NULL);
	DO(clock_settime, CLOCK_MONOTONIC, soon);
	DO(clock_adjtime, CLOCK_MONOTONIC, AT(20));
	DO(adjtimex, NOWHERE);
	DO(time, NULL);
}

static void memory_and_machine(void)
{
	void *area = AT(0x1000);

	DO(mmap, area, 8192UL, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0UL);
	DO(brk, 0UL);
	DO(mlock2, area, 4096UL, 1);
	DO(mlockall, MCL_ONFAULT);
	DO(munlockall);
	DO(remap_file_pages, area, 4096UL, 0, 1UL, 0);
	DO(pkey_alloc, 0UL, 0UL);
	DO(pkey_mprotect, area, 4096UL, PROT_READ, -1);
	DO(pkey_free, 9);
	DO(mbind, area, 4096UL, MPOL_BIND, NULL, 0UL, 1U);
	DO(set_mempolicy, MPOL_DEFAULT, NULL, 0UL);
	DO(get_mempolicy, AT(0), NULL, 0UL, NULL, 0UL);
	DO(set_mempolicy_home_node, 0UL, 0UL, 0UL, 0UL);
	DO(migrate_pages, 99999, 0UL, NULL, NULL);
	DO(move_pages, 99999, 0UL, NULL, NULL, NULL, 2);
	DO(futex_waitv, NULL, 0U, 0U, NULL, CLOCK_MONOTONIC);
	DO(iopl, 0);
	DO(ioperm, 0x378UL, 3UL, 0);
	DO(modify_ldt, 0, AT(0), 16UL);
	DO(syslog, 10, NULL, 0);
	DO(sethostname, NOWHERE, 4);
	DO(setdomainname, NOWHERE, 5);
	DO(reboot, 1, 2, 3, NULL);
	DO(bpf, BPF_MAP_LOOKUP_ELEM, NOWHERE, 32U);
	DO(perf_event_open, NOWHERE, 0, -1, -1, (unsigned long)PERF_FLAG_FD_CLOEXEC);
	DO(add_key, TEXT(1, "user"), TEXT(2, "name"), NULL, 0UL, 99999);
	DO(request_key, AT(1), AT(2), NULL, 0);
	DO(keyctl, KEYCTL_REVOKE, 99999UL, 0UL, 0UL, 0UL);
	DO(init_module, NOWHERE, 16UL, TEXT(3, "a=1"));
	DO(finit_module, 978, AT(3), 0);
	DO(delete_module, TEXT(4, "nosuchmodule"), O_NONBLOCK);
	DO(kexec_load, 0UL, 99UL, NULL, 0UL);
	DO(kexec_file_load, -1, -1, 1UL, NULL, 7UL);
	DO(landlock_create_ruleset, NULL, 0UL, 1U);
	DO(landlock_add_rule, 977, 1, NULL, 0U);
	DO(landlock_restrict_self, 977, 0U);
	DO(lookup_dcookie, 1UL, AT(0), 64UL);
	DO(quotactl_fd, 976U, QCMD(Q_SYNC, GRPQUOTA), 0, NULL);
}

static void same_numbers(void)
{
	static const int levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_TCP, IPPROTO_IPV6 };
	int level, n;

	for (n = 1; n <= 14; n += 3)
		for (level = 0; level < 4; level++)
			DO(getsockopt, 975, levels[level], n, AT(0), AT(1));
	DO(setsockopt, 975, 270, 3, AT(0), 4);
	DO(socket, AF_NETLINK, 99, 16);
	DO(socket, AF_PACKET, 99, 0x300);
	DO(socket, 43, 99, 5);
	for (n = 10; n <= 20; n++)
		DO(semctl, 4002, 0, n, 0UL);
	for (n = 11; n <= 15; n++)
		DO(shmctl, 4003, n, AT(0));
	for (n = 11; n <= 13; n++)
		DO(msgctl, 4001, n, AT(0));
	DO(open, NOWHERE, O_CREAT, 0x12345678);
	DO(mkdir, NOWHERE, 0x12345678);
	DO(mknod, NOWHERE, 0x12340000 | S_IFCHR | 0600, 0x100000103UL);
}

static void odd_pointers(void)
{
	char *text = AT(0x30);

	memset(text, 'a', 0x600);
	DO(open, NOWHERE, O_RDONLY);
	DO(mkdir, NULL, 0);
	DO(unlink, text);
	DO(rename, text, NOWHERE);
	DO(write, 975, NOWHERE, 4UL);
	DO(nanosleep, NOWHERE, NULL);
	DO(connect, 975, NOWHERE, 16);
	DO(futex, NOWHERE, 0x80, 1, NULL, NULL, 0);
	DO(poll, NOWHERE, 1, 0);
	DO(readlink, text + 0x500, AT(0), 1UL << 32 | 5);
	DO(setrlimit, RLIMIT_CORE, NOWHERE);
	DO(setitimer, ITIMER_PROF, NOWHERE, NULL);
	DO(rt_sigaction, 77, NOWHERE, NULL, 8UL);
	DO(lseek, -1, -1L, 9);
	DO(close, 0x7fffffff);
	DO(dup3, -5, -6, O_CLOEXEC);
	DO(socket, 99, 77, 55);
	DO(kill, -99999, 99);
}

int main(void)
{
	if (mmap(AT(0), 0x10000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != AT(0))
		return 1;
	DO(alarm, 4242);
	files();
	messages();
	tasks();
	memory_and_machine();
	same_numbers();
	odd_pointers();
	DO(alarm, 4243);
	return 0;
}
