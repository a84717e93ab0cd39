#!/usr/bin/env python3
"""Generates syscalls.stp, tp_syscalls.stp (tapsets/linux/x86_64) and tapsets/linux/syscall_flags.stp from syscalls.table.

One line of the table is one system call; what an argument's kind means (which variables it sets, how it reads in
argstr) is written here, once. Which numbers lead to a kernel function is in syscalls.numbers. The numbers of flags are those of the headers that the C compiler finds.
Usage: tools/syscalls.py [--check]
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "tapsets" / "linux"
HEADERS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/ptrace.h>
#include <sys/quota.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <linux/bpf.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/kcmp.h>
#include <linux/kexec.h>
#include <linux/keyctl.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/seccomp.h>
#include <asm/prctl.h>
"""


@dataclass(frozen=True, slots=True)
class Flags:
    """A set of named bits or, where `mask` is None, of alternatives. `mask` is what an alternative among the bits takes."""

    names: str
    bits: bool = True
    mask: int = 0


FLAGS = {
    "open": Flags(
        "O_RDONLY O_WRONLY O_RDWR | O_APPEND O_CLOEXEC O_CREAT O_TMPFILE O_DIRECTORY O_DIRECT O_EXCL O_NOATIME O_NOCTTY "
        "O_NOFOLLOW O_NONBLOCK O_PATH O_SYNC O_DSYNC O_ASYNC O_TRUNC O_LARGEFILE:0x8000",
        mask=3,
    ),
    "open1": Flags("IN_CLOEXEC IN_NONBLOCK"),
    "access": Flags("R_OK:4 W_OK:2 X_OK:1"),
    "at": Flags("AT_SYMLINK_NOFOLLOW AT_SYMLINK_FOLLOW AT_NO_AUTOMOUNT AT_EMPTY_PATH AT_EACCESS:0x200 AT_STATX_FORCE_SYNC "
                "AT_STATX_DONT_SYNC AT_RECURSIVE:0x8000"),
    "unlinkat": Flags("AT_REMOVEDIR"),
    "arch_prctl": Flags("ARCH_SET_GS ARCH_SET_FS ARCH_GET_FS ARCH_GET_GS ARCH_GET_CPUID ARCH_SET_CPUID", bits=False),
    "bpf": Flags(
        "BPF_MAP_CREATE BPF_MAP_LOOKUP_ELEM BPF_MAP_UPDATE_ELEM BPF_MAP_DELETE_ELEM BPF_MAP_GET_NEXT_KEY BPF_PROG_LOAD "
        "BPF_OBJ_PIN BPF_OBJ_GET BPF_PROG_ATTACH BPF_PROG_DETACH BPF_PROG_TEST_RUN BPF_PROG_GET_NEXT_ID "
        "BPF_MAP_GET_NEXT_ID BPF_PROG_GET_FD_BY_ID BPF_MAP_GET_FD_BY_ID BPF_OBJ_GET_INFO_BY_FD BPF_PROG_QUERY "
        "BPF_RAW_TRACEPOINT_OPEN BPF_BTF_LOAD BPF_BTF_GET_FD_BY_ID BPF_TASK_FD_QUERY BPF_MAP_LOOKUP_AND_DELETE_ELEM "
        "BPF_MAP_FREEZE BPF_BTF_GET_NEXT_ID BPF_MAP_LOOKUP_BATCH BPF_MAP_LOOKUP_AND_DELETE_BATCH "
        "BPF_MAP_UPDATE_BATCH BPF_MAP_DELETE_BATCH BPF_LINK_CREATE BPF_LINK_UPDATE BPF_LINK_GET_FD_BY_ID "
        "BPF_LINK_GET_NEXT_ID BPF_ENABLE_STATS BPF_ITER_CREATE BPF_LINK_DETACH BPF_PROG_BIND_MAP",
        bits=False,
    ),
    "clock": Flags(
        "CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID CLOCK_MONOTONIC_RAW "
        "CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME CLOCK_REALTIME_ALARM CLOCK_BOOTTIME_ALARM CLOCK_TAI",
        bits=False,
    ),
    "clone": Flags(
        "CLONE_NEWTIME CLONE_VM CLONE_FS CLONE_FILES CLONE_SIGHAND CLONE_PIDFD CLONE_PTRACE CLONE_VFORK CLONE_PARENT "
        "CLONE_THREAD CLONE_NEWNS CLONE_SYSVSEM CLONE_SETTLS CLONE_PARENT_SETTID CLONE_CHILD_CLEARTID CLONE_DETACHED "
        "CLONE_UNTRACED CLONE_CHILD_SETTID CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID "
        "CLONE_NEWNET CLONE_IO SIGCHLD"
    ),
    "delete_module": Flags("O_NONBLOCK O_TRUNC"),
    "dup3": Flags("O_CLOEXEC"),
    "epoll_create": Flags("EPOLL_CLOEXEC:0x80000"),
    "epoll_op": Flags("EPOLL_CTL_ADD:1 EPOLL_CTL_DEL:2 EPOLL_CTL_MOD:3", bits=False),
    "eventfd": Flags("EFD_SEMAPHORE EFD_CLOEXEC EFD_NONBLOCK"),
    "fadvise": Flags(
        "POSIX_FADV_NORMAL POSIX_FADV_RANDOM POSIX_FADV_SEQUENTIAL POSIX_FADV_WILLNEED POSIX_FADV_DONTNEED "
        "POSIX_FADV_NOREUSE",
        bits=False,
    ),
    "fallocate": Flags(
        "FALLOC_FL_KEEP_SIZE FALLOC_FL_PUNCH_HOLE FALLOC_FL_COLLAPSE_RANGE FALLOC_FL_ZERO_RANGE FALLOC_FL_INSERT_RANGE "
        "FALLOC_FL_UNSHARE_RANGE"
    ),
    "fanotify_init": Flags(
        "FAN_CLASS_CONTENT FAN_CLASS_PRE_CONTENT FAN_CLOEXEC FAN_NONBLOCK FAN_UNLIMITED_QUEUE FAN_UNLIMITED_MARKS "
        "FAN_ENABLE_AUDIT FAN_REPORT_TID FAN_REPORT_FID FAN_REPORT_DIR_FID FAN_REPORT_NAME"
    ),
    "fanotify_mark": Flags(
        "FAN_MARK_ADD FAN_MARK_REMOVE FAN_MARK_DONT_FOLLOW FAN_MARK_ONLYDIR FAN_MARK_MOUNT FAN_MARK_IGNORED_MASK "
        "FAN_MARK_IGNORED_SURV_MODIFY FAN_MARK_FLUSH FAN_MARK_FILESYSTEM"
    ),
    "fanotify_mask": Flags(
        "FAN_ACCESS FAN_MODIFY FAN_ATTRIB FAN_CLOSE_WRITE FAN_CLOSE_NOWRITE FAN_OPEN FAN_MOVED_FROM FAN_MOVED_TO "
        "FAN_CREATE FAN_DELETE FAN_DELETE_SELF FAN_MOVE_SELF FAN_OPEN_EXEC FAN_OPEN_PERM FAN_ACCESS_PERM "
        "FAN_OPEN_EXEC_PERM FAN_EVENT_ON_CHILD FAN_ONDIR"
    ),
    "fcntl": Flags(
        "F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_GETLK F_SETLK F_SETLKW F_SETOWN F_GETOWN F_SETSIG F_GETSIG "
        "F_SETOWN_EX F_GETOWN_EX F_OFD_GETLK F_OFD_SETLK F_OFD_SETLKW F_SETLEASE F_GETLEASE F_NOTIFY F_DUPFD_CLOEXEC "
        "F_SETPIPE_SZ F_GETPIPE_SZ F_ADD_SEALS F_GET_SEALS F_GET_RW_HINT F_SET_RW_HINT F_GET_FILE_RW_HINT "
        "F_SET_FILE_RW_HINT",
        bits=False,
    ),
    "finit_module": Flags("MODULE_INIT_IGNORE_MODVERSIONS MODULE_INIT_IGNORE_VERMAGIC MODULE_INIT_COMPRESSED_FILE"),
    "flock": Flags("LOCK_SH LOCK_EX LOCK_NB LOCK_UN LOCK_MAND LOCK_READ LOCK_WRITE"),
    "get_mempolicy": Flags("MPOL_F_NODE MPOL_F_ADDR MPOL_F_MEMS_ALLOWED"),
    "getrandom": Flags("GRND_NONBLOCK GRND_RANDOM GRND_INSECURE"),
    "inotify": Flags(
        "IN_ACCESS IN_MODIFY IN_ATTRIB IN_CLOSE_WRITE IN_CLOSE_NOWRITE IN_OPEN IN_MOVED_FROM IN_MOVED_TO IN_CREATE "
        "IN_DELETE IN_DELETE_SELF IN_MOVE_SELF IN_ONLYDIR IN_DONT_FOLLOW IN_EXCL_UNLINK IN_MASK_CREATE IN_MASK_ADD "
        "IN_ISDIR IN_ONESHOT"
    ),
    "ioprio": Flags("IOPRIO_WHO_PROCESS:1 IOPRIO_WHO_PGRP:2 IOPRIO_WHO_USER:3", bits=False),
    "msgctl": Flags("IPC_RMID IPC_SET IPC_STAT IPC_INFO MSG_STAT:11 MSG_INFO:12 MSG_STAT_ANY:13", bits=False),
    "semctl": Flags(
        "IPC_RMID IPC_SET IPC_STAT IPC_INFO GETPID GETVAL GETALL GETNCNT GETZCNT SETVAL SETALL SEM_STAT:18 SEM_INFO:19 "
        "SEM_STAT_ANY:20",
        bits=False,
    ),
    "shmctl": Flags(
        "IPC_RMID IPC_SET IPC_STAT IPC_INFO SHM_LOCK SHM_UNLOCK SHM_STAT:13 SHM_INFO:14 SHM_STAT_ANY:15", bits=False
    ),
    "ipcflags": Flags("IPC_CREAT IPC_EXCL IPC_NOWAIT", mask=0o777),
    "itimer": Flags("ITIMER_REAL ITIMER_VIRTUAL ITIMER_PROF", bits=False),
    "kcmp": Flags("KCMP_FILE KCMP_VM KCMP_FILES KCMP_FS KCMP_SIGHAND KCMP_IO KCMP_SYSVSEM KCMP_EPOLL_TFD", bits=False),
    "kexec_file": Flags("KEXEC_FILE_UNLOAD KEXEC_FILE_ON_CRASH KEXEC_FILE_NO_INITRAMFS"),
    "keyctl": Flags(
        "KEYCTL_GET_KEYRING_ID KEYCTL_JOIN_SESSION_KEYRING KEYCTL_UPDATE KEYCTL_REVOKE KEYCTL_CHOWN KEYCTL_SETPERM "
        "KEYCTL_DESCRIBE KEYCTL_CLEAR KEYCTL_LINK KEYCTL_UNLINK KEYCTL_SEARCH KEYCTL_READ KEYCTL_INSTANTIATE "
        "KEYCTL_NEGATE KEYCTL_SET_REQKEY_KEYRING KEYCTL_SET_TIMEOUT KEYCTL_ASSUME_AUTHORITY KEYCTL_GET_SECURITY "
        "KEYCTL_SESSION_TO_PARENT KEYCTL_REJECT KEYCTL_INSTANTIATE_IOV KEYCTL_INVALIDATE KEYCTL_GET_PERSISTENT",
        bits=False,
    ),
    "madvise": Flags(
        "MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE MADV_REMOVE MADV_DONTFORK "
        "MADV_DOFORK MADV_MERGEABLE MADV_UNMERGEABLE MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP "
        "MADV_WIPEONFORK MADV_KEEPONFORK MADV_COLD MADV_PAGEOUT MADV_POPULATE_READ MADV_POPULATE_WRITE MADV_HWPOISON",
        bits=False,
    ),
    "mbind": Flags("MPOL_MF_STRICT MPOL_MF_MOVE MPOL_MF_MOVE_ALL"),
    "membarrier": Flags(
        "MEMBARRIER_CMD_QUERY MEMBARRIER_CMD_GLOBAL MEMBARRIER_CMD_GLOBAL_EXPEDITED "
        "MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED MEMBARRIER_CMD_PRIVATE_EXPEDITED "
        "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE "
        "MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE",
        bits=False,
    ),
    "memfd": Flags("MFD_CLOEXEC MFD_ALLOW_SEALING MFD_HUGETLB"),
    "memfd_secret": Flags("O_CLOEXEC:0x80000"),
    "mempolicy": Flags("MPOL_DEFAULT MPOL_PREFERRED MPOL_BIND MPOL_INTERLEAVE MPOL_LOCAL", bits=False),
    "mknod": Flags("S_IFSOCK S_IFREG S_IFBLK S_IFCHR S_IFIFO | ", mask=0o170000),
    "mlock2": Flags("MLOCK_ONFAULT"),
    "mlockall": Flags("MCL_CURRENT MCL_FUTURE MCL_ONFAULT"),
    "mmap": Flags(
        "MAP_SHARED MAP_PRIVATE MAP_SHARED_VALIDATE | MAP_FIXED MAP_ANONYMOUS MAP_32BIT MAP_GROWSDOWN MAP_DENYWRITE MAP_EXECUTABLE "
        "MAP_LOCKED MAP_NORESERVE MAP_POPULATE MAP_NONBLOCK MAP_STACK MAP_HUGETLB MAP_SYNC MAP_FIXED_NOREPLACE",
        mask=3,
    ),
    "mount": Flags(
        "MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_SYNCHRONOUS MS_REMOUNT MS_MANDLOCK MS_DIRSYNC MS_NOSYMFOLLOW:0x100 MS_NOATIME "
        "MS_NODIRATIME MS_BIND MS_MOVE MS_REC MS_SILENT MS_POSIXACL MS_UNBINDABLE MS_PRIVATE MS_SLAVE MS_SHARED "
        "MS_RELATIME MS_KERNMOUNT MS_I_VERSION MS_STRICTATIME MS_LAZYTIME"
    ),
    "mremap": Flags("MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP:4"),
    "msg": Flags(
        "MSG_OOB MSG_PEEK MSG_DONTROUTE MSG_CTRUNC MSG_PROXY MSG_TRUNC MSG_DONTWAIT MSG_EOR MSG_WAITALL MSG_FIN MSG_SYN "
        "MSG_CONFIRM MSG_RST MSG_ERRQUEUE MSG_NOSIGNAL MSG_MORE MSG_WAITFORONE MSG_BATCH MSG_ZEROCOPY MSG_FASTOPEN "
        "MSG_CMSG_CLOEXEC"
    ),
    "msgflags": Flags("MSG_NOERROR MSG_EXCEPT MSG_COPY:040000 IPC_NOWAIT"),
    "msync": Flags("MS_ASYNC MS_INVALIDATE MS_SYNC"),
    "perf_flags": Flags("PERF_FLAG_FD_NO_GROUP PERF_FLAG_FD_OUTPUT PERF_FLAG_PID_CGROUP PERF_FLAG_FD_CLOEXEC"),
    "pf": Flags(
        "PF_UNSPEC PF_LOCAL PF_INET PF_AX25 PF_IPX PF_APPLETALK PF_NETROM PF_BRIDGE PF_ATMPVC PF_X25 PF_INET6 PF_ROSE "
        "PF_DECnet PF_KEY PF_NETLINK PF_PACKET PF_RDS PF_IRDA PF_PPPOX PF_LLC PF_CAN PF_TIPC PF_BLUETOOTH PF_IUCV "
        "PF_RXRPC PF_ISDN PF_PHONET PF_IEEE802154 PF_CAIF PF_ALG PF_NFC PF_VSOCK PF_XDP PF_ATMSVC "
        "PF_SNA PF_WANPIPE PF_IB PF_MPLS PF_KCM PF_QIPCRTR PF_SMC PF_MCTP:45",
        bits=False,
    ),
    "pipe2": Flags("O_CLOEXEC O_DIRECT O_NONBLOCK"),
    "pkey": Flags("PKEY_DISABLE_ACCESS PKEY_DISABLE_WRITE"),
    "prctl": Flags(
        "PR_SET_PDEATHSIG PR_GET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_GET_KEEPCAPS PR_SET_KEEPCAPS PR_SET_NAME "
        "PR_GET_NAME PR_GET_SECCOMP PR_SET_SECCOMP PR_CAPBSET_READ PR_CAPBSET_DROP PR_GET_TSC PR_SET_TSC "
        "PR_GET_SECUREBITS PR_SET_SECUREBITS PR_SET_TIMERSLACK PR_GET_TIMERSLACK PR_SET_MM PR_SET_PTRACER "
        "PR_SET_CHILD_SUBREAPER PR_GET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS PR_GET_TID_ADDRESS "
        "PR_SET_THP_DISABLE PR_GET_THP_DISABLE PR_CAP_AMBIENT PR_SET_VMA:0x53564d41",
        bits=False,
    ),
    "priority": Flags("PRIO_PROCESS PRIO_PGRP PRIO_USER", bits=False),
    "prot": Flags("PROT_READ PROT_WRITE PROT_EXEC PROT_GROWSDOWN PROT_GROWSUP PROT_SEM:8"),
    "ptrace": Flags(
        "PTRACE_TRACEME PTRACE_PEEKTEXT PTRACE_PEEKDATA PTRACE_PEEKUSER PTRACE_POKETEXT PTRACE_POKEDATA PTRACE_POKEUSER "
        "PTRACE_CONT PTRACE_KILL PTRACE_SINGLESTEP PTRACE_GETREGS PTRACE_SETREGS PTRACE_GETFPREGS PTRACE_SETFPREGS "
        "PTRACE_ATTACH PTRACE_DETACH PTRACE_SYSCALL PTRACE_SETOPTIONS PTRACE_GETEVENTMSG PTRACE_GETSIGINFO "
        "PTRACE_SETSIGINFO PTRACE_GETREGSET PTRACE_SETREGSET PTRACE_SEIZE PTRACE_INTERRUPT PTRACE_LISTEN",
        bits=False,
    ),
    "quota": Flags("Q_SYNC Q_QUOTAON Q_QUOTAOFF Q_GETFMT Q_GETINFO Q_SETINFO Q_GETQUOTA Q_SETQUOTA Q_GETNEXTQUOTA:0x800009", bits=False),
    "reboot": Flags(
        "LINUX_REBOOT_CMD_RESTART:0x01234567 LINUX_REBOOT_CMD_HALT:0xcdef0123 LINUX_REBOOT_CMD_CAD_ON:0x89abcdef "
        "LINUX_REBOOT_CMD_CAD_OFF:0 LINUX_REBOOT_CMD_POWER_OFF:0x4321fedc LINUX_REBOOT_CMD_RESTART2:0xa1b2c3d4 "
        "LINUX_REBOOT_CMD_SW_SUSPEND:0xd000fce2 LINUX_REBOOT_CMD_KEXEC:0x45584543",
        bits=False,
    ),
    "rename": Flags("RENAME_NOREPLACE:1 RENAME_EXCHANGE:2 RENAME_WHITEOUT:4"),
    "rlimit": Flags(
        "RLIMIT_CPU RLIMIT_FSIZE RLIMIT_DATA RLIMIT_STACK RLIMIT_CORE RLIMIT_RSS RLIMIT_NPROC RLIMIT_NOFILE "
        "RLIMIT_MEMLOCK RLIMIT_AS RLIMIT_LOCKS RLIMIT_SIGPENDING RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_RTPRIO RLIMIT_RTTIME",
        bits=False,
    ),
    "rusage": Flags("RUSAGE_SELF RUSAGE_CHILDREN RUSAGE_THREAD:1", bits=False),
    "rwf": Flags("RWF_HIPRI:1 RWF_DSYNC:2 RWF_SYNC:4 RWF_NOWAIT:8 RWF_APPEND:16"),
    "sched": Flags("SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_IDLE SCHED_DEADLINE:6", bits=False),
    "seccomp": Flags("SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW "
                     "SECCOMP_FILTER_FLAG_NEW_LISTENER"),
    "seccomp_op": Flags("SECCOMP_SET_MODE_STRICT SECCOMP_SET_MODE_FILTER SECCOMP_GET_ACTION_AVAIL SECCOMP_GET_NOTIF_SIZES",
                        bits=False),
    "shmat": Flags("SHM_RDONLY SHM_RND SHM_REMAP SHM_EXEC"),
    "shmget": Flags("IPC_CREAT IPC_EXCL SHM_HUGETLB SHM_NORESERVE", mask=0o777),
    "shutdown": Flags("SHUT_RD SHUT_WR SHUT_RDWR", bits=False),
    "sighow": Flags("SIG_BLOCK SIG_UNBLOCK SIG_SETMASK", bits=False),
    "sockflags": Flags("SOCK_CLOEXEC SOCK_NONBLOCK"),
    "socktype": Flags("SOCK_STREAM SOCK_DGRAM SOCK_RAW SOCK_RDM SOCK_SEQPACKET SOCK_DCCP SOCK_PACKET | SOCK_CLOEXEC "
                      "SOCK_NONBLOCK", mask=15),
    "ipopt": Flags(
        "IP_TOS IP_TTL IP_HDRINCL IP_OPTIONS IP_ROUTER_ALERT IP_RECVOPTS IP_RETOPTS IP_PKTINFO IP_PKTOPTIONS "
        "IP_MTU_DISCOVER IP_RECVERR IP_RECVTTL IP_RECVTOS IP_MTU IP_FREEBIND IP_IPSEC_POLICY IP_XFRM_POLICY IP_PASSSEC "
        "IP_TRANSPARENT IP_ORIGDSTADDR IP_MINTTL IP_NODEFRAG IP_CHECKSUM IP_BIND_ADDRESS_NO_PORT IP_RECVFRAGSIZE "
        "IP_MULTICAST_IF IP_MULTICAST_TTL IP_MULTICAST_LOOP IP_ADD_MEMBERSHIP IP_DROP_MEMBERSHIP IP_UNBLOCK_SOURCE "
        "IP_BLOCK_SOURCE IP_ADD_SOURCE_MEMBERSHIP IP_DROP_SOURCE_MEMBERSHIP IP_MSFILTER IP_MULTICAST_ALL IP_UNICAST_IF",
        bits=False,
    ),
    "ipv6opt": Flags(
        "IPV6_ADDRFORM IPV6_2292PKTINFO IPV6_2292HOPOPTS IPV6_2292DSTOPTS IPV6_2292RTHDR IPV6_2292PKTOPTIONS "
        "IPV6_CHECKSUM IPV6_2292HOPLIMIT IPV6_NEXTHOP IPV6_AUTHHDR IPV6_UNICAST_HOPS IPV6_MULTICAST_IF "
        "IPV6_MULTICAST_HOPS IPV6_MULTICAST_LOOP IPV6_JOIN_GROUP IPV6_LEAVE_GROUP IPV6_ROUTER_ALERT IPV6_MTU_DISCOVER "
        "IPV6_MTU IPV6_RECVERR IPV6_V6ONLY IPV6_JOIN_ANYCAST IPV6_LEAVE_ANYCAST IPV6_MULTICAST_ALL IPV6_IPSEC_POLICY "
        "IPV6_XFRM_POLICY IPV6_HDRINCL IPV6_RECVPKTINFO IPV6_PKTINFO IPV6_RECVHOPLIMIT IPV6_HOPLIMIT IPV6_RECVHOPOPTS "
        "IPV6_HOPOPTS IPV6_RTHDRDSTOPTS IPV6_RECVRTHDR IPV6_RTHDR IPV6_RECVDSTOPTS IPV6_DSTOPTS IPV6_RECVPATHMTU "
        "IPV6_PATHMTU IPV6_DONTFRAG IPV6_RECVTCLASS IPV6_TCLASS IPV6_AUTOFLOWLABEL IPV6_ADDR_PREFERENCES IPV6_MINHOPCOUNT "
        "IPV6_ORIGDSTADDR IPV6_TRANSPARENT IPV6_UNICAST_IF IPV6_RECVFRAGSIZE IPV6_FREEBIND",
        bits=False,
    ),
    "tcpopt": Flags(
        "TCP_NODELAY TCP_MAXSEG TCP_CORK TCP_KEEPIDLE TCP_KEEPINTVL TCP_KEEPCNT TCP_SYNCNT TCP_LINGER2 TCP_DEFER_ACCEPT "
        "TCP_WINDOW_CLAMP TCP_INFO TCP_QUICKACK TCP_CONGESTION TCP_MD5SIG TCP_THIN_LINEAR_TIMEOUTS TCP_THIN_DUPACK "
        "TCP_USER_TIMEOUT TCP_REPAIR TCP_REPAIR_QUEUE TCP_QUEUE_SEQ TCP_REPAIR_OPTIONS TCP_FASTOPEN TCP_TIMESTAMP "
        "TCP_NOTSENT_LOWAT TCP_CC_INFO TCP_SAVE_SYN TCP_SAVED_SYN TCP_REPAIR_WINDOW TCP_FASTOPEN_CONNECT TCP_ULP "
        "TCP_MD5SIG_EXT TCP_FASTOPEN_KEY TCP_FASTOPEN_NO_COOKIE TCP_ZEROCOPY_RECEIVE TCP_INQ TCP_TX_DELAY:37",
        bits=False,
    ),
    "netlink": Flags(
        "NETLINK_ROUTE:0 NETLINK_USERSOCK:2 NETLINK_FIREWALL:3 NETLINK_SOCK_DIAG:4 NETLINK_NFLOG:5 NETLINK_XFRM:6 "
        "NETLINK_SELINUX:7 NETLINK_ISCSI:8 NETLINK_AUDIT:9 NETLINK_FIB_LOOKUP:10 NETLINK_CONNECTOR:11 NETLINK_NETFILTER:12 "
        "NETLINK_IP6_FW:13 NETLINK_DNRTMSG:14 NETLINK_KOBJECT_UEVENT:15 NETLINK_GENERIC:16 NETLINK_SCSITRANSPORT:18 "
        "NETLINK_ECRYPTFS:19 NETLINK_RDMA:20 NETLINK_CRYPTO:21 NETLINK_SMC:22",
        bits=False,
    ),
    "ipproto": Flags(
        "IPPROTO_IP IPPROTO_ICMP IPPROTO_IGMP IPPROTO_IPIP IPPROTO_TCP IPPROTO_EGP IPPROTO_PUP IPPROTO_UDP IPPROTO_IDP "
        "IPPROTO_DCCP IPPROTO_IPV6 IPPROTO_RSVP IPPROTO_GRE IPPROTO_ESP IPPROTO_AH IPPROTO_ICMPV6 IPPROTO_PIM "
        "IPPROTO_COMP IPPROTO_SCTP IPPROTO_UDPLITE IPPROTO_RAW IPPROTO_MPTCP:262",
        bits=False,
    ),
    "sol": Flags(
        "SOL_SOCKET SOL_IP:0 SOL_TCP:6 SOL_UDP:17 SOL_IPV6:41 SOL_RAW:255 SOL_PACKET:263 SOL_NETLINK:270", bits=False
    ),
    "sockopt": Flags(
        "SO_DEBUG SO_REUSEADDR SO_TYPE SO_ERROR SO_DONTROUTE SO_BROADCAST SO_SNDBUF SO_RCVBUF SO_KEEPALIVE SO_OOBINLINE "
        "SO_NO_CHECK SO_PRIORITY SO_LINGER SO_BSDCOMPAT SO_REUSEPORT SO_PASSCRED SO_PEERCRED SO_RCVLOWAT SO_SNDLOWAT "
        "SO_RCVTIMEO SO_SNDTIMEO SO_BINDTODEVICE SO_ATTACH_FILTER SO_DETACH_FILTER SO_PEERNAME SO_TIMESTAMP "
        "SO_ACCEPTCONN SO_PEERSEC SO_SNDBUFFORCE SO_RCVBUFFORCE SO_PASSSEC SO_TIMESTAMPNS SO_MARK SO_TIMESTAMPING "
        "SO_PROTOCOL SO_DOMAIN SO_RXQ_OVFL SO_BUSY_POLL SO_INCOMING_CPU SO_ATTACH_BPF SO_ZEROCOPY",
        bits=False,
    ),
    "splice": Flags("SPLICE_F_MOVE SPLICE_F_NONBLOCK SPLICE_F_MORE SPLICE_F_GIFT"),
    "statx": Flags(
        "STATX_TYPE STATX_MODE STATX_NLINK STATX_UID STATX_GID STATX_ATIME STATX_MTIME STATX_CTIME STATX_INO STATX_SIZE "
        "STATX_BLOCKS STATX_BTIME"
    ),
    "swapon": Flags("SWAP_FLAG_PREFER SWAP_FLAG_DISCARD"),
    "sync_file_range": Flags("SYNC_FILE_RANGE_WAIT_BEFORE SYNC_FILE_RANGE_WRITE SYNC_FILE_RANGE_WAIT_AFTER"),
    "timer_abstime": Flags("TIMER_ABSTIME"),
    "timerfd_create": Flags("TFD_CLOEXEC TFD_NONBLOCK"),
    "timerfd": Flags("TFD_TIMER_ABSTIME TFD_TIMER_CANCEL_ON_SET"),
    "umount": Flags("MNT_FORCE MNT_DETACH MNT_EXPIRE UMOUNT_NOFOLLOW"),
    "userfaultfd": Flags("O_CLOEXEC O_NONBLOCK UFFD_USER_MODE_ONLY:1"),
    "wait": Flags("WNOHANG WUNTRACED WEXITED WCONTINUED WNOWAIT __WNOTHREAD __WALL __WCLONE"),
    "waitid": Flags("P_ALL P_PID P_PGID P_PIDFD:3", bits=False),
    "whence": Flags("SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE", bits=False),
    "xattr": Flags("XATTR_CREATE XATTR_REPLACE"),
}

