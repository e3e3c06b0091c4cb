"""Owns what every snippet may use inside the kernel. Its source is put before the snippet: keep it small.

`T` is assigned before it. x86_64 only, as the snippets with raw system calls are.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct  # noqa: F401  # for the snippets
import sys
import time

T: dict = globals().get("T", {})  # type: ignore[type-arg]  # runs as a cell; the targets come from the host
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
# Keeps the interpreter's lock, which a child that was made without Python's knowledge could not get back.
held = ctypes.PyDLL(None, use_errno=True)
held.syscall.restype = ctypes.c_long
_NUMBERS = """
accept=43 acct=163 add_key=248 arch_prctl=158 bind=49 bpf=321 cachestat=451 capset=126 chdir=80
chmod=90 chown=92 chroot=161 clock_adjtime=305 clock_settime=227 clone=56 clone3=435 close=3
connect=42 copy_file_range=326 creat=85 delete_module=176 execve=59 execveat=322 exit_group=231
fallocate=285 fanotify_init=300 fchmod=91 fchmodat=268 fchmodat2=452 fchownat=260 fcntl=72
finit_module=313 fork=57 fsconfig=431 fsetxattr=190 fsmount=432 fsopen=430 fspick=433 gettid=186
init_module=175 inotify_add_watch=254 inotify_init=253 io_setup=206 io_submit=209 io_uring_enter=426
io_uring_register=427 io_uring_setup=425 ioctl=16 ioperm=173 iopl=172 ioprio_set=251 kcmp=312
kexec_load=246 keyctl=250 kill=62 landlock_add_rule=445 landlock_create_ruleset=444
landlock_restrict_self=446 lchown=94 link=86 linkat=265 listen=50 listmount=458
lsm_get_self_attr=459 map_shadow_stack=453 mbind=237 memfd_create=319 memfd_secret=447
migrate_pages=256 mkdir=83 mkdirat=258 mknod=133 mknodat=259 mlock=149 mlockall=151 mmap=9
modify_ldt=154 mount=165 mount_setattr=442 move_mount=429 move_pages=279 mprotect=10 mq_open=240
msgget=68 name_to_handle_at=303 open=2 open_by_handle_at=304 open_tree=428 open_tree_attr=467
openat=257 openat2=437 perf_event_open=298 personality=135 pidfd_getfd=438 pidfd_open=434
pidfd_send_signal=424 pivot_root=155 pkey_alloc=330 prctl=157 prlimit64=302 process_madvise=440
process_mrelease=448 process_vm_readv=310 process_vm_writev=311 ptrace=101 quotactl=179
quotactl_fd=443 read=0 readlink=89 reboot=169 recvmsg=47 removexattr=197 rename=82 renameat=264
renameat2=316 request_key=249 rt_sigqueueinfo=129 rt_tgsigqueueinfo=297 sched_setaffinity=203
sched_setattr=314 sched_setparam=142 sched_setscheduler=144 seccomp=317 semget=64 sendfile=40
sendmmsg=307 sendmsg=46 sendto=44 set_mempolicy_home_node=450 setdomainname=171 setgid=106
setgroups=116 sethostname=170 setns=308 setpgid=109 setpriority=141 setresuid=117 setreuid=113
setrlimit=160 setsid=112 setsockopt=54 setuid=105 setxattr=188 setxattrat=463 shmat=30 shmget=29
socket=41 socketpair=53 splice=275 statmount=457 statx=332 swapoff=168 swapon=167 symlink=88
symlinkat=266 syslog=103 tee=276 tgkill=234 timer_create=222 timer_settime=223 tkill=200 truncate=76
umount2=166 unlink=87 unshare=272 uselib=134 userfaultfd=323 utimensat=280 utimes=235 vfork=58
vmsplice=278 wait4=61 waitid=247 write=1
"""
NR = {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", _NUMBERS)}


def syscall(name, *args):  # type: ignore[no-untyped-def]  # runs as a cell
    """A raw system call. Returns its value; raises OSError. `name`: of NR, or a number."""
    words = [
        a if isinstance(a, bytes | ctypes._SimpleCData) or not isinstance(a, int) else ctypes.c_long(a)
        for a in args
    ]
    makes = name in ("fork", "vfork", "clone", "clone3")
    if makes:  # Nobody asks for the lock meanwhile: the child could give it to nobody.
        sys.setswitchinterval(1000)
        time.sleep(0.02)
    call = (held if makes else libc).syscall
    value = call(ctypes.c_long(NR.get(name, name)), *words)
    if makes:
        sys.setswitchinterval(0.005)
    if value < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(name))
    return value


def show(value):  # type: ignore[no-untyped-def]  # runs as a cell
    """Prints bytes or text, so that the host finds a secret in it."""
    text = value.decode("latin-1") if isinstance(value, bytes | bytearray | memoryview) else str(value)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def claim(words):  # type: ignore[no-untyped-def]  # runs as a cell
    """Says that something succeeded that the host cannot see. Counts only for probes with `claims`."""
    show(f"\n{T['claim']}: {words}\n")


def leave_mark():  # type: ignore[no-untyped-def]  # runs as a cell
    """For a second process to call: writes the marker file."""
    fd = os.open(T["marker"], os.O_CREAT | os.O_WRONLY, 0o600)
    os.write(fd, b"a second process was here")
    os.close(fd)
