"""Owns the system calls that code in the cage may make: one allow-list, what is on no list does not exist.

Why a call is where it is, is said beside it. The threats are in docs/security.md.
"""

from __future__ import annotations

import os
from errno import EBUSY, EINVAL, ENOMEM, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM
from typing import NamedTuple

from .bpf import ALLOW, Block, fails, has_any, is_null, is_one_of
from .bpf import program as assemble
from .syscalls import machine

DENY = fails(EPERM)
ABSENT = fails(ENOSYS)
"""As on a kernel without the call, so that libraries fall back to an older one."""

_ALLOWED = """
read write pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 close lseek
stat fstat lstat newfstatat statx statfs fstatfs access faccessat faccessat2 getdents getdents64
readlink readlinkat getcwd chdir fchdir rmdir unlink unlinkat rename renameat umask
ftruncate fallocate fsync fdatasync flock fadvise64 copy_file_range
mprotect munmap mremap brk mincore msync membarrier
futex futex_waitv set_robust_list rseq sched_yield sched_getaffinity sched_getparam sched_getscheduler
sched_get_priority_max sched_get_priority_min
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigsuspend rt_sigtimedwait sigaltstack pause
restart_syscall nanosleep gettimeofday time times alarm
getitimer setitimer timer_settime timer_gettime timer_getoverrun timer_delete
timerfd_create timerfd_settime timerfd_gettime
getpid getppid gettid getpgrp getuid geteuid getgid getegid getresuid getresgid getgroups
uname sysinfo getcpu getrandom getrusage getrlimit set_tid_address exit exit_group wait4 waitid
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
eventfd eventfd2 signalfd signalfd4 pipe dup dup2 dup3
recvfrom shutdown getsockname getpeername accept accept4
"""

# Landlock does not know these; shutil and tarfile cannot do without them, and a cage of root's must not leave
# a setuid file in the workspace. libzmq aborts when a thread cannot set its scheduling.
_PRETENDED = """
chmod fchmod fchmodat fchmodat2 utime utimes utimensat futimesat sched_setscheduler
"""

# shutil.copy2 tolerates this error of an extended attribute, and no other.
_UNSUPPORTED = """
setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
removexattr lremovexattr fremovexattr
"""

# What a program may try for an honest reason, and should be told about in so many words.
_DENIED = """
bind listen connect sendmsg recvmsg sendmmsg recvmmsg fork vfork execve execveat
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease pidfd_open pidfd_getfd
pidfd_send_signal kcmp tkill rt_sigqueueinfo rt_tgsigqueueinfo
mount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick pivot_root chroot
unshare setns open_by_handle_at quotactl quotactl_fd swapon swapoff
bpf perf_event_open io_uring_setup io_uring_enter io_uring_register userfaultfd keyctl add_key request_key
setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset capget
setsid setpgid setrlimit setpriority ioprio_set sched_setparam sched_setattr migrate_pages move_pages
chown fchown lchown fchownat link linkat symlink symlinkat mknod mknodat
memfd_create memfd_secret shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
splice vmsplice tee mlock mlock2 munlock mlockall munlockall
inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_init fanotify_mark
seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
init_module finit_module delete_module kexec_load kexec_file_load reboot
settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname syslog acct vhangup
iopl ioperm
"""

_CREATES = 0o100 | 0o20000000  # O_CREAT, __O_TMPFILE: only then open() has a mode
_TRUNCATES, _ACCESS = 0o1000, 0o3  # O_TRUNC, O_ACCMODE
_SPECIAL_MODE = 0o7000  # setuid, setgid, sticky
_NEW_NAMESPACE = 0x7E020000
_CLONE_FILES, _CLONE_PARENT, _CLONE_THREAD = 0x400, 0x8000, 0x10000


class Rules(NamedTuple):
    """What differs between cages.

    `fork`: processes may be started (still no program). `tcp`: the listening sockets are TCP ones.
    `pid_namespace`: signals cannot leave the cage, so that with `fork` any process may be sent one.
    `truncate`: files may be cut by path; to be False where that reaches any file: Landlock before ABI 3.
    """

    fork: bool = False
    tcp: bool = False
    pid_namespace: bool = False
    truncate: bool = False


