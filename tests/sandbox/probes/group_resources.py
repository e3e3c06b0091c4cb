"""Owns the attacks that take more than their share: memory, processor, threads, descriptors, disk, inodes.

Judged by what the host measured. Each of them ends by itself and takes less than 1 GB; the profile's limits
are set far below that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from .probe import Judge, Outcome, Probe
from .scene import Scene

MIB = 1024 * 1024
MEMORY, FILE, DISK, FILES, THREADS, OPEN = 256 * MIB, 32 * MIB, 64 * MIB, 1000, 64, 256
LIMITS = {
    "memory_bytes": MEMORY,
    "file_bytes": FILE,
    "disk_bytes": DISK,
    "disk_files": FILES,
    "threads": THREADS,
    "open_files": OPEN,
}
HELD = ("died", "killed")
"""Ends of a session that went too far."""


def most(field: str, bound: int, kept: int | None = None) -> Judge:
    """Escaped: more than `bound` was used at any time, or more than `kept` by a session that lived on.

    What is watched, not counted by the system, may be exceeded for as long as it takes to look.
    """

    def judge(_: Scene, outcome: Outcome) -> str | None:
        used = getattr(outcome.usage, field)
        if used > bound:
            return f"{field}: {used:,} used, bound {bound:,}"
        if kept is not None and used > kept and outcome.ended not in HELD:
            return f"{field}: {used:,} used and the session went on, bound {kept:,}"
        return None

    return judge


def outlived(what: str) -> Judge:
    """Escaped: the snippet came to its end."""

    def judge(_: Scene, outcome: Outcome) -> str | None:
        return f"{what}, and the cell went on" if outcome.ended == "ok" and outcome.seconds else None

    return judge


def largest_file(scene: Scene, outcome: Outcome) -> str | None:
    """Escaped: a file in the workspace is larger than the limit, holes counted."""
    size = max((os.lstat(path).st_size for path in _paths(str(scene.work))), default=0)
    return f"a file of {size:,} bytes, bound {FILE:,}" if size > FILE else None


def _paths(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        yield entry.path
        if entry.is_dir(follow_symlinks=False):
            yield from _paths(entry.path)


def _re(
    name: str,
    code: str,
    judge: Judge | None,
    *,
    claims: bool = False,
    seconds: float = 10.0,
    cpu_seconds: float | None = None,
) -> Probe:
    limits = LIMITS if cpu_seconds is None else {**LIMITS, "cpu_seconds": cpu_seconds}
    return Probe(
        f"re-{name}",
        "resources",
        "import time\n" + code,
        judge,
        claims=claims,
        alone=True,
        seconds=seconds,
        measured=True,
        limits=limits,
    )


too_much_memory = most("memory_bytes", MEMORY + 320 * MIB)
too_much_disk = most("disk_bytes", DISK + 512 * MIB, kept=DISK * 5 // 4)
too_many_files = most("disk_files", FILES + 30_000, kept=FILES * 5 // 4)
too_many_threads = most("threads", THREADS + 800, kept=THREADS * 3 // 2)
too_many_open = most("open_files", OPEN)
PAUSE = "\ntime.sleep(0.5)  # so that it is seen\n"
TOUCHED = """
import mmap
def touch(pages):
    for start in range(0, len(pages), 4096):
        pages[start] = 1
"""

MEMORY_PROBES = (
    _re("memory-list", "kept = [bytearray(1 << 20) for _ in range(800)]" + PAUSE, too_much_memory),
    _re("memory-bytearray", "kept = bytearray(800 << 20)" + PAUSE, too_much_memory),
    _re("memory-text", "kept = 'x' * (800 << 20)" + PAUSE, too_much_memory),
    _re("memory-numpy", "import numpy\nkept = numpy.ones(100_000_000)" + PAUSE, too_much_memory),
    _re("memory-shared-map", TOUCHED + """
kept = mmap.mmap(-1, 800 << 20)
touch(kept)
""" + PAUSE, too_much_memory),
    _re("memory-many-maps", TOUCHED + """
kept = []
for _ in range(200):
    kept.append(mmap.mmap(-1, 4 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000))  # no reserve
    touch(kept[-1])
