"""Memory, threads, processes and processor time, of children that use too much of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from codeact_kernel.sandbox.confine import usage, usage_kernel
from codeact_kernel.sandbox.confine.policy import MIB, Bounds
from codeact_kernel.sandbox.confine.watch import Watch
from codeact_kernel.sandbox.confine.watch_tree import PATROL_S, Tree

from .hostile import child, never_over, until_over, watch

FORK_THAT_SLEEPS = "os.fork() or time.sleep(60)"
LOCK = """
libc = ctypes.CDLL(None)
libc.fcntl.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p]
def lock(command, number):
    fd = os.open(str(number), os.O_CREAT | os.O_RDWR)
    for n in range(3000, 0, -1):
        assert libc.fcntl(fd, command, struct.pack("hhlli4x", 1, 0, n * 2, 1, 0)) == 0
"""
SPIN = "[None for _ in iter(lambda: time.process_time() < 0.7, False)]"


def test_memory() -> None:
    with child() as process:
        watched = watch(process, memory_bytes=150)
        never_over(watched)
        process.do("held = b'x' * (200 << 20)")
        assert until_over(watched) == "out of memory (limit 150 MiB)"


def test_pages_of_files_are_not_memory(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x" * (100 * MIB))
    with child() as process:
        process.do(f"file = open({str(tmp_path / 'data')!r}, 'rb')")
        process.do("held = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ); at = held.find(b'y')")
        resident = usage.read(f"/proc/{process.pid}/statm").split()[1]
        assert int(resident) * 4096 > 100 * MIB
        never_over(watch(process, memory_bytes=50))


def test_shared_memory_taken_out_of_sight() -> None:
    with child() as process:
        watched = watch(process, memory_bytes=150)
        process.do("held = mmap.mmap(-1, 200 << 20)")
        process.do("[held.write(b'x' * (1 << 20)) for _ in range(200)]")
        process.do("held.madvise(mmap.MADV_DONTNEED)")
        found = usage.look_at(process.pid)
        assert found is not None
        assert found.private + found.shared < 50 * MIB, "no counter of the process shows it"
        assert until_over(watched) == "out of memory (limit 150 MiB)"


def test_memory_of_another_process() -> None:
    with child() as process:
        watched = watch(process, fork=True, memory_bytes=150)
        code = "held = b'x' * (200 << 20); input()"
        process.do(f"other = subprocess.Popen([sys.executable, '-c', {code!r}], stdin=subprocess.PIPE)")
        assert until_over(watched) == "out of memory (limit 150 MiB)"
        process.do("other.kill(); other.wait()")


def test_pages_shared_by_a_fork_count_once() -> None:
    with child() as process:
        process.do("held = b'x' * (100 << 20)")
        for _ in range(3):
            process.do(f"pids = globals().get('pids', []) + [{FORK_THAT_SLEEPS}]")
        watched = watch(process, fork=True, memory_bytes=250)
        never_over(watched)
        process.do("more = b'y' * (200 << 20)")
        assert until_over(watched) == "out of memory (limit 250 MiB)"
        process.do("[os.kill(pid, 9) for pid in pids]")


def test_threads() -> None:
    with child() as process:
        watched = watch(process, threads=40)
        never_over(watched)
        process.do(
            "[threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(60)]"
        )
        assert until_over(watched) == "too many threads (limit 40)"


def test_a_main_thread_that_ends_alone() -> None:
    """Of such a process no memory, mapping or open file is to be seen any more."""
    with child() as process:
        watched = watch(process)
        process.do("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
        never_over(watched)
        process.begin("ctypes.CDLL(None).syscall(60, 0)")
        assert until_over(watched).startswith("its main thread has ended and others go on")


def test_a_process_that_is_killed_is_not_taken_for_one_whose_main_thread_ended() -> None:
    for _ in range(5):
        with child() as process:
            process.do(
                "[threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(100)]"
            )
            os.kill(process.pid, signal.SIGKILL)
            end = time.monotonic() + 10
            while (found := usage.look_at(process.pid)) and found.threads > 1 and time.monotonic() < end:
                assert not found.headless


def test_another_process() -> None:
    with child() as process:
        watched = watch(process)
        never_over(watched)
        process.do(f"pid = {FORK_THAT_SLEEPS}")
        assert until_over(watched) == "it started another process (allow_fork is off)"
        process.do("os.kill(pid, 9)")


def test_bubblewrap_around_it_is_no_other_process() -> None:
    with child() as process:
        process.do("open('/proc/self/comm', 'w').write('bwrap')")
        process.do("inner = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)")
        never_over(watch(process))
        process.do("inner.kill(); inner.wait()")


def test_a_list_of_mappings_too_long_to_be_read(tmp_path: Path) -> None:
    with child() as process:
        watched = watch(process, memory_bytes=150)
        process.do(f"import string; os.chdir({str(tmp_path)!r})")
        process.do("[(os.mkdir('d' * 250), os.chdir('d' * 250)) for _ in range(14)]")
        process.do("file = open('long', 'w+b'); file.truncate(4096)")
        process.do("kept = [mmap.mmap(file.fileno(), 4096, prot=n % 2 + 1) for n in range(100)]")
        never_over(watched)
        process.do("libc = ctypes.CDLL(None); place = 0x10000000")
        process.do("[libc.mmap(place + n * 8192, 4096, 1, 0x11, file.fileno(), 0) for n in range(2800)]")
        process.do("held = mmap.mmap(-1, 200 << 20)")
        assert until_over(watched) == "it has mapped more than can be looked at"
    subprocess.run(["rm", "-rf", tmp_path / ("d" * 250)], check=True)


@pytest.mark.parametrize("command", [6, 37], ids=["of a process", "of an open file"])
def test_locks_on_files(tmp_path: Path, command: int) -> None:
    with child() as process:
        watched = watch(process)
        process.do(f"import struct; os.chdir({str(tmp_path)!r}); exec({LOCK!r})")
        process.do(f"[lock({command}, number) for number in range(2)]")
        never_over(watched)
        process.do(f"[lock({command}, number) for number in range(2, 4)]")
        assert until_over(watched) == "too many locks on files (limit 10000)"


def test_buffers_of_all_processes() -> None:
    with child() as process:
        process.do("import socket; kept = [socket.socketpair() for _ in range(30)]")
        process.do(f"pids = [pid for _ in range(4) if (pid := {FORK_THAT_SLEEPS})]")
        watched = watch(process, fork=True, open_files=20)
        assert usage_kernel.open_files(watched._tree.pids) > 4 * 60
        never_over(watched)
        process.do("kept += [os.pipe() for _ in range(30)]")
        assert until_over(watched) == "too many open sockets and pipes in all its processes (limit 80)"
        process.do("[os.kill(pid, 9) for pid in pids]")


def test_shared_memory_of_the_host_is_nobody_s() -> None:
    with child() as process:
        assert usage_kernel.shared_memory([process.pid]) == usage_kernel.Held()


def test_standing_still() -> None:
    def state(pid: int) -> bytes:
        return usage.read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0]

    with child() as process:
        process.do(f"pids = [pid for _ in range(3) if (pid := {FORK_THAT_SLEEPS})]")
        tree = Tree(process.pid)
        tree.freeze()
        assert tree.frozen
        assert len(tree.pids) == 4
        end = time.monotonic() + 10
        while {*map(state, tree.pids)} != {b"T"} and time.monotonic() < end:
            time.sleep(0.01)
        assert {*map(state, tree.pids)} == {b"T"}
        tree.thaw()
        process.do("[os.kill(pid, 9) for pid in pids]")
        assert not tree.frozen


def test_processor_time() -> None:
    with child() as process:
        watched = watch(process, cpu_seconds=0.6)
        never_over(watched)
        process.begin(SPIN)
        assert until_over(watched) == "out of processor time (limit 0.6 s)"


def test_processor_time_of_children_that_are_gone() -> None:
    with child() as process:
        watched = watch(process, fork=True, cpu_seconds=0.6)
        code = f"import time\n{SPIN}"
        process.do(f"subprocess.run([sys.executable, '-c', {code!r}])")
        assert until_over(watched) == "out of processor time (limit 0.6 s)"


def test_an_orphan_still_counts() -> None:
    """In a process of its own, as that becomes a subreaper."""
    script = """