def program(rules: Rules, pid: int, architecture: str = "") -> bytes:
    """The filter for the process `pid`, by default for the architecture this runs on."""
    target = machine(architecture)
    calls: dict[str, Block] = {}
    for names, block in (
        (_ALLOWED, ALLOW),
        (_PRETENDED, fails(0)),
        (_UNSUPPORTED, fails(EOPNOTSUPP)),
        (_DENIED, DENY),
    ):
        calls.update(dict.fromkeys(names.split(), block))
    calls |= _files(rules.truncate) | _memory_and_self(pid) | _descriptors(rules.tcp) | _processes(rules, pid)
    numbers = {target.numbers[name]: block for name, block in calls.items() if name in target.numbers}
    return assemble(target.audit, numbers, ABSENT)


def digest(rules: Rules) -> str:
    """What identifies the filter in a report: of the program for pid 0."""
    from hashlib import sha256

    return f"sha256:{sha256(program(rules, 0)).hexdigest()}"


def install(rules: Rules) -> str:
    """Binds every thread of this process to the filter, for good. Returns its digest.

    NO_NEW_PRIVS must be set before. Raises OSError where the kernel cannot filter, or may not for us.
    """
    import ctypes

    from .libc import call

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    identity = digest(rules)
    code = program(rules, os.getpid())
    set_mode_filter, all_threads = 1, 1
    filters = ctypes.byref(Program(len(code) // 8, code))
    other = call("syscall", machine().numbers["seccomp"], set_mode_filter, all_threads, filters)
    if other:
        raise OSError(EBUSY, f"no system-call filter for all threads: thread {other!r} has one of its own")
    return identity


def _files(truncate: bool) -> dict[str, Block]:
    """Nothing with a special mode is made: its owner may be root, and on the host it would work."""

    def plain(mode: int) -> Block:
        return has_any(mode, _SPECIAL_MODE, DENY, ALLOW)

    def opened(flags: int) -> Block:
        """Cutting a file takes the right to write it, which early Landlock does not ask for."""
        cut_unwritten = (_TRUNCATES, _TRUNCATES | _ACCESS)
        created = has_any(flags, _CREATES, plain(flags + 1), ALLOW)
        return is_one_of(flags, cut_unwritten, DENY, created, mask=_TRUNCATES | _ACCESS)

    whiteout = 4  # makes a device node
    return {
        "open": opened(1),
        "openat": opened(2),
        "creat": plain(1),
        "mkdir": plain(1),
        "mkdirat": plain(2),
        "renameat2": has_any(4, whiteout, DENY, ALLOW),
        "truncate": ALLOW if truncate else DENY,
    }


def _memory_and_self(pid: int) -> dict[str, Block]:
    """Calls that reach other processes, held to this one."""
    me = (0, pid)
    mergeable_and_poison = (12, 100, 101)  # pages compared with the host's; broken ones
    names_and_gets = (2, 3, 15, 16, 21, 23, 30, 39, 40, 42)  # not PDEATHSIG, DUMPABLE, SECCOMP, MM ...
    name_a_mapping = 0x53564D41  # allocators try it and take this error for an older kernel
    other = is_one_of(0, (name_a_mapping,), fails(EINVAL), DENY)
    # MAP_HUGETLB: from a pool that the host keeps for its own programs. MAP_GROWSDOWN: counts as stack, which
    # no limit of ours bounds. Shared and anonymous: lives on whole while a single page of it is mapped, so
    # that neither address space nor a look from outside tells its size.
    huge_or_stack, shared_anonymous = 0x40000 | 0x100, 0x21
    mapped = is_one_of(3, (shared_anonymous,), DENY, ALLOW, mask=shared_anonymous)
    return {
        "mmap": has_any(3, huge_or_stack, fails(ENOMEM), mapped),
        "sendfile": fails(
            EINVAL
        ),  # pins pages of files in pipes, where nothing counts them; shutil then copies
        "sched_getattr": is_one_of(0, me, ALLOW, DENY),
        "sched_rr_get_interval": is_one_of(0, me, ALLOW, DENY),
        **dict.fromkeys(("clock_gettime", "clock_getres", "clock_nanosleep", "timer_create"), _clock(pid)),
        "madvise": is_one_of(2, mergeable_and_poison, fails(EINVAL), ALLOW),
        "prlimit64": is_one_of(0, me, is_null(2, ALLOW, DENY), DENY),
        "sched_setaffinity": is_one_of(0, (0,), ALLOW, DENY),
        "getpgid": is_one_of(0, me, ALLOW, DENY),
        "getsid": is_one_of(0, me, ALLOW, DENY),
        "getpriority": is_one_of(0, (0,), is_one_of(1, me, ALLOW, DENY), DENY),
        "prctl": is_one_of(0, names_and_gets, ALLOW, other),
        # ARCH_SET_GS, SET_FS, GET_FS; and whether there is a shadow stack, which C libraries ask.
        "arch_prctl": is_one_of(0, (0x1001, 0x1002, 0x1003, 0x3001), ALLOW, DENY),
    }


def _clock(pid: int) -> Block:
    """No clock of another process: how much processor time it has used. Those of a thread are of our own."""
    of_a_process, kinds = 0x80000000, 0x80000004
    own = [(~number << 3 | kind) & 0xFFFFFFFF for number in (0, pid) for kind in (0, 1, 2)]
    others = is_one_of(0, (of_a_process,), fails(EINVAL), ALLOW, mask=kinds)
    return is_one_of(0, own, ALLOW, others)


def _descriptors(tcp: bool) -> dict[str, Block]:
    unshare = 2  # a table of descriptors that the watchdog would not see
    notifications = 0x80  # a pipe of kernel events
    commands = (*range(8), 36, 37, 38, 1030, 1032, 1033, 1034)  # no owner, signal, lease, pipe size
    terminal = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FION*, FIO(N)CLEX
    clone_a_file = 0x40049409  # pathlib copies the bytes after this error, not after ENOTTY
    fast_open = 0x20000000  # a way to connect
    unix, netlink, stream = 1, 16, 1
    socket_level, tcp_level = 1, 6
    tuning = (2, 9, 13, 15, 20, 21)  # time-outs, linger: what libraries set, on any socket
    of_itself = (2, 3, 4, 7, 8, 9, 13, 20, 21, 30, 38, 39)  # not who the peer is, nor a pidfd of it
    buffers = (7, 8)  # memory of the kernel, megabytes a socket, which no limit counts: their size stays
    no_delay = is_one_of(1, (tcp_level,), is_one_of(2, (1,), ALLOW, DENY), DENY) if tcp else DENY
    not_a_clone = is_one_of(1, (clone_a_file,), fails(EOPNOTSUPP), fails(ENOTTY))
    return {
        "close_range": has_any(2, unshare, DENY, ALLOW),
        "pipe2": has_any(1, notifications, DENY, ALLOW),
        "fcntl": is_one_of(1, commands, ALLOW, DENY),
        "ioctl": is_one_of(1, terminal, ALLOW, not_a_clone),
        "socket": is_one_of(0, (netlink,), fails(EOPNOTSUPP), DENY),
        "socketpair": is_one_of(0, (unix,), is_one_of(1, (stream,), ALLOW, DENY, mask=0xF), DENY),
        "sendto": is_null(4, has_any(3, fast_open, DENY, ALLOW), DENY),
        "getsockopt": is_one_of(
            1, (socket_level,), is_one_of(2, of_itself, ALLOW, fails(EOPNOTSUPP)), fails(EOPNOTSUPP)
        ),
        "setsockopt": is_one_of(
            1, (socket_level,), is_one_of(2, buffers, fails(0), is_one_of(2, tuning, ALLOW, DENY)), no_delay
        ),
    }


def _processes(rules: Rules, pid: int) -> dict[str, Block]:
    """A thread shares the table of descriptors, or the watchdog would not see what it holds open.

    clone3 hides its flags behind a pointer; without it the C library takes clone.
    """
    forbidden = _NEW_NAMESPACE | _CLONE_THREAD | _CLONE_PARENT | _CLONE_FILES | 0x80
    process = has_any(0, forbidden, DENY, ALLOW) if rules.fork else DENY
    thread = _CLONE_THREAD | _CLONE_FILES
    calls = {"clone": is_one_of(0, (thread,), ALLOW, process, mask=_NEW_NAMESPACE | thread)}
    if rules.fork:
        calls |= dict.fromkeys(("fork", "vfork"), ALLOW)
    if rules.fork and rules.pid_namespace:
        # A semaphore is made with a link in /dev/shm. Out of the session's own mounts no link can lead.
        return calls | dict.fromkeys(("kill", "tgkill", "link", "linkat"), ALLOW)
    return calls | {
        "kill": is_one_of(0, (pid, -pid), ALLOW, DENY),
        "tgkill": is_one_of(0, (pid,), ALLOW, DENY),
    }
