"""The filter in the kernel: children that install it make the calls, raw ones where it matters."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zmq

from codeact_kernel.sandbox.confine import seccomp
from codeact_kernel.sandbox.confine.seccomp import Rules

CHILD = Path(__file__).with_name("filtered.py")
on_x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="an ABI of x86 machines")


def child(code: str, rules: Rules | None = Rules(), *arguments: str, **options: Any) -> Any:  # noqa: B008  # frozen
    """What `code` leaves in `answer`, run under the filter."""
    done = run(code, rules, *arguments, **options)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(code: str, rules: Rules | None, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = command_line(code, rules, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


def command_line(code: str, rules: Rules | None, *arguments: str) -> list[str]:
    return [sys.executable, "-I", str(CHILD), json.dumps(rules and rules._asdict()), code, *arguments]


CALLS = {
    # what programs need
    "raw('getpid') == me": True,
    "raw('kill', me, 0)": 0,
    "raw('tgkill', me, me, 0)": 0,
    "raw('prctl', 15, b'name')": 0,
    "raw('prlimit64', 0, 7, None, buffer)": 0,
    "raw('fcntl', pipe, 1032) > 0": True,
    "raw('ioctl', pipe, 0x541B, buffer)": 0,
    "raw('getsockopt', here, 1, 3, buffer, size)": 0,
    "raw('setsockopt', here, 1, 7, buffer, 4)": 0,
    "raw('sendto', here, b'x', 1, 0, None, 0)": 1,
    "raw('sched_setaffinity', 0, 128, mask)": 0,
    "raw('getpriority', 0, 0) > 0": True,
    "raw('close_range', 900, 901, 4)": 0,
    "raw('mmap', None, 4096, 3, 0x22, -1, 0) != 0": True,
    "raw('madvise', None, 0, 4)": 0,
    "attempt(os.mkdir, 'folder', 0o750)": "worked",
    "attempt(make, 'plain', os.O_WRONLY | os.O_CREAT, 0o640)": "worked",
    "attempt(make, '.', os.O_TMPFILE | os.O_RDWR, 0o600)": "worked",
    "attempt(make, 'plain', os.O_WRONLY | os.O_TRUNC, 0)": "worked",
    "attempt(os.rename, 'plain', 'renamed')": "worked",
    "attempt(socket.socketpair)": "worked",
    # looks like success
    "attempt(os.chmod, 'mine', 0o4755), oct(os.stat('mine').st_mode & 0o7777)": ["worked", "0o600"],
    "attempt(os.utime, 'mine', (1, 1)), os.stat('mine').st_mtime > 1": ["worked", True],
    "raw('sched_setscheduler', other, 0, buffer)": 0,
    # does not exist
    "raw('clone3', None, 0)": "ENOSYS",
    "raw('openat2', -100, b'mine', buffer, 24)": "ENOSYS",
    "raw('statmount', None, None, 0, 0)": "ENOSYS",
    "raw('mseal', None, 0, 0)": "ENOSYS",
    "raw('name_to_handle_at', -100, b'.', buffer, buffer, 0)": "ENOSYS",
    "raw('personality', 0xFFFFFFFF)": "ENOSYS",
    # is not supported
    "attempt(os.listxattr, 'mine')": "ENOTSUP",
    "attempt(os.setxattr, 'mine', 'user.x', b'')": "ENOTSUP",
    "attempt(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW)": "ENOTSUP",
    "raw('ioctl', pipe, 0x5412, b'x')": "ENOTTY",
    "raw('ioctl', pipe, 0x40049409, pipe)": "ENOTSUP",
    "raw('getsockopt', here, 6, 11, buffer, size)": "ENOTSUP",
    "raw('prctl', 0x53564D41, 0, 0, 0, 0)": "EINVAL",
    "raw('madvise', None, 0, 12)": "EINVAL",
    "raw('mmap', None, 1 << 21, 3, 0x40022, -1, 0)": "ENOMEM",
    "raw('mmap', None, 4096, 3, 0x122, -1, 0)": "ENOMEM",
    "raw('sendfile', pipe, pipe, None, 1)": "EINVAL",
    # memory whose size nobody can see
    "raw('mmap', None, 4096, 3, 0x21, -1, 0)": "EPERM",
    "raw('mmap', None, 4096, 1, 0x23, -1, 0)": "EPERM",
    # clocks: the machine's and our own
    "raw('clock_gettime', 0, buffer), raw('clock_gettime', 2, buffer), raw('clock_gettime', 3, buffer)": [0]
    * 3,
    "raw('clock_getres', 1, buffer), raw('clock_gettime', -6, buffer), raw('clock_gettime', -2, buffer)": [0]
    * 3,
    "raw('clock_gettime', (~me << 3) | 2, buffer)": 0,
    "raw('clock_gettime', (~other << 3) | 2, buffer), raw('clock_getres', (~other << 3), buffer)": ["EINVAL"]
    * 2,
    "raw('clock_nanosleep', (~other << 3) | 2, 0, buffer, None)": "EINVAL",
    "raw('timer_create', (~other << 3) | 2, None, buffer)": "EINVAL",
    # what is known of others
    "raw('sched_getattr', 0, buffer, 48, 0), raw('sched_getattr', other, buffer, 48, 0)": [0, "EPERM"],
    "raw('sched_rr_get_interval', other, buffer)": "EPERM",
    "raw('capget', buffer, buffer)": "EPERM",
    "raw('getsockopt', here, 1, 17, buffer, size), raw('getsockopt', here, 1, 77, buffer, size)": ["ENOTSUP"]
    * 2,
    # files that would work on the host
    "attempt(make, 'setuid', os.O_WRONLY | os.O_CREAT, 0o4755)": "EPERM",
    "attempt(make, '.', os.O_TMPFILE | os.O_RDWR, 0o2755)": "EPERM",
    "attempt(os.mkdir, 'sticky', 0o1777)": "EPERM",
    "attempt(os.symlink, 'mine', 'link')": "EPERM",
    "attempt(os.link, 'mine', 'link')": "EPERM",
    "attempt(os.mkfifo, 'fifo')": "EPERM",
    "attempt(os.mknod, 'device', 0o20600, 0)": "EPERM",
    "attempt(os.chown, 'mine', 0, 0)": "EPERM",
    "raw('renameat2', -100, b'mine', -100, b'moved', 4)": "EPERM",
    "attempt(make, 'mine', os.O_RDONLY | os.O_TRUNC, 0)": "EPERM",
    "attempt(os.truncate, 'mine', 0)": "EPERM",
    # the network
    "attempt(socket.socket)": "EPERM",
    "attempt(socket.socket, socket.AF_UNIX)": "EPERM",
    "attempt(socket.socketpair, socket.AF_UNIX, socket.SOCK_DGRAM)": "EPERM",
    "raw('bind', here, buffer, 2)": "EPERM",
    "raw('listen', here, 1)": "EPERM",
    "raw('connect', here, buffer, 2)": "EPERM",
    "raw('sendto', here, b'x', 1, 0, buffer, 2)": "EPERM",
    "raw('sendto', here, b'x', 1, 0, 1 << 32, 2)": "EPERM",
    "raw('sendto', here, b'x', 1, 0x20000000, None, 0)": "EPERM",
    "raw('sendmsg', here, buffer, 0)": "EPERM",
    "raw('recvmsg', here, buffer, 0)": "EPERM",
    "raw('setsockopt', here, 1, 26, buffer, 16)": "EPERM",
    "raw('setsockopt', here, 6, 1, buffer, 4)": "EPERM",
    "raw('io_uring_setup', 1, buffer)": "EPERM",
    # processes
    "attempt(os.fork)": "EPERM",
    "raw('clone', 17, None, None, None, None)": "EPERM",
    "raw('clone', 0x3D0F00 & ~0x400, None, None, None, None)": "EPERM",
    "attempt(os.execv, '/bin/true', ['true'])": "EPERM",
    "attempt(os.posix_spawn, '/bin/true', ['true'], {})": "EPERM",
    "attempt(subprocess.run, ['true'])": "EPERM",
    "raw('kill', other, 0)": "EPERM",
    "raw('kill', 0, 0)": "EPERM",
    "raw('kill', -1, 0)": "EPERM",
    "raw('kill', -other, 0)": "EPERM",
    "raw('tgkill', other, other, 0)": "EPERM",
    "raw('tkill', other, 0)": "EPERM",
    "raw('rt_sigqueueinfo', other, 0, buffer)": "EPERM",
    "raw('pidfd_open', other, 0)": "EPERM",
    "raw('ptrace', 0, 0, 0, 0)": "EPERM",
    "raw('process_vm_readv', other, buffer, 1, buffer, 1, 0)": "EPERM",
    "raw('prlimit64', other, 7, None, buffer)": "EPERM",
    "raw('prlimit64', 0, 7, buffer, None)": "EPERM",
    "raw('sched_setaffinity', other, 128, mask)": "EPERM",
    "raw('setpriority', 0, 0, 5)": "EPERM",
    "raw('getpgid', other)": "EPERM",
    "raw('getsid', other)": "EPERM",
    "raw('setsid')": "EPERM",
    "raw('fcntl', pipe, 8, other)": "EPERM",
    "raw('fcntl', pipe, 1031, 1 << 20)": "EPERM",
    "raw('close_range', 900, 901, 2)": "EPERM",
    "raw('pipe2', buffer, 0x80)": "EPERM",
    # privilege, and the cage itself
    "raw('prctl', 1, 0, 0, 0, 0)": "EPERM",
    "raw('prctl', 4, 0, 0, 0, 0)": "EPERM",
    "raw('prctl', 22, 1, 0, 0, 0)": "EPERM",
    "raw('prctl', 24, 0, 0, 0, 0)": "EPERM",
    "raw('seccomp', 2, 0, None)": "EPERM",
    "raw('unshare', 0x10000000)": "EPERM",
    "raw('mount', b'x', b'.', b'tmpfs', 0, None)": "EPERM",
    "raw('chroot', b'.')": "EPERM",
    "raw('setuid', 65534)": "EPERM",
    "raw('capset', buffer, buffer)": "EPERM",
    "raw('bpf', 0, buffer, 48)": "EPERM",
    "raw('userfaultfd', 0)": "EPERM",
    "raw('keyctl', 0, -3, 0)": "EPERM",
    "raw('perf_event_open', buffer, 0, -1, -1, 0)": "EPERM",
    "raw('memfd_create', b'x', 0)": "EPERM",
    "raw('shmget', 0, 4096, 0o1600)": "EPERM",
    "raw('inotify_init1', 0)": "EPERM",
    "raw('fanotify_init', 0, 0)": "EPERM",
    "raw('mlock', None, 0)": "EPERM",
    "raw('splice', pipe, None, pipe, None, 1, 0)": "EPERM",
    "raw('open_by_handle_at', -100, buffer, 0)": "EPERM",
}


@functools.cache
def outcomes(folder: str) -> dict[str, Any]:
    every = "answer = {expression: eval(expression) for expression in json.loads(sys.argv[3])}"
    answers: dict[str, Any] = child(every, Rules(), json.dumps(list(CALLS)), cwd=folder)
    return answers


@pytest.mark.parametrize("expression", CALLS)
def test_call(expression: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One child makes all the calls, in this order."""
    folder = tmp_path_factory.getbasetemp() / "filtered"
    if not folder.exists():
        folder.mkdir()
        (folder / "mine").touch(0o600)
    assert outcomes(str(folder))[expression] == CALLS[expression]