""" + PAUSE, too_much_memory),
    _re("memory-dev-zero", TOUCHED + """
with open("/dev/zero", "r+b") as zero:
    kept = mmap.mmap(zero.fileno(), 800 << 20)
touch(kept)
""" + PAUSE, too_much_memory),
    _re("memory-copied-file-map", TOUCHED + """
with open("base", "wb") as file:
    file.truncate(30 << 20)
kept = []
with open("base", "rb") as file:
    for _ in range(26):
        kept.append(mmap.mmap(file.fileno(), 30 << 20, access=mmap.ACCESS_COPY))
        touch(kept[-1])
""" + PAUSE, too_much_memory),
    _re("memory-memfd", TOUCHED + """
fd = os.memfd_create("x")
os.ftruncate(fd, 800 << 20)
kept = mmap.mmap(fd, 800 << 20)
touch(kept)
""" + PAUSE, too_much_memory),
    _re("memory-dev-shm", TOUCHED + """
fd = os.open("/dev/shm/" + T["mark"], os.O_CREAT | os.O_RDWR)
os.unlink("/dev/shm/" + T["mark"])
os.ftruncate(fd, 800 << 20)
kept = mmap.mmap(fd, 800 << 20)
touch(kept)
""" + PAUSE, too_much_memory),
    _re("memory-system-v", """
libc.shmat.restype = ctypes.c_void_p
which = libc.shmget(0, ctypes.c_size_t(800 << 20), 0o600 | 0o1000)
if which < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
where = libc.shmat(which, None, 0)
libc.shmctl(which, 0, None)
ctypes.memset(where, 1, 800 << 20)
""" + PAUSE, too_much_memory),
    _re("memory-c-heap", """
libc.malloc.restype = ctypes.c_void_p
for _ in range(800):
    one = libc.malloc(ctypes.c_size_t(1 << 20))
    if not one:
        raise MemoryError
    ctypes.memset(one, 1, 1 << 20)
""" + PAUSE, too_much_memory),
    _re("memory-program-break", """
libc.sbrk.restype = ctypes.c_long
for _ in range(200):
    start = libc.sbrk(ctypes.c_long(4 << 20))
    if start == -1:
        raise MemoryError
    ctypes.memset(start, 1, 4 << 20)
""" + PAUSE, too_much_memory),
    _re("memory-stacks", """
import threading
def use():
    room = ctypes.create_string_buffer(1)
    libc.alloca = None
    deep = (ctypes.c_char * (40 << 20))()
    ctypes.memset(deep, 1, 40 << 20)
    done.wait(3)
done = threading.Event()
threads = [threading.Thread(target=use) for _ in range(20)]
for one in threads:
    one.start()
""" + PAUSE + "done.set()\nfor one in threads:\n    one.join()", too_much_memory),
    _re("memory-sqlite", """
import sqlite3
base = sqlite3.connect(":memory:")
base.execute("create table t (a)")
for _ in range(800):
    base.execute("insert into t values (zeroblob(1048576))")
""" + PAUSE, too_much_memory),
    _re("memory-zip-bomb", """
import zlib
packer = zlib.compressobj(1)
bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(750)) + packer.flush()
kept = zlib.decompress(bomb, bufsize=725 << 20)
""" + PAUSE, too_much_memory),
    _re("memory-remapped", TOUCHED + """
pages = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
pages.resize(800 << 20)
touch(pages)
""" + PAUSE, too_much_memory),
    _re("memory-after-raised-limits", """
import resource
for name in ("RLIMIT_DATA", "RLIMIT_AS", "RLIMIT_RSS", "RLIMIT_STACK"):
    which = getattr(resource, name)
    for wanted in ((-1, -1), (resource.getrlimit(which)[1],) * 2):
        try:
            resource.setrlimit(which, wanted)
            break
        except (OSError, ValueError) as error:
            print(error)
kept = bytearray(800 << 20)
""" + PAUSE, too_much_memory),
    _re("memory-of-children", """
for _ in range(4):
    if os.fork() == 0:
        try:
            kept = bytearray(200 << 20)
            time.sleep(1.5)
        finally:
            os._exit(0)
for _ in range(4):
    os.wait()
