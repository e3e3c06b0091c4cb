"""The filter as a program: run by a machine of our own, so for both architectures and for every number."""

from __future__ import annotations

import re
from errno import EINVAL, ENOMEM, ENOSYS, ENOTTY, EOPNOTSUPP, EPERM
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codeact_kernel.sandbox.confine import bpf, seccomp
from codeact_kernel.sandbox.confine.seccomp import Rules
from codeact_kernel.sandbox.confine.syscalls import machine

from .bpf_machine import ALLOW, KILL, run

PID = 4711
RULED = {"fork", "vfork", "link", "linkat"}
"""Denied, but for what a rule opens."""
BOTH = ("x86_64", "aarch64")
WORDS = st.integers(0, 2**64 - 1)
NEAR_PID = st.sampled_from([0, 1, -1, PID, -PID, PID + 1, 2**32 - PID, 2**32 + PID, PID << 32]) | WORDS


def say(call: str, *arguments: int, rules: Rules = Rules(), on: str = "x86_64") -> str | int:  # noqa: B008  # frozen
    target = machine(on)
    return run(filter_of(rules, on), target.numbers[call], arguments, target.audit)


@cache
def filter_of(rules: Rules, on: str) -> bytes:
    return seccomp.program(rules, PID, on)


@pytest.mark.parametrize("on", BOTH)
@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("read", (), ALLOW),
        ("futex", (), ALLOW),
        ("fallocate", (), ALLOW),
        ("epoll_pwait", (), ALLOW),
        ("statx", (), ALLOW),
        ("rseq", (), ALLOW),
        ("futex_waitv", (), ALLOW),
        ("fchmodat", (), 0),
        ("fchmodat2", (), 0),
        ("utimensat", (), 0),
        ("sched_setscheduler", (), 0),
        ("flistxattr", (), EOPNOTSUPP),
        ("socket", (16, 3, 0), EOPNOTSUPP),
        ("socket", (1, 1, 0), EPERM),
        ("socket", (2, 1, 0), EPERM),
        ("connect", (), EPERM),
        ("execve", (), EPERM),
        ("ptrace", (), EPERM),
        ("io_uring_setup", (), EPERM),
        ("memfd_create", (), EPERM),
        ("symlinkat", (), EPERM),
        ("linkat", (), EPERM),
        ("mknodat", (), EPERM),
        ("clone3", (), ENOSYS),
        ("openat2", (), ENOSYS),
        ("statmount", (), ENOSYS),
        ("mseal", (), ENOSYS),
        ("setxattrat", (), ENOSYS),
        ("openat", (0, 0, 0o102, 0o644), ALLOW),
        ("openat", (0, 0, 0o102, 0o4755), EPERM),
        ("openat", (0, 0, 0o20200002, 0o2755), EPERM),  # O_TMPFILE
        ("openat", (0, 0, 0o200000, 0o7777), ALLOW),  # O_DIRECTORY: there is no mode
        ("openat", (0, 0, 0o1001, 0), ALLOW),  # O_TRUNC | O_WRONLY
        ("openat", (0, 0, 0o1000, 0), EPERM),
        ("openat", (0, 0, 0o1003, 0), EPERM),
        ("mkdirat", (0, 0, 0o777), ALLOW),
        ("mkdirat", (0, 0, 0o1777), EPERM),
        ("renameat2", (0, 0, 0, 0, 3), ALLOW),
        ("renameat2", (0, 0, 0, 0, 4), EPERM),
        ("truncate", (), EPERM),
        ("mmap", (0, 4096, 3, 0x22), ALLOW),
        ("mmap", (0, 4096, 3, 0x40022), ENOMEM),
        ("madvise", (0, 0, 4), ALLOW),
        ("madvise", (0, 0, 12), EINVAL),
        ("prlimit64", (0, 7, 0, 1), ALLOW),
        ("prlimit64", (PID, 7, 0, 1), ALLOW),
        ("prlimit64", (0, 7, 1 << 32, 0), EPERM),
        ("prlimit64", (1, 7, 0, 1), EPERM),
        ("sched_setaffinity", (0,), ALLOW),
        ("sched_setaffinity", (1,), EPERM),
        ("getpriority", (0, 0), ALLOW),
        ("getpriority", (2, 0), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), EPERM),
        ("prctl", (4,), EPERM),
        ("prctl", (22,), EPERM),
        ("prctl", (0x53564D41,), EINVAL),
        ("close_range", (3, 9, 4), ALLOW),
        ("close_range", (3, 9, 2), EPERM),
        ("pipe2", (0, 0o2004000), ALLOW),
        ("pipe2", (0, 0x80), EPERM),
        ("fcntl", (0, 1030), ALLOW),
        ("fcntl", (0, 8), EPERM),  # F_SETOWN
        ("fcntl", (0, 1026), EPERM),  # F_NOTIFY
        ("fcntl", (0, 1031), EPERM),  # F_SETPIPE_SZ
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), ENOTTY),  # TIOCSTI
        ("ioctl", (0, 0x40049409), EOPNOTSUPP),
        ("socketpair", (1, 0o2004001), ALLOW),
        ("socketpair", (1, 2), EPERM),
        ("socketpair", (1, 5), EPERM),
        ("socketpair", (2, 1), EPERM),
        ("sendto", (0, 1, 1, 0, 0, 0), ALLOW),
        ("sendto", (0, 1, 1, 0, 1, 16), EPERM),
        ("sendto", (0, 1, 1, 0, 1 << 32, 16), EPERM),
        ("sendto", (0, 1, 1, 0x20000000, 0, 0), EPERM),
        ("getsockopt", (0, 1, 4), ALLOW),
        ("getsockopt", (0, 6, 11), EOPNOTSUPP),
        ("setsockopt", (0, 1, 20), ALLOW),  # SO_RCVTIMEO
        ("setsockopt", (0, 1, 7), 0),  # SO_SNDBUF: pretended
        ("setsockopt", (0, 1, 8), 0),
        ("setsockopt", (0, 1, 26), EPERM),  # SO_ATTACH_FILTER
        ("setsockopt", (0, 6, 1), EPERM),
    ],
)
def test_what_a_cage_may(on: str, call: str, arguments: tuple[int, ...], said: str | int) -> None:
    assert say(call, *arguments, on=on) == said


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("open", (0, 0o100, 0o644), ALLOW),
        ("open", (0, 0o100, 0o1644), EPERM),
        ("open", (0, 0o1000, 0), EPERM),
        ("creat", (0, 0o644), ALLOW),
        ("creat", (0, 0o6755), EPERM),
        ("mkdir", (0, 0o755), ALLOW),
        ("mkdir", (0, 0o2755), EPERM),
        ("chmod", (0, 0o4755), 0),
        ("fork", (), EPERM),
        ("vfork", (), EPERM),
        ("arch_prctl", (0x1002,), ALLOW),
        ("arch_prctl", (0x5001,), EPERM),
    ],
)
def test_older_calls_of_x86(call: str, arguments: tuple[int, ...], said: str | int) -> None:
    assert say(call, *arguments) == said


