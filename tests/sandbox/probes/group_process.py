"""Owns the attacks that start programs or processes, or reach those of the host."""

from __future__ import annotations

from typing import Any

from .probe import Probe

CHILD = """
def in_child(pid):
    \"\"\"For what returns twice.\"\"\"
    if pid == 0:
        leave_mark()
        os._exit(0)
    os.waitpid(pid, 0)
"""
ATTACH = """
def stopped():
    for _ in range(200):
        if "\\nState:\\tt" in open(f"/proc/{T['victim']}/status").read():
            return
        import time; time.sleep(0.005)
"""


def _p(name: str, code: str, **options: Any) -> Probe:
    return Probe(f"pr-{name}", "process", code, **options)


PROBES = (
    _p("subprocess", 'import subprocess; subprocess.run([T["tools"]["touch"], T["marker"]])'),
    _p("subprocess-shell", "import subprocess; subprocess.run(f\"touch {T['marker']}\", shell=True)"),
    _p(
        "subprocess-python",
        """
import subprocess
subprocess.run([T["python"], "-I", "-c", f"open({T['marker']!r}, 'w')"])
""",
    ),
    _p("os-system", "os.system(f\"touch {T['marker']}\")"),
    _p("os-popen", "os.popen(f\"touch {T['marker']}\").read()"),
    _p("libc-system", "libc.system(f\"touch {T['marker']}\".encode())"),
    _p(
        "libc-popen",
        """
libc.popen.restype = ctypes.c_void_p
file = libc.popen(f"touch {T['marker']}".encode(), b"r")
file and libc.pclose(ctypes.c_void_p(file))
""",
    ),
    _p(
        "wordexp",
        """
buffer = ctypes.create_string_buffer(64)
libc.wordexp(f"$(touch {T['marker']})".encode(), buffer, 0)
""",
    ),
    _p(
        "posix-spawn",
        """
tool = T["tools"]["touch"]
os.waitpid(os.posix_spawn(tool, [tool, T["marker"]], {}), 0)
""",
    ),
    _p("spawn", 'os.spawnv(os.P_WAIT, T["tools"]["touch"], ["touch", T["marker"]])'),
    _p("exec", 'os.execv(T["tools"]["touch"], ["touch", T["marker"]])', alone=True),
    _p(
        "exec-self",
        """
os.execv(T["python"], ["python", "-I", "-c", f"open({T['marker']!r}, 'w')"])
""",
        alone=True,
    ),
    _p(
        "exec-proc-self",
        """
os.execv("/proc/self/exe", ["python", "-I", "-c", f"open({T['marker']!r}, 'w')"])
""",
        alone=True,
    ),
    _p(
        "exec-loader",
        """
import glob
loader = next(iter(glob.glob("/lib*/ld-linux*") + glob.glob("/lib/*/ld-linux*")))
os.execv(loader, ["ld", T["tools"]["touch"], T["marker"]])
""",
        alone=True,
    ),
    _p(
        "exec-thread",
        """
import threading, time
tool = T["tools"]["touch"]
threading.Thread(target=lambda: os.execv(tool, ["touch", T["marker"]])).start()
time.sleep(1)
""",
        alone=True,
    ),
    _p(
        "exec-memory",
        """
fd = syscall("memfd_create", b"x", 0)
os.write(fd, open(T["tools"]["touch"], "rb").read())
os.execve(fd, ["touch", T["marker"]], {})
""",
        alone=True,
    ),
    _p(
        "execveat-memory",
        """
fd = syscall("memfd_create", b"x", 0)
os.write(fd, f"#!/bin/sh\\ntouch {T['marker']}\\n".encode())
arguments = (ctypes.c_char_p * 2)(b"x", None)
syscall("execveat", fd, b"", arguments, None, 0x1000)
""",
        alone=True,
    ),
    _p(
        "exec-script",
        """
with open("run.sh", "w") as file:
    file.write(f"#!/bin/sh\\ntouch {T['marker']}\\n")
os.chmod("run.sh", 0o755)
os.execv("./run.sh", ["run.sh"])
""",
        alone=True,
    ),
    _p(
        "exec-copy",
        """
import subprocess
with open("tool", "wb") as file:
    file.write(open(T["tools"]["touch"], "rb").read())
fd = os.open("created", os.O_CREAT | os.O_WRONLY, 0o755)
os.write(fd, open("tool", "rb").read())
os.close(fd)
subprocess.run(["./created", T["marker"]])
""",
    ),
    _p("fork", CHILD + "in_child(os.fork())"),
    _p("forkpty", CHILD + "in_child(os.forkpty()[0])"),
    _p("libc-fork", CHILD + "in_child(held.fork())"),
    _p("raw-fork", CHILD + 'in_child(syscall("fork"))'),
    _p("raw-clone", CHILD + 'in_child(syscall("clone", 17, 0, 0, 0, 0))'),
    _p(
        "raw-clone3",
        CHILD
        + """
arguments = struct.pack("11Q", 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
in_child(syscall("clone3", arguments, 88))
""",
    ),
    _p(
        "clone-parent",
        CHILD
        + """
parent_too = 0x8000
in_child(syscall("clone", 17 | parent_too, 0, 0, 0, 0))
""",
    ),
    _p("clone-newuser", CHILD + 'in_child(syscall("clone", 17 | 0x10000000, 0, 0, 0, 0))'),
    _p(
        "clone-shared-memory",
        """
# A process that shares memory, on a stack of its own: vfork without the wait.
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
def child(_):
    leave_mark()
    return 0
stack = ctypes.create_string_buffer(1 << 20)
top = ctypes.c_void_p((ctypes.addressof(stack) + (1 << 20) - 64) & ~15)
clone_vm, clone_vfork = 0x100, 0x4000
pid = libc.clone(libc.write, top, clone_vm | clone_vfork | 17, ctypes.c_void_p(-1))
if pid > 0:
    os.waitpid(pid, 0)
    claim("a process with our memory")
""",
        claims=True,
        alone=True,
    ),
    _p(
        "clone-own-files",
        """
# Its open files would not be seen by a watchdog.
stack = ctypes.create_string_buffer(1 << 20)
top = ctypes.c_void_p((ctypes.addressof(stack) + (1 << 20) - 64) & ~15)
vm, sighand, thread = 0x100, 0x800, 0x10000
tid = libc.clone(libc.pause, top, vm | sighand | thread, None)
if tid > 0:
    claim("a thread with files of its own")
""",
        claims=True,
        alone=True,
    ),
    _p(
        "unshare-files",
        """
import threading
def unshare():
    syscall("unshare", 0x400)
    claim("a thread with files of its own")
thread = threading.Thread(target=unshare)
thread.start()
thread.join()
""",
        claims=True,
        alone=True,
    ),
    _p(
        "multiprocessing-fork",
        """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=leave_mark)
process.start()
process.join(2)
""",
    ),
    _p(
        "multiprocessing-spawn",
        """
import multiprocessing
process = multiprocessing.get_context("spawn").Process(target=os.mkdir, args=(T["marker"],))
process.start()
process.join(3)
""",
    ),
    _p(
        "forkserver",
        """
import multiprocessing
process = multiprocessing.get_context("forkserver").Process(target=os.mkdir, args=(T["marker"],))
process.start()
process.join(3)
""",
        alone=True,
    ),
    _p(
        "process-pool",
        """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
    pool.submit(leave_mark).result(2)
""",
    ),
    _p("pty-spawn", 'import pty; pty.spawn([T["tools"]["touch"], T["marker"]])'),
    _p("shell-magic", "get_ipython().system('touch ' + T['marker'])"),
    _p(
        "asyncio-subprocess",
        """
import asyncio
process = await asyncio.create_subprocess_exec(T["tools"]["touch"], T["marker"])
await process.wait()
""",
    ),
    _p(
        "daemon",
        """
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    leave_mark()
    import time
    time.sleep(20)
    os._exit(0)
os.waitpid(pid, 0)
""",
    ),
    _p(
        "outlive-supervisor",
        """
import signal
syscall("prctl", 1, 0, 0, 0, 0)
for number in (1, 2, 15):
    signal.signal(number, signal.SIG_IGN)
""",
        alone=True,
        end="kill supervisor",
    ),
    _p(
        "outlive-supervisor-daemon",
        """
import time
if os.fork() == 0:
    os.setsid()
    syscall("prctl", 1, 0, 0, 0, 0)
    time.sleep(20)
    os._exit(0)
""",
        alone=True,
        end="kill supervisor",
    ),
    _p(
        "subreaper",
        """
syscall("prctl", 36, 1, 0, 0, 0)
claim("adopts orphans")
""",
        claims=True,
        alone=True,
    ),
    _p(
        "new-session",
        """
libc.setsid() == -1 and libc.setpgid(0, T["victim"])
group = os.getpgrp()
if os.fork() == 0:
    os.setsid()
    leave_mark()
    os._exit(0)
""",
    ),
    _p("kill-victim", 'os.kill(T["victim"], 9)'),
    _p("terminate-victim", 'os.kill(T["victim"], 15)'),
    _p("stop-victim", 'os.kill(T["victim"], 19)'),
    _p("signal-victim", 'os.kill(T["victim"], 12)'),
    _p("raw-kill", 'syscall("kill", T["victim"], 12)'),
    _p("kill-group", 'os.killpg(T["victim"], 12)'),
    # SIGURG is ignored by everybody but the victim; as root it would go to every process of the machine
    _p("kill-all", "os.kill(-1, 23)", needs="user"),
    _p("tgkill", 'syscall("tgkill", T["victim"], T["victim_tid"], 12)'),
    _p("tkill", 'syscall("tkill", T["victim_tid"], 12)'),
    _p(
        "sigqueue",
        """
info = struct.pack("iii", 12, 0, -1) + bytes(116)
syscall("rt_sigqueueinfo", T["victim"], 12, info)
""",
    ),
    _p(
        "tgsigqueue",
        """
info = struct.pack("iii", 12, 0, -1) + bytes(116)
syscall("rt_tgsigqueueinfo", T["victim"], T["victim_tid"], 12, info)
""",
    ),
    _p(
        "pidfd",
        """
fd = syscall("pidfd_open", T["victim"], 0)
syscall("pidfd_send_signal", fd, 12, None, 0)
""",
    ),
    _p(
        "proc-pidfd",
        """
fd = os.open(f"/proc/{T['victim']}", os.O_DIRECTORY)
syscall("pidfd_send_signal", fd, 12, None, 0)
""",
    ),
    _p(
        "owner-sigio",
        """
import fcntl
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETOWN, T["victim"])
fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
os.write(write, b"x")
""",
    ),
    _p(
        "owner-signal",
        """
import fcntl
read, write = os.pipe()
fcntl.fcntl(read, fcntl.F_SETSIG, 12)
fcntl.fcntl(read, fcntl.F_SETOWN, T["victim"])
fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
os.write(write, b"x")
""",
    ),
    _p(
        "owner-ex",
        """
import fcntl
read, write = os.pipe()
fcntl.fcntl(read, 15, struct.pack("ii", 1, T["victim"]))
fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC)
os.write(write, b"x")
""",
    ),
    _p(
        "owner-ioctl",
        """
import fcntl, socket
ours, other = socket.socketpair()
fcntl.ioctl(ours, 0x8901, struct.pack("i", T["victim"]))
fcntl.ioctl(ours, 0x5452, struct.pack("i", 1))
other.send(b"x")
""",
    ),
    _p("kill-supervisor", 'os.kill(T["supervisor"], 9)', alone=True),
    _p("stop-supervisor", 'os.kill(T["supervisor"], 19)', alone=True, seconds=2.0),
    _p("kill-parent", "os.kill(os.getppid(), 9)", alone=True),
    _p(
        "ptrace-attach",
        ATTACH
        + """
syscall("ptrace", 16, T["victim"], 0, 0)
stopped()
""",
    ),
    _p("ptrace-seize", 'syscall("ptrace", 0x4206, T["victim"], 0, 0)'),
    _p(
        "ptrace-peek",
        ATTACH
        + """
syscall("ptrace", 16, T["victim"], 0, 0)
stopped()
libc.ptrace.restype = ctypes.c_long
def peek(address):
    return struct.pack("q", libc.ptrace(1, T["victim"], ctypes.c_long(address), None))
show(b"".join(peek(T["victim_address"] + n) for n in range(0, T["victim_length"], 8)))
""",
    ),
    _p(
        "vm-read",
        """
buffer = ctypes.create_string_buffer(T["victim_length"])
local = struct.pack("QQ", ctypes.addressof(buffer), len(buffer))
remote = struct.pack("QQ", T["victim_address"], len(buffer))
syscall("process_vm_readv", T["victim"], local, 1, remote, 1, 0)
show(buffer.raw)
""",
    ),
    _p(
        "vm-write",
        """
buffer = ctypes.create_string_buffer(b"changed")
local = struct.pack("QQ", ctypes.addressof(buffer), 7)
remote = struct.pack("QQ", T["victim_address"], 7)
syscall("process_vm_writev", T["victim"], local, 1, remote, 1, 0)
""",
    ),
    _p(
        "take-descriptor",
        """
pidfd = syscall("pidfd_open", T["victim"], 0)
show(os.pread(syscall("pidfd_getfd", pidfd, T["victim_fd"], 0), 99, 0))
""",
    ),
    _p("limit-files", 'syscall("prlimit64", T["victim"], 7, struct.pack("QQ", 64, 64), None)'),
    _p(
        "limit-memory",
        """
import resource
resource.prlimit(T["victim"], resource.RLIMIT_CORE, (0, 0))
resource.prlimit(T["victim"], resource.RLIMIT_NOFILE, (128, 128))
""",
    ),
    _p(
        "read-limits",
        """
import resource
claim(resource.prlimit(T["victim"], resource.RLIMIT_NOFILE))
""",
        claims=True,
    ),
    _p("priority", 'os.setpriority(os.PRIO_PROCESS, T["victim"], 7)'),
    _p("priority-group", 'os.setpriority(os.PRIO_PGRP, T["victim"], 7)'),
    _p(
        "priority-user",
        """
# of all processes of this user, as they are: nobody's changes
os.setpriority(os.PRIO_USER, os.getuid(), os.getpriority(os.PRIO_PROCESS, T["victim"]))
claim("the priority of every process of the user")
""",
        claims=True,
        needs="user",
    ),
    _p("io-priority", 'syscall("ioprio_set", 1, T["victim"], (3 << 13) | 7)'),
    _p(
        "affinity",
        """
os.sched_setaffinity(T["victim"], {min(os.sched_getaffinity(T["victim"]))})
""",
    ),
    _p("scheduler", 'os.sched_setscheduler(T["victim"], os.SCHED_BATCH, os.sched_param(0))'),
    _p(
        "scheduler-attributes",
        """
attributes = struct.pack("IIQiIQQQ", 48, 5, 0, 0, 0, 0, 0, 0)
syscall("sched_setattr", T["victim"], attributes, 0)
""",
    ),
    _p(
        "compare",
        """
claim(syscall("kcmp", os.getpid(), T["victim"], 1, 0, 0))
""",
        claims=True,
    ),
    _p(
        "advise",
        """
pidfd = syscall("pidfd_open", T["victim"], 0)
vector = struct.pack("QQ", T["victim_address"] & ~4095, 4096)
cold = 20
claim(syscall("process_madvise", pidfd, vector, 1, cold, 0))
""",
        claims=True,
        needs="root",  # CAP_SYS_NICE
    ),
    _p(
        "move-pages",
        """
status = ctypes.c_int()
page = (ctypes.c_void_p * 1)(T["victim_address"] & ~4095)
syscall("move_pages", T["victim"], 1, page, None, ctypes.byref(status), 0)
claim(f"where a page of the victim lies: {status.value}")
""",
        claims=True,
    ),
    _p("group-of-victim", 'claim(os.getpgid(T["victim"]))', claims=True),
    _p("session-of-victim", 'claim(os.getsid(T["victim"]))', claims=True),
    _p("priority-of-victim", 'claim(os.getpriority(os.PRIO_PROCESS, T["victim"]))', claims=True),
)
