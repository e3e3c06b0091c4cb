"""Owns calls into the C library: integers and pointers in, a number out, OSError for -1."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache


def call(name: str, *args: object) -> int:
    """Calls a C function that returns -1 and sets errno when it fails.

    Args:
        name: of the function, for example `prctl` or `syscall`.
        args: int (passed as long, since most of these functions are variadic), bytes, None for NULL, or
            a ctypes value.

    Raises:
        OSError: the call failed, or this is not Linux.
    """
    if sys.platform != "linux":
        raise OSError(
            f"{name}() is needed for the sandbox and is there on Linux only, not on {sys.platform!r}"
        )
    function = getattr(_library(), name)
    function.restype = ctypes.c_long
    ctypes.set_errno(0)
    result = function(*(ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args))
    # prctl and the like return int: the upper half of the register is not theirs.
    if ctypes.c_int(result).value == -1:
        number = ctypes.get_errno()
        what = name if name != "syscall" else f"system call {args[0]}"
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return int(result)


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
