"""Owns the attacks that read what lies outside the cage."""

from __future__ import annotations

from typing import Any

from .probe import Probe
from .snippets import RING


def _p(name: str, code: str, **options: Any) -> Probe:
    return Probe(f"fr-{name}", "files_read", code, **options)


PROBES = (
    _p("open", 'show(open(T["secret_file"]).read())'),
    _p("os-open", 'show(os.read(os.open(T["secret_file"], os.O_RDONLY), 99))'),
    _p("raw-open", 'show(os.read(syscall("open", os.fsencode(T["secret_file"]), 0, 0), 99))'),
    _p(
        "openat2",
        """
how = struct.pack("QQQ", 0, 0, 0)
show(os.read(syscall("openat2", -100, os.fsencode(T["secret_file"]), how, 24), 99))
""",
    ),
    _p(
        "mmap",
        """
import mmap
fd = os.open(T["secret_file"], os.O_RDONLY)
show(mmap.mmap(fd, 0, prot=mmap.PROT_READ)[:])
""",
    ),
    _p(
        "sendfile",
        """
source = os.open(T["secret_file"], os.O_RDONLY)
target = os.open(T["work"] + "/sent", os.O_CREAT | os.O_RDWR, 0o600)
os.sendfile(target, source, 0, 99)
""",
    ),
    _p(
        "copy-file-range",
        """
source = os.open(T["secret_file"], os.O_RDONLY)
target = os.open(T["work"] + "/copied", os.O_CREAT | os.O_RDWR, 0o600)
os.copy_file_range(source, target, 99)
""",
    ),
    _p("shutil-copy", 'import shutil; shutil.copy(T["secret_file"], T["work"])'),
    _p("fileinput", 'import fileinput; [show(line) for line in fileinput.input(T["secret_file"])]'),
    _p("linecache", 'import linecache; show(linecache.getline(T["secret_file"], 1))'),
    _p("run-path", 'import runpy; runpy.run_path(T["secret_file"])'),
    _p(
        "loader",
        """
from importlib.machinery import SourceFileLoader
show(SourceFileLoader("x", T["secret_file"]).get_data(T["secret_file"]))
""",
    ),
    _p(
        "libc-fopen",
        """
libc.fopen.restype = ctypes.c_void_p
file = libc.fopen(os.fsencode(T["secret_file"]), b"r")
buffer = ctypes.create_string_buffer(99)
file and libc.fread(buffer, 1, 98, ctypes.c_void_p(file))
show(buffer.value)
""",
    ),
    _p(
        "sqlite-attach",
        """
import sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("attach ? as host", (T["outside"] + "/database.sqlite",))
show(connection.execute("select * from host.kept").fetchall())
""",
    ),
    _p(
        "io-uring",
        RING
        + """
ring = Ring()
path, address = text(os.fsencode(T["secret_file"]))
fd = ring.do(18, -100, address)
buffer, address = text(bytes(99))
ring.do(22, fd, address, 99)
show(buffer.raw)
""",
    ),
    _p("proc-self-root", 'show(open("/proc/self/root" + T["secret_file"]).read())'),
    _p("proc-thread-root", 'show(open("/proc/thread-self/root" + T["secret_file"]).read())'),
    _p("proc-parent-root", 'show(open(f"/proc/{os.getppid()}/root" + T["secret_file"]).read())'),
    _p("proc-supervisor-root", 'show(open(f"/proc/{T[\'supervisor\']}/root" + T["secret_file"]).read())'),
    _p("proc-victim-root", 'show(open(f"/proc/{T[\'victim\']}/root" + T["secret_file"]).read())'),
    _p("proc-victim-cwd", "show(open(f\"/proc/{T['victim']}/cwd/secret.txt\").read())"),
    _p("victim-environ", 'show(open(f"/proc/{T[\'victim\']}/environ", "rb").read())'),
    _p(
        "victim-task-environ",
        "show(open(f\"/proc/{T['victim']}/task/{T['victim_tid']}/environ\", \"rb\").read())",
    ),
    _p("victim-cmdline", 'show(open(f"/proc/{T[\'victim\']}/cmdline", "rb").read())'),
    _p(
        "victim-mem",
        """
with open(f"/proc/{T['victim']}/mem", "rb", buffering=0) as memory:
    memory.seek(T["victim_address"])
    show(memory.read(T["victim_length"]))
""",
    ),
    _p("victim-fd", "show(os.pread(os.open(f\"/proc/{T['victim']}/fd/{T['victim_fd']}\", 0), 99, 0))"),
    _p(
        "all-processes",
        """
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        command = open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError:
        continue
    if b"victims.py" in command:
        show(command)
""",
    ),
    _p(
        "supervisor-environ",
        'show(open(f"/proc/{T[\'supervisor\']}/environ", "rb").read()); show(os.environ)',
        alone=True,
        provisioned=False,  # only then are the client's variables there
    ),
    _p(
        "supervisor-fds",
        """
folder = f"/proc/{T['supervisor']}/fd"
names = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
claim(f"the supervisor holds {len(names)} files")
""",
        claims=True,
    ),
    _p("hard-link", 'os.link(T["secret_file"], T["work"] + "/l"); show(open(T["work"] + "/l").read())'),
    _p(
        "symbolic-link", 'os.symlink(T["secret_file"], T["work"] + "/s"); show(open(T["work"] + "/s").read())'
    ),
    _p("rename-in", 'os.rename(T["secret_file"], T["work"] + "/r"); show(open(T["work"] + "/r").read())'),
    _p(
        "o-path",
        'fd = os.open(T["secret_file"], os.O_PATH); show(open(f"/proc/self/fd/{fd}").read())',
    ),
    _p(
        "o-path-folder",
        """
fd = os.open(T["secret_dir"], os.O_PATH | os.O_DIRECTORY)
show(os.read(os.open("secret.txt", os.O_RDONLY, dir_fd=fd), 99))
""",
    ),
    _p(
        "open-tree",
        """
fd = syscall("open_tree", -100, os.fsencode(T["secret_file"]), 0)
show(open(f"/proc/self/fd/{fd}").read())
""",
    ),
    _p(
        "by-handle",
        """
handle = ctypes.create_string_buffer(struct.pack("Ii", 128, 0), 8 + 128)
mount = ctypes.c_int()
syscall("name_to_handle_at", -100, os.fsencode(T["secret_file"]), handle, ctypes.byref(mount), 0)
at = os.open(T["work"], os.O_RDONLY)
show(os.read(syscall("open_by_handle_at", at, handle, os.O_RDONLY), 99))
""",
        needs="root",  # CAP_DAC_READ_SEARCH
    ),
    _p("dot-dot", 'show(open("../outside/secret.txt").read())'),
    _p(
        "dirfd-dot-dot",
        """
here = os.open(T["work"], os.O_RDONLY | os.O_DIRECTORY)
show(os.read(os.open("../outside/secret.txt", os.O_RDONLY, dir_fd=here), 99))
""",
    ),
    _p("chdir", 'os.chdir(T["secret_dir"]); show(open("secret.txt").read())', alone=True),
    _p(
        "fchdir",
        'os.fchdir(os.open(T["secret_dir"], os.O_PATH)); show(open("secret.txt").read())',
        alone=True,
    ),
    _p("listdir", 'show(os.listdir(T["secret_dir"]))'),
    _p("scandir", 'show([entry.name for entry in os.scandir(T["secret_dir"] + "/deep/..")])'),
    _p("glob", 'import glob; show(glob.glob(T["secret_dir"] + "/**", recursive=True))'),
    _p("walk-root", 'show([names for _, _, names in os.walk(T["secret_dir"] + "/..")])'),
    _p("ssh-key", 'show(open(T["home"] + "/.ssh/id_rsa").read())'),
    _p("netrc", 'show(open(T["home"] + "/.netrc").read())'),
    _p("cloud-credentials", 'show(open(T["home"] + "/.aws/credentials").read())'),
    _p("pip-conf", 'show(open(T["home"] + "/.config/pip/pip.conf").read())'),
    _p("shell-start-up", 'show(open(T["home"] + "/.bashrc").read())'),
    _p("ipython-profile", 'show(open(T["home"] + "/.ipython/profile_default/startup/own.txt").read())'),
    # made by root: an ordinary user may not write there
    _p("venv-root", 'show(open(T["venv_file"]).read())', needs="root"),
    _p("other-session", 'show(open(T["other_session"] + "/work/secret.txt").read())'),
    _p("other-connection", 'show(open(T["other_connection"]).read())'),
    _p(
        "runtime-folder",
        """
for name in os.listdir(T["runtime"]):
    if name.endswith(".json"):
        show(open(f"{T['runtime']}/{name}").read())
""",
    ),
    _p("socket-names", 'show(open("/proc/net/unix").read())'),
    _p("socket-names-of-self", 'show(open(f"/proc/{os.getpid()}/net/unix").read())'),
    _p(
        "mounts-of-host",
        'show(open(f"/proc/{T[\'supervisor\']}/mountinfo").read()[:9]); claim("mounts")',
        claims=True,
    ),
    # only root may
    _p(
        "kernel-log",
        'os.read(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK), 8192) and claim("log")',
        claims=True,
        needs="root",
    ),
    _p(
        "kernel-symbols",
        """
with open("/proc/kallsyms") as file:
    if any(int(line.split()[0], 16) for line in file):
        claim("addresses of the kernel")
""",
        claims=True,
        needs="root",
    ),
)
