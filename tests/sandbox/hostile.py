# ruff: noqa: F821, T201  # what is not defined here is put in front of it, see tests/test_leaves_no_trace.py
"""Owns what a hostile file tries: to leave something of itself, wherever it can. Never imported.

Runs as action code, in the cage and once without it, so nothing here harms a machine for good: it makes
things of its own name, touches files that the test made, and hits a process that the test started.
"""

import atexit
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
kept = []


def note(what):
    """That it worked, where the host finds it."""
    for place in PLACES:
        try:
            with open(f"{place}/{MARK}-{what}", "w") as file:
                file.write(what)
        except OSError:
            pass


# --- files ---


def new_files():
    note("file")


def folders_links_and_pipes():
    for place in PLACES:
        for make in (
            lambda name: os.makedirs(f"{name}-folder/inner"),
            lambda name: os.symlink("/", f"{name}-link"),
            lambda name: os.link(FILES[0], f"{name}-hard-link"),
            lambda name: os.mkfifo(f"{name}-pipe"),
            lambda name: os.mknod(f"{name}-null", 0o20666, os.makedev(1, 3)),
        ):
            try:
                make(f"{place}/{MARK}")
            except OSError:
                pass


def changed_files():
    for name in FILES:
        for change in (
            lambda name: os.write(os.open(name, os.O_WRONLY | os.O_APPEND), MARK.encode()),
            lambda name: os.chmod(name, 0o777),
            lambda name: os.utime(name, (1, 1)),
            lambda name: os.truncate(name, 1),
            lambda name: os.setxattr(name, "user.mark", b"1"),
        ):
            try:
                change(name)
            except OSError:
                pass
    os.rename(FILES[-1], f"{FILES[-1]}-{MARK}")


def what_runs_later():
    for place in PLACES:
        for name in ("startup.py", "start.pth", "sitecustomize.py", "kernel.json", "autostart.desktop"):
            try:
                with open(f"{place}/{MARK}-{name}", "w") as file:
                    file.write("# harmless\n")
            except OSError:
                pass
    atexit.register(note, "at-exit")


def a_full_disk():
    with open("big", "wb") as file:
        file.write(bytes(20 * 2**20))
    unlinked = os.open("unlinked", os.O_WRONLY | os.O_CREAT)
    os.unlink("unlinked")
    os.write(unlinked, bytes(20 * 2**20))
    os.makedirs("deep/" * 100)
    os.chmod("deep", 0)


# --- processes ---


def daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for _ in range(600):
                note("daemon")
                time.sleep(0.1)
        os._exit(0)
    time.sleep(0.5)  # For it to get going.


def programs():
    subprocess.Popen(["sleep", "300"], start_new_session=True)
    os.system(f"touch {PLACES[0]}/{MARK}-shell; nohup sleep 300 &")
    os.posix_spawn(shutil.which("sleep"), ["sleep", "300"], os.environ)


def threads():
    for _ in range(20):
        threading.Thread(target=lambda: [time.sleep(0.2) or note("thread") for _ in range(600)]).start()


def signals():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.kill(VICTIM, signal.SIGKILL)


# --- sockets and other things of the system's ---


def listening():
    server = socket.create_server(("127.0.0.1", PORT))
    kept.append(server)
    note("tcp")


def datagrams():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", PORT))
    kept.append(server)
    note("udp")


def unix_sockets():
    for address in (f"\0{MARK}", *(f"{place}/{MARK}-socket" for place in PLACES)):
        try:
            server = socket.socket(socket.AF_UNIX)
            server.bind(address)
            server.listen()
            kept.append(server)
        except OSError:
            pass


def shared_memory():
    assert libc.shmget(KEY, 4096, 0o1600) >= 0
    assert libc.semget(KEY, 1, 0o1600) >= 0


def keyring():
    add_key, keyctl, user_keyring, set_timeout = 248, 250, -4, 15
    key = libc.syscall(add_key, b"user", MARK.encode(), b"1", 1, user_keyring)
    assert libc.syscall(keyctl, set_timeout, key, 60) == 0


for attempt in (
    *(new_files, folders_links_and_pipes, changed_files, what_runs_later, a_full_disk),
    *(threads, daemon, programs, signals),
    *(listening, datagrams, unix_sockets, shared_memory, keyring),
):
    try:
        attempt()
    except (OSError, AssertionError) as error:
        print(attempt.__name__, repr(error))
with open("ready", "w") as ready:
    ready.write("1")
# %%
if STAY:
    time.sleep(300)
os._exit(3)