STRUCTS = {  # kinds of pointers whose target reads as text: VARIABLE,TEXT
    "timespec": "__timespec_str({0})",
    "timespecs": "__timespecs_str({0})",
    "timeval": "__timeval_str({0})",
    "timevals": "__timevals_str({0})",
    "itimerval": "__itimerval_str({0})",
    "itimerspec": "__itimerspec_str({0})",
    "timezone": "__timezone_str({0})",
    "rlimit_u": "__rlimit_str({0})",
    "rlimit64": "__rlimit64_str({0})",
    "sigset": "__user_sigset_str({0})",
    "sigaction": "__user_sigaction_str({0})",
    "oldsigaction": "__user_oldsigaction_str({0})",
    "ptrstr": 'sprintf("%p", {0})',
}
NUMBERS = {  # kinds of plain numbers: (how it is read, how it is written)
    "int": ("__sys_int({n})", "%d"),
    "uint": ("__sys_uint({n})", "%u"),
    "long": ("__sys_long({n})", "%d"),
    "long64": ("__sys_long64({n})", "%d"),
    "ulong": ("__sys_ulong({n})", "%u"),
    "short": ("__sys_short({n})", "%d"),
    "ptr": ("__sys_ulong({n})", "%p"),
    "hex": ("__sys_uint({n})", "0x%x"),
    "octal": ("__sys_mode({n})", "%#o"),
}
SIGNED = {"int", "long"}