""", too_much_memory),
)  # fmt: skip

COUNTED_PROBES = (
    _re("threads-small-stacks", """
import threading
threading.stack_size(64 << 10)
done = threading.Event()
threads = []
try:
    for _ in range(1500):
        threads.append(threading.Thread(target=done.wait, args=(4,)))
        threads[-1].start()
    time.sleep(3)
finally:
    done.set()
""", too_many_threads),
    _re("threads-of-c", """
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def body(_):
    time.sleep(4)
threads = (ctypes.c_ulong * 400)()
for n in range(400):
    if libc.pthread_create(ctypes.byref(threads, 8 * n), None, ctypes.cast(libc.sleep, ctypes.c_void_p), 4):
        raise RuntimeError("no more threads")
time.sleep(3.5)
""", too_many_threads),
    _re("fork-bomb", """
for _ in range(200):
    if os.fork() == 0:
        time.sleep(1.5)
        os._exit(0)
for _ in range(200):
    os.wait()
""", most("processes", 20)),
    _re("descriptors", """
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(900)]
""" + PAUSE, too_many_open),
    _re("descriptors-copied", """
kept = [os.dup(1) for _ in range(900)]
""" + PAUSE, too_many_open),
    _re("descriptors-high", """
kept = os.dup2(1, 900)
claim("descriptor 900")
""", None, claims=True),
    _re("descriptors-of-events", """
import select
kept = [select.epoll() for _ in range(450)]
kept += [os.eventfd(0) for _ in range(450)]
""" + PAUSE, too_many_open),
    _re("pipe-buffers", f"""
import fcntl
kept, held = [], 0
for _ in range(300):
    read, write = os.pipe2(os.O_NONBLOCK)
    kept += [read, write]
    try:
        fcntl.fcntl(write, 1031, 1 << 20)  # F_SETPIPE_SZ
    except OSError as error:
        print(error)
    try:
        while True:
            held += os.write(write, bytes(1 << 16))
    except BlockingIOError:
        pass
    if held > {OPEN // 2 * 65536 * 2}:
        claim("bytes held in pipes")
        break
""", None, claims=True),
    _re("socket-buffers", f"""
import resource, socket
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
except (OSError, ValueError) as error:
    print(error)
kept, held = [], 0
for _ in range(1200):
    pair = socket.socketpair()
    kept.append(pair)
    for one in pair:
        one.setblocking(False)
        for option in (7, 32):  # SO_SNDBUF, SO_SNDBUFFORCE
            try:
                one.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
            except OSError as error:
                print(error)
        try:
            while True:
                held += one.send(bytes(1 << 16))
        except BlockingIOError:
            pass
    if held > {MEMORY}:
        claim("bytes held in sockets")
        break
""", None, claims=True),
    _re("cpu", """
while time.process_time() < 5:
    pass
""", outlived("5 s of processor time were used, limit 2"), seconds=25, cpu_seconds=2),
    _re("cpu-threads", """
import hashlib, threading
def burn():
    while time.process_time() < 6:
        hashlib.sha256(bytes(1 << 20)).digest()
threads = [threading.Thread(target=burn) for _ in range(2)]
for one in threads:
    one.start()
for one in threads:
    one.join()
""", outlived("6 s of processor time were used, limit 2"), seconds=25, cpu_seconds=2),
    _re("cpu-limit-ignored", """
import resource, signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
try:
    resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))
except (OSError, ValueError) as error:
    print(error)
while time.process_time() < 6:
    pass
""", outlived("6 s of processor time were used, limit 2"), seconds=25, cpu_seconds=2),
)  # fmt: skip

DISK_PROBES = (
    _re("disk-one-file", """
with open("large", "wb") as file:
    for _ in range(60):
        file.write(bytes(1 << 20))
""", largest_file),
    _re("disk-hole", """
with open("large", "wb") as file:
    file.truncate(1 << 40)
""", largest_file),
    _re("disk-written-far", """
fd = os.open("large", os.O_CREAT | os.O_RDWR)
os.pwrite(fd, b"x", 1 << 35)
""", largest_file),
    _re("disk-reserved", """