@pytest.mark.parametrize("on", BOTH)
def test_what_the_rules_change(on: str) -> None:
    process, posix_spawn, sibling = 0x11, 0x4111, 0x8011
    for call, arguments, rules, said in (
        ("clone", (process,), Rules(), EPERM),
        ("clone", (process,), Rules(fork=True), ALLOW),
        ("clone", (posix_spawn,), Rules(fork=True), ALLOW),
        ("clone", (sibling,), Rules(fork=True), EPERM),
        ("execve", (), Rules(fork=True), EPERM),
        ("clone3", (), Rules(fork=True), ENOSYS),
        ("kill", (1, 9), Rules(fork=True), EPERM),
        ("kill", (1, 9), Rules(fork=True, pid_namespace=True), ALLOW),
        ("linkat", (), Rules(fork=True), EPERM),
        ("linkat", (), Rules(pid_namespace=True), EPERM),
        ("linkat", (), Rules(fork=True, pid_namespace=True), ALLOW),
        ("setsockopt", (0, 6, 1), Rules(tcp=True), ALLOW),
        ("setsockopt", (0, 6, 30), Rules(tcp=True), EPERM),  # TCP_FASTOPEN_CONNECT
        ("setsockopt", (0, 41, 1), Rules(tcp=True), EPERM),
        ("socket", (2, 1, 0), Rules(tcp=True), EPERM),
        ("connect", (), Rules(tcp=True), EPERM),
        ("truncate", (), Rules(truncate=True), ALLOW),
    ):
        assert say(call, *arguments, rules=rules, on=on) == said, (call, arguments, rules)


