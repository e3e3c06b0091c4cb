"""Owns the longer helpers of snippets: io_uring by hand, and machine code."""

RING = '''
import mmap

class Ring:
    """One io_uring, one entry at a time."""

    def __init__(self):
        asked = ctypes.create_string_buffer(120)
        self.fd = syscall("io_uring_setup", 4, asked)
        words = struct.unpack("30I", asked.raw)
        self.sq, self.cq = words[10:18], words[20:28]
        flags, rw = mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE
        self.sq_ring = mmap.mmap(self.fd, self.sq[6] + 4 * words[0], flags, rw, offset=0)
        self.cq_ring = mmap.mmap(self.fd, self.cq[5] + 16 * words[1], flags, rw, offset=0x8000000)
        self.entries = mmap.mmap(self.fd, 64 * words[0], flags, rw, offset=0x10000000)

    def do(self, opcode, fd, address=0, length=0, offset=0, flags=0):
        """Submits one operation, waits; its result, or OSError."""
        struct.pack_into("<BBHiQQIIQ", self.entries, 0, opcode, 0, 0, fd, offset, address, length, flags, 7)
        tail = struct.unpack_from("I", self.sq_ring, self.sq[1])[0]
        mask = struct.unpack_from("I", self.sq_ring, self.sq[2])[0]
        struct.pack_into("I", self.sq_ring, self.sq[6] + 4 * (tail & mask), 0)
        struct.pack_into("I", self.sq_ring, self.sq[1], tail + 1)
        syscall("io_uring_enter", self.fd, 1, 1, 1, 0, 0)
        head = struct.unpack_from("I", self.cq_ring, self.cq[0])[0]
        mask = struct.unpack_from("I", self.cq_ring, self.cq[2])[0]
        result = struct.unpack_from("<Qi", self.cq_ring, self.cq[5] + 16 * (head & mask))[1]
        struct.pack_into("I", self.cq_ring, self.cq[0], head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result), "io_uring")
        return result

def text(value):
    """(buffer to keep, its address)."""
    buffer = ctypes.create_string_buffer(value)
    return buffer, ctypes.addressof(buffer)
'''

MACHINE = '''
import mmap

def execute(code):
    """Runs machine code; the value it returns."""
    all_rights = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
    page = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, all_rights)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return ctypes.CFUNCTYPE(ctypes.c_long)(address)()
'''
