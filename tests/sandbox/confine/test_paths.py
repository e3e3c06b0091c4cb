"""What a kernel may read: enough for libraries, and nothing of anybody's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine import paths
from codeact_kernel.sandbox.confine.paths import Interpreter, readable, roots, running

from .inside import Caller, needs_landlock

DEAR = ("dataclasses", "subprocess", "tempfile", "pathlib", "shutil", "ctypes", "asyncio", "inspect")


def is_covered(path: str, listed: tuple[str, ...]) -> bool:
    """Whether a file is on the list, or below something that is."""
    return any(path == entry or path.startswith(entry.rstrip("/") + "/") for entry in listed)


def made_up(prefix: str, base: str, *path: str) -> Interpreter:
    return Interpreter(f"{prefix}/bin/python", prefix, base, path)


def test_nothing_of_anybodys_is_on_the_list() -> None:
    listed = readable(running())
    home = os.path.expanduser("~")
    secret = [
        *(
            "/etc/passwd",
            "/etc/shadow",
            "/etc/group",
            "/etc/machine-id",
            "/etc/hostname",
            "/etc/ssl/private/key",
        ),
        *("/etc/pip.conf", os.path.join(sys.prefix, "pip.conf"), os.path.join(sys.prefix, "etc/secret")),
        *(
            "/proc/1/environ",
            "/proc/self/environ",
            "/proc/self/mem",
            "/proc/self/fd/0",
            "/proc/self/mountinfo",
        ),
        *("/proc/self/root/etc/passwd", "/proc/self/cwd/file", "/proc/kcore", "/proc/keys", "/dev/mem"),
        *(
            os.path.join(home, name)
            for name in (".ssh/id_rsa", ".netrc", ".config/pip/pip.conf", "notes.txt")
        ),
        *("/tmp/file", "/run/docker.sock", "/var/log/syslog", "/sys/class/net/eth0/address", "/boot/config"),
        os.path.join(os.path.dirname(paths.PACKAGE), "README.md"),
        os.path.join(os.path.dirname(paths.PACKAGE), ".git", "config"),
    ]
    assert [path for path in secret if is_covered(path, listed)] == []


def test_the_list_is_of_absolute_paths_each_once() -> None:
    listed = readable(running()._replace(path=("", "relative/site-packages", *sys.path)))
    assert all(path == os.path.abspath(path) for path in listed)
    assert len(set(listed)) == len(listed)
    assert os.path.abspath("relative/site-packages") not in listed


def test_every_module_of_this_interpreter_is_covered() -> None:
    listed = readable(running())
    package = os.path.dirname(paths.PACKAGE)
    files = {
        os.path.realpath(module.__file__)
        for module in list(sys.modules.values())
        if getattr(module, "__file__", None) and module.__name__ != "__main__"
    }
    files = {
        file
        for file in files
        if file.startswith(paths.PACKAGE + "/")
        # What other tests have imported is none of the interpreter's.
        or not (file.startswith((package + "/tests", package + "/benchmarks")) or "/pytest-of-" in file)
    }
    assert [file for file in files if not is_covered(file, listed)] == []
    assert len(files) > 200


def test_a_virtual_environment_is_not_readable_itself() -> None:
    listed = readable(made_up("/venv", "/opt/python", "/venv/lib/python3.11/site-packages"))
    assert {"/venv/lib", "/venv/lib64", "/venv/pyvenv.cfg", "/opt/python/lib", "/venv/bin/python"} < set(
        listed
    )
    for path in ("/venv/pip.conf", "/venv/bin/activate", "/opt/python/secret", "/opt/python/bin/tool"):
        assert not is_covered(path, listed), path


def test_links_to_the_interpreter_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    (tmp_path / "python3").symlink_to("real")
    (tmp_path / "python").symlink_to(tmp_path / "python3")
    (tmp_path / "loop").symlink_to("loop")
    executable = str(tmp_path / "python")
    listed = readable(made_up("/venv", "/base")._replace(executable=executable))
    assert {executable, str(tmp_path / "python3"), str(tmp_path / "real")} < set(listed)
    assert str(tmp_path) not in listed
    looped = readable(made_up("/venv", "/base")._replace(executable=str(tmp_path / "loop")))
    assert str(tmp_path / "loop") in looped


def test_conda_and_stores_and_user_packages() -> None:
    conda = readable(made_up("/opt/conda", "/opt/conda"))
    assert {"/opt/conda/share/zoneinfo", "/opt/conda/ssl/openssl.cnf", "/opt/conda/lib"} < set(conda)
    assert not is_covered("/opt/conda/conda-meta/history", conda)
    nix = readable(made_up("/nix/store/abc-python", "/nix/store/abc-python"))
    assert is_covered("/nix/store/def-openssl/lib/libssl.so", nix)
    assert not is_covered("/nix/var/secret", nix)
    assert not is_covered("/nix/store/def-openssl/lib/libssl.so", conda)
    user = readable(made_up("/usr", "/usr", "/home/anna/.local/lib/python3.11/site-packages"))
    assert is_covered("/home/anna/.local/lib/python3.11/site-packages/numpy/__init__.py", user)
    assert not is_covered("/home/anna/.local/share/keyrings/login", user)


def test_roots_are_folders_of_packages_and_what_was_granted(tmp_path: Path) -> None:
    names = (
        *(
            "venv/lib/python3.11",
            "venv/lib/python3.11/site-packages",
            "project",
            "project/src",
            "base/lib64/extra",
        ),
        *("local/site-packages", "usr/lib/python3/dist-packages", "venv/other", "projects"),
    )
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    path = tuple(str(tmp_path / name) for name in names)
    interpreter = made_up(
        str(tmp_path / "venv"), str(tmp_path / "base"), "", "/not/there/site-packages", *path
    )
    expected = [path[0], path[1], path[4], path[5], path[6]]
    assert list(roots(interpreter)) == expected
    granted = roots(interpreter, [str(tmp_path / "project")])
    assert list(granted) == [path[0], path[1], path[2], path[3], *expected[2:]]


def test_it_is_cheap_to_import() -> None:
    modules = "codeact_kernel.sandbox.confine.paths, codeact_kernel.sandbox.confine.bwrap"
    code = f"import {modules}, sys; sys.exit(' '.join(set({DEAR}) & set(sys.modules)))"
    root = os.path.dirname(paths.PACKAGE)
    # -S: what site imports on this machine (a .pth file may import anything) is not ours.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "\n"), f"imported on the way to the kernel: {done.stderr}"


USE = """
import shutil
privileges.drop_capabilities()
privileges.no_new_privileges()
work = os.path.join(place, "work")
landlock.restrict(paths.readable(paths.running()), [work])
os.chdir(work)
import zoneinfo, ssl, sqlite3, mimetypes, locale, ctypes.util, decimal, lzma, email, xml.dom.minidom, platform
import numpy
from importlib.metadata import version
attempt("numpy", lambda: numpy.linalg.inv(numpy.eye(300)))
attempt("zone", lambda: zoneinfo.ZoneInfo("Europe/Berlin"))
attempt("types", mimetypes.init)
attempt("tls", ssl.create_default_context)
attempt("database", lambda: sqlite3.connect("file.db").execute("create table t (x)"))
attempt("locale", lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"))
attempt("metadata", lambda: version("numpy"))
attempt("platform", lambda: (platform.platform(), platform.freedesktop_os_release()))
attempt("memory", lambda: open("/proc/self/statm").read())
attempt("random", lambda: open("/dev/urandom", "rb").read(4))
attempt("own package", lambda: __import__("codeact_kernel.in_kernel.app"))
for path in ("/etc/passwd", "/proc/1/environ", "/proc/self/environ", os.path.join(sys.prefix, "pip.conf"),
             os.path.expanduser("~"), "/tmp", "/", os.path.join(place, "secret")):
    attempt(path, lambda: os.close(os.open(path, os.O_RDONLY)))
"""


@needs_landlock
def test_libraries_work_behind_it(caller: Caller) -> None:
    caller.write("secret")
    caller.folder("work")
    answers = caller.ask(USE)
    denied = {name for name, how in answers.items() if name.startswith("/")}
    assert {name: answers[name] for name in answers if name not in denied and answers[name] != "worked"} == {}
    assert {answers[name] for name in denied} <= {"EACCES", "ENOENT"}
    assert answers["/etc/passwd"] == answers[str(caller.place / "secret")] == "EACCES"


def test_control_groups_of_this_process_are_named() -> None:
    if not Path("/proc/self/cgroup").exists():
        pytest.skip("no control groups")
    limits = [path for path in readable(running()) if path.startswith("/sys/fs/cgroup/")]
    assert all(os.path.basename(path) in paths.OF_A_CONTROL_GROUP for path in limits)
    mounted = os.path.isdir("/sys/fs/cgroup") and os.listdir("/sys/fs/cgroup")
    assert limits or not mounted
