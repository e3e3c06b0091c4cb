"""Owns attacks on the watchdog itself: on what it reads, on when it looks, on what it does not count.

An independent review found them open. A folder of the user's that was closed before, which the watchdog must
not open, needs a scene of its own: `tests/sandbox/confine/test_watch_disk.py`.
"""

from __future__ import annotations

from typing import Any

from .group_resources import LIMITS
from .probe import Probe

HEAD = """
import mmap, threading, time
number, size_t = ctypes.c_int, ctypes.c_size_t
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, size_t, number, number, number, ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, size_t, number]
libc.fcntl.argtypes = [number, number, ctypes.c_char_p]
"""
MAIN_THREAD_ENDS = """
threading.Thread(target=work).start()
libc.syscall(60, 0)
"""
LOCKS = """
# Each is 200 bytes of the kernel. Many in one file take long to make.
for which in range(20):
    fd = os.open(f"f{which}", os.O_CREAT | os.O_RDWR)
    for n in range(3000, 0, -1):
        if libc.fcntl(fd, COMMAND, struct.pack("hhlli4x", 1, 0, n * 2, 1, 0)):
            raise OSError(ctypes.get_errno(), "fcntl")
time.sleep(3)
claim("60,000 locks")
"""
MANY_FOLDERS = {**LIMITS, "disk_files": 50_000}


def _re(name: str, *code: str, **options: Any) -> Probe:
    options = {"limits": LIMITS, "seconds": 14.0, "claims": True, "alone": True, **options}
    return Probe(f"re-{name}", "resources", HEAD + "".join(code), **options)


PROBES = (
    _re("main-thread-ends-memory", """
def work():
    time.sleep(0.5)
    kept = mmap.mmap(-1, 600 << 20)
    for start in range(0, len(kept), 4096):
        kept[start] = 1
    time.sleep(3)
    claim("600 MiB of shared memory in a process whose main thread has ended, limit 256")
""", MAIN_THREAD_ENDS, seconds=8.0),
    _re("main-thread-ends-disk", """
def work():
    time.sleep(0.5)
    kept = []
    for n in range(12):
        kept.append(open("large", "wb"))
        os.unlink("large")
        for _ in range(25):
            kept[-1].write(bytes(1 << 20))
        kept[-1].flush()
    time.sleep(4)
    claim("300 MiB of disk in files without names, limit 64")
""", MAIN_THREAD_ENDS, seconds=8.0),
    _re("maps-padded", """
# Long names push what comes last out of the list of mappings, as far as it is read.
for n in range(14):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
fd = os.open("long", os.O_CREAT | os.O_RDWR)
os.ftruncate(fd, 4096)
for n in range(2800):
    libc.mmap(0x10000000 + n * 8192, 4096, 1, 0x11, fd, 0)
kept = []
for n in range(12):
    fd = os.open("large", os.O_CREAT | os.O_RDWR)
    kept.append(libc.mmap(0x7F0000000000 + n * 8192, 4096, 1, 0x11, fd, 0))
    os.unlink("large")
    os.posix_fallocate(fd, 0, 25 << 20)
    os.close(fd)
time.sleep(4)
claim("300 MiB of disk behind long names, limit 64")
"""),
    _re("disk-one-page-mapped", """
kept = []
for n in range(12):
    fd = os.open("large", os.O_CREAT | os.O_RDWR)
    kept.append(libc.mmap(None, 4096, 1, 1, fd, 0))
    os.unlink("large")
    for _ in range(25):
        os.write(fd, bytes(1 << 20))
    os.close(fd)
    time.sleep(0.05)
time.sleep(4)
claim("300 MiB of disk behind 12 mapped pages, limit 64")
"""),
    _re("disk-files-mapped", """
kept = []
for n in range(8000):
    fd = os.open("x", os.O_CREAT | os.O_RDWR)
    os.ftruncate(fd, 1)
    kept.append(libc.mmap(None, 4096, 1, 1, fd, 0))
    os.unlink("x")
    os.close(fd)
time.sleep(3)
if ctypes.c_void_p(-1).value not in kept:
    claim("8,000 files that are only mapped, limit 1,000")
"""),
    _re("disk-walker-dodged", """
# The time of access of a folder tells when it has just been counted: what is large moves away then.
for n in range(40):
    os.makedirs(f"p{n}")
    for m in range(200):
        os.close(os.open(f"p{n}/{m}", os.O_CREAT))
names = [name for name in os.listdir(".") if name[0] == "p"]
first, last = names[-1], names[0]
os.mkdir(f"{last}/large")
os.close(os.open(f"{first}/x", os.O_CREAT))
fds = [os.open(f"{last}/large/{n}", os.O_CREAT | os.O_RDWR) for n in range(12)]
stop, moves = False, 0
def seen(folder):
    return os.stat(folder).st_atime_ns
def dodge():
    global moves
    while not stop:
        for here, there in ((last, first), (first, last)):
            was = seen(there)
            while seen(there) == was and not stop:
                time.sleep(0.0005)
            os.rename(f"{here}/large", f"{there}/large")
        moves += 1
thread = threading.Thread(target=dodge)
thread.start()
time.sleep(1)
for fd in fds:
    for _ in range(25):
        os.write(fd, bytes(1 << 20))
    time.sleep(0.2)
time.sleep(5)
stop = True
thread.join()
claim(f"300 MiB on disk, moved out of sight {moves} times, limit 64")
""", seconds=25.0, limits=MANY_FOLDERS),
    _re("disk-start-never-counted", """
# What one session leaves takes long to be counted at the start of the next.
for n in range(10):
    os.mkdir(f"t{n}")
    for m in range(500):
        os.mkdir(f"t{n}/{m}")
""", then=HEAD + """
stop, made = False, 0
def grow():
    global made
    while not stop and made < 5000:
        for n in range(10):
            for m in range(50):
                os.mkdir(f"t{n}/new{made}")
                made += 1
thread = threading.Thread(target=grow)
thread.start()
for n in range(12):
    fd = os.open(f"large{n}", os.O_CREAT | os.O_RDWR)
    for _ in range(25):
        os.write(fd, bytes(1 << 20))
    time.sleep(0.2)
stop = True
thread.join()
time.sleep(2)
claim(f"300 MiB on disk and {made} folders while the start was counted, limit 64 MiB")
""", seconds=20.0, limits=MANY_FOLDERS),
    _re("locks-of-the-process", "COMMAND = 6", LOCKS),
    _re("locks-of-open-files", "COMMAND = 37", LOCKS),
    _re("socket-buffers-of-children", """
import socket
children = []
for n in range(20):
    pid = os.fork()
    if pid == 0:
        try:
            kept = []
            for _ in range(70):
                kept.append(socket.socketpair())
                kept[-1][0].send(b"x")
            time.sleep(4)
            os._exit(0)
        finally:
            os._exit(1)
    children.append(pid)
if not any(os.waitpid(pid, 0)[1] for pid in children):
    claim("2,800 sockets in children, each with its buffer; open files limit 256")
""", profile={"allow_fork": True}),
    _re("shared-memory-files", """
names = [f"/dev/shm/{T['mark']}{n}" for n in range(8000)]
try:
    for name in names:
        os.close(os.open(name, os.O_CREAT))
    time.sleep(3)
    claim("8,000 files in /dev/shm, limit 1,000")
finally:
    for name in names:
        os.unlink(name)
""", profile={"allow_fork": True}),
)  # fmt: skip