fd = os.open("large", os.O_CREAT | os.O_RDWR)
os.posix_fallocate(fd, 0, 100 << 20)
""", largest_file),
    _re("disk-many-files", """
for n in range(12):
    with open(f"large-{n}", "wb") as file:
        for _ in range(25):
            file.write(bytes(1 << 20))
time.sleep(3)
""", too_much_disk, seconds=15),
    _re("disk-reserved-in-parts", """
for n in range(12):
    fd = os.open(f"large-{n}", os.O_CREAT | os.O_RDWR)
    os.posix_fallocate(fd, 0, 25 << 20)
time.sleep(3)
""", too_much_disk, seconds=15),
    _re("disk-without-names", """
kept = []
for n in range(12):
    kept.append(open("large", "wb"))
    os.unlink("large")
    for _ in range(25):
        kept[-1].write(bytes(1 << 20))
    kept[-1].flush()
time.sleep(3)
""", too_much_disk, seconds=15),
    _re("disk-never-named", """
kept = []
for n in range(12):
    kept.append(os.open(T["work"], 0o20200000 | os.O_RDWR, 0o600))  # O_TMPFILE
    for _ in range(25):
        os.write(kept[-1], bytes(1 << 20))
time.sleep(3)
""", too_much_disk, seconds=15),
    _re("disk-only-mapped", TOUCHED + """
kept = []
for n in range(12):
    with open("large", "w+b") as file:
        file.truncate(25 << 20)
        kept.append(mmap.mmap(file.fileno(), 25 << 20))
    os.unlink("large")
    kept[-1].write(bytes(25 << 20))
time.sleep(3)
claim("300 MB in deleted files that are only mapped")
""", None, claims=True, seconds=15),
    _re("disk-of-sqlite", """
import sqlite3
os.environ["SQLITE_TMPDIR"] = T["work"]
base = sqlite3.connect("")
base.execute("pragma temp_store = 1")
base.execute("pragma cache_size = 10")
base.execute("create table t (a)")
for _ in range(300):
    base.execute("insert into t values (zeroblob(1000000))")
    base.commit()
time.sleep(3)
""", most("disk_bytes", DISK + 512 * MIB, kept=DISK * 5 // 4), seconds=15),
    _re("disk-temporary-folder", """
import tempfile
folder = tempfile.mkdtemp()
for n in range(12):
    with open(os.path.join(folder, f"large-{n}"), "wb") as file:
        for _ in range(25):
            file.write(bytes(1 << 20))
time.sleep(3)
if sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)) > 250 << 20:
    claim("300 MB in the temporary folder")
""", None, claims=True, seconds=15),
    _re("disk-home", """
folder = os.path.expanduser("~")
for n in range(12):
    with open(os.path.join(folder, f"large-{n}"), "wb") as file:
        for _ in range(25):
            file.write(bytes(1 << 20))
time.sleep(3)
claim("300 MB in the kernel's home")
""", None, claims=True, seconds=15),
    _re("disk-files", """
for n in range(4_000):
    os.close(os.open(f"small-{n}", os.O_CREAT))
time.sleep(3)
""", too_many_files, seconds=15),
    _re("disk-folders", """
for n in range(4_000):
    os.mkdir(f"folder-{n}")
time.sleep(3)
""", too_many_files, seconds=15),
    _re("disk-long-names", """
for n in range(4_000):
    os.close(os.open(f"{n:0250}", os.O_CREAT))
time.sleep(3)
""", too_many_files, seconds=15),
    _re("disk-deep-tree", """
for n in range(3_000):
    os.mkdir("d")
    os.chdir("d")
time.sleep(3)
claim("a tree of 3,000 levels")
""", None, claims=True, seconds=15),
    _re("disk-unreadable", """
os.mkdir("closed")
os.chdir("closed")
os.chmod(".", 0o300)
for n in range(15):
    with open(f"large-{n}", "wb") as file:
        for _ in range(25):
            file.write(bytes(1 << 20))
time.sleep(3)
claim("375 MB in a folder that cannot be listed")
""", None, claims=True, seconds=15),
)  # fmt: skip

PROBES = (*MEMORY_PROBES, *COUNTED_PROBES, *DISK_PROBES)