@dataclass(frozen=True, slots=True)
class Argument:
    """What one argument becomes: assignments in order, and its part of argstr."""

    assignments: tuple[str, ...]
    format: str = ""
    shown: str = ""


def _path(names: list[str], n: int) -> Argument:
    text = names[0]
    return Argument(
        (f"{text} = user_string_quoted(__sys_ulong({n}))", f"{text}_unquoted = user_string_nofault(__sys_ulong({n}))"),
        "%s", text,
    )  # fmt: skip


def _address_and_path(names: list[str], n: int) -> Argument:
    address, text = names
    return Argument(
        (f"{address} = __sys_ulong({n})", f"{text} = user_string_quoted({address})",
         f"{text}_unquoted = user_string_nofault({address})"),
        "%s", text,
    )  # fmt: skip


def _dirfd(names: list[str], n: int) -> Argument:
    fd, text = names[:2]
    more = (f"{names[2]} = __dirfd_str({fd})",) if len(names) == 3 else ()
    return Argument((f"{fd} = __sys_int({n})", f"{text} = __dirfd_str({fd})", *more), "%s", text)


def _created(names: list[str], n: int, flags: str) -> Argument:
    """The mode of a call that may create a file: junk, and not shown, where it does not."""
    creates = f"__sys_uint({flags}) & 0x{0o100 | 0o20000000:x}"
    return Argument(
        (f"{names[0]} = {creates} ? __sys_mode({n}) : 0",),
        "%s", f'({creates} ? sprintf(", %#o", {names[0]}) : "")',
    )  # fmt: skip