def test_fork_of_x86_is_a_rule() -> None:
    assert say("fork", rules=Rules(fork=True)) == say("vfork", rules=Rules(fork=True)) == ALLOW


@pytest.mark.parametrize("on", BOTH)
@given(pid=NEAR_PID, signal=st.integers(0, 64))
def test_signals_reach_this_process_only(on: str, pid: int, signal: int) -> None:
    low = pid & 0xFFFFFFFF
    assert say("kill", pid, signal, on=on) == (ALLOW if low in (PID, 2**32 - PID) else EPERM)
    assert say("tgkill", pid, 1, signal, on=on) == (ALLOW if low == PID else EPERM)


FLAGS = st.lists(st.integers(0, 31).map(lambda bit: 1 << bit)).map(sum) | st.just(0x3D0F00) | WORDS


@pytest.mark.parametrize("on", BOTH)
@given(flags=FLAGS)
@example(0x3D0F00)  # what pthread_create passes
@example(0x3D0F00 & ~0x400)
@example(0x3D0F00 | 0x10000000)
def test_only_threads_that_share_all_descriptors(on: str, flags: int) -> None:
    thread = flags & 0x10000 and flags & 0x400
    expected = ALLOW if thread and not flags & 0x7E020000 else EPERM
    assert say("clone", flags, on=on) == expected


@pytest.mark.parametrize("on", BOTH)
@given(flags=FLAGS)
def test_a_fork_keeps_its_namespaces_and_its_parent(on: str, flags: int) -> None:
    said = say("clone", flags, rules=Rules(fork=True), on=on)
    if flags & 0x7E020000:
        assert said == EPERM
    elif not flags & 0x10000:
        assert said == (EPERM if flags & 0x8480 else ALLOW)


@pytest.mark.parametrize("on", BOTH)
@given(flags=WORDS, mode=WORDS)
def test_no_file_is_made_with_a_special_mode(on: str, flags: int, mode: int) -> None:
    said = say("openat", 0, 0, flags, mode, on=on)
    if flags & 0o20000100 and mode & 0o7000:
        assert said == EPERM
    elif flags & 0o1003 not in (0o1000, 0o1003):
        assert said == ALLOW


@pytest.mark.parametrize("on", BOTH)
@pytest.mark.parametrize("rules", [Rules(), Rules(fork=True, tcp=True, pid_namespace=True, truncate=True)])
def test_a_number_that_is_not_named_does_not_exist(on: str, rules: Rules) -> None:
    target = machine(on)
    program = seccomp.program(rules, PID, on)
    names = {number: name for name, number in target.numbers.items()}
    unnamed = [n for n in range(1500) if n not in names]
    assert len(unnamed) > 1000
    assert {run(program, number, (), target.audit) for number in unnamed} == {ENOSYS}
    allowed = {name for number, name in names.items() if run(program, number, (), target.audit) == ALLOW}
    assert {"read", "futex", "kill"} & allowed == (
        {"read", "futex", "kill"} if rules.fork else {"read", "futex"}
    )
    assert allowed & set(seccomp._DENIED.split()) <= (RULED if rules.fork else set())


