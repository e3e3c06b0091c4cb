"""Owns the code of the probes of network, processes, rights and limits, in the format of `doctor_probes`."""

from __future__ import annotations

PROCESSES = r"""
#% network tcp: connect by TCP
socket.create_connection(("127.0.0.1", T["tcp"]), 2).send(b"x")
#% network tcp6 [IPv6]: connect by TCP over IPv6
socket.create_connection(("::1", T["tcp6"]), 2).send(b"x")
#% network urllib: fetch a web page
import urllib.request
urllib.request.urlopen(f"http://127.0.0.1:{T['tcp']}/", timeout=0.2)
#% network asyncio: connect from asyncio
await asyncio.wait_for(asyncio.open_connection("127.0.0.1", T["tcp"]), 2)
#% network fastopen: send without connecting
socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", T["tcp"]))
#% network mptcp [MPTCP]: connect by multipath TCP
socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262).connect(("127.0.0.1", T["tcp"]))
#% network udp: send a datagram
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", T["udp"]))
#% network unix: connect to a socket of the host, such as Docker's
socket.socket(socket.AF_UNIX).connect(T["unix"])
#% network unix-datagram: send a datagram to a socket of the host, such as the system log's
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"x", T["datagram"])
#% network abstract: connect to an abstract socket, such as the desktop's
socket.socket(socket.AF_UNIX).connect("\0" + T["abstract"])
#% network pair: misuse a harmless pair of sockets to send elsewhere
socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0].sendto(b"x", T["datagram"])
#% network inherited: turn the sockets that the kernel has against the host
for fd in range(3, 200):
    try:
        found = socket.socket(fileno=os.dup(fd))
        found.connect(("127.0.0.1", T["tcp"]) if found.family == socket.AF_INET else T["unix"])
    except OSError:
        pass
address = struct.pack("=HH4s8x", 2, socket.htons(T["tcp"]), b"\x7f\0\0\1")
plain = socket.socket()
done(libc.connect(plain.fileno(), address, 16))
#% network listen: open a port
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen()
got(server.getsockname())
#% network netlink: ask for the network's configuration
asker = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
asker.send(struct.pack("=IHHIIB3x", 20, 18, 0x301, 1, 0, 0))
got(len(asker.recv(65536)))
#% network raw [root]: open a raw socket
got(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).fileno())
#% network packet [root]: listen to a network card
got(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).fileno())
#% network vsock [vsock]: open a socket to the virtual machine's host
got(socket.socket(40, socket.SOCK_STREAM).fileno())
#% network crypto [AF_ALG]: open a socket to the kernel's own cryptography
got(socket.socket(38, socket.SOCK_SEQPACKET).fileno())
#% process shell: run a program
os.system("echo > ran")
#% process subprocess: run a program in a process of its own
import subprocess
subprocess.run(["/bin/sh", "-c", "echo > ran"])
#% process spawn: run a program by posix_spawn
os.waitpid(os.posix_spawn("/bin/sh", ["sh", "-c", "echo > ran"], {}), 0)
#% process fork: make a process
child = os.fork()
if not child:
    open("ran", "w").close()
    os._exit(0)
os.waitpid(child, 0)
#% process clone: make a process without Python's knowledge
stack = ctypes.create_string_buffer(65536)
top = ctypes.c_void_p((ctypes.addressof(stack) + 65000) & ~15)
# The child runs C code only: of Python's locks, another thread may hold any.
child = done(libc.clone(libc._exit, top, signal.SIGCHLD, ctypes.c_void_p(7)))
if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7:
    open("ran", "w").close()
#% process daemon: leave a process behind that is nobody's child
child = os.fork()
if not child:
    os.setsid()
    if not os.fork():
        open("ran", "w").close()
    os._exit(0)
os.waitpid(child, 0)
time.sleep(0.2)
#% process multiprocessing: start a worker process
import subprocess
subprocess.run([sys.executable, "-I", "-c", "open('ran', 'w')"], check=True)
#% process memfd: run a program from memory
fd = os.memfd_create("program", 0)
os.write(fd, b"#!/bin/sh\necho > ran\n")
if not (child := os.fork()):
    os.execve(fd, ["program"], {})
os.waitpid(child, 0)
#% process replace: become another program
os.execv("/bin/sh", ["sh", "-c", "echo > ran"])
#% signals term: signal another process
os.kill(T["victim"], signal.SIGUSR1)
#% signals kill: kill it
os.kill(T["victim"], signal.SIGKILL)
#% signals stop: stop it
os.kill(T["victim"], signal.SIGSTOP)
#% signals thread: signal its thread
syscall("tgkill", T["victim"], T["victim"], signal.SIGUSR1)
#% signals queue: signal it with a value
done(libc.sigqueue(T["victim"], signal.SIGUSR1, None))
#% signals pidfd: signal it by descriptor
syscall("pidfd_send_signal", syscall("pidfd_open", T["victim"], 0), signal.SIGUSR1, 0, 0)
#% signals owner: let a pipe of ours signal it
reader, writer = os.pipe()
fcntl.fcntl(reader, fcntl.F_SETOWN, T["victim"])
fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
os.write(writer, b"x")
#% others ptrace: trace another process
def seize():
    syscall("ptrace", 0x4206, T["victim"], 0, 0)
    got("seized")
tracer = threading.Thread(target=seize)  # whose end sets it free again
tracer.start()
tracer.join()
#% others readv: read its memory
out = ctypes.create_string_buffer(64)
local = struct.pack("PN", ctypes.addressof(out), 64)
syscall("process_vm_readv", T["victim"], local, 1, struct.pack("PN", T["address"], 64), 1, 0)
print(out.raw)
#% others getfd: take a descriptor out of it
print(os.pread(syscall("pidfd_getfd", syscall("pidfd_open", T["victim"], 0), T["descriptor"], 0), 200, 0))
#% others nice: lower its priority
os.setpriority(os.PRIO_PROCESS, T["victim"], 7)
#% others affinity: choose its processors
os.sched_setaffinity(T["victim"], {min(os.sched_getaffinity(0))})
#% others limits: change its limits
import resource
resource.prlimit(T["victim"], resource.RLIMIT_NOFILE, (100, 100))
"""