def test_another_abi_is_the_end_of_the_process() -> None:
    code = "answer = raw(NUMBERS['getpid'] | 0x40000000)"
    if run(code, None).returncode:
        pytest.skip("another filter, around the tests, ends such a process already")
    assert run(code, Rules()).returncode == -signal.SIGSYS


@on_x86
def test_the_32_bit_entry_is_the_end_of_the_process() -> None:
    code = """
import mmap
private, all_rights = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 7
page = mmap.mmap(-1, 4096, private, all_rights)
page.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
address = ctypes.addressof(ctypes.c_char.from_buffer(page))
answer = ctypes.CFUNCTYPE(ctypes.c_int)(address)() == me
"""
    if run(code, None).stdout.strip() != "true":
        pytest.skip("this kernel has no 32-bit calls")
    assert run(code, Rules()).returncode == -signal.SIGSYS


def test_threads_work_and_are_bound() -> None:
    code = """
tried = []
def work():
    tried.append(attempt(socket.socket))
threads = [threading.Thread(target=work) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
answer = tried
"""
    assert child(code) == ["EPERM"] * 20


WITH_A_THREAD = """
go, ready = threading.Event(), threading.Event()
tried = []
def work():
    {first}
    ready.set()
    go.wait()
    tried.append(attempt(socket.socket))
thread = threading.Thread(target=work)
thread.start()
ready.wait()
answer = attempt(confine, Rules())
go.set()
thread.join()
answer = [answer, *tried]
"""