@pytest.mark.parametrize("on", BOTH)
@given(number=st.integers(0, 2**32 - 1), audit=st.integers(0, 2**32 - 1))
@example(0x40000000, 0xC000003E)
@example(39 | 0x40000000, 0xC000003E)
@example(20, 0x40000003)  # i386
@example(39, 0x40000028)  # arm
def test_another_abi_is_the_end(on: str, number: int, audit: int) -> None:
    target = machine(on)
    said = run(filter_of(Rules(), on), number, (), audit)
    assert (said == KILL) == (audit != target.audit or number >= 0x40000000)


def test_every_name_is_one_of_a_call() -> None:
    """A slip of the pen would otherwise silently turn a rule into ENOSYS."""
    known = machine("x86_64").numbers.keys() | machine("aarch64").numbers.keys()
    lists = (seccomp._ALLOWED, seccomp._PRETENDED, seccomp._UNSUPPORTED, seccomp._DENIED)
    names = [name for text in lists for name in text.split()]
    special = [
        *seccomp._files(True),
        *seccomp._memory_and_self(1),
        *seccomp._descriptors(True),
        *seccomp._processes(Rules(fork=True, pid_namespace=True), 1),
    ]
    assert set(names) | set(special) <= known
    assert len(names) == len(set(names)), "a name is on two lists"
    assert set(names) & set(special) == RULED, "the rule of one call is on a list as well"


def test_an_unknown_architecture_is_refused() -> None:
    with pytest.raises(OSError, match=r"'riscv64'.*x86_64, aarch64"):
        seccomp.program(Rules(), 1, "riscv64")


@pytest.mark.parametrize(
    ("on", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_numbers_are_those_of_the_kernel(on: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("no kernel headers on this machine")
    text = Path(header).read_text()
    found = {name: int(value) for name, value in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", text)}
    numbers = machine(on).numbers
    shared = numbers.keys() & found.keys()
    assert len(shared) > 300
    assert {name: numbers[name] for name in shared} == {name: found[name] for name in shared}


BLOCKS = st.sampled_from([bpf.ALLOW, bpf.fails(1), bpf.fails(2)]).flatmap(
    lambda plain: st.just(plain) | st.just(bpf.is_one_of(0, range(200), plain, bpf.fails(3)))
)


@settings(max_examples=40)
@given(calls=st.dictionaries(st.integers(0, 600), BLOCKS, max_size=15), first=st.sampled_from([0, 199, 200]))
def test_dispatch_finds_each_block_however_far(calls: dict[int, bytes], first: int) -> None:
    program = bpf.program(0xC000003E, calls, bpf.fails(99))
    for number in {0, 601, *calls, *(n + 1 for n in calls), *(n - 1 for n in calls if n)}:
        alone = bpf.program(0xC000003E, {number: calls.get(number, bpf.fails(99))}, bpf.KILL)
        assert run(program, number, (first,)) == run(alone, number, (first,))
    assert run(program, 7777) == 99


@given(values=st.lists(WORDS, min_size=1, max_size=5), long=st.booleans(), probe=WORDS)
def test_is_one_of_compares_the_low_half(values: list[int], long: bool, probe: int) -> None:
    then = bpf.has_any(5, 1, *[bpf.is_one_of(5, range(200), bpf.ALLOW, bpf.ALLOW)] * 2) if long else bpf.ALLOW
    program = bpf.program(0xC000003E, {1: bpf.is_one_of(2, values, then, bpf.fails(1))}, bpf.KILL)
    for value in (*values, probe):
        low = {v & 0xFFFFFFFF for v in values}
        assert run(program, 1, (0, 0, value)) == (ALLOW if value & 0xFFFFFFFF in low else 1)


def test_a_filter_too_long_is_refused() -> None:
    wide = {number: bpf.is_one_of(0, [number, *range(100)], bpf.ALLOW, bpf.KILL) for number in range(50)}
    with pytest.raises(ValueError, match="at most 4096"):
        bpf.program(1, wide, bpf.KILL)
