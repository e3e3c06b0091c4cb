"""Owns the assembling of system-call filters: classic BPF over `struct seccomp_data`.

A program is put together from blocks. Each block ends in a verdict on every path and never jumps out of
itself, so blocks nest freely and only their lengths decide a jump. For little-endian machines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping

Block = bytes
"""Instructions, encoded: an array of `struct sock_filter`, 8 bytes each."""

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, constant
_LONGEST = 4096  # instructions of a filter
_FURTHEST = 255  # a conditional jump has 8 bits

_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_LOW, _HIGH = 0, 4  # halves of an argument
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP, _EQUAL, _AT_LEAST, _ANY_BIT = 0x05, 0x15, 0x35, 0x45
_WHOLE = 0xFFFFFFFF
_X32 = 0x40000000  # from here on the numbers are of another ABI of the same machine


def verdict(value: int) -> Block:
    """Ends the filter with a SECCOMP_RET value."""
    return _INSTRUCTION.pack(_RETURN, 0, 0, value)


def fails(errno: int) -> Block:
    """The call is not made and gives that error; 0 looks like success."""
    return verdict(0x00050000 | errno)


ALLOW = verdict(0x7FFF0000)
KILL = verdict(0x80000000)
"""The whole process, at once, as by SIGSYS."""


def is_one_of(
    argument: int, values: Iterable[int], then: Block, otherwise: Block, mask: int = _WHOLE
) -> Block:
    """`then` if the low half of an argument (0 to 5), under the mask, is one of up to 255 values.

    For arguments that the kernel takes as an int. Compare a pointer with `is_null`.
    """
    masked = b"" if mask == _WHOLE else _INSTRUCTION.pack(_AND, 0, 0, mask)
    return _load(argument, _LOW) + masked + _branch(_EQUAL, list(values), then, otherwise)


def has_any(argument: int, bits: int, then: Block, otherwise: Block) -> Block:
    """`then` if any of the bits is set in the low half of an argument."""
    return _load(argument, _LOW) + _branch(_ANY_BIT, [bits], then, otherwise)


def is_null(argument: int, then: Block, otherwise: Block) -> Block:
    """`then` if both halves of an argument are zero."""
    high = _load(argument, _HIGH) + _branch(_EQUAL, [0], then, otherwise)
    return _load(argument, _LOW) + _branch(_EQUAL, [0], high, otherwise)


def program(audit: int, calls: Mapping[int, Block], default: Block) -> Block:
    """The filter of one architecture, by the number of the call; KILL for another one, and for x32.

    Raises ValueError where the kernel would refuse the length.
    """
    native = _branch(_AT_LEAST, [_X32], KILL, _search(_runs(calls, default)))
    by_number = _INSTRUCTION.pack(_LOAD, 0, 0, _NUMBER) + native
    whole = _INSTRUCTION.pack(_LOAD, 0, 0, _ARCH) + _branch(_EQUAL, [audit], by_number, KILL)
    if _length(whole) > _LONGEST:
        raise ValueError(
            f"a filter of {_length(whole)!r} instructions; at most {_LONGEST}: give it fewer rules"
        )
    return whole


def _load(argument: int, half: int) -> Block:
    return _INSTRUCTION.pack(_LOAD, 0, 0, _ARGUMENTS + 8 * argument + half)


def _length(block: Block) -> int:
    return len(block) // _INSTRUCTION.size


def _branch(test: int, constants: list[int], then: Block, otherwise: Block) -> Block:
    """`then` if the test holds for the accumulator and any of the constants."""
    *others, last = constants
    distance = _length(then)
    far = distance > _FURTHEST
    jumps = [
        _INSTRUCTION.pack(test, len(others) - i + far, 0, constant & _WHOLE)
        for i, constant in enumerate(others)
    ]
    if far:
        jumps += [_INSTRUCTION.pack(test, 1, 0, last & _WHOLE), _INSTRUCTION.pack(_JUMP, 0, 0, distance)]
    else:
        jumps += [_INSTRUCTION.pack(test, 0, distance, last & _WHOLE)]
    return b"".join((*jumps, then, otherwise))


def _runs(calls: Mapping[int, Block], default: Block) -> list[tuple[int, Block]]:
    """From which number on which block holds; neighbours with the same one are a single run."""
    runs: list[tuple[int, Block]] = []
    for number in range(max(calls, default=0) + 2):
        block = calls.get(number, default)
        if not runs or block != runs[-1][1]:
            runs.append((number, block))
    return runs


def _search(runs: list[tuple[int, Block]]) -> Block:
    """A binary search for the run that the number in the accumulator falls in."""
    if len(runs) == 1:
        return runs[0][1]
    middle = len(runs) // 2
    return _branch(_AT_LEAST, [runs[middle][0]], _search(runs[middle:]), _search(runs[:middle]))
