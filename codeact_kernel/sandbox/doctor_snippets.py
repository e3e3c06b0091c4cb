"""Owns the code of the probes of files, links and /proc. The format is that of `doctor_probes`."""

from __future__ import annotations

FILES = r"""
#% files read: read a file of the host
print(open(T["secret"]).read())
#% files read-raw: read it through the C library
out = ctypes.create_string_buffer(200)
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(T["secret"].encode(), b"r")
assert file, os.strerror(ctypes.get_errno())
libc.fread(out, 1, 199, ctypes.c_void_p(file))
print(out.value.decode())
#% files read-openat2: read it by openat2
fd = syscall("openat2", -100, T["secret"].encode(), ctypes.create_string_buffer(24), 24)
print(os.read(fd, 200))
#% files read-root-link: read it through /proc/self/root
print(open("/proc/self/root" + T["secret"]).read())
#% files read-reopen: open it as a path only, then again through /proc/self/fd
fd = os.open(T["secret"], os.O_PATH)
print(open(f"/proc/self/fd/{fd}").read())
#% files read-dotdot: walk up out of the working folder
print(open(os.path.relpath(T["secret"])).read())
#% files read-sendfile: let the kernel copy it into the working folder
fd, copy = os.open(T["secret"], os.O_RDONLY), os.open("copy", os.O_RDWR | os.O_CREAT)
os.sendfile(copy, fd, 0, 200)
print(os.pread(copy, 200, 0))
#% files read-sqlite: attach a database of the host
import sqlite3
database = sqlite3.connect(":memory:")
database.execute("attach ? as host", (T["database"],))
print(database.execute("select * from host.t").fetchall())
#% files list: list a folder of the host
print(os.listdir(T["folder"]))
#% files handle [root]: open it by file handle, past all paths
handle = ctypes.create_string_buffer(struct.pack("Ii", 120, 0), 128)
mount = ctypes.c_int()
done(libc.name_to_handle_at(-100, T["secret"].encode(), handle, ctypes.byref(mount), 0))
fd = done(libc.open_by_handle_at(os.open(T["folder"], os.O_RDONLY), handle, 0))
print(os.read(fd, 200))
#% files overwrite: write into a file of the host
open(T["note"], "r+").write("changed")
#% files truncate: cut a file of the host
os.truncate(T["note"], 0)
#% files create: make a file beside it
open(T["folder"] + "/new", "w").write("x")
#% files delete: delete it
os.remove(T["note"])
#% files rename-out: move it into the working folder
os.rename(T["note"], "taken")
#% files rename-in: move a file of the working folder over it
open("mine", "w").write("x")
os.rename("mine", T["note"])
#% files chmod: change its mode
os.chmod(T["note"], 0o777)
#% files utime: change its times
os.utime(T["note"], (1, 1))
#% files mkdir: make a folder there
os.mkdir(T["folder"] + "/sub")
#% persistence home: leave a file in the user's home
open(T["stray"]["home"], "w").write("x")
#% persistence packages [packages of ours]: leave a file among the installed packages
open(T["stray"]["packages"], "w").write("x")
#% persistence tmp: leave a file in the temporary folder of the host
open(T["stray"]["tmp"], "w").write("x")
#% persistence vartmp: leave a file in /var/tmp
open(T["stray"]["vartmp"], "w").write("x")
#% persistence shm: leave shared memory behind
open(T["stray"]["shm"], "w").write("x")
#% links symlink: plant a symbolic link for the host to follow
os.symlink(T["secret"], "planted")
#% links hardlink: plant a hard link to a file of the host
os.link(T["secret"], "planted")
#% links fifo: plant a named pipe, for the host to hang on
os.mkfifo("planted")
#% links socket: plant a socket
socket.socket(socket.AF_UNIX).bind("planted")
#% links device [root]: make a device node
os.mknod("planted", 0o600 | 0o020000, os.makedev(1, 3))
#% links setuid: leave a program with the setuid bit
open("planted", "w").close()
os.chmod("planted", 0o4755)
#% links setuid-open: the same, already when it is made
os.umask(0)
os.close(os.open("planted", os.O_CREAT | os.O_WRONLY, 0o4755))
#% proc environ: read the environment of another process
print(open(f"/proc/{T['victim']}/environ").read())
#% proc cmdline: read its command line
print(open(f"/proc/{T['victim']}/cmdline").read())
#% proc mem: read its memory through /proc
with open(f"/proc/{T['victim']}/mem", "rb", 0) as memory:
    memory.seek(T["address"])
    print(memory.read(64))
#% proc root: read a file through its root folder
print(open(f"/proc/{T['victim']}/root{T['secret']}").read())
#% proc descriptor: open a file that it has open
print(open(f"/proc/{T['victim']}/fd/{T['descriptor']}").read())
#% proc oom: make this process the last to be killed when memory runs out, or the first
before = open("/proc/self/oom_score_adj").read()
open("/proc/self/oom_score_adj", "w").write("500")
assert open("/proc/self/oom_score_adj").read() == "500\n"
got("oom_score_adj")
#% proc core-pattern [root]: open a switch of the host's kernel for writing
got(os.open("/proc/sys/kernel/core_pattern", os.O_RDWR))
"""
