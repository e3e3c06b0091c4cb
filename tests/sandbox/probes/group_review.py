"""Owns attacks that an independent review of the cage found open: memory that no limit saw, pages pinned
where nothing counts them, and what the system tells of other processes."""

from __future__ import annotations

from typing import Any

from .group_resources import LIMITS, too_much_memory
from .probe import Probe

HEAD = "import mmap, socket, time\n"
STORE = """
# A shared object lives as long as one page of it is mapped.
libc.mmap.restype = ctypes.c_void_p
number, size_t = ctypes.c_int, ctypes.c_size_t
libc.mmap.argtypes = [ctypes.c_void_p, size_t, number, number, number, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.mremap.restype = ctypes.c_void_p
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
size = 32 << 20
def hoard(fd=-1, prot=3):
    at = libc.mmap(None, size, prot, 0x21 if fd < 0 else 1, fd, 0)
    if at in (None, ctypes.c_void_p(-1).value):
        raise MemoryError
    if prot & 2:
        ctypes.memset(at, 0x5A, size)
    elif libc.madvise(at, size, 22):  # MADV_POPULATE_READ
        raise OSError
    libc.munmap(at + 4096, size - 4096)
    return at
"""


def _claims(name: str, group: str, code: str, **options: Any) -> Probe:
    return Probe(name, group, HEAD + code, claims=True, **options)


def _kept(name: str, code: str) -> Probe:
    return _claims(name, "resources", code, alone=True, seconds=14.0, limits=LIMITS)


def _measured(name: str, code: str) -> Probe:
    options: dict[str, Any] = {"alone": True, "measured": True, "limits": LIMITS}
    return Probe(name, "resources", HEAD + code, judge=too_much_memory, seconds=14.0, **options)


PROBES = (
    _kept(
        "re-shared-one-page",
        STORE
        + """
kept = [hoard() for _ in range(25)]
time.sleep(3)
# All of it is still there: the mapping is grown again.
back = libc.mremap(kept[0], 4096, size, 1)
whole = ctypes.string_at(back, size).count(b"Z") == size
if whole:
    claim(f"{len(kept) * size >> 20} MiB of memory kept, limit 256")
""",
    ),
    _kept(
        "re-shared-one-page-of-zero",
        STORE
        + """
fd = os.open("/dev/zero", os.O_RDONLY)
kept = [hoard(fd, 1) for _ in range(25)]
time.sleep(3)
claim(f"{len(kept) * size >> 20} MiB of memory kept by read faults, limit 256")
""",
    ),
    _kept(
        "re-pages-pinned-by-pipes",
        """
# A page in a pipe keeps its whole folio, also when the file is gone.
CHUNK = 2 << 20
buffer = mmap.mmap(-1, CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def free():
    return {k: int(v.split()[0]) // 1024 for k, v in (l.split(":") for l in open("/proc/meminfo"))}
before = free()
kept = []
for n in range(20):
    fd = os.open("file", os.O_CREAT | os.O_RDWR)
    for _ in range(15):
        os.write(fd, buffer)
    os.fsync(fd)
    read, write = os.pipe()
    for n in range(15):
        os.sendfile(write, fd, n * CHUNK, 1)
    os.ftruncate(fd, 0)
    os.close(fd)
    kept.append((read, write))
os.unlink("file")
time.sleep(1)
after = free()
def pinned(m):
    return m["Active(file)"] + m["Inactive(file)"] - m["Cached"] - m["Buffers"] + m["Shmem"]
if pinned(after) - pinned(before) > 300:
    claim(f"{pinned(after) - pinned(before)} MiB pinned by 20 pipes, limit 256")
""",
    ),
    _kept(
        "re-pages-pinned-by-sockets",
        """
CHUNK = 2 << 20
buffer = mmap.mmap(-1, CHUNK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
def free():
    return {k: int(v.split()[0]) // 1024 for k, v in (l.split(":") for l in open("/proc/meminfo"))}
before = free()
kept = []
sent = 0
for n in range(40):
    fd = os.open("file", os.O_CREAT | os.O_RDWR)
    for _ in range(15):
        os.write(fd, buffer)
    os.fsync(fd)
    if n % 8 == 0:
        pair = socket.socketpair()
        pair[0].setblocking(False)
        kept.append(pair)
    for n in range(15):
        try:
            sent += os.sendfile(pair[0].fileno(), fd, n * CHUNK, 1)
        except BlockingIOError:
            break
    os.ftruncate(fd, 0)
    os.close(fd)
os.unlink("file")
time.sleep(1)
after = free()
def pinned(m):
    return m["Active(file)"] + m["Inactive(file)"] - m["Cached"] - m["Buffers"] + m["Shmem"]
if pinned(after) - pinned(before) > 300:
    claim(f"{pinned(after) - pinned(before)} MiB pinned by {len(kept)} sockets, limit 256")
""",
    ),
    _measured(
        "re-memory-burst-shared",
        """
kept = mmap.mmap(-1, 1400 << 20, flags=0x21 | 0x8000)
time.sleep(2)
""",
    ),
    _measured(
        "re-memory-grows-down",
        """
kept = mmap.mmap(-1, 1200 << 20, flags=0x22 | 0x100 | 0x8000)
time.sleep(2)
""",
    ),
    _claims(
        "pr-clock-of-victim",
        "process",
        """
class Time(ctypes.Structure):
    _fields_ = [("s", ctypes.c_long), ("n", ctypes.c_long)]
now = Time()
which = ctypes.c_int((~T["victim"] << 3) | 2)
syscall(228, which, ctypes.byref(now))
claim(f"processor time of the victim: {now.s}.{now.n:09}")
""",
    ),
    _claims(
        "pr-sleep-on-clock-of-victim",
        "process",
        """
which = ctypes.c_int((~T["victim"] << 3) | 2)
syscall(230, which, 1, struct.pack("qq", 0, 1), None)
claim("slept on its clock")
""",
    ),
    _claims(
        "pr-timer-on-clock-of-victim",
        "process",
        """
which = ctypes.c_int((~T["victim"] << 3) | 2)
out = ctypes.c_int()
syscall("timer_create", which, None, ctypes.byref(out))
claim("timer on its clock")
""",
    ),
    _claims(
        "pr-scheduling-of-victim",
        "process",
        """
buffer = ctypes.create_string_buffer(56)
syscall(315, T["victim"], buffer, 56, 0)
claim(f"priority of victim: nice {struct.unpack_from('i', buffer.raw, 16)[0]}")
""",
    ),
    _claims(
        "pr-capabilities-of-victim",
        "process",
        """
data = ctypes.create_string_buffer(24)
syscall(125, struct.pack("Ii", 0x20080522, T["victim"]), data)
claim(data.raw.hex())
""",
    ),
    _claims(
        "pr-peer-pidfd",
        "process",
        """
found = []
for name in range(3, 512):
    fd, size = ctypes.c_int(-1), ctypes.c_int(4)
    if libc.getsockopt(name, 1, 77, ctypes.byref(fd), ctypes.byref(size)) == 0:
        found.append((name, fd.value))
if found:
    claim(f"descriptors of processes of the host: {found}")
""",
    ),
    _claims(
        "pr-peer-credentials",
        "process",
        """
found = set()
for name in range(3, 512):
    ids, size = ctypes.create_string_buffer(12), ctypes.c_int(12)
    if libc.getsockopt(name, 1, 17, ids, ctypes.byref(size)) == 0:
        found.add(struct.unpack("iii", ids.raw))
if found:
    claim(f"peers {found}")
""",
    ),
)
