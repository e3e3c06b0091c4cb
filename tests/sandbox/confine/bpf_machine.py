"""Owns a machine that runs a system-call filter as the kernel would, for any architecture."""

from __future__ import annotations

import struct
from functools import lru_cache

ALLOW, KILL = "allow", "kill"


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), audit: int = 0xC000003E) -> str | int:
    """What the filter says of one call: ALLOW, KILL, or the errno it fails with (0: pretended success)."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, audit, 0, *(value & (2**64 - 1) for value in padded))
    instructions = _decoded(program)
    accumulator = at = 0
    while True:
        code, true, false, k = instructions[at]  # beyond the end: a filter the kernel would not take
        at += 1
        match code:
            case 0x20:
                assert k % 4 == 0
                (accumulator,) = struct.unpack_from("<I", data, k)
            case 0x54:
                accumulator &= k
            case 0x05:
                at += k
            case 0x15:
                at += true if accumulator == k else false
            case 0x35:
                at += true if accumulator >= k else false
            case 0x45:
                at += true if accumulator & k else false
            case 0x06:
                return _verdict(k)
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")


@lru_cache(maxsize=64)
def _decoded(program: bytes) -> list[tuple[int, int, int, int]]:
    return list(struct.iter_unpack("<HBBI", program))


def _verdict(value: int) -> str | int:
    if value == 0x7FFF0000:
        return ALLOW
    if value == 0x80000000:
        return KILL
    assert value >> 16 == 0x0005, f"no verdict of ours: {value:#x}"
    return value & 0xFFFF