RIGHTS = r"""
#% privilege mount [root]: mount a file system
allowed_but_for(errno.ENODEV, lambda: done(libc.mount(b"none", b".", b"nosuchfs", 0, None)))
#% privilege chroot [root]: change the root folder
os.chroot("/")
got("chroot")
#% privilege namespace: enter a namespace of its own, with all privileges in it
allowed_but_for(errno.EINVAL, lambda: done(libc.unshare(0x10000000)))
#% privilege uts [root]: enter another name space
done(libc.unshare(0x04000000))
got("unshare")
#% privilege hostname [root]: set the name of the host, to what it is
socket.sethostname(socket.gethostname())
got("sethostname")
#% privilege setuid: set a user id
os.setresuid(-1, -1, -1)
got("setresuid")
#% privilege keyring: put a key into the keyring
key = syscall("add_key", b"user", b"codeact-doctor", b"x", 1, -1)
got(key)
syscall("keyctl", 3, key, 0, 0, 0)
#% privilege bpf [root]: load into the kernel
got(syscall("bpf", 0, struct.pack("IIII112x", 2, 4, 4, 1), 128))
#% privilege perf [perf events]: open a performance counter
got(syscall("perf_event_open", struct.pack("IIQ112x", 1, 128, 0), 0, -1, -1, 0))
#% privilege userfaultfd [userfaultfd]: handle page faults of the kernel
got(syscall("userfaultfd", 1))
#% privilege io_uring [io_uring]: open the queue that passes by system call filters
got(syscall("io_uring_setup", 2, bytes(120)))
#% privilege pidfd: take hold of a process by descriptor
got(syscall("pidfd_open", os.getpid(), 0))
#% privilege kcmp [kcmp]: compare with the inside of another process
got(syscall("kcmp", os.getpid(), T["victim"], 1, 0, 0))
#% privilege syslog [root]: read the log of the kernel
got(done(libc.klogctl(10, None, 0)))
#% privilege shm: make shared memory of System V
made = done(libc.shmget(0, 4096, 0o1600))
got(made)
libc.shmctl(made, 0, None)
#% privilege survive: outlive the host program
done(libc.prctl(1, 0, 0, 0, 0))
got("no signal when the parent dies")
#% privilege memfd: make a file that no limit counts
got(os.memfd_create("x"))
#% memory heap: take more memory than the limit
held = bytearray(T["memory"] + (512 << 20))
got(len(held))
#% memory shared: take it as shared memory
got(len(mmap.mmap(-1, 64 << 30, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x4000)))
#% memory file: write a file larger than the limit
open("large", "w").truncate(T["file"] + 1)
#% memory descriptors: open more files than the limit
kept = [os.dup(2) for _ in range(T["files"] + 1)]
got(len(kept))
#% memory threads: start more threads than the limit
stop = threading.Event()
try:
    for _ in range(T["threads"] + 32):
        threading.Thread(target=stop.wait, args=(5,), daemon=True).start()
    time.sleep(1.5)
    got(threading.active_count())
finally:
    stop.set()
#% memory limits: raise a limit of this process
import resource
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
got("setrlimit")
"""