SPECIAL: dict[str, Callable[[list[str], int, str], Argument]] = {
    "path": lambda v, n, _: _path(v, n),
    "pathdata": lambda v, n, _: _path(v, n),
    "pathonly": lambda v, n, _: Argument((f"{v[0]} = user_string_quoted(__sys_ulong({n}))",), "%s", v[0]),
    "pathptr": lambda v, n, _: Argument(
        (f'{v[0]} = sprintf("%p", __sys_ulong({n}))', f"{v[0]}_unquoted = {v[0]}"), "%s", v[0]
    ),
    "upath": lambda v, n, _: _address_and_path(v, n),
    "numpath": lambda v, n, _: _address_and_path(v, n),
    "str": lambda v, n, _: Argument((f"{v[0]} = __sys_ulong({n})",), "%s", f"user_string_quoted({v[0]})"),
    "dirfd": lambda v, n, _: _dirfd(v, n),
    "dirfd3": lambda v, n, _: _dirfd(v, n),
    "octalcreat": lambda v, n, p: _created(v, n, p),
    "data": lambda v, n, p: Argument(
        (f"{v[0]} = __sys_ulong({n})", f"{v[1]} = user_buffer_quoted({v[0]}, __sys_ulong({p}), syscall_string_trunc)"),
        "%s", v[1],
    ),
    "sockaddr": lambda v, n, p: Argument(
        (f"{v[0]} = __sys_ulong({n})",), "%s", f"__sockaddr_str({v[0]}, __sys_int({p}))"
    ),
    "sockaddr2": lambda v, n, p: Argument(
        (f"{v[0]} = __sys_ulong({n})", f"{v[1]} = __sockaddr_str({v[0]}, __sys_int({p}))"), "%s", v[1]
    ),
    "argv": lambda v, n, _: Argument((f"{v[0]} = __argv_str(__sys_ulong({n}))",), "%s", v[0]),
    "envp": lambda v, n, _: Argument((f"{v[0]} = __envp_str(__sys_ulong({n}))",), "%s", v[0]),
    "hexstr": lambda v, n, _: Argument(
        (f"{v[0]} = __sys_uint({n})", f'{v[1]} = sprintf("0x%x", {v[0]})'), "%s", v[1]
    ),
    "signal": lambda v, n, _: Argument((f"{v[0]} = __sys_int({n})", f"{v[1]} = __signal_name({v[0]})"), "%s", v[1]),
    "sigmask": lambda v, n, _: Argument(
        (f"{v[0]} = __sys_uint({n})", f"{v[1]} = __sigset_names({v[0]})"), "[%s]", v[1]
    ),
    "sighandler": lambda v, n, _: Argument(
        (f"{v[0]} = __sys_ulong({n})", f"{v[1]} = __handler_name({v[0]})"), "%s", v[1]
    ),
    "ipckey": lambda v, n, _: Argument((f"{v[0]} = __sys_int({n})", f"{v[1]} = __ipckey_str({v[0]})"), "%s", v[1]),
    "ioprio_value": lambda v, n, _: Argument(
        (f"{v[0]} = __sys_int({n})", f"{v[1]} = __ioprio_str({v[0]})"), "%s", v[1]
    ),
    "quotactl": lambda v, n, _: Argument((f"{v[0]} = __sys_uint({n})", f"{v[1]} = __quotactl_str({v[0]})"), "%s", v[1]),
    "sockoptname": lambda v, n, p: Argument(
        (f"{v[0]} = __sys_int({n})", f"{v[1]} = __sockopt_str({p}, {v[0]})"), "%s", v[1]
    ),
    "sockproto": lambda v, n, p: Argument(
        (f"{v[0]} = __sys_int({n})", f"{v[1]} = __sockproto_str({p}, {v[0]})"), "%s", v[1]
    ),
    "futex": lambda v, n, _: Argument((f"{v[0]} = __sys_int({n})",), "%s", f"__futex_str({v[0]})"),
}


