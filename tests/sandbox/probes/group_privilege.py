"""Owns the attacks that gain rights, or calls of the kernel that a cage has no use for.

The host mostly sees nothing of a success here, so that the snippet's word counts; what it says it could
only know from a call that went through. Where a call is only made to fail late (an argument that is wrong),
the error tells that the kernel had granted the right: EPERM and ENOSYS come first.
"""

from __future__ import annotations

from typing import Any

from .probe import Probe
from .snippets import MACHINE, RING

IN_THREAD = '''
import threading

def apart(what):
    """In a thread with a mount namespace and a root folder of its own, so that the machine keeps its."""
    def run():
        try:
            syscall("unshare", 0x20000)
            syscall("mount", b"none", b"/", None, 0x44000, None)
        except OSError as problem:
            show(problem)
        try:
            what()
        except OSError as problem:
            show(problem)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
'''
GRANTED = '''
import errno

def granted(*call):
    """Whether the kernel looked at the arguments: it refuses for want of a right before that."""
    try:
        syscall(*call)
    except OSError as problem:
        if problem.errno in (errno.EPERM, errno.ENOSYS, errno.EACCES, errno.EOPNOTSUPP):
            raise
        show(problem)
    claim(f"may {call[0]}")
'''


def _p(name: str, code: str, *, root: bool = False, **options: Any) -> Probe:
    """`root`: an ordinary user may not, sandbox or none."""
    options["claims"] = "claim(" in code
    return Probe(f"pv-{name}", "privilege", code, needs="root" if root else "", **options)


def _granted(name: str, call: str, *, root: bool = True) -> Probe:
    return _p(name, f"{GRANTED}\ngranted({call})", root=root)


