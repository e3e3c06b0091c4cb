"""Owns the attacks that change what lies outside the workspace, metadata included."""

from __future__ import annotations

from typing import Any

from .probe import Probe
from .snippets import RING


def _p(name: str, code: str, **options: Any) -> Probe:
    return Probe(f"fw-{name}", "files_write", code, **options)


PROBES = (
    _p("create", 'open(T["outside"] + "/new", "w").write("x")'),
    _p("overwrite", 'open(T["outside"] + "/plain.txt", "w").write("x")'),
    _p("append", 'open(T["home"] + "/.bashrc", "a").write("x")'),
    _p("startup-file", 'open(T["home"] + "/.ipython/profile_default/startup/00.py", "w").write("x")'),
    _p("authorized-keys", 'open(T["home"] + "/.ssh/authorized_keys", "w").write("x")'),
    _p("raw-creat", 'syscall("creat", os.fsencode(T["outside"] + "/new"), 0o600)'),
    _p("mkdir", 'os.mkdir(T["outside"] + "/made")'),
    _p("raw-mkdirat", 'syscall("mkdirat", -100, os.fsencode(T["outside"] + "/made"), 0o700)'),
    _p("unlink", 'os.unlink(T["outside"] + "/plain.txt")'),
    _p("rmdir", 'os.rmdir(T["outside"] + "/hollow")'),
    _p("rmtree", 'import shutil; shutil.rmtree(T["outside"] + "/deep")'),
    _p("truncate", 'os.truncate(T["outside"] + "/plain.txt", 0)'),
    _p("truncate-data", 'os.truncate(T["data_file"], 0)'),
    _p("write-data", 'open(T["data_file"], "r+").write("x")'),
    _p("create-in-data", 'open(T["data"] + "/new.csv", "w").write("x")'),
    _p("unlink-data", 'os.unlink(T["data_file"])'),
    _p("reopen-data", 'fd = os.open(T["data_file"], 0); open(f"/proc/self/fd/{fd}", "w").write("x")'),
    _p(
        "map-data",
        """
import mmap
fd = os.open(T["data_file"], os.O_RDWR)
mmap.mmap(fd, 0)[:1] = b"x"
""",
    ),
    _p("rename", 'os.rename(T["outside"] + "/plain.txt", T["outside"] + "/other.txt")'),
    _p("rename-out", 'open("x", "w").close(); os.rename("x", T["outside"] + "/x")'),
    _p("rename-over", 'open("x", "w").close(); os.rename("x", T["outside"] + "/plain.txt")'),
    _p(
        "rename-exchange",
        """
open(T["work"] + "/x", "w").close()
exchange = 2
names = [os.fsencode(T["work"] + "/x"), os.fsencode(T["outside"] + "/plain.txt")]
syscall("renameat2", -100, names[0], -100, names[1], exchange)
""",
    ),
    _p("rename-workspace", 'os.rename(T["work"], T["work"] + "/../" + T["mark"])', alone=True),
    _p("link-out", 'open("x", "w").close(); os.link("x", T["outside"] + "/x")'),
    _p(
        "tmpfile-link",
        """
fd = os.open(T["outside"], os.O_TMPFILE | os.O_RDWR, 0o600)
syscall("linkat", -100, f"/proc/self/fd/{fd}".encode(), -100, os.fsencode(T["outside"] + "/x"), 0x400)
""",
    ),
    _p("symlink-out", 'os.symlink("/", T["outside"] + "/x")'),
    _p("chmod", 'os.chmod(T["outside"] + "/plain.txt", 0o777)'),
    _p("chmod-data", 'os.chmod(T["data_file"], 0o777)'),
    _p("fchmod-data", 'os.fchmod(os.open(T["data_file"], 0), 0o777)'),
    _p("fchmodat2-data", 'syscall("fchmodat2", -100, os.fsencode(T["data_file"]), 0o777, 0)'),
    _p("chown-data", 'os.chown(T["data_file"], 12345, 12345)', needs="root"),
    # an owner may give a file to a group of his own, that is: change nothing but the time of change
    _p("chown-same", 'os.chown(T["data_file"], -1, os.getegid())'),
    _p("utime-data", 'os.utime(T["data_file"], (1, 1))'),
    _p("utime-outside", 'os.utime(T["outside"], (1, 1))'),
    _p("raw-utimensat", 'syscall("utimensat", -100, os.fsencode(T["data_file"]), None, 0)'),
    _p("xattr-data", 'os.setxattr(T["data_file"], "user.probe", b"x")'),
    _p("xattr-outside", 'os.setxattr(T["outside"], "user.probe", b"x")'),
    _p(
        "flags-data",
        """
import fcntl
fd = os.open(T["data_file"], os.O_RDONLY)
no_dump = 0x40
fcntl.ioctl(fd, 0x40086602, struct.pack("l", no_dump))
""",
    ),
    _p("tmp", 'open("/tmp/" + T["mark"], "w").write("x")'),
    _p("var-tmp", 'open("/var/tmp/" + T["mark"], "w").write("x")'),
    _p("dev-shm", 'open("/dev/shm/" + T["mark"], "w").write("x")'),
    _p("shm-open", 'libc.shm_open(T["mark"].encode(), os.O_CREAT | os.O_RDWR, 0o600)'),
    # root's folders
    _p(
        "site-packages",
        """
import zmq
folder = os.path.dirname(os.path.dirname(zmq.__file__))
open(f"{folder}/{T['mark']}.pth", "w").write("")
""",
        needs="root",
    ),
    _p(
        "standard-library",
        'open(os.path.dirname(os.__file__) + "/" + T["mark"] + ".py", "w").write("")',
        needs="root",
    ),
    _p("etc", 'open("/etc/" + T["mark"], "w").write("x")', needs="root"),
    _p("other-session", 'open(T["other_session"] + "/work/secret.txt", "w").write("x")'),
    _p("other-session-create", 'open(T["other_session"] + "/rt-1/new", "w").write("x")'),
    _p("session-parent", 'open(os.path.join(os.environ["HOME"], "..", "..", T["mark"]), "w").write("x")'),
    _p(
        "copy-file-range-out",
        """
target = os.open(T["outside"] + "/plain.txt", os.O_WRONLY)
open("x", "w").write("planted")
os.copy_file_range(os.open("x", 0), target, 7)
""",
    ),
    _p(
        "own-connection-file",
        """
import glob
for path in glob.glob(T["runtime"] + "/kernel-own.json") or [T["runtime"] + "/kernel-own.json"]:
    open(path, "a").write(" ")
""",
    ),
    _p(
        "own-sockets",
        """
names = [name for name in os.listdir(T["runtime"]) if name.startswith("k-")]
os.unlink(os.path.join(T["runtime"], names[0]))
""",
        alone=True,
    ),
    _p(
        "io-uring",
        RING
        + """
ring = Ring()
path, address = text(os.fsencode(T["outside"] + "/made"))
ring.do(37, -100, address, 0o700)
""",
    ),
    _p("setuid-chmod", 'open("x", "w").close(); os.chmod("x", 0o6755)'),
    _p("setuid-fchmod", 'os.fchmod(os.open("x", os.O_CREAT | os.O_RDWR), 0o4755)'),
    _p("setuid-create", 'os.open("created", os.O_CREAT | os.O_RDWR, 0o6755)'),
    _p("setuid-creat", 'syscall("creat", b"created", 0o4755)'),
    _p(
        "setuid-openat2",
        """
how = struct.pack("QQQ", os.O_CREAT | os.O_RDWR, 0o4755, 0)
syscall("openat2", -100, os.fsencode(T["work"] + "/created"), how, 24)
""",
    ),
    _p("setuid-mknod", 'os.mknod("created", 0o104755)'),
    _p(
        "setuid-tmpfile",
        """
fd = os.open(T["work"], os.O_TMPFILE | os.O_RDWR, 0o4755)
syscall("linkat", -100, f"/proc/self/fd/{fd}".encode(), -100, os.fsencode(T["work"] + "/created"), 0x400)
""",
    ),
    _p(
        "capability-file",
        """
open("x", "w").close()
os.setxattr("x", "security.capability", struct.pack("<5I", 0x2000001, 0xFFFFFFFF, 0, 0xFF, 0))
""",
        needs="root",
    ),
    _p("xattr-workspace", 'open("x", "w").close(); os.setxattr("x", "user.probe", b"x")'),
    _p("chown-workspace", 'open("x", "w").close(); os.chown("x", 12345, 12345)', needs="root"),
    _p("victim-oom-score", 'open(f"/proc/{T[\'victim\']}/oom_score_adj", "w").write("5")'),
    _p("victim-core-filter", 'open(f"/proc/{T[\'victim\']}/coredump_filter", "w").write("7")'),
    _p(
        "victim-mem",
        """
with open(f"/proc/{T['victim']}/mem", "r+b", buffering=0) as memory:
    memory.seek(T["victim_address"])
    memory.write(b"changed")
""",
    ),
    _p(
        "own-oom-score",
        """
open("/proc/self/oom_score_adj", "w").write("1")
claim("steers the killer")
""",
        claims=True,
        alone=True,
    ),
    _p(
        "core-pattern",
        """
fd = os.open("/proc/sys/kernel/core_pattern", os.O_RDWR)
os.write(fd, os.read(fd, 4096))
claim("wrote a setting of the kernel, the same as before")
""",
        claims=True,
        needs="root",
    ),
    _p(
        "vm-setting",
        """
fd = os.open("/proc/sys/vm/overcommit_memory", os.O_RDWR)
os.write(fd, os.read(fd, 16))
claim("wrote a setting of the kernel, the same as before")
""",
        claims=True,
        needs="root",
    ),
    _p(
        "sysfs",
        """
os.open("/sys/kernel/mm/transparent_hugepage/enabled", os.O_WRONLY)
claim("opened, not used")
""",
        claims=True,
        needs="root",
    ),
    _p(
        "kernel-log",
        'os.open("/dev/kmsg", os.O_WRONLY); claim("opened, not used")',
        claims=True,
        needs="root",
    ),
)