def argument(names: list[str], kind: str, n: int, parameter: str) -> Argument:
    """Turns VARIABLES:KIND(PARAMETER) of parameter n into script text."""
    if kind in NUMBERS:
        read, text = NUMBERS[kind]
        if names == ["_"]:
            return Argument((), text, read.format(n=n))
        return Argument((f"{names[0]} = {read.format(n=n)}",), text, names[0])
    if kind in STRUCTS:
        return Argument(
            (f"{names[0]} = __sys_ulong({n})", f"{names[1]} = {STRUCTS[kind].format(names[0])}"), "%s", names[1]
        )
    if kind in FLAGS:
        read = "__sys_mode" if kind == "mknod" else "__sys_int" if not FLAGS[kind].bits else "__sys_uint" if kind not in ("clone", "mmap") else "__sys_ulong"
        first = f"{names[0]} = {read}({n})"
        if len(names) == 1:
            return Argument((first,), "%s", f"__flags_{kind}({names[0]})")
        return Argument((first, f"{names[1]} = __flags_{kind}({names[0]})"), "%s", names[1])
    return SPECIAL[kind](names, n, parameter)


def unless(function: str, a: Argument, n: int) -> Argument:
    """The last argument of a call whose older form `function` lacks it: 0 there, and not shown."""
    numbers = sorted({m for f, found in NUMBERED.items() if f.endswith(f"_sys_{function}") for m in found})
    lacking = " || ".join(f"__sys_number() == {m if m < NARROW else hex(m)}" for m in numbers)
    read = re.compile(rf"__sys_\w+\({n}\)")
    first = read.sub(lambda m: f"{lacking} ? 0 : {m[0]}", a.assignments[0])
    shown = f'({lacking} ? "" : sprintf(", {a.format}", {a.shown}))'
    return Argument((first, *a.assignments[1:]), "%s", shown)