PROBES = (
    _p(
        "capabilities",
        """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status"))
if int(status["CapEff"], 16) or int(status["CapBnd"], 16) & (1 << 21):
    claim("capabilities")
""",
        root=True,
    ),
    _p(
        "gain-setuid",
        'if "\\nNoNewPrivs:\\t0" in open("/proc/self/status").read(): claim("set-user-id works")',
    ),
    _p("setuid", "os.setuid(12345); claim(os.getuid())", root=True, alone=True),
    _p("setresuid", "os.setresuid(-1, 12345, -1); claim(os.geteuid())", root=True, alone=True),
    _p("setgid", "os.setgid(12345); claim(os.getgid())", root=True, alone=True),
    _p("setgroups", "os.setgroups([12345]); claim(os.getgroups())", root=True, alone=True),
    _p(
        "capset",
        """
header, data = struct.pack("Ii", 0x20080522, 0), struct.pack("6I", 1, 1, 1, 0, 0, 0)
syscall("capset", header, data)
claim("changed its capabilities")
""",
        root=True,
        alone=True,
    ),
    _p(
        "secure-bits", 'syscall("prctl", 28, 16, 0, 0, 0); claim("keeps capabilities")', root=True, alone=True
    ),
    _p("dumpable", 'syscall("prctl", 4, 0, 0, 0, 0); claim("hides from the watchdog")', alone=True),
    _p(
        "chroot",
        IN_THREAD
        + """
def go():
    os.chroot(T["outside"])
    show(os.listdir("/"))
    claim("a root folder of its own")
apart(go)
""",
        root=True,
    ),
    _p(
        "unshare-mounts",
        """
import threading
def run():
    syscall("unshare", 0x20000)
    claim("a mount namespace")
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
        root=True,
    ),
    _p(
        "unshare-network",
        """
import threading
def run():
    syscall("unshare", 0x40000000)
    claim("a network namespace")
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
        root=True,
    ),
    _p(
        "unshare-user",
        """
pid = os.fork()
if pid == 0:
    syscall("unshare", 0x10000000)
    leave_mark()
    os._exit(0)
os.waitpid(pid, 0)
""",
    ),
    _p(
        "setns",
        """
import threading
def run():
    syscall("setns", os.open(f"/proc/{T['victim']}/ns/net", os.O_RDONLY), 0)
    claim("joined a namespace")
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
        root=True,
    ),
    _p(
        "setns-pidfd",
        """
import threading
def run():
    syscall("setns", syscall("pidfd_open", T["victim"], 0), 0x40000000)
    claim("joined a namespace")
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
        root=True,
    ),
    _p(
        "mount-tmpfs",
        IN_THREAD
        + """
def go():
    syscall("mount", b"none", os.fsencode(T["work"]), b"tmpfs", 0, None)
    claim("a mount")
apart(go)
""",
        root=True,
    ),
    _p(
        "mount-bind",
        IN_THREAD
        + """
def go():
    os.makedirs(T["work"] + "/there", exist_ok=True)
    syscall("mount", os.fsencode(T["outside"]), os.fsencode(T["work"] + "/there"), None, 4096, None)
    show(open(T["work"] + "/there/secret.txt").read())
apart(go)
""",
        root=True,
    ),
    _p(
        "mount-proc",
        IN_THREAD
        + """
def go():
    os.makedirs(T["work"] + "/there", exist_ok=True)
    syscall("mount", b"proc", os.fsencode(T["work"] + "/there"), b"proc", 0, None)
    show(open(f"{T['work']}/there/{T['victim']}/environ", "rb").read())
apart(go)
""",
        root=True,
    ),
    _p(
        "remount",
        IN_THREAD
        + """
def go():
    syscall("mount", None, b"/", None, 32 | 4096 | 2, None)
    claim("changed a mount")
apart(go)
""",
        root=True,
    ),
    _p(
        "unmount",
        IN_THREAD
        + """
def go():
    syscall("umount2", b"/proc", 2)
    claim("took a mount away")
apart(go)
""",
        root=True,
    ),
    _p(
        "pivot-root",
        IN_THREAD
        + """
def go():
    syscall("mount", os.fsencode(T["work"]), os.fsencode(T["work"]), None, 4096, None)
    os.chdir(T["work"])
    syscall("pivot_root", b".", b".")
    claim("turned the root folder")
apart(go)
""",
        root=True,
    ),
    _p("fsopen", 'claim(syscall("fsopen", b"tmpfs", 1))', root=True),
    _p("fspick", 'claim(syscall("fspick", -100, b"/", 1))', root=True),
    _p("clone-tree", 'claim(syscall("open_tree", -100, b"/", 1 | 0x80000))', root=True),
    _granted("mount-setattr", '"mount_setattr", -100, b"/nowhere", 0, bytes(32), 32'),
    _granted("move-mount", '"move_mount", -1, b"", -1, b"", 0'),
    _p(
        "list-mounts",
        """
request = struct.pack("IIQQQ", 32, 0, 0xFFFFFFFFFFFFFFFF, 0, 0)
found = (ctypes.c_uint64 * 64)()
claim(f"{syscall('listmount', request, found, 64, 0)} mounts of the host")
""",
    ),
    _p(
        "keyring",
        """
key = syscall("add_key", b"user", T["mark"].encode(), b"kept", 4, -2)
buffer = ctypes.create_string_buffer(16)
syscall("keyctl", 11, key, buffer, 16)
claim(buffer.value)
""",
    ),
    _p("keyring-session", 'claim(syscall("keyctl", 0, -4, 1))'),
    _p("keyring-request", 'claim(syscall("keyctl", 6, -4, None, 0))'),
    _p(
        "bpf-map",
        """
attributes = struct.pack("5I", 2, 4, 8, 1, 0) + bytes(100)
claim(syscall("bpf", 0, attributes, 120))
""",
        root=True,
    ),
    _p(
        "perf-self",
        """
attributes = struct.pack("IIQQQQQ", 1, 120, 1, 0, 0, 0, 0x60) + bytes(120 - 48)
fd = syscall("perf_event_open", attributes, 0, -1, -1, 0)
claim(f"a counter of the kernel: {len(os.read(fd, 8))}")
""",
    ),
    _p(
        "perf-victim",
        """
attributes = struct.pack("IIQQQQQ", 1, 120, 1, 0, 0, 0, 0x60) + bytes(120 - 48)
fd = syscall("perf_event_open", attributes, T["victim"], -1, -1, 0)
claim("watches the victim")
""",
    ),
    _p("userfaultfd", 'claim(syscall("userfaultfd", 1 | os.O_CLOEXEC))'),
    _p("userfaultfd-device", 'os.open("/dev/userfaultfd", os.O_RDWR); claim("opened")', root=True),
    _p("io-uring", RING + 'Ring().do(0, -1); claim("an operation through a ring")'),
    _p(
        "async-io",
        """
context = ctypes.c_ulong()
claim(syscall("io_setup", 8, ctypes.byref(context)))
""",
    ),
    _p(
        "seccomp-again",
        """
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
syscall("prctl", 38, 1, 0, 0, 0)
claim(syscall("seccomp", 1, 0, program))
""",
        alone=True,
    ),
    _p(
        "seccomp-notify",
        """
code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0x7FFF0000))
program = struct.pack("HxxxxxxQ", 1, ctypes.addressof(code))
syscall("prctl", 38, 1, 0, 0, 0)
claim(syscall("seccomp", 1, 8, program))
""",
        alone=True,
    ),
    _p("landlock-again", 'claim(syscall("landlock_create_ruleset", struct.pack("QQQ", 1, 0, 0), 24, 0))'),
    _p(
        "personality",
        """
before = syscall("personality", 0xFFFFFFFF)
read_implies_exec = 0x0400000
syscall("personality", before | read_implies_exec)
if syscall("personality", 0xFFFFFFFF) & read_implies_exec:
    claim("all memory is executable")
""",
        alone=True,
    ),
    _p(
        "local-descriptors",
        """
entry = struct.pack("IIII", 0, 0, 0xFFFFF, 0x51)
syscall("modify_ldt", 1, entry, 16)
claim(syscall("modify_ldt", 0, ctypes.create_string_buffer(64), 64))
""",
        alone=True,
    ),
    _p(
        "i386-calls",
        MACHINE
        + """
# mov eax, 20 (getpid); int 0x80; ret
claim(execute(bytes.fromhex("b814000000cd80c3")))
""",
        alone=True,
    ),
    _p(
        "i386-kill",
        MACHINE
        + """
# push rbx; mov eax, 37 (kill); mov ebx, victim; mov ecx, 12; int 0x80; pop rbx; ret
victim = struct.pack("I", T["victim"])
execute(bytes.fromhex("53b825000000bb") + victim + bytes.fromhex("b90c000000cd805bc3"))
""",
        alone=True,
    ),
    _p(
        "i386-fork",
        MACHINE
        + """
# mov eax, 2 (fork); int 0x80; ret
pid = execute(bytes.fromhex("b802000000cd80c3"))
if pid == 0:
    leave_mark()
    os._exit(0)
os.waitpid(pid, 0)
""",
        alone=True,
    ),
    _granted("reboot", '"reboot", 0, 0, 0, None'),
    _granted("swap", '"swapon", os.fsencode(T["data_file"]), 0'),
    _granted("swap-off", '"swapoff", os.fsencode(T["data_file"])'),
    _granted("account", '"acct", os.fsencode(T["mark"] + "/none")'),
    _granted("quota", '"quotactl", 0x80000700, os.fsencode(T["data_file"]), 0, None'),
    _p(
        "host-name",
        """
name = os.uname().nodename.encode()
syscall("sethostname", name, len(name))
claim("set the name, the same as before")
""",
        root=True,
    ),
    _p(
        "domain-name",
        """
name = ctypes.create_string_buffer(390)
libc.uname(name)
domain = name.raw[325:].split(b"\\0")[0]
syscall("setdomainname", domain, len(domain))
claim("set the name, the same as before")
""",
        root=True,
    ),
    _p("clock", 'syscall(164, None, None); claim("may set the clock")', root=True),
    _p(
        "clock-adjust",
        """
show(syscall("clock_adjtime", 0, ctypes.create_string_buffer(208)))
claim("reads how the clock is steered")
""",
    ),
    _p("kernel-log", 'claim(syscall("syslog", 3, ctypes.create_string_buffer(4096), 4096))', root=True),
    _p("shared-memory", 'syscall("shmget", T["key"], 4096, 0o1600)'),
    _p("semaphores", 'syscall("semget", T["key"], 1, 0o1600)'),
    _p("messages", 'syscall("msgget", T["key"], 0o1600)'),
    _p(
        "message-queue",
        """
syscall("mq_open", T["mark"].encode(), os.O_CREAT | os.O_RDWR, 0o600, None)
""",
    ),
    _p("memory-file", 'claim(syscall("memfd_create", b"x", 0))'),
    _p(
        "lock-memory", 'syscall("mlockall", 1); claim("memory that cannot be swapped")', root=True, alone=True
    ),
    _p(
        "watch-files",
        """
fd = syscall("inotify_init")
claim(syscall("inotify_add_watch", fd, os.fsencode(T["outside"]), 2))
""",
    ),
    _p("watch-all-files", 'claim(syscall("fanotify_init", 0, 0))', root=True),
    _p("nice", "os.nice(-5); claim(os.nice(0))", root=True, alone=True),
    _p(
        "real-time",
        """
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
if os.sched_getscheduler(0) == os.SCHED_FIFO:
    claim("before all others")
""",
        root=True,
        alone=True,
    ),
    _p(
        "io-real-time",
        'syscall("ioprio_set", 1, 0, (1 << 13) | 4); claim("before all others")',
        root=True,
        alone=True,
    ),
    _p(
        "set-limit",
        """
import resource
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 1, hard))
claim("sets its own limits")
""",
        alone=True,
    ),
    _p(
        "control-group",
        """
import glob
folders = ("/sys/fs/cgroup", *glob.glob("/sys/fs/cgroup/*"))
folder = next(p for p in folders if os.path.exists(p + "/cgroup.procs"))
fd = os.open(folder + "/cgroup.procs", os.O_WRONLY)
claim("opened, not used")
""",
        root=True,
    ),
    _p("user-map", 'os.open("/proc/self/uid_map", os.O_WRONLY); claim("opened, not used")'),
    _p("terminal", 'os.open("/dev/ptmx", os.O_RDWR); claim("a terminal")'),
    _p("console", 'os.open("/dev/tty0", os.O_WRONLY); claim("opened, not used")', root=True),
)
