"""Owns the assembling of system-call filters: classic BPF over `struct seccomp_data`.

A program is put together from blocks. Each block ends in a verdict on every path and never jumps out of
itself, so blocks nest freely and only their lengths decide a jump. For little-endian machines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

LOW, HIGH = 0, 4
"""The halves of an argument."""
INT = 0xFFFFFFFF
"""The mask that keeps the whole low half."""

_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06
_JUMP, _EQUAL, _AT_LEAST, _ANY_BIT = 0x05, 0x15, 0x35, 0x45
_FURTHEST = 255  # a conditional jump has 8 bits


class Instruction(NamedTuple):
    """`struct sock_filter`: what to do, how far to jump if true and if false, a constant."""

    code: int
    true: int
    false: int
    k: int


Block = tuple[Instruction, ...]


def _do(code: int, k: int) -> Block:
    return (Instruction(code, 0, 0, k),)


def verdict(value: int) -> Block:
    """Ends the filter with a SECCOMP_RET value."""
    return _do(_RETURN, value)


ALLOW = verdict(0x7FFF0000)
KILL = verdict(0x80000000)
"""The whole process, at once, as by SIGSYS."""


def fails(errno: int) -> Block:
    """The call is not made and gives that error; 0 looks like success."""
    return verdict(0x00050000 | errno)


def is_one_of(argument: int, values: Iterable[int], then: Block, otherwise: Block, mask: int = INT) -> Block:
    """`then` if the low half of an argument (0 to 5), under the mask, is one of the values.

    For arguments that the kernel takes as an int. Compare a pointer with `is_null`.
    """
    masked = () if mask == INT else _do(_AND, mask)
    tests = tuple(Instruction(_EQUAL, 0, 0, value & INT) for value in values)
    return _load(argument, LOW) + masked + _branch(tests, then, otherwise)


def has_any(argument: int, bits: int, then: Block, otherwise: Block) -> Block:
    """`then` if any of the bits is set in the low half of an argument."""
    return _load(argument, LOW) + _branch(_do(_ANY_BIT, bits), then, otherwise)


def is_null(argument: int, then: Block, otherwise: Block) -> Block:
    """`then` if both halves of an argument are zero."""
    zero = _do(_EQUAL, 0)
    high = _load(argument, HIGH) + _branch(zero, then, otherwise)
    return _load(argument, LOW) + _branch(zero, high, otherwise)


def program(audit: int, calls: Mapping[int, Block], default: Block) -> Block:
    """The filter of one architecture, by the number of the call; KILL for another one, and for x32."""
    x32 = _branch(_do(_AT_LEAST, 0x40000000), KILL, _search(_runs(calls, default)))
    return _do(_LOAD, _ARCH) + _branch(_do(_EQUAL, audit), _do(_LOAD, _NUMBER) + x32, KILL)


def encode(block: Block) -> bytes:
    """As an array of `struct sock_filter`. Raises ValueError where the kernel would refuse the length."""
    if not 0 < len(block) <= 4096:
        raise ValueError(f"a filter has 1 to 4096 instructions, not {len(block)!r}; give it fewer rules")
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in block)


def _load(argument: int, half: int) -> Block:
    return _do(_LOAD, _ARGUMENTS + 8 * argument + half)


def _branch(tests: Block, then: Block, otherwise: Block) -> Block:
    """`then` if any of the tests holds, one after the other."""
    far = len(then) > _FURTHEST
    jumps = [test._replace(true=len(tests) - 1 - i + far) for i, test in enumerate(tests)]
    if far:
        return (*jumps, Instruction(_JUMP, 0, 0, len(then)), *then, *otherwise)
    return (*jumps[:-1], jumps[-1]._replace(false=len(then)), *then, *otherwise)


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
    return _branch(_do(_AT_LEAST, runs[middle][0]), _search(runs[middle:]), _search(runs[:middle]))
