"""The wrapped functions and the messages, in a process of their own; a real cage: tests/sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PRELUDE = """
import errno, importlib, inspect, json, os, pickle, shutil, socket, sys, sqlite3
from typing import NamedTuple
from codeact_kernel.in_kernel import attach, denials_hooks
from codeact_kernel.in_kernel.channel import Channel
from codeact_kernel.in_kernel.denials import Denials
from codeact_kernel.in_kernel.denials_reports import Reports
from codeact_kernel.wire.frames import FrameReader
place = sys.argv[1]
ours, theirs = socket.socketpair()
attach.channel = Channel(theirs)
def functions():
    return {"open": open, "connect": sqlite3.connect, "remove": os.remove, "scandir": os.scandir}
stock = functions()
class Cage(NamedTuple):
    read: tuple
    write: tuple
    namespaces: bool = True
    fork: bool = False
cage = Cage((sys.prefix, sys.base_prefix), (place,))

def reported():
    theirs.shutdown(socket.SHUT_WR)
    data = b""
    while more := ours.recv(65536):
        data += more
    return [[message["kind"], message["name"]] for message in FrameReader().feed(data)]
"""


def run(place: Path, code: str) -> Any:
    """What the code leaves in `answer`."""
    done = subprocess.run(
        [sys.executable, "-c", f"{PRELUDE}{code}\nprint(json.dumps(answer))", str(place)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_functions_keep_their_looks_and_what_depends_on_who_they_are(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        """
before = shutil._use_fd_functions, {name: len(getattr(os, name)) for name in denials_hooks._SUPPORTS}
denials_hooks.install(cage)
importlib.reload(shutil)
now = functions()
answer = {
    "wrapped": all(now[name] is not stock[name] for name in stock),
    "names": [function.__name__ for function in now.values()],
    "docs": all(now[name].__doc__ == stock[name].__doc__ for name in stock),
    "signature": inspect.signature(open) == inspect.signature(stock["open"]),
    "pickled": all(pickle.loads(pickle.dumps(f)) is f for f in (open, os.remove, os.scandir)),
    "same": __import__("io").open is open and sqlite3.connect is sqlite3.dbapi2.connect,
    "safe rmtree": shutil._use_fd_functions == before[0] and os.unlink in os.supports_dir_fd,
}
""",
    )
    assert answer.pop("names") == ["open", "connect", "remove", "scandir"]
    assert set(answer.values()) == {True}, answer


def test_modules_that_come_later_are_wrapped_too(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        """
for name in [name for name in sys.modules if name.partition(".")[0] == "sqlite3"]:
    del sys.modules[name]
denials_hooks.install(cage)
import sqlite3
try:
    sqlite3.connect(database="/nowhere/at/all.db")
except sqlite3.OperationalError as error:
    answer = str(error), reported()
""",
    )
    assert answer[0].startswith("unable to open database file (the sandbox ")
    assert answer[0].endswith(": '/nowhere/at/all.db'")
    assert answer[1] == []  # Nobody has said yet that the cell is over.


def test_reports_wait_until_a_cell_has_seen_the_denial(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        """
denials_hooks.install(cage)
def tried(path):
    try:
        open(path)
    except OSError:
        pass
tried("/nowhere/one")
library = {"__name__": "library"}
exec("def tried(path):\\n    try: open(path)\\n    except OSError: pass", library)
library["tried"]("/nowhere/two")
try: socket.getaddrinfo("198.51.100.7", "0")
finally: pass
denials_hooks.end_cell()
library["tried"]("/nowhere/three")
tried("/nowhere/one")
denials_hooks.end_cell()
answer = reported()
""",
    )
    assert answer == [["read", "/nowhere/one"], ["read", "/nowhere/one"]]


def test_links_and_relative_names_are_judged_by_where_they_lead(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to("/nowhere")
    (tmp_path / "in").symlink_to(tmp_path)
    answer = run(
        tmp_path,
        """
denials = Denials(cage, Reports(lambda kind, name: None))
os.chdir(place)
folder = os.open("/", os.O_RDONLY)
def explained(name, number=errno.EACCES, kind="read", folder=None):
    error = OSError(number, os.strerror(number), name)
    denials.of_file(error, kind, folder)
    return "(the sandbox " in str(error)
library = os.path.join(sys.prefix, "lib")
answer = {
    "out": explained("out/file"), "above": explained("../file"), "bytes": explained(b"/nowhere"),
    "below a descriptor": explained("nowhere", folder=folder), "hidden": explained("/nowhere", errno.ENOENT),
    "library": explained(library, kind="write"), "read-only": explained("/nowhere", errno.EROFS, "write"),
}, {
    "in": explained("in/in/file"), "here": explained("file"), "descriptor": explained(7),
    "readable": explained(library), "full": explained("/nowhere", errno.ENOSPC), "none": explained(None),
    "folder": explained("/nowhere", errno.EISDIR, "write"), "surrogates": explained(b"\\xff"),
    "stale": explained("nowhere", folder=10**6),
}
""",
    )
    assert set(answer[0].values()) == {True}, answer[0]
    assert set(answer[1].values()) == {False}, answer[1]


def test_a_missing_file_is_only_missing_where_there_are_no_namespaces(tmp_path: Path) -> None:
    answer = run(
        tmp_path,
        """
denials_hooks.install(cage._replace(namespaces=False))
try:
    open("/nowhere/file")
except OSError as error:
    answer = str(error)
""",
    )
    assert answer == "[Errno 2] No such file or directory: '/nowhere/file'"


def test_a_package_in_development_that_the_cage_hides_says_so(tmp_path: Path) -> None:
    site, source = tmp_path / "site-packages", tmp_path / "my sources"
    package(site, "Plain-Tool", source, {"dir_info": {"editable": True}})
    package(site, "topped", source, {"dir_info": {"editable": True}}, top_level="inner\n_inner\n")
    package(site, "copied", source, {"dir_info": {}})
    package(site, "seen", tmp_path / "work", {"dir_info": {"editable": True}})
    package(site, "odd", source, [])
    (site / "odd-1.0.dist-info/top_level.txt").write_bytes(b"\xff")
    package(site, "broken", source, {})
    (site / "broken-1.0.dist-info/direct_url.json").write_text("{")
    (tmp_path / "work").mkdir()
    answer = run(
        tmp_path / "work",
        f"""
sys.path.append({str(site)!r})
denials_hooks.install(cage)
denials_hooks.ready()
answer = {{}}
names = "Plain_Tool inner _inner topped copied seen odd broken codeact_kernel.nothing"
for name in names.split():
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        answer[name] = (str(error), error.name)
denials_hooks.end_cell()
answer = answer, reported()
""",
    )
    errors, reports = answer
    hidden = {"Plain_Tool", "inner", "_inner"}
    for name, (text, named) in errors.items():
        assert named == name
        assert ("(the sandbox " in text) == (name in hidden), text
        assert (f"--readable '{source}'" in text) == (name in hidden), text
    assert len(errors) == 9
    assert sorted(reports) == [["import", "Plain_Tool"], ["import", "_inner"], ["import", "inner"]]


def package(site: Path, name: str, folder: Path, origin: Any, top_level: str = "") -> None:
    """What pip leaves of an installed package."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    if isinstance(origin, dict):
        origin = {"url": folder.as_uri(), **origin}
    (info / "direct_url.json").write_text(json.dumps(origin))
    if top_level:
        (info / "top_level.txt").write_text(top_level)
