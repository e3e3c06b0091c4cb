"""Run by test_seccomp: RULES CODE ARGUMENTS... installs the filter, runs the code, prints its `answer`."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal  # noqa: F401  # for the code
import socket
import subprocess  # noqa: F401  # for the code
import sys
import threading  # noqa: F401  # for the code
from collections.abc import Callable

from codeact_kernel.sandbox.confine import bpf, seccomp
from codeact_kernel.sandbox.confine.libc import call
from codeact_kernel.sandbox.confine.seccomp import Rules
from codeact_kernel.sandbox.confine.syscalls import machine

NUMBERS = machine().numbers
me, other = os.getpid(), os.getppid()
buffer, size, mask = bytes(256), b"\x04\0\0\0", b"\xff" * 128
pipe, _writing = os.pipe()
here_socket, there_socket = socket.socketpair()
here = here_socket.fileno()


def raw(name: str | int, *arguments: object) -> int | str:
    """Makes the call itself, past the C library's wrapper. The name of the error if there is one."""
    number = NUMBERS[name] if isinstance(name, str) else name
    try:
        return call("syscall", number, *arguments)
    except OSError as problem:
        return errno.errorcode[problem.errno or 0]


def attempt(action: Callable[..., object], *arguments: object) -> str:
    try:
        action(*arguments)
    except OSError as problem:
        return errno.errorcode[problem.errno or 0]
    return "worked"


def make(path: str, flags: int, mode: int) -> None:
    os.close(os.open(path, flags, mode))


def confine(rules: Rules) -> str:
    no_new_privileges = 38
    call("prctl", no_new_privileges, 1, 0, 0, 0)
    return seccomp.install(rules)


def filter_of_its_own() -> None:
    """For the calling thread only."""
    call("prctl", 38, 1, 0, 0, 0)
    code = bpf.program(machine().audit, {}, bpf.ALLOW)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    call("syscall", NUMBERS["seccomp"], 1, 0, ctypes.byref(Program(len(code) // 8, code)))


given = json.loads(sys.argv[1])
digest = "" if given is None else confine(Rules(**given))
answer: object = None
exec(sys.argv[2])
print(json.dumps(answer))  # noqa: T201  # to the test
