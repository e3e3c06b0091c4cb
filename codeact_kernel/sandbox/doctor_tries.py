"""Owns trying one layer for real, in a process that ends with it. Standard library only; Linux.

Run by path: `doctor_tries.py landlock|seccomp|namespaces [FILE]`. Writes `held`, or why it is not to be had;
for landlock, FILE must exist and is what must no longer be readable.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys

NO_NEW_PRIVS, SECCOMP_FILTER = 38, 2
CREATE_RULESET, RESTRICT_SELF = 444, 446
READ_FILE = 1 << 2
NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000 | 0x08000000
"""user, mount, pid, net, ipc."""
SOCKET = {"x86_64": 41, "aarch64": 198}


def checked(result: int) -> int:
    """The result of a C call. Raises OSError when it is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def landlock(libc: ctypes.CDLL, path: str) -> str:
    """Whether a process can take the right to read from itself."""
    rules = struct.pack("Q", READ_FILE)
    ruleset = checked(libc.syscall(CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0))
    checked(libc.syscall(RESTRICT_SELF, ruleset, 0))
    try:
        open(path, "rb").close()
    except PermissionError:
        return "held"
    return "it was applied, and a file could still be read"


def seccomp(libc: ctypes.CDLL, machine: str) -> str:
    """Whether a process can take a system call from itself."""
    refuse, allow = 0x00050000 | 1, 0x7FFF0000  # EPERM
    code = ((0x20, 0, 0, 0), (0x15, 0, 1, SOCKET[machine]), (0x06, 0, 0, refuse), (0x06, 0, 0, allow))
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in code))
    filters = struct.pack("HP", len(code), ctypes.addressof(program))
    checked(libc.prctl(22, SECCOMP_FILTER, filters, 0, 0))
    try:
        socket.socket().close()
    except PermissionError:
        return "held"
    return "a filter was installed, and the refused call could still be made"


def main(argv: list[str]) -> int:
    """Writes one line. Exit code 0 when the layer holds."""
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        if argv[0] == "namespaces":
            checked(libc.unshare(NAMESPACES))
            found = "held"
        else:
            checked(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
            found = landlock(libc, argv[1]) if argv[0] == "landlock" else seccomp(libc, os.uname().machine)
    except (OSError, KeyError) as problem:
        found = str(problem)
    sys.stdout.write(f"{found}\n")
    return 0 if found == "held" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