def test_a_thread_from_before_is_bound_too() -> None:
    assert child(WITH_A_THREAD.format(first="pass"), None) == ["worked", "EPERM"]


def test_a_thread_that_cannot_be_bound_is_an_error() -> None:
    assert child(WITH_A_THREAD.format(first="filter_of_its_own()"), None) == ["EBUSY", "worked"]


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user")
def test_without_no_new_privileges_it_is_an_error() -> None:
    code = "import hashlib; os.setresuid(65534, 65534, 65534); answer = attempt(seccomp.install, Rules())"
    assert child(code, None) == "EACCES"


def test_fork_rule() -> None:
    code = """
def forked(action):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, str(action()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(reading, 100).decode()
answer = {
    "fork": forked(lambda: os.getppid() == me),
    "grandchild": forked(lambda: forked(os.getpid) != ""),
    "exec": forked(lambda: attempt(os.execv, "/bin/true", ["true"])),
    "socket": forked(lambda: attempt(socket.socket)),
    "run": attempt(subprocess.run, ["true"]),
    "namespace": raw("clone", 0x10000011, None, None, None, None),
    "sibling": raw("clone", 0x8011, None, None, None, None),
    "same descriptors": raw("clone", 0x411, None, None, None, None),
    "outside": attempt(os.kill, other, 0),
    "leave the group": forked(lambda: attempt(os.setsid)),
}
"""
    assert child(code, Rules(fork=True)) == {
        "fork": "True",
        "grandchild": "True",
        "exec": "EPERM",
        "socket": "EPERM",
        "run": "EPERM",
        "namespace": "EPERM",
        "sibling": "EPERM",
        "same descriptors": "EPERM",
        "outside": "EPERM",
        "leave the group": "EPERM",
    }