HEX_RESULT = {"mmap2", "brk", "mremap", "shmat"}
NO_RETURN: set[str] = set()
RETURN_ARGUMENTS = {  # the variables of the entry that the return has too
    "accept4": "sockfd addr_uaddr addrlen_uaddr flags flags_str argstr",
    "clone": "clone_flags stack_start parent_tid_uaddr child_tid_uaddr argstr",
    "compat_signalfd": "flags",
    "connect": "sockfd serv_addr_uaddr addrlen",
    "epoll_create": "flags",
    "getrandom": "count flags flags_str argstr",
    "pipe": "fildes_uaddr",
    "sendto": "s buf_uaddr len flags to_uaddr tolen",
    "signalfd": "flags",
    "wait4": "status_uaddr",
}
RETURN_EXTRA = {  # the variables that only the return has, or that are worth more there: after those, argstr after these
    "ptrace": (  # PTRACE_GETEVENTMSG, and PTRACE_ARCH_PRCTL with ARCH_GET_FS or ARCH_GET_GS
        "__request = @entry(__sys_long(1))", "__addr = @entry(__sys_ulong(3))", "__data = @entry(__sys_ulong(4))",
        "geteventmsg_data = retval == 0 && __request == 0x4201 ? user_ulong(__data) : 0",
        "arch_prctl_addr = retval == 0 && __request == 30 && (__data == 0x1003 || __data == 0x1004) ? user_ulong(__addr) : 0",
    ),
    "pipe": (
        "pipe0 = retval == 0 ? user_int(fildes_uaddr) : 0",
        "pipe1 = retval == 0 ? user_int(fildes_uaddr + 4) : 0",
    ),
    "wait4": ("status_str = __wait_status_str(status_uaddr, retval)",),
    "getrandom": (
        "buf_unquoted = @entry(__sys_ulong(1)) ? user_string_n_nofault(@entry(__sys_ulong(1)), retval) : \"\"",
        "buf = user_buffer_quoted(@entry(__sys_ulong(1)), retval, syscall_string_trunc)",
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """One line of the table."""

    name: str
    functions: tuple[str, ...]
    arguments: tuple[Argument, ...]
    extra: tuple[str, ...]
    prefixes: tuple[str, ...]
    first: tuple[str, ...] = ()

    def symbols(self) -> list[str]:
        """The kernel's functions for it, but those that an alias of 32-bit callers alone has."""
        found = [prefix + function for function in self.functions for prefix in self.prefixes]
        if self.prefixes == PREFIXES[""]:
            others = [f for f in found if f not in CLAIMED]
            return others if any(f in NUMBERED for f in others) else found
        return found

    def numbers(self) -> list[int]:
        """The numbers that callers use for it; those of 32-bit callers with NARROW."""
        return sorted({number for f in self.symbols() for number in NUMBERED.get(f, ())})

    def inner(self) -> list[int]:
        """The numbers with which 32-bit callers ask socketcall or ipc for it."""
        return [number for number in self.numbers() if number // NARROW in INNER]


CLAIMED: set[str] = set()  # functions of 32-bit callers whose aliases are theirs alone
# Calls that kernels of today lack: there their numbers lead to the kernel's answer to what it lacks.
GONE = {"bdflush", "sysctl"}
NARROW = 0x10000  # marks the numbers of 32-bit callers, here and in syscall_args.stp
NUMBERED: dict[str, list[int]] = {}  # kernel function -> the numbers that lead to it
KINDS = {"64": 0, "32": NARROW, "socketcall": 2 * NARROW, "ipc": 3 * NARROW}  # whose number it is
INNER = {2: "__ia32_compat_sys_socketcall", 3: "__ia32_compat_sys_ipc"}  # one call for many, by its first argument
_LINES = re.compile(r"^(64|32|socketcall|ipc) (\d+) (\w+)$", re.M)
for _kind, _number, _function in _LINES.findall((HERE / "syscalls.numbers").read_text()):
    _prefix = "__x64_sys_" if _kind == "64" else "__ia32_compat_sys_" if _function.startswith("compat_") else "__ia32_sys_"
    NUMBERED.setdefault(_prefix + _function.removeprefix("compat_"), []).append(int(_number) + KINDS[_kind])
PREFIXES = {
    "": ("__x64_sys_", "__ia32_sys_", "__ia32_compat_sys_"),
    "compat": ("__ia32_compat_sys_",),
    "ia32": ("__ia32_sys_", "__ia32_compat_sys_"),
}
TOKEN = re.compile(r"(?P<names>[\w,]+):(?P<kind>\w+)(?:\((?P<parameter>\w+)\))?(?:@(?P<position>\d(?:/\d)?))?$")


def parse(line: str) -> Call:
    """Reads one line of the table."""
    line, _, first = line.partition(" < ")
    head = re.match(r"(\w+)\s*(?:\[(\w+)\])?\s*(?:\(([^)]*)\))?\s*(.*)", line)
    assert head, line
    functions = tuple(head[3].split()) if head[3] else (head[1],)
    arguments, extra, n = [], [], 0
    for token in head[4].split():
        if "==" in token:
            extra.append(token.replace("==", " = ", 1).replace(",", ", "))
            continue
        n += 1
        if token == "-":
            continue
        found = TOKEN.match(token)
        assert found, f"{line}: {token}"
        wide, _, narrow = (found["position"] or str(n)).partition("/")
        n = int(wide)
        kind, parameter = found["kind"], found["parameter"] or ""
        made = argument(found["names"].split(","), kind, n + 16 * int(narrow or 0), parameter)
        arguments.append(unless(parameter, made, n) if parameter in functions else made)
    return Call(head[1], functions, tuple(arguments), tuple(extra), PREFIXES[head[2] or ""], tuple(first.split()))


def _argstr(call: Call) -> str:
    shown = [a for a in call.arguments if a.format]
    if not shown:
        return 'argstr = ""'
    text = ""
    for position, a in enumerate(shown):
        # a mode that is shown now and then brings its own comma
        text += a.format if position == 0 or 'sprintf(", ' in a.shown else ", " + a.format
    return f'argstr = sprintf("{text}", {", ".join(a.shown for a in shown)})'


def _points(call: Call, suffix: str) -> str:
    functions = call.symbols()
    if call.name in GONE:
        functions.append("__x64_sys_ni_syscall")
    functions += sorted({INNER[number // NARROW] for number in call.inner()})
    if not call.arguments:  # both of the names are the same function's, without a wrapper that unpacks arguments
        functions = [f for f in functions if f.replace("__ia32_sys_", "__x64_sys_") == f or "__x64_sys_" not in call.prefixes]
    return ",\n\t".join(f'kprobe.function("{function}"){suffix}?' for function in functions)


def _told(call: Call, family: str, suffix: str) -> str:
    """The comment that the pages take."""
    what = re.sub(r"^(compat_)?(sys_)?", "", call.name) + "(2)"
    if call.name == "ni_syscall":
        what = "a call that the kernel does not have"
    if call.prefixes != PREFIXES[""]:
        what += " of a 32-bit program"
    return f"/** {family}.{call.name}{suffix}: {what} {'is over' if suffix else 'begins'}. */\n"


def _alias(call: Call, suffix: str, body: list[str]) -> str:
    names = " = ".join(f"{family}.{call.name}{suffix}" for family in ("syscall", "nd_syscall", "nd2_syscall", "dw_syscall"))
    lines = "".join(f"\t{line}\n" for line in body)
    return f"{_told(call, 'syscall', suffix)}probe {names} =\n\t{_points(call, suffix)}\n{{\n{lines}}}\n"


def _trace_alias(call: Call, suffix: str, body: list[str]) -> str:
    event = "exit" if suffix else "enter"
    lines = "".join(f"\t{line}\n" for line in (*_filter(call, "__sys_number()"), *body))
    told = _told(call, "tp_syscall", suffix)
    return f'{told}probe tp_syscall.{call.name}{suffix} = kernel.trace("raw_syscalls:sys_{event}")\n{{\n{lines}}}\n'


def _filter(call: Call, number: str) -> tuple[str, str]:
    unlike = " && ".join(f"__nr != {n if n < NARROW else hex(n)}" for n in call.numbers())
    return f"__nr = {number}", f"if ({unlike}) next"


def _guard(call: Call, number: str) -> list[str]:
    """What keeps the hits of a point that other calls share from being taken for this call."""
    if call.name in GONE:
        return list(_filter(call, number))
    unlike = " && ".join(f"__sys_inner({hex(number)})" for number in call.inner())
    return [f"if ({unlike}) next"] if unlike else []


def entry(call: Call) -> str:
    """The alias of a call's entry."""
    return _alias(call, "", [*_guard(call, "__sys_number()"), *_entry(call)])


def trace_entry(call: Call) -> str:
    """The alias of a call's entry, by the tracepoint."""
    return _trace_alias(call, "", _entry(call))


def _entry(call: Call) -> list[str]:
    body = [f'name = "{call.name}"']
    for a in call.arguments:
        body.extend(a.assignments)
    return _ordered([*body, *call.extra, _argstr(call)], call.first)


def _ordered(body: list[str], first: tuple[str, ...]) -> list[str]:
    """The assignments, those to `first` before the others; none may come before what it is computed from."""
    of = {line.partition(" = ")[0]: line for line in body}
    ordered = [*first, *(name for name in of if name not in first)]
    for position, name in enumerate(ordered):
        later = set(re.findall(r"\w+", re.sub(r'"[^"]*"', "", of[name].partition(" = ")[2]))) & set(ordered[position:])
        assert not later, f"{name} is computed from {later}"
    return [of[name] for name in ordered]


def result(call: Call) -> str:
    """The alias of a call's return."""
    return _alias(call, ".return", [*_guard(call, "@entry(__sys_number())"), *_result(call, "returnval()")])


def trace_result(call: Call) -> str:
    """The alias of a call's return, by the tracepoint, which still has the caller's registers."""
    return _trace_alias(call, ".return", [re.sub(r"@entry\((__sys_\w+\(\d*\))\)", r"\1", t) for t in _result(call, "$ret")])


def _result(call: Call, value: str) -> list[str]:
    form = 2 if call.name in HEX_RESULT else 1
    wanted = RETURN_ARGUMENTS.get(call.name, "").split()
    # what the call was given is read when it begins: nothing keeps a program's registers until it returns
    asked = [re.sub(r"__sys_\w+\(\d*\)", r"@entry(\g<0>)", line) for line in _entry(call)]
    had = {line.partition(" = ")[0]: line for line in asked}
    argstr = [had[name] for name in wanted if name == "argstr"]
    arguments = [had[name] for name in wanted if name != "argstr"]
    extra = [*arguments, *RETURN_EXTRA.get(call.name, ()), *argstr]
    return [f'name = "{call.name}"', f"retval = {value}", f"retstr = return_str({form}, retval)", *extra]


def _numbers(names: list[str]) -> dict[str, int]:
    """What the C headers say the names are worth; those they do not know are left out."""
    used = HEADERS + "int main(void) {\n" + "".join(f"(void)({name});\n" for name in names) + "}\n"
    command = ["gcc", "-w", "-fmax-errors=0", "-fsyntax-only", "-fno-diagnostics-show-caret", "-x", "c", "-"]
    failed = subprocess.run(command, input=used, capture_output=True, text=True, check=False).stderr
    unknown = set(re.findall(r"['‘](\w+)['’] undeclared", failed))
    for name in sorted(unknown):
        print(f"the headers have no {name}", file=sys.stderr)
    lines = [f'printf("{name} %llu\\n", (unsigned long long)(unsigned)({name}));\n' for name in names if name not in unknown]
    program = HEADERS + "#include <stdio.h>\nint main(void) {\n" + "".join(lines)
    binary = Path("/tmp/pystap-flags")
    subprocess.run(["gcc", "-w", "-x", "c", "-o", str(binary), "-"], input=program + "return 0; }\n", text=True, check=True)
    lines = subprocess.run([str(binary)], capture_output=True, text=True, check=True).stdout.splitlines()
    binary.unlink()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def flags() -> str:
    """syscall_flags.stp: one function per set of flags."""
    wanted = sorted({t for f in FLAGS.values() for t in f.names.split() if t != "|" and ":" not in t})
    numbers = _numbers(wanted)
    parts = [FLAGS_HEADER]
    for kind, described in sorted(FLAGS.items()):
        rows, alternatives, seen_bar = [], [], "|" not in described.names
        for token in described.names.split():
            if token == "|":
                seen_bar = True
                continue
            name, _, given = token.partition(":")
            value = (int(given, 8) if re.match(r"0\d", given) else int(given, 0)) if given else numbers.get(name)
            if value is None:
                continue
            (rows if seen_bar else alternatives).append((name, value))
        if described.bits:
            rows.sort(key=lambda row: -row[1].bit_count())
        table = [*alternatives, *rows]
        listed = "".join(f'\t\t{{ 0x{value:x}, "{name}" }},\n' for name, value in table)
        mode = (
            f"tapset_flags(STAP_RETVALUE, STAP_ARG_value, names, ARRAY_SIZE(names), {len(alternatives)}, 0x{described.mask:x})"
            if described.bits else "tapset_name(STAP_RETVALUE, STAP_ARG_value, names, ARRAY_SIZE(names))"
        )  # fmt: skip
        parts.append(FLAGS_FUNCTION.format(kind=kind, rows=listed, call=mode))
    return "\n".join(parts)


FLAGS_HEADER = """\
// syscall_flags.stp: numbers of system calls as their names. Made by tools/syscalls.py: edit that.

%{
#include "tapset_flags.h"
%}
"""
FLAGS_FUNCTION = """\
function __flags_{kind}:string(value:long)
%{{ /* pure */ /* unprivileged */
	static const struct tapset_flag names[] = {{
{rows}	}};

	{call};
%}}
"""
CALLS_HEADER = """\
// syscalls.stp: the system calls. Made by tools/syscalls.py from tools/syscalls.table: edit those.
//
// Each call has `name`, `argstr` (its arguments as text) and a variable per argument; each .return has
// `name`, `retval` and `retstr`. Arguments are the caller's own, as it put them into its registers.
"""
TRACED_HEADER = """\
// tp_syscalls.stp: the system calls by tracepoints. Made by tools/syscalls.py from tools/syscalls.table: edit those.
//
// They have the variables of syscall.*. Every system call of every program reaches the probe, which
// leaves at once where the number is another's: for more than a few of them syscall.* is cheaper.
"""


def main(arguments: list[str]) -> int:
    """Writes both files, or with --check tells whether they are as they should be."""
    calls = [
        parse(line)
        for line in (HERE / "syscalls.table").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    CLAIMED.update(f for c in calls if c.prefixes != PREFIXES[""] for f in c.symbols())
    text = CALLS_HEADER + "".join(
        "\n" + entry(call) + ("" if call.name in NO_RETURN else "\n" + result(call)) for call in calls
    )
    traced = TRACED_HEADER + "".join(f"\n{trace_entry(c)}\n{trace_result(c)}" for c in calls if c.numbers())
    for missing in (c.name for c in calls if not c.numbers()):
        print(f"syscalls.numbers has no number for {missing}", file=sys.stderr)
    stale = 0
    files = {"x86_64/syscalls.stp": text, "x86_64/tp_syscalls.stp": traced, "syscall_flags.stp": flags()}
    for path, content in ((OUTPUT / name, content) for name, content in files.items()):
        if "--check" in arguments:
            stale += path.read_text() != content
        else:
            path.write_text(content)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