import os, subprocess, sys, time
from codeact_kernel.sandbox.confine.policy import Bounds
from codeact_kernel.sandbox.confine.watch import Watch, children
from codeact_kernel.sandbox.supervisor import subreaper

subreaper()
code = "held = b'x' * (200 << 20); input()"
spawn = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
session = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
watched = Watch(session.pid, Bounds(memory_bytes=150 << 20), [], True)
read_end, _ = os.pipe()
subprocess.run([sys.executable, "-c", spawn], stdin=read_end)
reason = None
end = time.monotonic() + 15
while reason is None and time.monotonic() < end:
    reason = watched.look(time.monotonic())
    time.sleep(watched.next_in)
print(reason, len(children(os.getpid())))
for pid in children(os.getpid()):
    os.kill(pid, 9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "out of memory (limit 150 MiB) 2\n"


@pytest.mark.parametrize("name", ["a) R 1 (b", "VmSwap:\\t9999999 kB", "x\\nRssAnon:\\t 9 kB"])
def test_a_name_cannot_lie(name: str) -> None:
    with child() as process:
        process.do(f"open('/proc/self/comm', 'w').write('{name}')")
        found = usage.look_at(process.pid)
        assert found is not None
        assert found.threads == 1
        assert found.room > MIB
        never_over(watch(process, memory_bytes=150))


def test_a_process_that_ended() -> None:
    with child() as process:
        watched = watch(process)
        process.begin("os._exit(0)")
        end = time.monotonic() + 10
        while usage.read(f"/proc/{process.pid}/maps") and time.monotonic() < end:
            time.sleep(0.01)
        never_over(watched)
    never_over(watched)
    assert usage.look_at(process.pid) is None


def test_early_looks_do_nothing() -> None:
    with child() as process:
        watched = watch(process, memory_bytes=150)
        assert watched.look(100.0) is None
        wait = watched.next_in
        process.do("held = b'x' * (200 << 20)")
        assert watched.look(100.0 + wait / 2) is None
        assert watched.next_in == pytest.approx(wait / 2)
        assert watched.look(100.0 + wait) == "out of memory (limit 150 MiB)"


def test_watching_an_idle_session_costs_next_to_nothing(tmp_path: Path) -> None:
    with child() as process:
        process.do(
            "[threading.Thread(target=time.sleep, args=(60,), daemon=True).start() for _ in range(12)]"
        )
        for number in range(50):
            (tmp_path / str(number)).write_text("x")
        watched = Watch(process.pid, Bounds(), [str(tmp_path)], False)
        start, now = time.thread_time(), 0.0
        while now < 60:
            assert watched.look(now) is None
            now += watched.next_in
        assert (time.thread_time() - start) / now < 0.005


def test_what_does_not_run_is_not_looked_at_again_but_for_a_patrol() -> None:
    with child() as process:
        watched = watch(process)
        now, seen = standing(watched, 100.0)
        assert watched.look(now + PATROL_S - 1) is None
        assert watched._tree.searched_at == seen
        assert watched.look(seen + PATROL_S) is None
        assert watched._tree.searched_at == seen + PATROL_S


def test_running_for_a_moment_is_enough_to_be_looked_at() -> None:
    with child() as process:
        watched = watch(process)
        now, _ = standing(watched, 100.0)
        process.do("pass")
        assert watched.look(now + 1) is None
        assert watched._tree.searched_at == watched._space._counted[0] == now + 1


def test_clocks_of_processes_that_are_gone() -> None:
    with child() as process:
        before = usage.clocks([process.pid, os.getpid()])
        process.do("pass")
        after = usage.clocks([process.pid, os.getpid()])
        assert before is not None
        assert after is not None
        assert after[0] > before[0]
    assert usage.clocks([process.pid, os.getpid()]) is None


def standing(watched: Watch, now: float) -> tuple[float, float]:
    """The time of a look that had nothing to look at, as the child waits; and of the last that had."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert watched.look(now) is None
        if watched._tree.searched_at < now and watched._space._counted[0] == watched._tree.searched_at:
            return now, watched._tree.searched_at
        now += watched.next_in
    raise AssertionError("the child went on running")