@pytest.mark.parametrize("pid_namespace", [False, True])
def test_a_forked_child_can_be_stopped_where_signals_stay_inside(pid_namespace: bool) -> None:
    code = """
reading, writing = os.pipe()
pid = os.fork()
if pid == 0:
    os.close(writing)
    os.read(reading, 1)  # until the parent says so, or kills it
    os._exit(0)
answer = attempt(os.kill, pid, 9)
os.close(writing)
answer = [answer, os.waitpid(pid, 0)[1]]
"""
    expected = ["worked", int(signal.SIGKILL)] if pid_namespace else ["EPERM", 0]
    assert child(code, Rules(fork=True, pid_namespace=pid_namespace)) == expected


def test_processes_work_together_where_signals_stay_inside() -> None:
    code = """
import multiprocessing
with multiprocessing.get_context("fork").Pool(2) as pool:
    answer = pool.map(abs, [-1, 2])
"""
    assert child(code, Rules(fork=True, pid_namespace=True)) == [1, 2]


def test_truncate_rule(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    assert child("answer = attempt(os.truncate, 'file', 2)", Rules(truncate=True), cwd=tmp_path) == "worked"
    assert (tmp_path / "file").read_text() == "te"


ECHO = """
import zmq
with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
    router.setsockopt(zmq.USE_FD, int(sys.argv[3]))
    router.bind(sys.argv[4])
    router.send_multipart(router.recv_multipart())
answer = "closed"
"""


def test_libzmq_serves_tcp_under_its_rule() -> None:
    """It sets TCP_NODELAY on what it accepts, and drops the connection when it cannot."""
    with socket.create_server(("127.0.0.1", 0)) as server, zmq.Context() as context:
        server.setblocking(False)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        command = command_line(ECHO, Rules(tcp=True), str(server.fileno()), address)
        with subprocess.Popen(command, pass_fds=[server.fileno()], stdout=subprocess.PIPE) as serving:
            with context.socket(zmq.DEALER) as dealer:
                dealer.setsockopt(zmq.LINGER, 0)
                dealer.connect(address)
                dealer.send(b"hello")
                answered = dealer.poll(20_000)
            if not answered:
                serving.kill()
            assert serving.communicate(timeout=20)[0].strip() == b'"closed"'


def test_tcp_rule_opens_no_way_out() -> None:
    code = """
server = socket.socket(fileno=int(sys.argv[3]))
server.shutdown(socket.SHUT_RDWR)  # no longer listens: could now connect
answer = {
    "socket": attempt(socket.socket),
    "connect": attempt(server.connect, ("127.0.0.1", int(sys.argv[4]))),
    "fast open": attempt(server.sendto, b"x", 0x20000000, ("127.0.0.1", int(sys.argv[4]))),
    "fast open without address": raw("sendto", server.fileno(), b"x", 1, 0x20000000, None, 0),
    "fast open option": attempt(server.setsockopt, 6, 30, 1),
    "no delay": attempt(server.setsockopt, 6, 1, 1),
    "listen": attempt(server.listen),
}
"""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as victim:
        arguments = (str(server.fileno()), str(victim.getsockname()[1]))
        assert child(code, Rules(tcp=True), *arguments, pass_fds=[server.fileno()]) == {
            "socket": "EPERM",
            "connect": "EPERM",
            "fast open": "EPERM",
            "fast open without address": "EPERM",
            "fast open option": "EPERM",
            "no delay": "worked",
            "listen": "EPERM",
        }


def test_libraries_work(tmp_path: Path) -> None:
    code = """
import asyncio, concurrent.futures, shutil, sqlite3, tarfile, tempfile, zoneinfo
import numpy as np, pandas as pd
assert (np.ones((500, 500)) @ np.ones((500, 500))).sum() == 500**3
pd.DataFrame({"a": [1, 2]}).to_csv("a.csv")
with sqlite3.connect("a.db") as db:
    db.execute("pragma journal_mode=wal")
    db.execute("create table t (x)")
    db.execute("insert into t values (1)")
db.close()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    assert sum(pool.map(abs, range(100))) == 4950
async def main():
    reader, writer = await asyncio.open_connection(sock=here_socket)
    writer.write(b"x"); await writer.drain()
    assert there_socket.recv(1) == b"x"
    writer.close()
    return await asyncio.to_thread(lambda: 5)
assert asyncio.run(main()) == 5
with tarfile.open("a.tar", "w") as tar:
    tar.add("a.csv")
with tempfile.TemporaryDirectory() as folder:
    with tarfile.open("a.tar") as tar:
        tar.extractall(folder, filter="data")
    shutil.copytree(folder, "copied")
    shutil.copy2("a.db", "copied")
assert zoneinfo.ZoneInfo("Europe/Berlin")
answer = sorted(os.listdir("copied"))
"""
    environment = {"TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    assert child(code, cwd=tmp_path, env=environment) == ["a.csv", "a.db"]


def test_digest_names_the_filter() -> None:
    assert child("answer = digest") == seccomp.digest(Rules())
    every = [
        seccomp.digest(Rules(*flags))
        for flags in ((), (True,), (False, True), (True, False, True), (0, 0, 0, 1))
    ]
    assert len(set(every)) == len(every)
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in every)
